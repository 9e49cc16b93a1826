//! What a model directory holds and how it is laid out: Hugging Face's files alone, or sentence-transformers' around
//! them, in its older and its newer form.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

use crate::{
    error::{Error, read_json},
    files::read_modules,
    pooling::Pooling,
};

/// Tokens per sentence where a directory names no length of its own.
pub(crate) const DEFAULT_MAX_SEQ_LENGTH: usize = 128;

/// What a directory says of the encoder beyond its weights.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Folder of `config.json`, weights and tokenizer.
    pub(crate) transformer: PathBuf,
    pub(crate) pooling: Pooling,
    /// Whether embeddings are divided by their norms.
    pub(crate) normalize: bool,
    /// Before it is bounded by the encoder's positions.
    pub(crate) max_seq_length: usize,
    pub(crate) lowercase: bool,
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
        if !modules_path.exists() {
            if !dir.join("config.json").exists() {
                refuse_run(dir)?;
            }
            return Ok(Self {
                transformer: dir.to_owned(),
                pooling: Pooling::default(),
                normalize: false,
                max_seq_length: DEFAULT_MAX_SEQ_LENGTH,
                lowercase: false,
            });
        }
        let (mut transformer, mut pooling, mut normalize) = (None, None, false);
        for module in read_modules(&modules_path)? {
            let path = dir.join(&module.path);
            match module.class_name() {
                "Transformer" if transformer.is_none() => transformer = Some(path),
                "Pooling" if pooling.is_none() => pooling = Some(read_pooling(&path.join("config.json"))?),
                "Normalize" => normalize = true,
                _ => {
                    let what = format!(
                        "module `{}` is not supported, expected one each of Transformer, Pooling, Normalize",
                        module.class
                    );
                    return Err(Error::invalid(&modules_path, what));
                }
            }
        }
        let prompts_path = dir.join("config_sentence_transformers.json");
        if let Some(Value::String(prompt)) = read_if_there(&prompts_path)?.get("default_prompt_name") {
            return Err(Error::invalid(&prompts_path, format!("the default prompt `{prompt}` is not supported")));
        }
        let transformer = transformer.ok_or_else(|| Error::invalid(&modules_path, "no module of type Transformer"))?;
        let own: Map<String, Value> = read_if_there(&transformer.join("sentence_bert_config.json"))?;
        refuse_other_outputs(&own)
            .map_err(|what| Error::invalid(&transformer.join("sentence_bert_config.json"), what))?;
        let tokenizer: Map<String, Value> = read_if_there(&transformer.join("tokenizer_config.json"))?;
        let pooling = pooling.ok_or_else(|| Error::invalid(&modules_path, "no module of type Pooling"))?;
        let length = own.get("max_seq_length").and_then(Value::as_u64);
        let length = length.or_else(|| tokenizer.get("model_max_length").and_then(Value::as_u64));
        Ok(Self {
            transformer,
            pooling,
            normalize,
            // Without any, the positions are the bound, as in sentence-transformers.
            max_seq_length: length.map_or(usize::MAX, |length| length as usize),
            lowercase: own.get("do_lower_case").and_then(Value::as_bool).unwrap_or(false),
        })
    }
}

fn read_if_there(path: &Path) -> Result<Map<String, Value>, Error> {
    if path.exists() { read_json(path) } else { Ok(Map::new()) }
}

/// Refuses what the newer layout can ask of the transformer beside the hidden states of a text.
fn refuse_other_outputs(own: &Map<String, Value>) -> Result<(), String> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let output = own.get("modality_config").and_then(|modalities| modalities.get("text"));
    let asked = [
        ("transformer_task", text(own.get("transformer_task")), "feature-extraction"),
        ("method_output_name", text(output.and_then(|output| output.get("method_output_name"))), "last_hidden_state"),
    ];
    for (key, value, expected) in asked {
        if let Some(value) = value.filter(|value| value != expected) {
            return Err(format!("{key} `{value}` is not supported, expected {expected}"));
        }
    }
    match own.get("processing_kwargs").and_then(Value::as_object) {
        Some(settings) if !settings.is_empty() => {
            Err(format!("processing_kwargs {} are not supported", own["processing_kwargs"]))
        }
        _ => Ok(()),
    }
}

/// Reads the pooling mode: a flag per mode in the older layout, the mode's name in the newer.
fn read_pooling(path: &Path) -> Result<Pooling, Error> {
    let config: Map<String, Value> = read_json(path)?;
    let modes: Vec<&str> = match config.get("pooling_mode") {
        Some(Value::String(mode)) => vec![mode],
        Some(Value::Array(modes)) => modes.iter().filter_map(Value::as_str).collect(),
        _ => {
            let flags = config.iter().filter(|(_, value)| value.as_bool() == Some(true));
            flags.filter_map(|(key, _)| key.strip_prefix("pooling_mode_")).collect()
        }
    };
    match modes[..] {
        // No mode at all is the mean, as in sentence-transformers.
        [] | ["mean" | "mean_tokens"] => Ok(Pooling::Mean),
        ["cls" | "cls_token"] => Ok(Pooling::Cls),
        ["max" | "max_tokens"] => Ok(Pooling::Max),
        _ => Err(Error::invalid(
            path,
            format!("pooling mode `{}` is not supported, expected one of mean, cls, max", modes.join("+")),
        )),
    }
}

/// Writes the files that make a directory with an encoder one of sentence-transformers, in the older layout, which its
/// versions 2 to 6 and text-embeddings-inference all read.
pub(crate) fn write(
    dir: &Path,
    pooling: Pooling,
    normalize: bool,
    hidden: i64,
    max_seq_length: usize,
    lowercase: bool,
) -> Result<(), Error> {
    let module = |index: usize, name: &str, path: &str| json!({"idx": index, "name": index.to_string(), "path": path, "type": format!("sentence_transformers.models.{name}")});
    let mut modules = vec![module(0, "Transformer", ""), module(1, "Pooling", "1_Pooling")];
    if normalize {
        modules.push(module(2, "Normalize", "2_Normalize"));
    }
    for module in &modules[1..] {
        let folder = dir.join(module["path"].as_str().unwrap_or_default());
        std::fs::create_dir(&folder).map_err(Error::io(&folder))?;
    }
    let files = [
        ("modules.json", Value::Array(modules)),
        (
            "1_Pooling/config.json",
            json!({
                "word_embedding_dimension": hidden,
                "pooling_mode_cls_token": pooling == Pooling::Cls,
                "pooling_mode_mean_tokens": pooling == Pooling::Mean,
                "pooling_mode_max_tokens": pooling == Pooling::Max,
                "pooling_mode_mean_sqrt_len_tokens": false,
                "pooling_mode_weightedmean_tokens": false,
                "pooling_mode_lasttoken": false,
                "include_prompt": true,
            }),
        ),
        ("sentence_bert_config.json", json!({"max_seq_length": max_seq_length, "do_lower_case": lowercase})),
        (
            "config_sentence_transformers.json",
            json!({"prompts": {}, "default_prompt_name": null, "similarity_fn_name": "cosine"}),
        ),
    ];
    for (name, value) in files {
        let path = dir.join(name);
        let text = serde_json::to_string_pretty(&value).expect("a JSON value is JSON");
        std::fs::write(&path, text + "\n").map_err(Error::io(&path))?;
    }
    Ok(())
}
