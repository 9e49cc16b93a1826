//! What the directory of a cross-encoder holds: transformers' files alone, or sentence-transformers' around them.
//!
//! Source: sentence-transformers 6, `CrossEncoder.__init__`, `get_default_activation_fn` and `_parse_model_config`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{
    SENTENCE_TRANSFORMERS, kind, read_if_there,
    transformer::{self, Task},
};
use crate::{
    cross_encoder::ScoreActivation,
    error::{Error, read_json},
    files::read_modules,
};

/// What a directory says of a cross-encoder beyond its weights.
#[derive(Debug)]
pub(crate) struct CrossEncoderLayout {
    /// Folder of `config.json`, weights and tokenizer.
    pub(crate) encoder: PathBuf,
    /// Before it is bounded by the encoder's positions.
    pub(crate) max_seq_length: usize,
    /// Keys that stand above those of `tokenizer_config.json`.
    pub(crate) tokenizer_arguments: Map<String, Value>,
    pub(crate) lowercase: bool,
    /// What makes a score of a label's number; none where nobody says.
    pub(crate) activation: Option<ScoreActivation>,
}

impl CrossEncoderLayout {
    pub(crate) fn read(dir: &Path) -> Result<Self, Error> {
        if !dir.is_dir() {
            return Err(Error::invalid(dir, "no such directory; expected a cross-encoder"));
        }
        let (modules_path, settings_path) = (dir.join("modules.json"), dir.join(SENTENCE_TRANSFORMERS));
        let settings = read_if_there(&settings_path)?;
        kind::refuse_other_class(dir, &settings, "CrossEncoder")?;
        let (mut encoder, mut input) = (dir.to_owned(), transformer::Input::default());
        if modules_path.exists() {
            let modules = read_modules(&modules_path)?;
            let [module] = &modules[..] else {
                let names = modules.iter().map(|module| module.class_name()).collect::<Vec<_>>().join(", ");
                let what = format!("modules {names}, expected a cross-encoder, which has a Transformer alone");
                return Err(Error::invalid(&modules_path, what));
            };
            if module.class_name() != "Transformer" || !module.class.starts_with("sentence_transformers.") {
                let what = format!("module `{}` is not supported, expected a Transformer", module.class);
                return Err(Error::invalid(&modules_path, what));
            }
            encoder = dir.join(&module.path);
            input = transformer::read(&encoder, Task::Classification)?;
            if let Some(prompt) = settings.get("default_prompt_name").filter(|prompt| !prompt.is_null()) {
                let what = format!("default_prompt_name is {prompt}: prompts of a cross-encoder are not supported");
                return Err(Error::invalid(&settings_path, what));
            }
        }
        let config_path = encoder.join("config.json");
        let config: Map<String, Value> = read_json(&config_path)?;
        refuse_encoder(&config).map_err(|what| Error::invalid(&config_path, what))?;
        // The newer place before the older ones.
        let places = [
            (&settings_path, settings.get("activation_fn")),
            (&config_path, config.get("sentence_transformers").and_then(|own| own.get("activation_fn"))),
            (&config_path, config.get("sbert_ce_default_activation_function")),
        ];
        let named = places.into_iter().find_map(|(path, name)| Some((path, name.filter(|name| !name.is_null())?)));
        let activation = named.map(|(path, name)| {
            let known = name.as_str().and_then(ScoreActivation::of_class);
            known.ok_or_else(|| {
                Error::invalid(
                    path,
                    format!("activation {name} is not supported, expected torch's Sigmoid or Identity"),
                )
            })
        });
        let tokenizer: Map<String, Value> = read_if_there(&encoder.join("tokenizer_config.json"))?;
        let own = tokenizer.get("model_max_length").or_else(|| tokenizer.get("max_len")).and_then(Value::as_u64);
        let length = input.max_seq_length.or_else(|| own.map(|length| length as usize));
        Ok(Self {
            encoder,
            max_seq_length: length.unwrap_or(usize::MAX),
            tokenizer_arguments: input.tokenizer,
            lowercase: input.lowercase,
            activation: activation.transpose()?,
        })
    }
}

/// Whether a directory says that it holds a cross-encoder, or another classifier of texts.
pub(crate) fn is_cross_encoder(dir: &Path) -> bool {
    let class = |name: &str, key: &str| read_if_there(&dir.join(name)).ok()?.remove(key);
    let is_classifier = |names: Value| names.as_array().is_some_and(|names| names.iter().any(names_classifier));
    class(SENTENCE_TRANSFORMERS, "model_type").is_some_and(|class| class == "CrossEncoder")
        || class("config.json", "architectures").is_some_and(is_classifier)
}

fn names_classifier(name: &Value) -> bool {
    name.as_str().is_some_and(|name| name.ends_with("ForSequenceClassification"))
}

/// Fails where the configuration is that of a model without a classifier's head.
fn refuse_encoder(config: &Map<String, Value>) -> Result<(), String> {
    let names = config.get("architectures").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if names.is_empty() || names.iter().any(names_classifier) {
        return Ok(());
    }
    let names = names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
    Err(format!(
        "no cross-encoder (architectures: {names}), expected one whose class ends in ForSequenceClassification"
    ))
}
