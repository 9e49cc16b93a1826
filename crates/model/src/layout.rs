//! What a model directory holds and how it is laid out: Hugging Face's files alone, or sentence-transformers' around
//! them, in its older and its newer form.

mod cross_encoder;
mod kind;
mod modules;
mod transformer;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

pub(crate) use self::cross_encoder::{CrossEncoderLayout, is_cross_encoder};
use self::modules::Modules;
use crate::{
    error::{Error, read_json},
    head::{self, Head, Module},
    matryoshka::Matryoshka,
    pooling::Pooling,
    prompts::Prompts,
    similarity::SimilarityFunction,
};

/// Tokens per sentence where a directory names no length of its own.
pub(crate) const DEFAULT_MAX_SEQ_LENGTH: usize = 128;

/// Name of the file with what holds for a sentence-transformers model as a whole.
pub(crate) const SENTENCE_TRANSFORMERS: &str = "config_sentence_transformers.json";

/// What a directory says of the encoder beyond its weights.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Folder of `config.json`, weights and tokenizer.
    pub(crate) encoder: PathBuf,
    /// Whether the encoder is a table of embeddings alone, which has no `config.json`.
    pub(crate) is_static: bool,
    /// None where the directory is Hugging Face's alone.
    pub(crate) pooling: Option<Pooling>,
    /// What stands behind the pooling, with its folder.
    pub(crate) modules: Vec<(PathBuf, Module)>,
    /// Before it is bounded by the encoder's positions.
    pub(crate) max_seq_length: usize,
    pub(crate) lowercase: bool,
    /// Keys that stand above those of `tokenizer_config.json`.
    pub(crate) tokenizer_arguments: Map<String, Value>,
    /// The similarity that the embeddings were made for.
    pub(crate) similarity: SimilarityFunction,
    /// How many of an embedding's first numbers are kept, after it was divided by its norm; all without it.
    pub(crate) truncate_dim: Option<usize>,
    /// Whether an embedding's first numbers stand for the whole.
    pub(crate) matryoshka: Matryoshka,
    /// What the model wants before texts.
    pub(crate) prompts: Prompts,
    /// Whether the tokens of a prompt count in pooling.
    pub(crate) pools_prompt: bool,
}

/// Fails where a directory holds a training run, or several, whose checkpoints lie below it.
fn refuse_run(dir: &Path) -> Result<(), Error> {
    let checkpoint = |run: &Path| Some(run.join("best")).filter(|best| best.join("config.json").exists());
    let refused = |what: &str, best: PathBuf| Err(Error::invalid(dir, format!("{what} {}", best.display())));
    if let Some(best) = checkpoint(dir) {
        return refused("a run, whose checkpoint is", best);
    }
    let mut below = fs::read_dir(dir).map_err(Error::io(dir))?.flatten();
    match below.find_map(|run| checkpoint(&run.path())) {
        Some(best) => refused("a folder of runs: name the checkpoint of one, as", best),
        None => Ok(()),
    }
}

impl Layout {
    pub(crate) fn read(dir: &Path) -> Result<Self, Error> {
        if !dir.is_dir() {
            return Err(Error::invalid(
                dir,
                "no such directory; expected a model in Hugging Face's or sentence-transformers' layout",
            ));
        }
        let modules_path = dir.join("modules.json");
        let settings_path = dir.join(SENTENCE_TRANSFORMERS);
        let settings = read_if_there(&settings_path)?;
        kind::refuse_other_class(dir, &settings, "SentenceTransformer")?;
        if !modules_path.exists() {
            if !dir.join("config.json").exists() {
                refuse_run(dir)?;
            }
            kind::refuse_heads(dir)?;
            return Ok(Self {
                encoder: dir.to_owned(),
                is_static: false,
                pooling: None,
                modules: Vec::new(),
                max_seq_length: DEFAULT_MAX_SEQ_LENGTH,
                lowercase: false,
                tokenizer_arguments: Map::new(),
                similarity: SimilarityFunction::default(),
                truncate_dim: None,
                matryoshka: Matryoshka::read(dir, &settings, &read_if_there(&dir.join("config.json"))?),
                prompts: Prompts::default(),
                pools_prompt: true,
            });
        }
        let modules = Modules::read(dir, &modules_path)?;
        let (similarity, truncate_dim) =
            read_settings(&settings).map_err(|what| Error::invalid(&settings_path, what))?;
        let tokenizer: Map<String, Value> = read_if_there(&modules.encoder.join("tokenizer_config.json"))?;
        let of_tokenizer = || tokenizer.get("model_max_length").or_else(|| tokenizer.get("max_len"))?.as_u64();
        let length = modules.input.max_seq_length.or_else(|| of_tokenizer().map(|length| length as usize));
        let config = read_if_there(&modules.encoder.join("config.json"))?;
        Ok(Self {
            matryoshka: Matryoshka::read(dir, &settings, &config),
            encoder: modules.encoder,
            is_static: modules.is_static,
            pooling: Some(modules.pooling),
            modules: modules.modules,
            // Without any, the positions are the bound, as in sentence-transformers.
            max_seq_length: length.unwrap_or(usize::MAX),
            lowercase: modules.input.lowercase,
            tokenizer_arguments: modules.input.tokenizer,
            similarity,
            truncate_dim,
            prompts: Prompts::read(&settings).map_err(|what| Error::invalid(&settings_path, what))?,
            pools_prompt: modules.pools_prompt,
        })
    }
}

