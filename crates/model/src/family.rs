//! Families of encoders: each makes the one [`Architecture`] of its own `config.json`.
//!
//! A new family is a file here, which says with transformers' names what its keys mean, and a row of [`FAMILIES`]; its
//! published weights join `scripts/interchange`.

mod bert;
mod deberta_v2;
mod distilbert;
mod electra;
mod modernbert;
mod qwen3;
mod rotary;
pub(crate) mod static_embedding;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

pub(crate) use rotary::add_older_keys;

use crate::architecture::Architecture;

/// The keys of a `config.json`.
pub(crate) type Keys = Map<String, Value>;

/// What one `model_type` means.
pub(crate) struct Family {
    /// transformers' name of it.
    pub(crate) model_type: &'static str,
    /// The keys, with those that were left out, and what they describe.
    pub(crate) read: fn(Keys) -> Result<(Keys, Architecture), String>,
    /// Keys of probabilities of dropout.
    pub(crate) dropouts: &'static [&'static str],
}

/// All that are read.
const FAMILIES: [Family; 9] = [
    bert::BERT,
    bert::ROBERTA,
    bert::XLM_ROBERTA,
    bert::CAMEMBERT,
    electra::ELECTRA,
    distilbert::DISTILBERT,
    deberta_v2::DEBERTA_V2,
    modernbert::MODERNBERT,
    qwen3::QWEN3,
];

/// Published encoders that are not read, and what reading them would take.
const NOT_READ: [(&str, &str); 10] = [
    ("albert", "ALBERT's layers share their weights"),
    ("deberta", "DeBERTa's first version projects otherwise; its second and third are read, as deberta-v2"),
    ("gemma3_text", "Gemma 3 scales its embeddings and has norms on both sides of each part"),
    ("mistral", "of decoders, Qwen3's alone are read"),
    ("mpnet", "MPNet adds a bias to attention by buckets of distance"),
    (
        "new",
        "gte's weights belong to code of its own, which is not executed: rotated and gated layers under other names",
    ),
    ("nomic_bert", "nomic's weights belong to code of its own, which is not executed: rotated and gated layers"),
    ("qwen2", "of decoders, Qwen3's alone are read"),
    ("roformer", "RoFormer rotates queries and keys in neighbouring pairs"),
    ("t5", "T5 adds a bias to attention by buckets of distance"),
];

/// Keys by which other models compute something else.
const OF_OTHERS: [&str; 8] = [
    "attention_multiplier",
    "attn_logit_softcapping",
    "embedding_multiplier",
    "final_logit_softcapping",
    "num_experts",
    "query_pre_attn_scalar",
    "residual_multiplier",
    "use_bidirectional_attention",
];

/// The family that `model_type` names.
pub(crate) fn of(keys: &Keys) -> Result<&'static Family, String> {
    let known = || FAMILIES.iter().map(|family| family.model_type).collect::<Vec<_>>().join(", ");
    let name = match keys.get("model_type") {
        Some(Value::String(name)) => name,
        Some(other) => return Err(format!("model_type is {other}, expected one of {}", known())),
        None => return Err(format!("missing field `model_type`, expected one of {}", known())),
    };
    if let Some(family) = FAMILIES.iter().find(|family| family.model_type == name) {
        return Ok(family);
    }
    Err(match NOT_READ.iter().find(|(other, _)| other == name) {
        Some((_, why)) => format!("model_type `{name}` is not supported: {why}; expected one of {}", known()),
        None => format!("model_type `{name}` is not supported, expected one of {}", known()),
    })
}

/// A family's keys by their types; what does not concern the encoder is kept.
trait Config: Serialize + DeserializeOwned {
    /// What they describe, or what cannot be.
    fn architecture(&self) -> Result<Architecture, String>;
}

fn read<C: Config>(keys: Keys) -> Result<(Keys, Architecture), String> {
    let is_given = |key: &&&str| keys.get(**key).is_some_and(|value| !value.is_null() && *value != Value::Bool(false));
    if let Some(key) = OF_OTHERS.iter().find(is_given) {
        return Err(format!("{key} is not supported: it changes what an encoder of this family computes"));
    }
    let config: C = serde_path_to_error::deserialize(Value::Object(keys)).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.inner());
        if path == "." { inner.to_string() } else { format!("{path}: {inner}") }
    })?;
    let architecture = config.architecture()?;
    match serde_json::to_value(&config) {
        Ok(Value::Object(keys)) => Ok((keys, architecture)),
        other => Err(format!("{other:?} is no object")),
    }
}

/// The upper bound keeps every product of two sizes within i64, whatever the file says.
fn check_sizes<const N: usize>(sizes: [(&str, i64); N]) -> Result<(), String> {
    match sizes.into_iter().find(|(_, size)| !(1..=1 << 30).contains(size)) {
        Some((name, size)) => Err(format!("{name} is {size}, expected 1..=2^30")),
        None => Ok(()),
    }
}

/// Layers are described one by one.
fn check_layers(name: &str, layers: i64) -> Result<(), String> {
    if (1..=1024).contains(&layers) { Ok(()) } else { Err(format!("{name} is {layers}, expected 1..=1024")) }
}

fn check_heads([(width_name, width), (heads_name, heads)]: [(&str, i64); 2]) -> Result<(), String> {
    match width % heads {
        0 => Ok(()),
        _ => Err(format!("{width_name} {width} is not a multiple of {heads_name} {heads}")),
    }
}

fn check_padding(padding: i64, vocabulary: i64) -> Result<(), String> {
    match (0..vocabulary).contains(&padding) {
        true => Ok(()),
        false => Err(format!("pad_token_id {padding} is outside the vocabulary of {vocabulary}")),
    }
}

fn check_longest(name: &str, rows: i64, longest: i64) -> Result<(), String> {
    if longest >= 3 { Ok(()) } else { Err(format!("{name} {rows} leaves no room for a sentence")) }
}

fn check_dropouts<const N: usize>(dropouts: [(&str, f64); N]) -> Result<(), String> {
    match dropouts.into_iter().find(|(_, p)| !(0.0..1.0).contains(p)) {
        Some((name, p)) => Err(format!("{name} is {p}, expected 0 <= p < 1")),
        None => Ok(()),
    }
}

fn check_small(name: &str, value: f64, below: f64) -> Result<(), String> {
    match value > 0.0 && value < below {
        true => Ok(()),
        false => Err(format!("{name} is {value}, expected a small positive number")),
    }
}

/// How many labels a classifier of this configuration has. Source: transformers, `PretrainedConfig.num_labels`.
fn labels(keys: &Keys) -> i64 {
    let named = keys.get("id2label").and_then(Value::as_object).map(|labels| labels.len() as i64);
    named.or_else(|| keys.get("num_labels")?.as_i64()).unwrap_or(2).max(1)
}

/// The first of some probabilities of dropout that is there.
fn first_dropout(keys: &Keys, names: &[&str], default: f64) -> f64 {
    let found = names.iter().find_map(|name| keys.get(*name)?.as_f64());
    found.filter(|p| (0.0..1.0).contains(p)).unwrap_or(default)
}

/// Keys that change what an encoder computes have to stand at what is computed here.
fn check_fixed(keys: &Keys, fixed: &[(&str, Value)]) -> Result<(), String> {
    for (name, expected) in fixed {
        match keys.get(*name) {
            None | Some(Value::Null) => {}
            Some(value) if value == expected => {}
            Some(value) => return Err(format!("{name} {value} is not supported, expected {expected}")),
        }
    }
    Ok(())
}
