//! What a sentence-transformers directory says of its encoder's input: length, case, and arguments for the classes of
//! transformers.
//!
//! Source: sentence-transformers 6, `Transformer.load_config`, `_load_init_kwargs` and `__init__`.

use std::path::Path;

use serde_json::{Map, Value};

use super::read_if_there;
use crate::{error::Error, files::LENGTH_CONFIGS};

/// What is read of the transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// The hidden states of a text.
    Embedding,
    /// A number for each label.
    Classification,
}

/// What the file says.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) max_seq_length: Option<usize>,
    pub(super) lowercase: bool,
    /// Keys that stand above those of `tokenizer_config.json`.
    pub(super) tokenizer: Map<String, Value>,
}

/// The parameters of the class, without those that are arguments of others; another key ends its construction.
const KEYS: [&str; 12] = [
    "max_seq_length",
    "do_lower_case",
    "transformer_task",
    "modality_config",
    "module_output_name",
    "processing_kwargs",
    "unpad_inputs",
    "query_length",    // of a text whose task is named
    "document_length", // the same
    "query_expansion",
    "tokenizer_name_or_path",
    "backend",
];

/// The older and the newer names of arguments for the model, its tokenizer and its configuration.
const MODEL_ARGUMENTS: [&str; 2] = ["model_args", "model_kwargs"];
const TOKENIZER_ARGUMENTS: [&str; 2] = ["tokenizer_args", "processor_kwargs"];
const CONFIG_ARGUMENTS: [&str; 2] = ["config_args", "config_kwargs"];

/// How files come, which sentence-transformers settles itself.
const OF_THE_HUB: [&str; 8] = [
    "cache_dir",
    "force_download",
    "local_files_only",
    "proxies",
    "revision",
    "subfolder",
    "token",
    "trust_remote_code",
];

/// Arguments that do not change what the encoder computes.
const HARMLESS_FOR_MODEL: [&str; 8] = [
    "add_pooling_layer", // of an output that is not read
    "attn_implementation",
    "device_map",
    "low_cpu_mem_usage",
    "output_attentions",
    "output_hidden_states",
    "use_safetensors",
    "weights_only",
];
const HARMLESS_FOR_CONFIG: [&str; 9] = [
    "_attn_implementation",
    "attention_probs_dropout_prob", // of training
    "attn_implementation",
    "classifier_dropout",
    "hidden_dropout_prob",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "use_cache",
];
const HARMLESS_FOR_TOKENIZER: [&str; 9] = [
    "chat_template",
    "clean_up_tokenization_spaces",
    "errors",
    "model_input_names",
    "padding",
    "padding_side",
    "tokenizer_class", // counts in its file alone
    "trim_offsets",
    "use_fast",
];
/// Those that are honoured, beside the keys of special tokens.
const HONOURED_BY_TOKENIZER: [&str; 10] = [
    "add_prefix_space",
    "additional_special_tokens",
    "do_lower_case",
    "extra_special_tokens",
    "max_len",
    "model_max_length",
    "split_special_tokens",
    "strip_accents",
    "tokenize_chinese_chars",
    "truncation_side",
];

/// Reads the first of [`LENGTH_CONFIGS`] below the encoder's folder that says anything.
pub(super) fn read(dir: &Path, task: Task) -> Result<Input, Error> {
    for name in LENGTH_CONFIGS {
        let path = dir.join(name);
        let keys: Map<String, Value> = read_if_there(&path)?;
        if !keys.is_empty() {
            let config = read_if_there(&dir.join("config.json"))?;
            return input(keys, &config, task).map_err(|what| Error::invalid(&path, what));
        }
    }
    Ok(Input::default())
}

fn input(keys: Map<String, Value>, config: &Map<String, Value>, task: Task) -> Result<Input, String> {
    let arguments = [MODEL_ARGUMENTS, TOKENIZER_ARGUMENTS, CONFIG_ARGUMENTS].concat();
    if let Some(key) = keys.keys().find(|key| !KEYS.contains(&key.as_str()) && !arguments.contains(&key.as_str())) {
        return Err(format!("unknown key `{key}`, expected one of {}, {}", KEYS.join(", "), arguments.join(", ")));
    }
    refuse_other_outputs(&keys, task)?;
    refuse_model_arguments(&keys)?;
    refuse_config_arguments(&keys, config)?;
    let tokenizer = tokenizer_arguments(&keys)?;
    let argument = tokenizer.get("model_max_length").filter(|length| !length.is_null());
    let length = match argument.or_else(|| keys.get("max_seq_length")) {
        None | Some(Value::Null) => None,
        Some(length) => {
            let length = length.as_u64().filter(|length| *length > 0);
            Some(length.ok_or("max_seq_length: expected a whole number of at least 1, or null")? as usize)
        }
    };
    let lowercase = match keys.get("do_lower_case") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(lowercase)) => *lowercase,
        Some(other) => return Err(format!("do_lower_case is {other}, expected true or false")),
    };
    Ok(Input { max_seq_length: length, lowercase, tokenizer })
}

