//! The safetensors format, by the `safetensors` crate. <https://github.com/huggingface/safetensors>

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fs::{File, Permissions},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use safetensors::{Dtype, View, serialize_to_file, tensor::Metadata};
use tch::{Kind, Tensor};

use super::{Entry, to_bytes};
use crate::error::Error;

/// Reads the header of a file and checks that the file holds what it promises.
pub(super) fn index(path: &Path) -> Result<BTreeMap<String, Entry>, Error> {
    let broken = |what: String| Error::invalid(path, format!("not a whole safetensors file: {what}"));
    let mut file = File::open(path).map_err(Error::io(path))?;
    let size = file.metadata().map_err(Error::io(path))?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|_| broken(format!("it has {size} bytes")))?;
    let header = u64::from_le_bytes(length);
    if header > size - 8 {
        return Err(broken(format!("its header claims {header} bytes of {size}")));
    }
    let mut bytes = Vec::new();
    file.take(header).read_to_end(&mut bytes).map_err(Error::io(path))?;
    let metadata: Metadata = serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))?;
    let expected = 8 + header + metadata.data_len() as u64;
    if size != expected {
        return Err(broken(format!("it has {size} bytes, expected {expected} by its header")));
    }
    let mut entries = BTreeMap::new();
    for (name, info) in metadata.tensors() {
        // Heads and buffers of other types are none of the encoder's.
        let Some(kind) = kind(info.dtype) else { continue };
        let offset = 8 + header + info.data_offsets.0 as u64;
        let shape = info.shape.iter().map(|&size| size as i64).collect();
        entries.insert(name, Entry { file: path.to_owned(), offset, kind, shape });
    }
    Ok(entries)
}

fn kind(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::F64 => Kind::Double,
        Dtype::F32 => Kind::Float,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::I64 => Kind::Int64,
        _ => return None,
    })
}

/// Reads every tensor of a file.
pub fn read(path: &Path) -> Result<BTreeMap<String, Tensor>, Error> {
    index(path)?.into_iter().map(|(name, entry)| Ok((name, entry.read()?))).collect()
}

/// Writes tensors under their names. One tensor at a time is copied, so memory does not grow with the file.
pub fn write(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<(), Error> {
    let views = tensors
        .iter()
        .map(|(name, tensor)| Ok((name, TensorView::new(path, name, tensor)?)))
        .collect::<Result<Vec<_>, Error>>()?;
    let needed: usize = views.iter().map(|(_, view)| view.data_len()).sum();
    // transformers refuses a file that does not say which framework its tensors are laid out for.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    serialize_to_file(views, Some(metadata), path)
        .map_err(|error| Error::invalid(path, format!("{error} (the file needs {:.1} MB)", needed as f64 / 1e6)))?;
    // The library makes files that only their owner can read; a server may run under another name.
    std::fs::set_permissions(path, Permissions::from_mode(0o644)).map_err(Error::io(path))
}

/// A tensor with its shape and type in the terms of the `safetensors` crate.
struct TensorView<'a> {
    tensor: &'a Tensor,
    dtype: Dtype,
    shape: Vec<usize>,
}

impl<'a> TensorView<'a> {
    fn new(path: &Path, name: &str, tensor: &'a Tensor) -> Result<Self, Error> {
        let dtype = match tensor.kind() {
            Kind::Double => Dtype::F64,
            Kind::Float => Dtype::F32,
            Kind::Half => Dtype::F16,
            Kind::BFloat16 => Dtype::BF16,
            Kind::Int64 => Dtype::I64,
            kind => return Err(Error::invalid(path, format!("tensor `{name}` of type {kind:?} cannot be stored"))),
        };
        Ok(Self { tensor, dtype, shape: tensor.size().iter().map(|&size| size as usize).collect() })
    }
}

impl View for TensorView<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(to_bytes(self.tensor).expect("a dense tensor of a known type can be copied"))
    }
    fn data_len(&self) -> usize {
        self.tensor.numel() * self.tensor.kind().elt_size_in_bytes()
    }
}
