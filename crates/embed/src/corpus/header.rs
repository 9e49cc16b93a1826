//! `index.json`: what an index was made from, and what is known of it.

use std::{
    fs,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use anyhow::{Context, ensure};
use ground::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{format::ScanFormat, mapped::DAMAGED};

/// The header's file within an index.
pub(super) const NAME: &str = "index.json";

/// Counts up with each change of an index's files: what another version made is another index.
const LAYOUT: u32 = 2;

/// A part, and what tells it from another of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartFile {
    pub(super) name: PathBuf,
    bytes: u64,
    modified: u128, // nanoseconds since 1970
}

/// What an index is made from: the same gives the same index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    pub(super) layout: u32,
    pub(super) parts: Vec<PartFile>,
    pub(super) model_sha256: String,
    /// The column of the embeddings.
    pub(super) column: String,
    /// Whether another column has their scales.
    pub(super) has_scale: bool,
    pub(super) dimensions: usize,
    pub(super) format: ScanFormat,
}

/// What is known of an index's rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contents {
    /// Rows that have an embedding.
    pub(super) rows: usize,
    /// Largest distance of a row from what stands for it in the scanned format.
    pub(super) error: f32,
    /// Size of the file of the other columns; those of the others follow from the rows.
    pub(super) rows_bytes: u64,
}

/// The file: both, and their digest, so that a header that was damaged is not believed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    source: Source,
    contents: Contents,
    sha256: String,
}

impl Source {
    pub(super) fn new(
        parts: Vec<PartFile>,
        model_sha256: String,
        column: String,
        has_scale: bool,
        dimensions: usize,
        format: ScanFormat,
    ) -> Self {
        Self { layout: LAYOUT, parts, model_sha256, column, has_scale, dimensions, format }
    }

    /// The name of the folder of such an index: hexadecimal digits.
    pub(super) fn digest(&self) -> String {
        let mut digest = digest(self);
        digest.truncate(DIGITS);
        digest
    }

    /// Whether another index is of the same corpus, if perhaps in another format.
    pub(super) fn is_same_but_for_format(&self, other: &Self) -> bool {
        *other == Self { format: other.format, ..self.clone() }
    }
}

/// Digits of the name of an index's folder.
pub(super) const DIGITS: usize = 32;

/// The parts of a folder, by name.
pub(super) fn parts(dir: &Path) -> anyhow::Result<Vec<PartFile>> {
    let shown = || dir.display().to_string();
    let mut parts = Vec::new();
    for entry in fs::read_dir(dir).with_context(shown)? {
        let path = entry.with_context(shown)?.path();
        let name = PathBuf::from(path.file_name().unwrap_or_default());
        let text = name.to_string_lossy();
        if text.starts_with("part-") && text.ends_with(".parquet") {
            let metadata = path.metadata().with_context(|| path.display().to_string())?;
            let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let modified = modified.map_or(0, |time| time.as_nanos());
            parts.push(PartFile { name, bytes: metadata.len(), modified });
        }
    }
    // A number of more digits than others is longer.
    parts.sort_by_key(|part| (part.name.as_os_str().len(), part.name.clone()));
    Ok(parts)
}

/// Writes the header of an index, which makes it whole.
pub(super) fn write(index: &Path, source: &Source, contents: &Contents) -> anyhow::Result<()> {
    let sha256 = digest(&(source, contents));
    let header = Header { source: source.clone(), contents: contents.clone(), sha256 };
    let (path, text) = (index.join(NAME), serde_json::to_string_pretty(&header)? + "\n");
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(&path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().with_context(|| path.display().to_string())
}

/// Reads the header of an index; none where there is no such file.
///
/// # Errors
/// Where it cannot be read, or is not as it was written.
pub(super) fn read(index: &Path) -> anyhow::Result<Option<(Source, Contents)>> {
    let path = index.join(NAME);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.with_context(|| path.display().to_string())?,
    };
    let damaged = || format!("{}: {DAMAGED}", path.display());
    let Header { source, contents, sha256 } = serde_json::from_str(&text).with_context(damaged)?;
    ensure!(digest(&(&source, &contents)) == sha256, "{}", damaged());
    Ok(Some((source, contents)))
}

fn digest(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("names and numbers are JSON");
    hex(Sha256::new().chain_update(text))
}
