//! A small file cannot take much memory, whatever it says: each is refused, or read, within ten times its size and 64 MiB.
//!
//! Each is loaded by a process of its own, this program again, because memory that was freed stays with its process.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{
    env,
    fs::{self, File},
    io::Write,
    path::Path,
    process::Command,
};

use common::fixture;
use model::{Options, SentenceEncoder};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// Bytes of memory that this process holds (`VmRSS`), or held at most (`VmHWM`).
fn memory(key: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

/// The folder that this process was started to load.
const FOLDER: &str = "KO_STS_TEST_LOADS";

/// Loads a directory, and prints how much memory that took, in bytes, and the message with which it ended.
fn load(dir: &Path) {
    let before = memory("VmRSS:");
    let message = SentenceEncoder::load(dir, &Options::default()).map(|_| ()).unwrap_err().to_string();
    println!("\n{FOLDER} {} {message}", memory("VmHWM:").saturating_sub(before));
}

/// Fails where loading takes more memory than the size of `file` allows.
fn load_in_bounds(dir: &Path, file: &str, what: &str) {
    let this = Command::new(env::current_exe().unwrap()).arg("--nocapture").env(FOLDER, dir).output().unwrap();
    let output = String::from_utf8(this.stdout).unwrap();
    let line = output.lines().find_map(|line| line.strip_prefix(FOLDER)).unwrap_or_else(|| panic!("{what}: {output}"));
    let (taken, message) = line.trim_start().split_once(' ').unwrap();
    let taken: usize = taken.parse().unwrap();
    let size = fs::metadata(dir.join(file)).unwrap().len() as usize;
    println!("{what}: {} KiB take {} KiB; {message}", size >> 10, taken >> 10);
    assert!(taken < 10 * size + (64 << 20), "{what}: {size} bytes took {taken}: {message}");
}

fn write_archive(path: &Path, pickle: &[u8]) {
    let mut archive = ZipWriter::new(File::create(path).unwrap());
    archive
        .start_file("a/data.pkl", SimpleFileOptions::default().compression_method(CompressionMethod::Stored))
        .unwrap();
    archive.write_all(pickle).unwrap();
    archive.finish().unwrap();
}

#[test]
fn a_hostile_file_takes_little_memory() {
    if let Some(dir) = env::var_os(FOLDER) {
        return load(Path::new(&dir));
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        fs::copy(fixture("roberta-tiny").join(name), dir.join(name)).unwrap();
    }
    let size = 8 << 20;
    let filled = |start: &[u8], part: &[u8]| [b"\x80\x02", start, &part.repeat(size / part.len()), b"."].concat();
    let batches = |start: &[u8], part: &[u8]| {
        let batch = [b"(", part.repeat(30_000).as_slice(), b"e"].concat();
        filled(&[start, b"]"].concat(), &batch)
    };
    let eight = b"(K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01tq\x00";
    let legacy = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.";
    for (what, pickle) in [
        ("references to a tuple", batches(eight, b"h\x00")),
        ("references to a tuple, each in another", batches(eight, b"h\x00\x85")),
        ("references on the stack", filled(eight, b"h\x00")),
        ("empty tuples", batches(b"", b")")),
        ("lists of one", batches(b"", b"]Na")),
        ("dictionaries of one", batches(b"", b"}NNs")),
        ("names", batches(b"", b"c\n\n")),
        ("texts", batches(b"", b"U\x00")),
        (
            "memo",
            filled(
                b"",
                &(0..1 << 16).flat_map(|key: u32| [b"Nr", &key.to_le_bytes()[..]].concat()).collect::<Vec<_>>(),
            ),
        ),
        ("marks", filled(b"", b"(")),
    ] {
        write_archive(&dir.join("pytorch_model.bin"), &pickle);
        load_in_bounds(dir, "pytorch_model.bin", what);
        fs::write(dir.join("pytorch_model.bin"), [legacy, pickle.as_slice()].concat()).unwrap();
        load_in_bounds(dir, "pytorch_model.bin", &format!("{what}, before 1.6"));
    }
    // The most that is accepted, and then refused because it is no state dict.
    let most = [b"\x80\x02](", b"]Na".repeat(60_000).as_slice(), b"e"].concat();
    let most = [&most[..], &[b"(", b"]Na".repeat(60_000).as_slice(), b"e"].concat(), b"."].concat();
    write_archive(&dir.join("pytorch_model.bin"), &most);
    load_in_bounds(dir, "pytorch_model.bin", "as many lists as are accepted");
    fs::remove_file(dir.join("pytorch_model.bin")).unwrap();

    let many = |part: &str| part.repeat(size / part.len());
    let tensors: String = (0..size / 56)
        .map(|index| format!(r#""{index}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}},"#))
        .collect();
    for (what, header) in [
        ("an array in the place of a tensor", format!(r#"{{"a":[{}0]}}"#, many("0,"))),
        ("arrays in the place of a tensor", format!(r#"{{"a":[{}0]}}"#, many("[],"))),
        ("a shape of many dimensions", format!(r#"{{"a":{{"dtype":"F32","shape":[{}0]"#, many("0,"))),
        ("an unknown key", format!(r#"{{"a":{{"b":[{}0]}}"#, many("0,"))),
        ("metadata", format!(r#"{{"__metadata__":{{{}"a":""}}}}"#, many(r#""a":"","#))),
        ("tensors without numbers", format!("{{{}}}", tensors.trim_end_matches(','))),
    ] {
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
        fs::write(dir.join("model.safetensors"), bytes).unwrap();
        load_in_bounds(dir, "model.safetensors", what);
    }
    fs::remove_file(dir.join("model.safetensors")).unwrap();

    let index = "model.safetensors.index.json";
    let many = |part: &str| part.repeat((3 << 20) / part.len());
    for (what, text) in [
        ("an index with arrays", format!(r#"{{"weight_map":{{"a":[{}0]}}}}"#, many("0,"))),
        ("an index with other keys", format!(r#"{{"other":[{}0]}}"#, many("0,"))),
    ] {
        fs::write(dir.join(index), text).unwrap();
        load_in_bounds(dir, index, what);
    }
}
