//! `manifest.json`: size and sha256 of every file of a checkpoint, so that a damaged one is named and not used.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use ground::{hex, sha256_of};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    error::{Error, read_json},
    files::{self, stays_below},
};

const NAME: &str = "manifest.json";

#[derive(Serialize, Deserialize)]
struct Manifest {
    files: BTreeMap<String, Stamp>, // by path below the directory
}

#[derive(PartialEq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> Result<Self, Error> {
        let (sha256, size) = sha256_of(path)?;
        Ok(Self { size, sha256 })
    }
}

/// Fills a new directory by `write`, adds a manifest of its files and puts it in the place of `target`, whole or not at all;
/// see [`ground::replace_dir`].
///
/// # Errors
/// Those of `write`, and where the system refuses; `target` then stays as it was.
pub fn replace_dir<E: From<Error>>(target: &Path, write: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
    let filled = ground::replace_dir(target, |dir| {
        write(dir).map_err(Failure::Content)?;
        write_manifest(dir).map_err(|error| Failure::Content(error.into()))
    });
    filled.map_err(|failure| match failure {
        Failure::Content(error) => error,
        Failure::Place(error) => Error::from(error).into(),
    })
}

/// Why a directory was not replaced.
enum Failure<E> {
    Content(E),
    Place(ground::Error),
}

impl<E> From<ground::Error> for Failure<E> {
    fn from(error: ground::Error) -> Self {
        Self::Place(error)
    }
}

/// Writes the manifest of all files below `dir`.
fn write_manifest(dir: &Path) -> Result<(), Error> {
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

/// Digest of those files of a model directory that an encoder reads, by name and content: two directories with the same
/// one give the same embeddings, whatever else lies in them.
///
/// # Errors
/// Where a file cannot be read, or the directory has no weights.
pub fn fingerprint(mut dir: &Path) -> Result<String, Error> {
    let configs = files::configs(&mut dir)?;
    let mut read = configs.files;
    for folder in std::iter::once(&configs.transformer).chain(&configs.modules) {
        let weights = files::weights(&mut dir, folder)?;
        let weights = weights.ok_or_else(|| Error::invalid(&dir.join(folder), files::NO_WEIGHTS))?;
        read.extend(std::iter::once(weights.first).chain(weights.shards));
    }
    let stamp = |name: PathBuf| Ok((name.to_string_lossy().into_owned(), Stamp::of(&dir.join(&name))?));
    let files = read.into_iter().map(stamp).collect::<Result<_, Error>>()?;
    let text = serde_json::to_string(&Manifest { files }).expect("a map of numbers and texts is JSON");
    Ok(hex(Sha256::new().chain_update(text)))
}

/// Files that the encoder does not read; whoever resumes a run does.
const NOT_THE_ENCODERS: [&str; 2] = ["optimizer.safetensors", "trainer_state.json"];

/// Checks those of the listed files of `dir` that the encoder reads. A directory without a manifest (from transformers, say) passes.
pub(crate) fn verify_encoder(dir: &Path) -> Result<(), Error> {
    verify_but(dir, &NOT_THE_ENCODERS)
}

/// Compares every file of a directory that [`replace_dir`] wrote with its manifest.
///
/// # Errors
/// Where a file is missing or differs; the error names it.
pub fn verify(dir: &Path) -> Result<(), Error> {
    verify_but(dir, &[])
}

fn verify_but(dir: &Path, but: &[&str]) -> Result<(), Error> {
    let path = dir.join(NAME);
    if !path.exists() {
        return Ok(());
    }
    for (name, expected) in read_json::<Manifest>(&path)?.files {
        if !stays_below(Path::new(&name)) {
            return Err(Error::invalid(&path, format!("`{name}` is not the name of a file in this directory")));
        }
        let file = dir.join(&name);
        // A model card is there to be edited.
        if name == "README.md" || but.contains(&name.as_str()) {
            continue;
        }
        if !file.is_file() {
            return Err(Error::invalid(&file, format!("missing, though {NAME} lists it")));
        }
        let size = fs::metadata(&file).map_err(Error::io(&file))?.len();
        let remedy = format!("restore it, or remove {NAME} if the change is meant");
        if size != expected.size {
            let what = format!("damaged or changed: {size} bytes, expected {} by {NAME}; {remedy}", expected.size);
            return Err(Error::invalid(&file, what));
        }
        if Stamp::of(&file)? != expected {
            let what = format!("damaged or changed: its sha256 is not the one in {NAME}; {remedy}");
            return Err(Error::invalid(&file, what));
        }
    }
    Ok(())
}
