//! The modules of a sentence-transformers directory: what makes embeddings of tokens, the pooling, and what stands behind
//! it.
//!
//! Source: sentence-transformers 6, the modules' `config_keys` and `load`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{
    read_if_there,
    transformer::{self, Task},
};
use crate::{
    architecture::{Affine, Centre, Norm},
    config::Activation,
    error::{Error, read_json},
    files::read_modules,
    head::{self, Module},
    pooling::Pooling,
};

/// What they are.
pub(super) struct Modules {
    /// Folder of the encoder.
    pub(super) encoder: PathBuf,
    /// Whether that is a table of embeddings alone, whose mean is the pooling.
    pub(super) is_static: bool,
    pub(super) input: transformer::Input,
    pub(super) pooling: Pooling,
    pub(super) pools_prompt: bool,
    /// What stands behind the pooling, with its folder.
    pub(super) modules: Vec<(PathBuf, Module)>,
}

/// The functions of a `Dense` by their classes in PyTorch; none is the identity.
const ACTIVATIONS: [(&str, Option<Activation>); 5] = [
    ("torch.nn.modules.linear.Identity", None),
    ("torch.nn.modules.activation.Tanh", Some(Activation::Tanh)),
    ("torch.nn.modules.activation.GELU", Some(Activation::Gelu)),
    ("torch.nn.modules.activation.ReLU", Some(Activation::Relu)),
    ("torch.nn.modules.activation.SiLU", Some(Activation::Silu)),
];

/// Numbers of the widest embedding that is believed: it keeps every product of two sizes within i64.
const WIDEST: u64 = 1 << 20;

impl Modules {
    pub(super) fn read(dir: &Path, list: &Path) -> Result<Self, Error> {
        let (mut encoder, mut is_static, mut pooling, mut modules) = (None, false, None, Vec::new());
        for listed in read_modules(list)? {
            let (path, class) = (dir.join(&listed.path), &listed.class);
            // A class has kept its name and moved between packages; one of another package is another class.
            let is_own = class.starts_with("sentence_transformers.");
            let config = path.join("config.json");
            let module = match if is_own { listed.class_name() } else { "" } {
                "Transformer" if encoder.is_none() => {
                    encoder = Some(path);
                    continue;
                }
                "StaticEmbedding" if encoder.is_none() => {
                    (encoder, is_static, pooling) = (Some(path), true, Some((Pooling::MEAN, true)));
                    continue;
                }
                "Pooling" if encoder.is_some() && pooling.is_none() => {
                    pooling = Some(read_pooling(&config)?);
                    continue;
                }
                name @ ("Dense" | "LayerNorm" | "Dropout" | "Normalize") if pooling.is_some() => {
                    let folder = head::folder(modules.len(), name);
                    let keys = if name == "Normalize" { read_if_there(&config)? } else { read_json(&config)? };
                    read_module(name, &folder, &keys).map_err(|what| Error::invalid(&config, what))?
                }
                _ => {
                    let what = format!(
                        "module `{class}` is not supported there, expected one Transformer and one Pooling, or one \
                         StaticEmbedding, and behind them Dense, LayerNorm, Dropout and Normalize"
                    );
                    return Err(Error::invalid(list, what));
                }
            };
            modules.push((path, module));
        }
        let missing = |name: &str| Error::invalid(list, format!("no module of type {name}"));
        let encoder = encoder.ok_or_else(|| missing("Transformer"))?;
        // Before the pooling is asked for: a transformer that gives an embedding by itself has none, and says so there.
        let input =
            if is_static { transformer::Input::default() } else { transformer::read(&encoder, Task::Embedding)? };
        let (pooling, pools_prompt) = pooling.ok_or_else(|| missing("Pooling"))?;
        Ok(Self { encoder, is_static, input, pooling, pools_prompt, modules })
    }
}

