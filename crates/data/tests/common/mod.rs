//! What several integration tests share.
#![allow(dead_code)] // Each test binary uses a part of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The `data` command, run in `folder` with no data directory of its own.
pub(crate) fn data(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_data"));
    command.current_dir(folder).args(arguments).env_remove("STS_DATA_DIR");
    for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(proxy).env_remove(proxy.to_lowercase());
    }
    command.output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The names of the files in a folder and below, sorted.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    found.sort();
    found
}

/// The folder of the real datasets; without `$STS_DATA_DIR`, a loud `None`.
pub(crate) fn real_data() -> Option<PathBuf> {
    let folder = std::env::var_os("STS_DATA_DIR").map(PathBuf::from).filter(|path| path.join("kor-sts").is_dir());
    if folder.is_none() {
        // Standard error as such: the test harness hides what `eprintln!` writes when a test passes.
        use std::io::Write;
        let notice = "\n*** SKIPPED: $STS_DATA_DIR names no folder with kor-sts, so the real data are NOT tested ***\n";
        let _ = std::io::stderr().write_all(notice.as_bytes());
    }
    folder
}
