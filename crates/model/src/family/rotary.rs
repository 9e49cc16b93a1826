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

/// Puts beside `rope_parameters` the keys that transformers before version 5 has for them, and without which it takes its
/// defaults.
pub(crate) fn add_older_keys(keys: &mut Keys) {
    let Some(parameters) = keys.get("rope_parameters") else { return };
    let theta = |parameters: Option<&Value>| parameters?.get("rope_theta").filter(|theta| theta.is_number()).cloned();
    let older = [
        ("rope_theta", theta(Some(parameters))),
        ("global_rope_theta", theta(parameters.get("full_attention"))),
        ("local_rope_theta", theta(parameters.get("sliding_attention"))),
    ];
    for (key, theta) in older {
        if let Some(theta) = theta {
            keys.insert(key.to_owned(), theta);
        }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_newer_keys_say_stands_in_the_older_ones_too() {
        let keys = |value: Value| value.as_object().cloned().unwrap();
        let mut qwen3 = keys(json!({"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}));
        add_older_keys(&mut qwen3);
        assert_eq!(qwen3["rope_theta"], 1e6);
        let of_layers = json!({"full_attention": {"rope_theta": 8e4}, "sliding_attention": {"rope_theta": 5e3}});
        let mut modernbert = keys(json!({"rope_parameters": of_layers, "global_rope_theta": 1.0}));
        add_older_keys(&mut modernbert);
        assert_eq!((&modernbert["global_rope_theta"], &modernbert["local_rope_theta"]), (&json!(8e4), &json!(5e3)));
        let mut bert = keys(json!({"model_type": "bert"}));
        add_older_keys(&mut bert);
        assert_eq!(bert.len(), 1);
    }
}
