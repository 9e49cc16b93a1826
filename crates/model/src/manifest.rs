//! `manifest.json`: size and sha256 of every file of a checkpoint, so that a damaged one is named and not used.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    path::Path,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, read_json};

const NAME: &str = "manifest.json";

#[derive(Serialize, Deserialize)]
struct Manifest {
    files: BTreeMap<String, Stamp>, // by path below the directory
}

#[derive(PartialEq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    sha256: String,
}

impl Stamp {
    fn of(path: &Path) -> Result<Self, Error> {
        let mut file = File::open(path).map_err(Error::io(path))?;
        let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
        loop {
            let count = file.read(&mut buffer).map_err(Error::io(path))?;
            if count == 0 {
                break;
            }
            hash.update(&buffer[..count]);
            size += count as u64;
        }
        let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { size, sha256 })
    }
}

/// Writes the manifest of all files below `dir`.
pub(crate) fn write(dir: &Path) -> Result<(), Error> {
    let mut files = BTreeMap::new();
    collect(dir, "", &mut files)?;
    let text = serde_json::to_string_pretty(&Manifest { files }).expect("a map of numbers and texts is JSON");
    let path = dir.join(NAME);
    fs::write(&path, text + "\n").map_err(Error::io(&path))
}

fn collect(dir: &Path, prefix: &str, files: &mut BTreeMap<String, Stamp>) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(Error::io(dir))? {
        let path = entry.map_err(Error::io(dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), files)?;
        } else {
            files.insert(format!("{prefix}{name}"), Stamp::of(&path)?);
        }
    }
    Ok(())
}

/// Checks the listed files of `dir` that are there; whoever needs one that is missing says so. A directory without a
/// manifest (from transformers, say) passes.
pub(crate) fn verify(dir: &Path) -> Result<(), Error> {
    let path = dir.join(NAME);
    if !path.exists() {
        return Ok(());
    }
    for (name, expected) in read_json::<Manifest>(&path)?.files {
        let file = dir.join(&name);
        // A model card is there to be edited.
        if name == "README.md" || !file.exists() {
            continue;
        }
        let found = Stamp::of(&file)?;
        if found.size != expected.size {
            return Err(Error::invalid(
                &file,
                format!("{} bytes, expected {} by {NAME}: the file is damaged", found.size, expected.size),
            ));
        }
        if found != expected {
            return Err(Error::invalid(&file, format!("its sha256 is not the one in {NAME}: the file is damaged")));
        }
    }
    Ok(())
}
