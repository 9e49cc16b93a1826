//! The encoder's configuration, as Hugging Face's `config.json` gives it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    architecture::Architecture,
    error::{Error, read_json},
    family::{self, Family, Keys, static_embedding},
};

/// The activation between a layer's two feed-forward products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// x · Φ(x), by the error function.
    #[default]
    #[serde(rename = "gelu", alias = "gelu_python")]
    Gelu,
    /// The same, approximated by tanh.
    #[serde(rename = "gelu_new", alias = "gelu_pytorch_tanh", alias = "gelu_fast")]
    GeluTanh,
    /// max(x, 0).
    #[serde(rename = "relu")]
    Relu,
    /// x · σ(x).
    #[serde(rename = "silu", alias = "swish")]
    Silu,
    /// tanh x.
    #[serde(rename = "tanh")]
    Tanh,
}

/// Configuration of an encoder: the keys of its `config.json`, and what they describe.
///
/// Names and defaults are those that transformers has for the family; keys that do not concern the encoder are kept and
/// written back.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(try_from = "Keys", into = "Keys")]
pub struct EncoderConfig {
    keys: Keys,
    architecture: Architecture,
}

impl EncoderConfig {
    /// Reads and validates a `config.json`.
    pub fn load(path: &Path) -> Result<Self, Error> {
        read_json::<Keys>(path)?.try_into().map_err(|what: String| Error::invalid(path, what))
    }

    /// That of a table of embeddings alone.
    pub(crate) fn static_embedding(rows: i64, width: i64) -> Self {
        Self { keys: Keys::new(), architecture: static_embedding::architecture(rows, width) }
    }

    /// Whether the encoder is a table of embeddings alone, which has no `config.json`.
    pub fn is_static(&self) -> bool {
        self.architecture.class == static_embedding::CLASS
    }

    /// What the encoder computes.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Width of a token's embedding.
    pub fn hidden_size(&self) -> i64 {
        self.architecture.hidden
    }

    /// Rows of the token embedding table.
    pub fn vocab_size(&self) -> i64 {
        self.architecture.embeddings.words.rows
    }

    /// Most tokens a sentence can have, special tokens included.
    pub fn max_sequence_length(&self) -> i64 {
        self.architecture.longest
    }

    /// Names of a classifier's labels. Source: transformers, `PretrainedConfig.id2label`.
    pub(crate) fn labels(&self) -> Vec<String> {
        let count = self.architecture.classifier.as_ref().map_or(0, |head| head.output.output);
        let names = self.keys.get("id2label");
        let name = |id: i64| names.and_then(|names| names.get(id.to_string())?.as_str().map(str::to_owned));
        (0..count).map(|id| name(id).unwrap_or_else(|| format!("LABEL_{id}"))).collect()
    }

    /// The same for a classifier with these labels.
    ///
    /// # Errors
    /// What is wrong with it then.
    pub(crate) fn with_labels(self, labels: &[String]) -> Result<Self, String> {
        let by_id = labels.iter().enumerate().map(|(id, name)| (id.to_string(), Value::from(name.as_str())));
        let ids = labels.iter().enumerate().map(|(id, name)| (name.clone(), Value::from(id)));
        self.with("num_labels", Value::Null)?
            .with("id2label", Value::Object(by_id.collect()))?
            .with("label2id", Value::Object(ids.collect()))
    }

    /// Whether the configuration itself says so.
    pub fn has(&self, key: &str) -> bool {
        self.keys.get(key).is_some_and(|value| !value.is_null())
    }

    /// The same with a key set, or removed where its value is null.
    ///
    /// # Errors
    /// What is wrong with it then.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Result<Self, String> {
        if self.is_static() {
            return Err(format!("{key}: a static embedding has no keys"));
        }
        match value.into() {
            Value::Null => self.keys.remove(key),
            value => self.keys.insert(key.to_owned(), value),
        };
        self.keys.try_into()
    }

    /// The same with one probability of dropout everywhere in training.
    ///
    /// # Errors
    /// If it is none.
    pub fn with_dropout(self, probability: f64) -> Result<Self, String> {
        if self.is_static() {
            return Err("a static embedding has no dropout".to_owned());
        }
        let Family { dropouts, .. } = family::of(&self.keys)?;
        dropouts.iter().try_fold(self, |config, key| config.with(key, probability))
    }
}

impl TryFrom<Keys> for EncoderConfig {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let (keys, architecture) = (family::of(&keys)?.read)(keys)?;
        Ok(Self { keys, architecture })
    }
}

impl From<EncoderConfig> for Keys {
    fn from(config: EncoderConfig) -> Self {
        config.keys
    }
}
