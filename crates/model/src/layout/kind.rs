//! Directories that hold another kind of model, refused by its name.

use std::path::Path;

use serde_json::{Map, Value};

use super::read_if_there;
use crate::error::Error;

/// Heads by the ends of their classes' names, whose encoders were not made to give embeddings of sentences.
const HEADS: [(&str, &str); 7] = [
    ("ForSequenceClassification", "a classifier or reranker"),
    ("ForTokenClassification", "a classifier of tokens"),
    ("ForQuestionAnswering", "a model for question answering"),
    ("ForMultipleChoice", "a model for multiple choice"),
    ("ForNextSentencePrediction", "a model for next-sentence prediction"),
    ("ForCausalLM", "a generative language model"),
    ("LMHeadModel", "a generative language model"),
];

/// Fails where sentence-transformers would load another class than `own`, as `config_sentence_transformers.json` says it.
pub(super) fn refuse_other_class(dir: &Path, settings: &Map<String, Value>, own: &str) -> Result<(), Error> {
    let what = match settings.get("model_type").and_then(Value::as_str) {
        None => return Ok(()),
        Some(class) if class == own => return Ok(()),
        Some("CrossEncoder") => "a reranker (model_type: CrossEncoder)".to_owned(),
        Some("SentenceTransformer") => "a sentence encoder (model_type: SentenceTransformer)".to_owned(),
        Some("SparseEncoder") => "an encoder of sparse embeddings (model_type: SparseEncoder)".to_owned(),
        Some(other) => format!("a model of another class (model_type: {other})"),
    };
    let path = dir.join(super::SENTENCE_TRANSFORMERS);
    let expected = if own == "CrossEncoder" { "a cross-encoder" } else { "a sentence encoder" };
    Err(Error::invalid(&path, format!("{what}, expected {expected} (model_type: {own})")))
}

/// Fails where the configuration of a directory that is transformers' alone names a head that the encoder serves.
pub(super) fn refuse_heads(dir: &Path) -> Result<(), Error> {
    let path = dir.join("config.json");
    let config: Map<String, Value> = read_if_there(&path)?;
    let names = config.get("architectures").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    for name in names {
        if let Some((_, what)) = HEADS.iter().find(|(end, _)| name.ends_with(end)) {
            return Err(Error::invalid(&path, format!("{what} (architectures: {name}), expected an encoder")));
        }
    }
    // Written by sentence-transformers' CrossEncoder, whatever the architecture.
    if config.contains_key("sentence_transformers") {
        return Err(Error::invalid(&path, "a reranker (key: sentence_transformers), expected an encoder"));
    }
    Ok(())
}