/// One of those behind the pooling, whose variables have names below `folder`.
fn read_module(class: &str, folder: &str, keys: &Map<String, Value>) -> Result<Module, String> {
    for key in ["module_input_name", "module_output_name"] {
        if let Some(name) = keys.get(key).filter(|name| !name.is_null() && *name != "sentence_embedding") {
            return Err(format!("{key} {name} is not supported, expected sentence_embedding"));
        }
    }
    Ok(match class {
        "Dense" => {
            let bias = match keys.get("bias") {
                None | Some(Value::Null) => true,
                Some(Value::Bool(bias)) => *bias,
                Some(other) => return Err(format!("bias is {other}, expected true or false")),
            };
            let path = format!("{folder}.linear");
            let affine =
                Affine { path, input: width(keys, "in_features")?, output: width(keys, "out_features")?, bias };
            Module::Dense { affine, activation: activation(keys)? }
        }
        "LayerNorm" => {
            let width = width(keys, "dimension")?;
            // Source: `torch.nn.LayerNorm`, whose eps is 1e-5 where none is given.
            Module::LayerNorm(Norm {
                path: format!("{folder}.norm"),
                width,
                eps: 1e-5,
                centre: Centre::Mean,
                bias: true,
            })
        }
        "Dropout" => {
            let p = keys.get("dropout").map_or(Some(0.2), Value::as_f64).filter(|p| (0.0..1.0).contains(p));
            Module::Dropout(p.ok_or_else(|| format!("dropout is {}, expected 0 <= p < 1", keys["dropout"]))?)
        }
        _ => Module::Normalize,
    })
}

fn width(keys: &Map<String, Value>, key: &str) -> Result<i64, String> {
    let value = keys.get(key).unwrap_or(&Value::Null);
    let width = value.as_u64().filter(|width| (1..=WIDEST).contains(width));
    Ok(width.ok_or_else(|| format!("{key} is {value}, expected 1..={WIDEST}"))? as i64)
}

fn activation(keys: &Map<String, Value>) -> Result<Option<Activation>, String> {
    let value = keys.get("activation_function").unwrap_or(&Value::Null);
    if value.is_null() {
        return Ok(Some(Activation::Tanh)); // the class's default
    }
    let known = ACTIVATIONS.iter().find(|(name, _)| value == name);
    known.map(|(_, activation)| *activation).ok_or_else(|| {
        let names = ACTIVATIONS.map(|(name, _)| name).join(", ");
        format!("activation_function {value} is not supported, expected one of {names}")
    })
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

/// The keys of a module's `config.json`, in the form that all versions of sentence-transformers read.
pub(super) fn written(module: &Module) -> Map<String, Value> {
    let keys: Vec<(&str, Value)> = match module {
        Module::Dense { affine, activation } => {
            let name = ACTIVATIONS.iter().find(|(_, known)| known == activation).map(|(name, _)| *name);
            vec![
                ("in_features", affine.input.into()),
                ("out_features", affine.output.into()),
                ("bias", affine.bias.into()),
                ("activation_function", name.into()),
            ]
        }
        Module::LayerNorm(norm) => vec![("dimension", norm.width.into())],
        Module::Dropout(p) => vec![("dropout", (*p).into())],
        Module::Normalize => Vec::new(),
    };
    keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(class: &str, keys: Value) -> Result<Module, String> {
        let Value::Object(keys) = keys else { panic!("keys") };
        read_module(class, "2_Dense", &keys)
    }

    #[test]
    fn what_is_written_is_what_was_read() {
        let tanh = "torch.nn.modules.activation.Tanh";
        for (class, keys) in [
            ("Dense", json!({"in_features": 8, "out_features": 4, "bias": false, "activation_function": tanh})),
            ("LayerNorm", json!({"dimension": 8})),
            ("Dropout", json!({"dropout": 0.25})),
            ("Normalize", json!({})),
        ] {
            let module = read(class, keys.clone()).unwrap();
            assert_eq!((module.class(), Value::Object(written(&module))), (class, keys));
        }
    }

    #[test]
    fn what_computes_something_else_is_refused_by_its_key() {
        for (class, keys, expected) in [
            ("Dense", json!({"in_features": 8}), "out_features is null"),
            ("Dense", json!({"in_features": -8, "out_features": 4}), "in_features is -8"),
            ("Dense", json!({"in_features": 8, "out_features": 4, "bias": 1}), "bias is 1"),
            (
                "Dense",
                json!({"in_features": 8, "out_features": 4, "activation_function": "mine.Swish"}),
                "activation_function \"mine.Swish\" is not supported, expected one of torch.nn",
            ),
            (
                "Dense",
                json!({"in_features": 8, "out_features": 4, "module_input_name": "token_embeddings"}),
                "module_input_name \"token_embeddings\" is not supported",
            ),
            ("LayerNorm", json!({"dimension": 0}), "dimension is 0"),
            ("Dropout", json!({"dropout": 1.5}), "dropout is 1.5"),
        ] {
            let message = read(class, keys).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }
}
