//! What families with rotated queries and keys share: bases of their wavelengths, and which layers have a window.
//!
//! Source: transformers, `modeling_rope_utils.py`; the keys have an older and a newer form.

use serde_json::Value;

use super::Keys;

/// A head's numbers are rotated in pairs.
pub(super) fn check_head(name: &str, head: i64) -> Result<(), String> {
    if head % 2 == 0 { Ok(()) } else { Err(format!("{name} is {head}, expected an even number")) }
}

/// The base for layers of a type, or for all: `otherwise` where the keys do not give it.
pub(super) fn theta(keys: &Keys, layer_type: Option<&str>, otherwise: f64) -> Result<f64, String> {
    if let Some(scaling) = keys.get("rope_scaling").filter(|value| !value.is_null()) {
        check_type("rope_scaling", scaling)?;
    }
    let parameters = match keys.get("rope_parameters") {
        None | Some(Value::Null) => return check_theta(otherwise),
        Some(parameters) => parameters,
    };
    let parameters = match layer_type {
        // A text among the values is one set for all layers.
        Some(layer_type) if parameters.get("rope_type").is_none() => parameters.get(layer_type).unwrap_or(&Value::Null),
        _ => parameters,
    };
    check_type("rope_parameters", parameters)?;
    match parameters.get("rope_theta") {
        None | Some(Value::Null) => check_theta(otherwise),
        Some(theta) => check_theta(theta.as_f64().ok_or_else(|| format!("rope_theta is {theta}, expected a number"))?),
    }
}

fn check_theta(theta: f64) -> Result<f64, String> {
    match theta.is_finite() && theta > 1.0 {
        true => Ok(theta),
        false => Err(format!("rope_theta is {theta}, expected a number above 1")),
    }
}

/// Scaled positions compute something else.
fn check_type(name: &str, parameters: &Value) -> Result<(), String> {
    let kind = parameters.get("rope_type").or_else(|| parameters.get("type"));
    match kind.and_then(Value::as_str) {
        None | Some("default") => Ok(()),
        Some(kind) => Err(format!("{name}: rope_type `{kind}` is not supported, expected default")),
    }
}

/// Whether each layer has a window.
pub(super) struct LayerTypes(Vec<bool>);

impl LayerTypes {
    /// `layer_types`, or what `otherwise` says of a layer.
    pub(super) fn read(keys: &Keys, layers: i64, otherwise: impl Fn(i64) -> bool) -> Result<Self, String> {
        let Some(given) = keys.get("layer_types").filter(|value| !value.is_null()) else {
            return Ok(Self((0..layers).map(otherwise).collect()));
        };
        let given = given.as_array().ok_or_else(|| format!("layer_types is {given}, expected a list"))?;
        if given.len() as i64 != layers {
            return Err(format!("layer_types has {} entries, expected num_hidden_layers, {layers}", given.len()));
        }
        let windowed = |kind: &Value| match kind.as_str() {
            Some("sliding_attention") => Ok(true),
            Some("full_attention") => Ok(false),
            _ => Err(format!("layer_types: {kind} is not supported, expected full_attention or sliding_attention")),
        };
        Ok(Self(given.iter().map(windowed).collect::<Result<_, _>>()?))
    }

    pub(super) fn windowed(&self) -> impl Iterator<Item = bool> {
        self.0.iter().copied()
    }
}
