//! The safetensors format, by the `safetensors` crate. <https://github.com/huggingface/safetensors>

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, btree_map::Entry as Slot},
    fmt,
    fs::{File, Permissions},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
};

use safetensors::{
    Dtype, View, serialize_to_file,
    tensor::{Metadata, TensorInfo},
};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use tch::{Kind, Tensor};

use super::{Entry, Format, to_bytes};
use crate::error::Error;

/// Bytes of the largest header, as in the `safetensors` crate.
const MAX_HEADER: u64 = 100_000_000;

/// Tensors of a file: several times those of the largest published models.
const MAX_TENSORS: usize = 1 << 17;

/// Reads the header of a file and checks that the file holds what it promises.
pub(super) fn index(path: &Path) -> Result<BTreeMap<String, Entry>, Error> {
    let broken = |what: String| Error::invalid(path, format!("not a whole safetensors file: {what}"));
    let mut file = File::open(path).map_err(Error::io(path))?;
    let size = file.metadata().map_err(Error::io(path))?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|_| broken(format!("it has {size} bytes")))?;
    let header = u64::from_le_bytes(length);
    if header > size - 8 || header > MAX_HEADER {
        return Err(broken(format!("its header claims {header} bytes of {size}, of at most {MAX_HEADER}")));
    }
    let mut bytes = Vec::new();
    file.take(header).read_to_end(&mut bytes).map_err(Error::io(path))?;
    let Header(tensors) = serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))?;
    drop(bytes);
    let names: Vec<_> = tensors.iter().map(|(name, info)| (name.clone(), info.dtype)).collect();
    let metadata = Metadata::new(None, tensors).map_err(|error| broken(error.to_string()))?;
    let expected = 8 + header + metadata.data_len() as u64;
    if size != expected {
        return Err(broken(format!("it has {size} bytes, expected {expected} by its header")));
    }
    let file: Arc<Path> = path.into();
    let mut entries = BTreeMap::new();
    for (name, dtype) in names {
        let Some(info) = metadata.info(&name) else { continue };
        let format = kind(dtype).map_or_else(|| Format::Other(dtype.to_string()), Format::Kind);
        let offset = 8 + header + info.data_offsets.0 as u64;
        let shape = info.shape.iter().map(|&size| size as i64).collect();
        entries.insert(name, Entry { file: file.clone(), offset, format, shape, strides: None });
    }
    Ok(entries)
}

/// The tensors of a header in the order of their data. The crate's own type keeps whatever JSON stands there until all of
/// it is read, in a hundred times its size.
struct Header(Vec<(String, TensorInfo)>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tensors;
        impl<'de> Visitor<'de> for Tensors {
            type Value = BTreeMap<String, TensorInfo>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut tensors = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    if tensors.len() == MAX_TENSORS {
                        return Err(A::Error::custom(format!("more than {MAX_TENSORS} tensors")));
                    }
                    match tensors.entry(name) {
                        Slot::Vacant(slot) => {
                            let Info { dtype, shape: Shape(shape), data_offsets } = map.next_value()?;
                            slot.insert(TensorInfo { dtype, shape, data_offsets });
                        }
                        Slot::Occupied(slot) => {
                            return Err(A::Error::custom(format!("tensor {:?} is there twice", slot.key())));
                        }
                    }
                }
                Ok(tensors)
            }
        }
        let mut tensors: Vec<_> = deserializer.deserialize_map(Tensors)?.into_iter().collect();
        tensors.sort_by_key(|(_, info)| info.data_offsets);
        Ok(Self(tensors))
    }
}

#[derive(Deserialize)]
struct Info {
    dtype: Dtype,
    shape: Shape,
    data_offsets: (usize, usize),
}

/// Sizes of a tensor's dimensions, of which there are at most as many as in PyTorch.
struct Shape(Vec<usize>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sizes;
        impl<'de> Visitor<'de> for Sizes {
            type Value = Vec<usize>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the sizes of at most 64 dimensions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sizes: A) -> Result<Self::Value, A::Error> {
                let mut shape = Vec::new();
                while let Some(size) = sizes.next_element()? {
                    shape.push(size);
                    if shape.len() > 64 {
                        return Err(A::Error::invalid_length(shape.len(), &self));
                    }
                }
                Ok(shape)
            }
        }
        deserializer.deserialize_seq(Sizes).map(Self)
    }
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

/// Reads every tensor of a file whose numbers are of a type that weights have.
pub fn read(path: &Path) -> Result<BTreeMap<String, Tensor>, Error> {
    let entries = index(path)?.into_iter().filter(|(_, entry)| matches!(entry.format, Format::Kind(_)));
    entries.map(|(name, entry)| Ok((name, entry.read()?))).collect()
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
