//! `pytorch_model.bin` of PyTorch 1.6 and later: the zip archive that `torch.save` writes, read as data.
//!
//! Source: `_save` and `_load` in `torch/serialization.py` of PyTorch 2.11. The archive holds one pickle, `*/data.pkl`, each
//! storage's bytes, uncompressed, as `*/data/KEY`, and since 2.1 their byte order.

use std::{collections::BTreeMap, fs::File, io::Read, path::Path};

use zip::{CompressionMethod, ZipArchive, result::ZipError};

use super::{
    Entry, pickle,
    state_dict::{self, MAX_PICKLE, Place},
};
use crate::error::Error;

/// Indexes the tensors of a saved state dict.
pub(super) fn index(path: &Path) -> Result<BTreeMap<String, Entry>, Error> {
    let file = File::open(path).map_err(Error::io(path))?;
    index_archive(path, file).map_err(|what| Error::invalid(path, format!("not a whole PyTorch archive: {what}")))
}

fn index_archive(path: &Path, file: File) -> Result<BTreeMap<String, Entry>, String> {
    let text = |error: ZipError| error.to_string();
    let mut archive = ZipArchive::new(file).map_err(text)?;
    let pickle_name = {
        let names = archive.file_names().collect::<Result<Vec<_>, _>>().map_err(text)?;
        let name = names.iter().find(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
        name.ok_or("it has no data.pkl")?.to_string()
    };
    let root = pickle_name.trim_end_matches("data.pkl");
    if archive.index_for_name(&format!("{root}constants.pkl")).is_some() {
        return Err("it holds a TorchScript module, expected a state dict".to_owned());
    }
    let order = format!("{root}byteorder");
    if archive.index_for_name(&order).is_some() {
        let order = read(&mut archive, &order, 16)?;
        if order != b"little" {
            let order = String::from_utf8_lossy(&order).escape_debug().to_string();
            return Err(format!("its byte order is `{order}`, expected little: save it again on a common processor"));
        }
    }
    let bytes = read(&mut archive, &pickle_name, MAX_PICKLE)?;
    let (pickle, _) = pickle::parse(&bytes).map_err(|what| format!("data.pkl, {what}"))?;
    state_dict::index(path, &pickle, |storage| {
        let name = format!("{root}data/{}", storage.key);
        let entry = archive.by_name(&name).map_err(|error| format!("its storage: {error}"))?;
        if entry.compression() != CompressionMethod::Stored {
            return Err("its storage is compressed".to_owned());
        }
        let start = entry.data_start().ok_or("its storage has no place")?;
        Ok(Place { start, size: entry.size() })
    })
}

/// Reads a whole entry of at most `limit` bytes.
fn read(archive: &mut ZipArchive<File>, name: &str, limit: u64) -> Result<Vec<u8>, String> {
    let entry = archive.by_name(name).map_err(|error| error.to_string())?;
    if entry.size() > limit {
        return Err(format!("`{name}` has {} bytes, more than the {limit} of a state dict", entry.size()));
    }
    let mut bytes = Vec::new();
    entry.take(limit).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}