/// The arguments under either of their names; the older one counts where both stand.
fn arguments<'a>(
    keys: &'a Map<String, Value>,
    [older, newer]: [&'static str; 2],
) -> Result<impl Iterator<Item = (&'static str, &'a String, &'a Value)>, String> {
    let name = if keys.contains_key(older) { older } else { newer };
    let given = match keys.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::Object(given)) => Some(given),
        Some(other) => return Err(format!("{name} is {other}, expected an object")),
    };
    let given = given.into_iter().flatten().filter(|(key, _)| !OF_THE_HUB.contains(&key.as_str()));
    Ok(given.map(move |(key, value)| (name, key, value)))
}

fn not_supported(name: &str, key: &str, value: &Value) -> String {
    format!("{name}: `{key}` is {value}, which is not supported")
}

/// Number formats are no matter of the directory: in which the encoder computes is asked of whoever loads it.
fn is_number_format(key: &str, value: &Value) -> bool {
    let known = ["auto", "float16", "bfloat16", "float32", "float64"];
    let name = value.as_str().map(|name| name.trim_start_matches("torch."));
    matches!(key, "dtype" | "torch_dtype") && (value.is_null() || name.is_some_and(|name| known.contains(&name)))
}

fn refuse_model_arguments(keys: &Map<String, Value>) -> Result<(), String> {
    for (name, key, value) in arguments(keys, MODEL_ARGUMENTS)? {
        if !HARMLESS_FOR_MODEL.contains(&key.as_str()) && !is_number_format(key, value) {
            return Err(not_supported(name, key, value));
        }
    }
    Ok(())
}

/// An argument that says what `config.json` says too changes nothing.
fn refuse_config_arguments(keys: &Map<String, Value>, config: &Map<String, Value>) -> Result<(), String> {
    for (name, key, value) in arguments(keys, CONFIG_ARGUMENTS)? {
        let is_harmless = HARMLESS_FOR_CONFIG.contains(&key.as_str()) || is_number_format(key, value);
        if !is_harmless && config.get(key) != Some(value) {
            return Err(not_supported(name, key, value));
        }
    }
    Ok(())
}

fn tokenizer_arguments(keys: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    let mut honoured = Map::new();
    for (name, key, value) in arguments(keys, TOKENIZER_ARGUMENTS)? {
        let is_token = key.ends_with("_token") && !value.is_boolean();
        if is_token || HONOURED_BY_TOKENIZER.contains(&key.as_str()) {
            honoured.insert(key.clone(), value.clone());
        } else if !HARMLESS_FOR_TOKENIZER.contains(&key.as_str()) {
            return Err(not_supported(name, key, value));
        }
    }
    Ok(honoured)
}

/// Refuses what can be asked of the transformer beside its task.
fn refuse_other_outputs(keys: &Map<String, Value>, task: Task) -> Result<(), String> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let output = keys.get("modality_config").and_then(|modalities| modalities.get("text"));
    let [name, module, method] = match task {
        Task::Embedding => ["feature-extraction", "token_embeddings", "last_hidden_state"],
        Task::Classification => ["sequence-classification", "scores", "logits"],
    };
    let asked = [
        ("transformer_task", text(keys.get("transformer_task")), name),
        ("module_output_name", text(keys.get("module_output_name")), module),
        ("method_output_name", text(output.and_then(|output| output.get("method_output_name"))), method),
    ];
    for (key, value, expected) in asked {
        if let Some(value) = value.filter(|value| value != expected) {
            return Err(format!("{key} `{value}` is not supported, expected {expected}"));
        }
    }
    match keys.get("processing_kwargs").and_then(Value::as_object) {
        Some(settings) if !settings.is_empty() => {
            return Err(format!("processing_kwargs {} are not supported", keys["processing_kwargs"]));
        }
        _ => {}
    }
    for key in ["query_expansion", "tokenizer_name_or_path"] {
        if let Some(value) = keys.get(key).filter(|value| !value.is_null()) {
            return Err(format!("{key} is {value}, which is not supported"));
        }
    }
    Ok(())
}
