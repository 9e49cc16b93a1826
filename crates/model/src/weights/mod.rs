//! Weights on disk: every format is indexed as tensors at offsets, and read one tensor at a time.

mod pickle;
mod safetensors;
mod torch_archive;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use tch::{Device, Kind, Tensor, nn::VarStore};

use crate::{config::EncoderConfig, error::Error, manifest::stays_below, slices};

pub use self::safetensors::{read as read_safetensors, write as write_safetensors};

/// The files that may hold a model's weights, the preferred one first, and whether it is an index of shards.
pub(crate) const FILES: [(&str, bool); 4] = [
    ("model.safetensors", false),
    ("model.safetensors.index.json", true),
    ("pytorch_model.bin", false),
    ("pytorch_model.bin.index.json", true),
];

/// Where one tensor lies.
#[derive(Clone, Debug)]
struct Entry {
    file: PathBuf,
    offset: u64, // of the tensor's first byte
    kind: Kind,
    shape: Vec<i64>,
}

impl Entry {
    fn bytes(&self) -> Option<u64> {
        let elements =
            self.shape.iter().try_fold(1u64, |product, &size| product.checked_mul(u64::try_from(size).ok()?));
        elements?.checked_mul(self.kind.elt_size_in_bytes() as u64)
    }

    fn read(&self) -> Result<Tensor, Error> {
        self.bytes().ok_or_else(|| Error::invalid(&self.file, "a tensor's size is beyond any memory"))?;
        let mut tensor = Tensor::f_empty(&self.shape, (self.kind, Device::Cpu))?;
        let mut file = File::open(&self.file).map_err(Error::io(&self.file))?;
        file.seek(SeekFrom::Start(self.offset)).map_err(Error::io(&self.file))?;
        file.read_exact(slices::bytes_mut(&mut tensor)).map_err(Error::io(&self.file))?;
        Ok(tensor)
    }
}

/// The tensors of a model directory by name. Opening reads the index alone.
#[derive(Debug)]
pub(crate) struct Weights {
    path: PathBuf, // the file that messages name
    entries: BTreeMap<String, Entry>,
    prefix: &'static str, // of the encoder's names
}

impl Weights {
    /// Finds the weights of a Hugging Face directory: `model.safetensors`, whole or sharded, else `pytorch_model.bin`,
    /// likewise.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        let (name, sharded) = FILES.into_iter().find(|(name, _)| dir.join(name).exists()).ok_or_else(|| {
            Error::invalid(
                dir,
                "no weights: expected model.safetensors or pytorch_model.bin, or the index of their shards",
            )
        })?;
        let path = dir.join(name);
        let entries = if sharded { open_shards(dir, &path)? } else { open_file(&path)? };
        let prefix = ["", "roberta.", "bert."]
            .into_iter()
            .find(|prefix| entries.keys().any(|name| name.starts_with(&format!("{prefix}embeddings."))))
            .ok_or_else(|| {
                Error::invalid(
                    &path,
                    "no encoder: expected tensors named `embeddings.…`, `roberta.embeddings.…` or `bert.embeddings.…`",
                )
            })?;
        Ok(Self { path, entries, prefix })
    }

    /// Refuses a configuration that asks for far more than the weights hold, before memory is taken for it.
    pub(crate) fn check_size(&self, config: &EncoderConfig) -> Result<(), Error> {
        let held: i128 =
            self.entries.values().map(|entry| entry.shape.iter().map(|&size| i128::from(size)).product::<i128>()).sum();
        let asked = config.parameters();
        // A tensor that is missing or misshapen is named later; this is about sizes that no machine has.
        if asked > 2 * held + (1 << 24) {
            return Err(Error::invalid(&self.path, format!("{held} parameters, expected {asked} by config.json")));
        }
        Ok(())
    }

    /// Reads one of the encoder's tensors, in the number format that it was stored in. Names may carry a `roberta.` or
    /// `bert.` prefix in the file.
    pub(crate) fn read(&self, name: &str, shape: &[i64]) -> Result<Tensor, Error> {
        let full = format!("{}{name}", self.prefix);
        let invalid = |what: String| Error::invalid(&self.path, format!("tensor `{full}` {what}"));
        let entry = self.entries.get(&full).or_else(|| self.entries.get(&first_bert_name(&full)));
        let entry = entry.ok_or_else(|| invalid(format!("is missing, expected shape {shape:?}")))?;
        if entry.shape != shape {
            return Err(invalid(format!("has shape {:?}, expected {shape:?} by config.json", entry.shape)));
        }
        entry.read().map_err(|error| Error::invalid(&self.path, format!("tensor `{full}`: {error}")))
    }

    /// Whether there is a tensor of this very name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Fills every variable of `vs` by its very name, casting to its number format.
    pub(crate) fn load_whole(mut self, vs: &VarStore) -> Result<(), Error> {
        self.prefix = "";
        self.load_into(vs)
    }

    /// Fills every variable of `vs`, casting to its number format. Tensors that `vs` does not ask for (heads) are ignored.
    pub(crate) fn load_into(&self, vs: &VarStore) -> Result<(), Error> {
        let mut variables: Vec<_> = vs.variables().into_iter().collect();
        variables.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, mut variable) in variables {
            let tensor = self.read(&name, &variable.size())?;
            let filled = tch::no_grad(|| variable.f_copy_(&tensor));
            filled.map_err(|error| Error::invalid(&self.path, format!("tensor `{name}`: {}", Error::from(error))))?;
        }
        Ok(())
    }
}

/// The name that the first BERT releases gave to a layer norm's tensor.
fn first_bert_name(name: &str) -> String {
    name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
}

fn open_file(path: &Path) -> Result<BTreeMap<String, Entry>, Error> {
    match path.extension() {
        Some(extension) if extension == "safetensors" => safetensors::index(path),
        _ => torch_archive::index(path),
    }
}

fn open_shards(dir: &Path, index: &Path) -> Result<BTreeMap<String, Entry>, Error> {
    let mut entries = BTreeMap::new();
    for shard in shards(index)? {
        let path = dir.join(&shard);
        if !path.exists() {
            return Err(Error::invalid(index, format!("shard `{shard}` is missing")));
        }
        entries.extend(open_file(&path)?);
    }
    Ok(entries)
}

/// The files that an index names, each once.
pub(crate) fn shards(index: &Path) -> Result<BTreeSet<String>, Error> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let shards: BTreeSet<_> = crate::error::read_json::<Index>(index)?.weight_map.into_values().collect();
    // A name that leads out of the folder is not a shard.
    match shards.iter().find(|shard| !stays_below(Path::new(shard))) {
        Some(shard) => Err(Error::invalid(index, format!("shard `{shard}` is not a file name"))),
        None => Ok(shards),
    }
}

/// Copies a tensor's elements, in row-major order, into bytes.
fn to_bytes(tensor: &Tensor) -> Result<Vec<u8>, Error> {
    let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok(bytes)
}
