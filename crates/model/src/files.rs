//! Which files make a model: the one list that the loader, the fingerprint and the hub read.
//!
//! Source: `PreTrainedModel.from_pretrained` and `PreTrainedTokenizerBase.from_pretrained` of transformers 5.23, and
//! `SentenceTransformer` and `Transformer.load_config` of sentence-transformers 6.2.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::{Error, read_json};

/// The model card.
pub(crate) const CARD: &str = "README.md";

/// What a directory of sentence-transformers has beside the files of transformers.
pub(crate) const MODULES: &str = "modules.json";
pub(crate) const SENTENCE_TRANSFORMERS: &str = "config_sentence_transformers.json";

/// The file with the length limit, under the names that sentence-transformers gave it, the one that is read first in
/// front: the first that is not empty counts.
pub(crate) const LENGTH_CONFIGS: [&str; 7] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
];

/// The tokenizer as a whole, or its vocabulary alone.
pub(crate) const TOKENIZERS: [&str; 2] = ["tokenizer.json", "vocab.txt"];

/// What changes a tokenizer.
const TOKENIZER_CONFIGS: [&str; 3] = ["tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"];

/// The files that may hold a model's weights, the preferred one first, and whether it is an index of shards.
const WEIGHTS: [(&str, bool); 4] = [
    ("model.safetensors", false),
    ("model.safetensors.index.json", true),
    ("pytorch_model.bin", false),
    ("pytorch_model.bin.index.json", true),
];

/// A directory with a model, here or on a hub.
pub(crate) trait Folder {
    /// Where a file can be read, if the directory has it.
    fn find(&mut self, file: &Path) -> Result<Option<PathBuf>, Error>;
}

impl Folder for &Path {
    fn find(&mut self, file: &Path) -> Result<Option<PathBuf>, Error> {
        Ok(Some(self.join(file)).filter(|path| path.exists()))
    }
}

/// The files of a model beside its weights, by their paths in the directory.
pub(crate) struct Configs {
    /// Folder of `config.json`, weights and tokenizer.
    pub(crate) transformer: PathBuf,
    /// Folders of modules behind the pooling, which have weights of their own.
    pub(crate) modules: Vec<PathBuf>,
    pub(crate) files: Vec<PathBuf>,
}

/// Finds what is read beside the weights, as far as the directory has it.
pub(crate) fn configs(folder: &mut impl Folder) -> Result<Configs, Error> {
    let mut found = Found { folder, files: Vec::new() };
    let modules = match found.add(MODULES.into())? {
        Some(path) => read_modules(&path)?,
        None => Vec::new(),
    };
    found.add(SENTENCE_TRANSFORMERS.into())?;
    let is_encoder = |module: &&Module| ["Transformer", "StaticEmbedding"].contains(&module.class_name());
    let transformer = modules.iter().find(is_encoder).map_or_else(PathBuf::new, Module::folder);
    found.add(transformer.join("config.json"))?;
    for module in modules.iter().filter(|module| !is_encoder(module)) {
        found.add(module.folder().join("config.json"))?;
    }
    // A directory of transformers has no length limit of its own.
    if !modules.is_empty() {
        for name in LENGTH_CONFIGS {
            if let Some(path) = found.add(transformer.join(name))?
                && !read_json::<Map<String, Value>>(&path)?.is_empty()
            {
                break;
            }
        }
    }
    for name in TOKENIZERS {
        if found.add(transformer.join(name))?.is_some() {
            break;
        }
    }
    for name in TOKENIZER_CONFIGS {
        found.add(transformer.join(name))?;
    }
    let has_weights = |module: &&Module| ["Dense", "LayerNorm"].contains(&module.class_name());
    let modules = modules.iter().filter(has_weights).map(Module::folder).collect();
    Ok(Configs { files: found.files, transformer, modules })
}

struct Found<'a, F> {
    folder: &'a mut F,
    files: Vec<PathBuf>,
}

