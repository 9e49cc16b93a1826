//! The keys of `[model]`: where the encoder of a run comes from.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use data::TextFile;
use model::{Alphabet, EncoderConfig, Pooling};
use serde::{Deserialize, de::DeserializeOwned};

use super::{RawConfig, one_line};
use crate::objective::Objective;

/// Where the encoder comes from.
#[derive(Clone, Debug)]
pub enum ModelSource {
    /// A model directory, or a model's id on the hub.
    Init(PathBuf),
    /// Fresh weights.
    Scratch {
        /// Shape of the encoder; its `vocab_size` and `pad_token_id` are settled with the tokenizer.
        config: Box<EncoderConfig>,
        /// Entries of the tokenizer to be trained, or rows of the embedding table beside one that is given.
        vocab_size: Option<usize>,
        /// A `tokenizer.json`; one is trained on the training data without it. May start with `data:`.
        tokenizer: Option<String>,
        /// What the tokenizer to be trained puts its subwords together from.
        alphabet: Alphabet,
        /// Where the token embeddings come from.
        token_embeddings: TokenEmbeddings,
    },
}

/// Where a fresh encoder's token embeddings come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenEmbeddings {
    /// Drawn like every other weight.
    #[default]
    Random,
    /// Which tokens stand beside which in the text of `data.train`. The encoder begins as the weighted average of such vectors.
    Cooccurrence,
}

/// Keys of `[model.scratch]`: the tokenizer, those that shape the encoder, and those of Hugging Face's `config.json` that
/// are passed through.
const SCRATCH_KEYS: [&str; 26] = [
    "tokenizer",
    "alphabet",
    "token_embeddings",
    "model_type",
    "vocab_size",
    "hidden_size",
    "embedding_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "max_position_embeddings",
    "type_vocab_size",
    "initializer_range",
    "layer_norm_eps",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "classifier_dropout",
    "position_embedding_type",
    "is_decoder",
    "use_cache",
    "tie_word_embeddings",
    "architectures",
];

/// Rows of the token embeddings until the tokenizer settles them: beyond any id of a padding token.
const UNSETTLED: i64 = 1 << 30;

/// Checks `[model]`.
pub(super) fn read(raw: &RawConfig) -> anyhow::Result<ModelSource> {
    if let Some(length) = raw.model.max_seq_length {
        ensure!(length >= 3, "model.max_seq_length is {length}, expected at least 3");
    }
    if let Some(dropout) = raw.model.dropout {
        ensure!((0.0..1.0).contains(&dropout), "model.dropout is {dropout}, expected at least 0 and less than 1");
    }
    ensure!(
        raw.model.prompt.is_none() || raw.model.prompt_name.is_none(),
        "model.prompt and model.prompt_name exclude each other: give a text, or the name of one that the model has"
    );
    ensure!(
        raw.model.prompt_name.is_none() || raw.model.init.is_some(),
        "model.prompt_name names a prompt of model.init; a fresh encoder has none: give model.prompt"
    );
    let mut table = match (&raw.model.init, &raw.model.scratch) {
        (Some(init), None) => {
            ensure!(
                raw.model.tokenizer.is_none(),
                "model.tokenizer goes with [model.scratch]; model.init brings its own"
            );
            return Ok(ModelSource::Init(init.clone()));
        }
        (None, Some(scratch)) => scratch.clone(),
        (Some(_), Some(_)) => bail!("model.init and [model.scratch] exclude each other: give one"),
        (None, None) => bail!("no model: give model.init, or [model.scratch] to train from fresh weights"),
    };
    if let Some(key) = table.keys().find(|key| !SCRATCH_KEYS.contains(&key.as_str())) {
        bail!("model.scratch: unknown key `{key}`, expected one of {}", SCRATCH_KEYS.join(", "));
    }
    let tokenizer = match (raw.model.tokenizer.clone(), table.remove("tokenizer")) {
        (Some(_), Some(_)) => bail!("model.tokenizer and model.scratch.tokenizer are the same key: give one"),
        (None, Some(toml::Value::String(path))) => Some(path),
        (None, Some(other)) => bail!("model.scratch.tokenizer is {other}, expected the path of a tokenizer.json"),
        (path, None) => path,
    };
    let alphabet: Option<Alphabet> = choice(&mut table, "alphabet")?;
    ensure!(
        alphabet.is_none() || tokenizer.is_none(),
        "model.scratch.alphabet is for a tokenizer that is trained: model.scratch.tokenizer names one"
    );
    let alphabet = alphabet.unwrap_or_default();
    let token_embeddings: TokenEmbeddings = choice(&mut table, "token_embeddings")?.unwrap_or_default();
    let has_text = match raw.objective {
        Objective::Mlm => true,
        Objective::Contrastive => raw.data.train.iter().any(|spec| TextFile::is_text(Path::new(spec))),
        Objective::Sts | Objective::Distillation | Objective::CrossEncoder => false,
    };
    ensure!(
        token_embeddings == TokenEmbeddings::Random || has_text,
        "model.scratch.token_embeddings = \"cooccurrence\" needs a text to count in (.txt, .txt.zst): give data.train one, \
         with objective = \"mlm\" or \"contrastive\""
    );
    ensure!(
        token_embeddings == TokenEmbeddings::Random || matches!(raw.model.pooling, None | Some(Pooling::MEAN)),
        "model.scratch.token_embeddings = \"cooccurrence\" begins as an average: model.pooling has to be \"mean\""
    );
    let vocab_size = match table.get("vocab_size").map(toml::Value::as_integer) {
        Some(size) => {
            let size = size.filter(|size| (1..=1 << 30).contains(size));
            Some(size.context("model.scratch.vocab_size: expected a whole number from 1 to 2^30")? as usize)
        }
        None => {
            ensure!(tokenizer.is_some(), "model.scratch.vocab_size is missing: the tokenizer to be trained needs it");
            table.insert("vocab_size".to_owned(), UNSETTLED.into());
            None
        }
    };
    table.entry("model_type").or_insert_with(|| "roberta".into());
    let config: EncoderConfig = serde_path_to_error::deserialize(toml::Value::Table(table))
        .map_err(|error| anyhow::anyhow!("model.scratch: {}", one_line(&error.to_string())))?;
    Ok(ModelSource::Scratch { config: Box::new(config), vocab_size, tokenizer, alphabet, token_embeddings })
}

/// Takes a key that has one of a few values out of `[model.scratch]`.
fn choice<T: DeserializeOwned>(table: &mut toml::Table, key: &str) -> anyhow::Result<Option<T>> {
    let Some(value) = table.remove(key) else { return Ok(None) };
    let value = value.try_into();
    value.map_err(|error: toml::de::Error| anyhow::anyhow!("model.scratch.{key}: {}", one_line(error.message())))
}