fn read_if_there(path: &Path) -> Result<Map<String, Value>, Error> {
    if path.exists() { read_json(path) } else { Ok(Map::new()) }
}

/// What `config_sentence_transformers.json` says of embeddings: their similarity, and how many of their numbers count.
fn read_settings(settings: &Map<String, Value>) -> Result<(SimilarityFunction, Option<usize>), String> {
    let similarity = match settings.get("similarity_fn_name") {
        None | Some(Value::Null) => SimilarityFunction::default(),
        Some(name) => {
            let known = name.as_str().ok_or_else(|| "expected a name".to_owned()).and_then(str::parse);
            known.map_err(|expected| format!("similarity_fn_name is {name}, {expected}"))?
        }
    };
    let truncate_dim = match settings.get("truncate_dim") {
        None | Some(Value::Null) => None,
        Some(width) => {
            let known = width.as_u64().filter(|width| *width > 0);
            Some(known.ok_or_else(|| format!("truncate_dim is {width}, expected a whole number of at least 1"))?)
        }
    };
    Ok((similarity, truncate_dim.map(|width| width as usize)))
}

/// What is written of an encoder beyond its weights.
#[derive(Debug)]
pub(crate) struct Written<'a> {
    pub(crate) head: &'a Head,
    /// Whether the encoder is a table of embeddings alone.
    pub(crate) is_static: bool,
    /// Width of a token's embedding.
    pub(crate) hidden: i64,
    pub(crate) max_seq_length: usize,
    pub(crate) lowercase: bool,
    pub(crate) similarity: SimilarityFunction,
    pub(crate) truncate_dim: Option<usize>,
    pub(crate) prompts: Prompts,
    pub(crate) pools_prompt: bool,
}

/// Writes the files that make a directory with an encoder one of sentence-transformers, in the older layout, which its
/// versions 2 to 6 and text-embeddings-inference all read. A module's weights are for the caller to add.
pub(crate) fn write(dir: &Path, written: &Written) -> Result<(), Error> {
    let Written { head, is_static, hidden, max_seq_length, lowercase, similarity, truncate_dim, .. } = *written;
    let mut modules: Vec<(&str, String)> = match is_static {
        true => vec![("StaticEmbedding", String::new())],
        false => vec![("Transformer", String::new()), ("Pooling", "1_Pooling".to_owned())],
    };
    let mut files: Vec<(PathBuf, Value)> = Vec::new();
    if !is_static {
        let flags = head.pooling.flags().map(|(flag, is_set)| (flag, is_set.into()));
        let keys: Map<String, Value> = [("word_embedding_dimension".to_owned(), hidden.into())]
            .into_iter()
            .chain(flags)
            .chain([("include_prompt".to_owned(), written.pools_prompt.into())])
            .collect();
        files.push(("1_Pooling/config.json".into(), Value::Object(keys)));
        let input = json!({"max_seq_length": max_seq_length, "do_lower_case": lowercase});
        files.push(("sentence_bert_config.json".into(), input));
    }
    for (place, module) in head.modules.iter().enumerate() {
        let folder = head::folder(place, module.class());
        if *module != Module::Normalize {
            files.push((Path::new(&folder).join("config.json"), Value::Object(modules::written(module))));
        }
        modules.push((module.class(), folder));
    }
    let module = |(index, (name, path)): (usize, &(&str, String))| json!({"idx": index, "name": index.to_string(), "path": path, "type": format!("sentence_transformers.models.{name}")});
    files.push(("modules.json".into(), modules.iter().enumerate().map(module).collect()));
    let mut settings = json!({"similarity_fn_name": similarity});
    for (key, value) in written.prompts.written() {
        settings[key] = value;
    }
    if let Some(width) = truncate_dim {
        settings["truncate_dim"] = width.into();
    }
    files.push((SENTENCE_TRANSFORMERS.into(), settings));
    for (_, folder) in modules.iter().filter(|(_, folder)| !folder.is_empty()) {
        let folder = dir.join(folder);
        fs::create_dir(&folder).map_err(Error::io(&folder))?;
    }
    for (name, value) in files {
        let path = dir.join(name);
        let text = serde_json::to_string_pretty(&value).expect("a JSON value is JSON");
        fs::write(&path, text + "\n").map_err(Error::io(&path))?;
    }
    Ok(())
}