impl<F: Folder> Found<'_, F> {
    fn add(&mut self, file: PathBuf) -> Result<Option<PathBuf>, Error> {
        let path = self.folder.find(&file)?;
        // A pooling in the directory itself has the transformer's `config.json`.
        if path.is_some() && !self.files.contains(&file) {
            self.files.push(file);
        }
        Ok(path)
    }
}

/// The files with a model's weights, by their paths in the directory.
#[derive(Debug)]
pub(crate) struct WeightFiles {
    /// The file that was chosen: the weights, or the index of their shards.
    pub(crate) first: PathBuf,
    /// What an index names; empty without one.
    pub(crate) shards: Vec<PathBuf>,
}

/// Finds the weights in the transformer's folder: `model.safetensors`, whole or in shards, else `pytorch_model.bin`,
/// likewise. `None` where there are none.
pub(crate) fn weights(folder: &mut impl Folder, transformer: &Path) -> Result<Option<WeightFiles>, Error> {
    for (name, is_index) in WEIGHTS {
        let first = transformer.join(name);
        let Some(path) = folder.find(&first)? else { continue };
        let mut shards = Vec::new();
        for shard in if is_index { read_shards(&path)? } else { BTreeSet::new() } {
            let file = transformer.join(&shard);
            if folder.find(&file)?.is_none() {
                return Err(Error::invalid(&path, format!("shard `{shard}` is missing")));
            }
            shards.push(file);
        }
        return Ok(Some(WeightFiles { first, shards }));
    }
    Ok(None)
}

/// The message for a directory without weights.
pub(crate) const NO_WEIGHTS: &str = "no weights: expected model.safetensors or pytorch_model.bin, or the index of their \
                                     shards";

/// The files that an index names, each once.
fn read_shards(index: &Path) -> Result<BTreeSet<String>, Error> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let shards: BTreeSet<_> = read_json::<Index>(index)?.weight_map.into_values().collect();
    // A name that leads out of the folder is not a shard.
    match shards.iter().find(|shard| !stays_below(Path::new(shard))) {
        Some(shard) => Err(Error::invalid(index, format!("shard `{}` is not a file name", shard.escape_debug()))),
        None => Ok(shards),
    }
}

/// Refuses an adapter of PEFT: its weights are a change to those of another model, or of the one beside it.
pub(crate) fn refuse_adapter(dir: &Path) -> Result<(), Error> {
    let path = dir.join("adapter_config.json");
    if !path.exists() {
        return Ok(());
    }
    let config: Map<String, Value> = read_json(&path)?;
    let base = config.get("base_model_name_or_path").and_then(Value::as_str).unwrap_or("its base model");
    Err(Error::invalid(
        &path,
        format!(
            "a PEFT adapter of `{}`, expected a whole model: merge the two by PEFT's merge_and_unload() and save the result",
            base.escape_debug()
        ),
    ))
}

/// A module of a sentence-transformers directory.
#[derive(Deserialize)]
pub(crate) struct Module {
    /// Its folder below the directory.
    pub(crate) path: String,
    #[serde(rename = "type")]
    pub(crate) class: String,
}

impl Module {
    /// The class without its package: it has kept its name and moved between packages.
    pub(crate) fn class_name(&self) -> &str {
        self.class.rsplit('.').next().unwrap_or_default()
    }

    /// Its folder in one spelling.
    fn folder(&self) -> PathBuf {
        Path::new(&self.path).components().filter(|part| *part != Component::CurDir).collect()
    }
}

/// Reads `modules.json`.
pub(crate) fn read_modules(path: &Path) -> Result<Vec<Module>, Error> {
    let modules: Vec<Module> = read_json(path)?;
    match modules.iter().find(|module| !stays_below(Path::new(&module.path))) {
        Some(module) => Err(Error::invalid(path, format!("path `{}` leads out of the directory", module.path))),
        None => Ok(modules),
    }
}

/// Whether a path that a file names leads nowhere but below that file's directory.
pub(crate) fn stays_below(path: &Path) -> bool {
    path.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir))
}
