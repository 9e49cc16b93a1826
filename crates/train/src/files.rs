//! Files that are whole or not there.

use std::{io::Write, path::Path};

use ground::Staged;

/// Writes a text.
pub(crate) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut staged = Staged::create(path)?;
    staged.file().write_all(text.as_bytes()).map_err(|cause| staged.failed(cause))?;
    Ok(staged.commit(true)?)
}
