//! Weights on disk: every format is indexed as tensors at offsets, and read one tensor at a time.

mod objects;
mod pickle;
mod safetensors;
mod state_dict;
mod torch_archive;
mod torch_legacy;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use tch::{Device, Kind, Tensor};

use crate::{architecture::Architecture, error::Error, files, slices, torch::Variables};

pub use self::safetensors::{read as read_safetensors, write as write_safetensors};

/// The type of a tensor's numbers.
#[derive(Clone, Debug)]
enum Format {
    Kind(Kind),
    /// One that no encoder's weights have, by its name in the file.
    Other(String),
}

/// Where one tensor lies.
#[derive(Clone, Debug)]
struct Entry {
    file: Arc<Path>,
    offset: u64, // of the tensor's first byte
    format: Format,
    shape: Vec<i64>,
    /// Elements between neighbours in each dimension, where the tensor does not lie row by row.
    strides: Option<Vec<i64>>,
}

impl Entry {
    fn numel(&self) -> Option<u64> {
        self.shape.iter().try_fold(1u64, |product, &size| product.checked_mul(u64::try_from(size).ok()?))
    }

    fn bytes(&self) -> Option<u64> {
        let Format::Kind(kind) = self.format else { return Some(0) };
        self.numel()?.checked_mul(kind.elt_size_in_bytes() as u64)
    }

    /// Elements from the tensor's first to its last in the file.
    fn reach(&self) -> Option<u64> {
        let Some(strides) = &self.strides else { return self.numel() };
        if self.shape.contains(&0) {
            return Some(0);
        }
        let mut sizes = self.shape.iter().zip(strides);
        sizes.try_fold(1u64, |reach, (&size, &stride)| {
            reach.checked_add(u64::try_from(size - 1).ok()?.checked_mul(u64::try_from(stride).ok()?)?)
        })
    }

    fn read(&self) -> Result<Tensor, Error> {
        let invalid = |what: &str| Error::invalid(&self.file, what);
        let kind = match &self.format {
            Format::Kind(kind) => *kind,
            Format::Other(name) => {
                return Err(invalid(&format!(
                    "numbers of type {name} are not supported, expected f32, f16, bf16 or f64"
                )));
            }
        };
        let beyond = || invalid("a tensor's size is beyond any memory");
        self.bytes().ok_or_else(beyond)?;
        let in_file = match self.strides {
            Some(_) => vec![self.reach().and_then(|reach| i64::try_from(reach).ok()).ok_or_else(beyond)?],
            None => self.shape.clone(),
        };
        let mut file = File::open(&self.file).map_err(Error::io(&self.file))?;
        file.seek(SeekFrom::Start(self.offset)).map_err(Error::io(&self.file))?;
        let tensor = slices::read(&mut file, &in_file, kind).map_err(Error::io(&self.file))?;
        match &self.strides {
            Some(strides) => Ok(tensor.f_as_strided(&self.shape, strides, None)?.f_contiguous()?),
            None => Ok(tensor),
        }
    }
}

/// The tensors of a model directory by name. Opening reads the index alone.
#[derive(Debug)]
pub(crate) struct Weights {
    path: PathBuf, // the file that messages name
    entries: BTreeMap<String, Entry>,
    prefix: &'static str, // of the encoder's names
}

/// What stands before the names of an encoder that was saved with a head, beside its family's own: there are RoBERTas
/// among the BERTs.
const PREFIXES: [&str; 2] = ["roberta.", "bert."];

impl Weights {
    /// Opens the weights of a Hugging Face directory, in which there is an encoder.
    pub(crate) fn open(dir: &Path, architecture: &Architecture) -> Result<Self, Error> {
        let (path, entries) = index(dir)?;
        let (words, own) = (architecture.embeddings.words.name(), architecture.prefix);
        let (first, _) = words.split_once('.').unwrap_or((&words, ""));
        let below = |prefix: &&str| entries.keys().any(|name| name.starts_with(&format!("{prefix}{first}.")));
        let prefix = ["", own].into_iter().chain(PREFIXES).find(below).ok_or_else(|| {
            Error::invalid(&path, format!("no encoder: expected tensors named `{first}.…` or `{own}{first}.…`"))
        })?;
        Ok(Self { path, entries, prefix })
    }

    /// Opens those of a module behind the pooling.
    pub(crate) fn open_module(dir: &Path) -> Result<Self, Error> {
        let (path, entries) = index(dir)?;
        Ok(Self { path, entries, prefix: "" })
    }

    /// Opens those of a static embedding, and gives the rows and the width of its table.
    pub(crate) fn open_static(dir: &Path) -> Result<(Self, [i64; 2]), Error> {
        let weights = Self::open_module(dir)?;
        let invalid = |what: &str| Err(Error::invalid(&weights.path, what));
        if weights.has("mapping") {
            return invalid(
                "tensor `mapping`: a vocabulary that model2vec quantized is not supported, as it is not by \
                 sentence-transformers",
            );
        }
        let table = [STATIC_TABLE, MODEL2VEC_TABLE].iter().find_map(|name| weights.entries.get(*name));
        match table.map(|table| table.shape.as_slice()) {
            Some(&[rows, width]) if rows > 0 && width > 0 => Ok((weights, [rows, width])),
            _ => {
                invalid("no static embedding: expected a tensor `embedding.weight` or `embeddings` with two dimensions")
            }
        }
    }

