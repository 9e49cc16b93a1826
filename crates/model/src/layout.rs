//! What a model directory holds and how it is laid out: Hugging Face's files alone, or sentence-transformers' around
//! them, in its older and its newer form.

mod kind;
mod transformer;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

use crate::{
    error::{Error, read_json},
    files::read_modules,
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
    pub(crate) transformer: PathBuf,
    /// None where the directory is Hugging Face's alone.
    pub(crate) pooling: Option<Pooling>,
    /// Whether embeddings are divided by their norms.
    pub(crate) normalize: bool,
    /// Before it is bounded by the encoder's positions.
    pub(crate) max_seq_length: usize,
    pub(crate) lowercase: bool,
    /// Keys that stand above those of `tokenizer_config.json`.
    pub(crate) tokenizer_arguments: Map<String, Value>,
    /// The similarity that the embeddings were made for.
    pub(crate) similarity: SimilarityFunction,
    /// How many of an embedding's first numbers are kept, after it was divided by its norm; all without it.
    pub(crate) truncate_dim: Option<usize>,
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
        kind::refuse_other_class(dir, &settings)?;
        if !modules_path.exists() {
            if !dir.join("config.json").exists() {
                refuse_run(dir)?;
            }
            kind::refuse_heads(dir)?;
            return Ok(Self {
                transformer: dir.to_owned(),
                pooling: None,
                normalize: false,
                max_seq_length: DEFAULT_MAX_SEQ_LENGTH,
                lowercase: false,
                tokenizer_arguments: Map::new(),
                similarity: SimilarityFunction::default(),
                truncate_dim: None,
                prompts: Prompts::default(),
                pools_prompt: true,
            });
        }
        let modules = Modules::read(dir, &modules_path)?;
        let (similarity, truncate_dim) =
            read_settings(&settings).map_err(|what| Error::invalid(&settings_path, what))?;
        let tokenizer: Map<String, Value> = read_if_there(&modules.transformer.join("tokenizer_config.json"))?;
        let of_tokenizer = || tokenizer.get("model_max_length").or_else(|| tokenizer.get("max_len"))?.as_u64();
        let length = modules.input.max_seq_length.or_else(|| of_tokenizer().map(|length| length as usize));
        Ok(Self {
            transformer: modules.transformer,
            pooling: Some(modules.pooling),
            normalize: modules.normalize,
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

/// What the modules of a sentence-transformers directory are.
struct Modules {
    transformer: PathBuf,
    input: transformer::Input,
    pooling: Pooling,
    pools_prompt: bool,
    normalize: bool,
}

impl Modules {
    fn read(dir: &Path, list: &Path) -> Result<Self, Error> {
        let (mut transformer, mut pooling, mut normalize) = (None, None, false);
        for module in read_modules(list)? {
            let path = dir.join(&module.path);
            // The class has kept its name and moved between packages; one of another package is another class.
            let is_own = module.class.starts_with("sentence_transformers.");
            match if is_own { module.class_name() } else { "" } {
                "Transformer" if transformer.is_none() => transformer = Some(path),
                "Pooling" if pooling.is_none() => pooling = Some(read_pooling(&path.join("config.json"))?),
                "Normalize" if pooling.is_some() => {
                    check_normalize(&path.join("config.json"))?;
                    normalize = true;
                }
                _ => {
                    let what = format!(
                        "module `{}` is not supported, expected one each of Transformer, Pooling, Normalize",
                        module.class
                    );
                    return Err(Error::invalid(list, what));
                }
            }
        }
        let missing = |name: &str| Error::invalid(list, format!("no module of type {name}"));
        let transformer = transformer.ok_or_else(|| missing("Transformer"))?;
        // Before the pooling is asked for: a transformer that gives an embedding by itself has none, and says so there.
        let input = transformer::read(&transformer)?;
        let (pooling, pools_prompt) = pooling.ok_or_else(|| missing("Pooling"))?;
        Ok(Self { transformer, input, pooling, pools_prompt, normalize })
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

/// Refuses a module that divides anything but embeddings of sentences by its norm.
fn check_normalize(path: &Path) -> Result<(), Error> {
    let config: Map<String, Value> = read_if_there(path)?;
    for key in ["module_input_name", "module_output_name"] {
        if let Some(name) = config.get(key).filter(|name| !name.is_null() && *name != "sentence_embedding") {
            return Err(Error::invalid(path, format!("{key} {name} is not supported, expected sentence_embedding")));
        }
    }
    Ok(())
}

/// Reads the pooling mode, and whether prompts count in it: a flag per mode in the older layout, the mode's name in the newer.
fn read_pooling(path: &Path) -> Result<(Pooling, bool), Error> {
    let config: Map<String, Value> = read_json(path)?;
    let modes: Vec<&str> = match config.get("pooling_mode") {
        Some(Value::String(mode)) => vec![mode],
        Some(Value::Array(modes)) => modes.iter().filter_map(Value::as_str).collect(),
        _ => {
            let is_set =
                |flag: &str| config.get(&format!("pooling_mode_{flag}")).and_then(Value::as_bool) == Some(true);
            let unknown = config.iter().filter(|(_, value)| value.as_bool() == Some(true));
            let unknown = unknown.filter_map(|(key, _)| key.strip_prefix("pooling_mode_"));
            let unknown = unknown.filter(|flag| !Pooling::FLAGS.contains(flag));
            Pooling::FLAGS.into_iter().filter(|flag| is_set(flag)).chain(unknown).collect()
        }
    };
    // The older layout's flags in the order of their results; no mode at all is the mean, as in sentence-transformers.
    let modes = if modes.is_empty() { vec!["mean"] } else { modes };
    let named = Pooling::named(modes.iter().copied());
    let invalid = |expected| Error::invalid(path, format!("pooling mode `{}`, {expected}", modes.join("+")));
    Ok((named.map_err(invalid)?, config.get("include_prompt").and_then(Value::as_bool) != Some(false)))
}

/// What is written of an encoder beyond its weights.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) pooling: Pooling,
    pub(crate) normalize: bool,
    /// Width before it is truncated.
    pub(crate) hidden: i64,
    pub(crate) max_seq_length: usize,
    pub(crate) lowercase: bool,
    pub(crate) similarity: SimilarityFunction,
    pub(crate) truncate_dim: Option<usize>,
    pub(crate) prompts: Prompts,
    pub(crate) pools_prompt: bool,
}

/// Writes the files that make a directory with an encoder one of sentence-transformers, in the older layout, which its
/// versions 2 to 6 and text-embeddings-inference all read.
pub(crate) fn write(dir: &Path, written: &Written) -> Result<(), Error> {
    let Written { pooling, normalize, hidden, max_seq_length, lowercase, similarity, truncate_dim, .. } = *written;
    let module = |index: usize, name: &str, path: &str| json!({"idx": index, "name": index.to_string(), "path": path, "type": format!("sentence_transformers.models.{name}")});
    let mut modules = vec![module(0, "Transformer", ""), module(1, "Pooling", "1_Pooling")];
    if normalize {
        modules.push(module(2, "Normalize", "2_Normalize"));
    }
    for module in &modules[1..] {
        let folder = dir.join(module["path"].as_str().unwrap_or_default());
        std::fs::create_dir(&folder).map_err(Error::io(&folder))?;
    }
    let mut settings = json!({"similarity_fn_name": similarity});
    for (key, value) in written.prompts.written() {
        settings[key] = value;
    }
    if let Some(width) = truncate_dim {
        settings["truncate_dim"] = width.into();
    }
    let flags = pooling.flags().map(|(flag, is_set)| (flag, is_set.into()));
    let pooling_keys: Map<String, Value> = [("word_embedding_dimension".to_owned(), hidden.into())]
        .into_iter()
        .chain(flags)
        .chain([("include_prompt".to_owned(), written.pools_prompt.into())])
        .collect();
    let files = [
        ("modules.json", Value::Array(modules)),
        ("1_Pooling/config.json", Value::Object(pooling_keys)),
        ("sentence_bert_config.json", json!({"max_seq_length": max_seq_length, "do_lower_case": lowercase})),
        (SENTENCE_TRANSFORMERS, settings),
    ];
    for (name, value) in files {
        let path = dir.join(name);
        let text = serde_json::to_string_pretty(&value).expect("a JSON value is JSON");
        std::fs::write(&path, text + "\n").map_err(Error::io(&path))?;
    }
    Ok(())
}
