//! Families of encoders: each makes the one [`Architecture`] of its own `config.json`.
//!
//! A new family is a file here, which says with transformers' names what its keys mean, and a row of [`FAMILIES`]; its
//! published weights join `scripts/interchange`.

mod bert;
mod distilbert;
mod electra;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

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
const FAMILIES: [Family; 6] =
    [bert::BERT, bert::ROBERTA, bert::XLM_ROBERTA, bert::CAMEMBERT, electra::ELECTRA, distilbert::DISTILBERT];

/// The family that `model_type` names.
pub(crate) fn of(keys: &Keys) -> Result<&'static Family, String> {
    let known = || FAMILIES.iter().map(|family| family.model_type).collect::<Vec<_>>().join(", ");
    match keys.get("model_type") {
        Some(Value::String(name)) => FAMILIES
            .iter()
            .find(|family| family.model_type == name)
            .ok_or_else(|| format!("model_type `{name}` is not supported, expected one of {}", known())),
        Some(other) => Err(format!("model_type is {other}, expected one of {}", known())),
        None => Err(format!("missing field `model_type`, expected one of {}", known())),
    }
}

/// A family's keys by their types; what does not concern the encoder is kept.
trait Config: Serialize + DeserializeOwned {
    /// What they describe, or what cannot be.
    fn architecture(&self) -> Result<Architecture, String>;
}

fn read<C: Config>(keys: Keys) -> Result<(Keys, Architecture), String> {
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