    /// Refuses a configuration that asks for far more than the weights hold, before memory is taken for it.
    pub(crate) fn check_size(&self, architecture: &Architecture) -> Result<(), Error> {
        // An expanded tensor repeats few numbers many times.
        let numbers = |entry: &Entry| entry.numel().min(entry.reach()).unwrap_or_default();
        let held: i128 = self.entries.values().map(|entry| i128::from(numbers(entry))).sum();
        let asked = architecture.parameters();
        // A tensor that is missing or misshapen is named later; this is about sizes that no machine has.
        if asked > 2 * held + (1 << 24) {
            return Err(Error::invalid(&self.path, format!("{held} parameters, expected {asked} by config.json")));
        }
        Ok(())
    }

    /// Reads one of the encoder's tensors, in the number format that it was stored in. Names may carry a prefix such
    /// as `roberta.` in the file.
    pub(crate) fn read(&self, name: &str, shape: &[i64]) -> Result<Tensor, Error> {
        self.read_whole(&format!("{}{name}", self.prefix), shape)
    }

    /// Reads a tensor by its very name.
    pub(crate) fn read_whole(&self, full: &str, shape: &[i64]) -> Result<Tensor, Error> {
        let invalid = |what: String| Error::invalid(&self.path, format!("tensor `{full}` {what}"));
        let entry = self.entries.get(full).or_else(|| self.entries.get(&other_name(full)));
        let entry = entry.ok_or_else(|| invalid(format!("is missing, expected shape {shape:?}")))?;
        if entry.shape != shape {
            return Err(invalid(format!("has shape {:?}, expected {shape:?} by config.json", entry.shape)));
        }
        entry.read().map_err(|error| match error {
            Error::Invalid { path, what } => Error::Invalid { path, what: format!("tensor `{full}`: {what}") },
            error => invalid(format!("cannot be read: {error}")),
        })
    }

    /// Reads a tensor by its name in a model with a head, which an encoder that was saved alone has without its prefix; none
    /// where there is none of that shape.
    pub(crate) fn read_if_there(&self, full: &str, shape: &[i64]) -> Option<Result<Tensor, Error>> {
        let below = [full, full.split_once('.').map_or(full, |(_, own)| own)];
        let name = below.into_iter().find(|name| self.entries.get(*name).is_some_and(|entry| entry.shape == shape))?;
        Some(self.read_whole(name, shape))
    }

    /// Whether there is a tensor of this very name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Fills every variable by its very name, casting to its number format.
    pub(crate) fn load_whole(&self, variables: &Variables) -> Result<(), Error> {
        for (name, mut variable) in variables.by_name() {
            let tensor = self.read_whole(&name, &variable.size())?;
            let filled = tch::no_grad(|| variable.f_copy_(&tensor));
            filled.map_err(|error| Error::invalid(&self.path, format!("tensor `{name}`: {}", Error::from(error))))?;
        }
        Ok(())
    }
}

/// Whether a directory has weights, all files of them.
pub(crate) fn are_whole(dir: &Path) -> bool {
    index(dir).is_ok()
}

/// The tensors of a directory, and the file that messages name.
fn index(mut dir: &Path) -> Result<(PathBuf, BTreeMap<String, Entry>), Error> {
    let found = files::weights(&mut dir, Path::new(""))?.ok_or_else(|| Error::invalid(dir, files::NO_WEIGHTS))?;
    let path = dir.join(&found.first);
    let mut entries = BTreeMap::new();
    for file in if found.shards.is_empty() { vec![found.first] } else { found.shards } {
        entries.extend(open_file(&dir.join(file))?);
    }
    Ok((path, entries))
}

/// The table of a static embedding, as sentence-transformers and model2vec name it.
const STATIC_TABLE: &str = "embedding.weight";
const MODEL2VEC_TABLE: &str = "embeddings";

/// The name that model2vec gives to a table, and the first BERT releases gave to a layer norm's tensor.
fn other_name(name: &str) -> String {
    if name == STATIC_TABLE {
        return MODEL2VEC_TABLE.to_owned();
    }
    name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
}

/// Indexes a file by what it begins with.
fn open_file(path: &Path) -> Result<BTreeMap<String, Entry>, Error> {
    let mut start = Vec::new();
    let file = File::open(path).map_err(Error::io(path))?;
    file.take(512).read_to_end(&mut start).map_err(Error::io(path))?;
    if start.starts_with(b"version https://git-lfs") {
        return Err(Error::invalid(path, "a pointer of Git LFS, expected the file itself: run `git lfs pull`"));
    }
    if path.extension().is_some_and(|extension| extension == "safetensors") {
        return safetensors::index(path);
    }
    match start[..] {
        [b'P', b'K', ..] => torch_archive::index(path),
        [0x80, ..] => torch_legacy::index(path),
        _ if start.get(257..262) == Some(b"ustar") => Err(Error::invalid(
            path,
            "a tar archive of the first PyTorch versions: load it with PyTorch and save its state dict anew",
        )),
        _ => Err(Error::invalid(path, "not a whole PyTorch archive: it begins as none that torch.save writes")),
    }
}

/// Copies a tensor's elements, in row-major order, into bytes.
fn to_bytes(tensor: &Tensor) -> Result<Vec<u8>, Error> {
    let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
