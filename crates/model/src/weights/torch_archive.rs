//! `pytorch_model.bin`: the zip archive that `torch.save` writes, read as data.
//!
//! Source: `torch/serialization.py` and `torch/_utils.py` (`_rebuild_tensor_v2`) of PyTorch 2.11. The archive holds one
//! pickle, `*/data.pkl`, and each storage's bytes, uncompressed, as `*/data/KEY`.

use std::{collections::BTreeMap, fs::File, io::Read, path::Path};

use tch::Kind;
use zip::{ZipArchive, result::ZipError};

use super::{
    Entry,
    pickle::{self, Value},
};
use crate::error::Error;

/// More bytes than any state dict's pickle has: names and shapes alone.
const MAX_PICKLE: u64 = 64 << 20;

/// Indexes the tensors of a saved state dict.
pub(super) fn index(path: &Path) -> Result<BTreeMap<String, Entry>, Error> {
    let broken = |what: String| Error::invalid(path, format!("not a whole PyTorch archive: {what}"));
    let file = File::open(path).map_err(Error::io(path))?;
    let mut archive = ZipArchive::new(file).map_err(|error| {
        broken(format!(
            "{error}; files of PyTorch before 1.6 are no archives: load and save them once with a newer PyTorch"
        ))
    })?;
    let names = archive.file_names().map(|name| Ok(name?.into_owned())).collect::<Result<Vec<String>, ZipError>>();
    let names = names.map_err(|error| broken(error.to_string()))?;
    let pickle_name = names.iter().find(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
    let pickle_name = pickle_name.ok_or_else(|| broken("it has no data.pkl".to_owned()))?;
    let root = pickle_name.trim_end_matches("data.pkl").to_owned();
    if names.contains(&format!("{root}constants.pkl")) {
        return Err(broken("it holds a TorchScript module, expected a state dict".to_owned()));
    }
    let mut text = Vec::new();
    let entry = archive.by_name(pickle_name).map_err(|error| broken(error.to_string()))?;
    entry.take(MAX_PICKLE).read_to_end(&mut text).map_err(|error| broken(error.to_string()))?;
    let Value::Dict(items) = pickle::parse(&text).map_err(broken)? else {
        return Err(broken("its pickle is no state dict".to_owned()));
    };
    let mut entries = BTreeMap::new();
    for (name, value) in items {
        let (Value::Text(name), Value::Tensor(tensor)) = (name, value) else { continue };
        let Some(kind) = kind(&tensor.storage_type) else { continue };
        let storage = archive
            .by_name(&format!("{root}data/{}", tensor.storage_key))
            .map_err(|error| broken(format!("storage of tensor `{name}`: {error}")))?;
        if storage.compression() != zip::CompressionMethod::Stored {
            return Err(broken(format!("storage of tensor `{name}` is compressed")));
        }
        if !is_contiguous(&tensor.shape, &tensor.strides) {
            return Err(Error::invalid(
                path,
                format!("tensor `{name}` is not contiguous: save it again after .contiguous()"),
            ));
        }
        let start = storage.data_start().ok_or_else(|| broken(format!("storage of tensor `{name}` has no place")))?;
        let first = tensor.storage_offset.checked_mul(kind.elt_size_in_bytes() as u64);
        let mut entry = Entry { file: path.to_owned(), offset: start, kind, shape: tensor.shape };
        let end = first.and_then(|first| first.checked_add(entry.bytes()?)).filter(|&end| end <= storage.size());
        let (Some(first), Some(_)) = (first, end) else {
            return Err(broken(format!("tensor `{name}` reaches beyond its storage of {} bytes", storage.size())));
        };
        entry.offset += first;
        entries.insert(name.to_string(), entry);
    }
    Ok(entries)
}

fn kind(storage_type: &str) -> Option<Kind> {
    Some(match storage_type {
        "DoubleStorage" => Kind::Double,
        "FloatStorage" => Kind::Float,
        "HalfStorage" => Kind::Half,
        "BFloat16Storage" => Kind::BFloat16,
        "LongStorage" => Kind::Int64,
        _ => return None,
    })
}

fn is_contiguous(shape: &[i64], strides: &[i64]) -> bool {
    let mut expected = 1i64;
    shape.len() == strides.len()
        && shape.iter().zip(strides).rev().all(|(&size, &stride)| {
            let fits = size == 1 || stride == expected;
            expected = expected.saturating_mul(size);
            fits
        })
}
