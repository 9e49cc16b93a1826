//! The model that a run starts from.

use std::path::Path;

use anyhow::Context;
use model::{
    EncoderConfig, MaskedLanguageModel, Options, Pooling, SentenceEncoder, Tokenizer,
    hub::{self, Hub},
};

use crate::{
    config::{Config, ModelSource},
    trainer::Environment,
};

/// Tokens per sentence of a fresh encoder whose configuration names no length.
const DEFAULT_MAX_SEQ_LENGTH: usize = 128;

/// Loads the sentence encoder that the configuration names, or draws a fresh one, whose tokenizer is trained on `texts`.
pub(crate) fn initial_encoder<T: AsRef<str>>(
    config: &Config,
    texts: impl FnOnce() -> anyhow::Result<Vec<T>>,
    environment: &Environment,
) -> anyhow::Result<SentenceEncoder> {
    match &config.model {
        ModelSource::Init(model) => {
            let dir = Hub::from_env().resolve(model, &mut hub::on_stderr()).context("model.init")?;
            SentenceEncoder::load(dir, &options(config, environment)).context("model.init")
        }
        ModelSource::Scratch { .. } => {
            let (shape, tokenizer) = fresh(config, texts, environment)?;
            let pooling = config.pooling.unwrap_or(Pooling::Mean);
            SentenceEncoder::from_scratch(shape, tokenizer, pooling, environment.device).context("model.scratch")
        }
    }
}

/// The same for a masked language model.
pub(crate) fn initial_masked_model<T: AsRef<str>>(
    config: &Config,
    texts: impl FnOnce() -> anyhow::Result<Vec<T>>,
    environment: &Environment,
) -> anyhow::Result<MaskedLanguageModel> {
    match &config.model {
        ModelSource::Init(model) => {
            let dir = Hub::from_env().resolve(model, &mut hub::on_stderr()).context("model.init")?;
            MaskedLanguageModel::load(dir, &options(config, environment)).context("model.init")
        }
        ModelSource::Scratch { .. } => {
            let (shape, tokenizer) = fresh(config, texts, environment)?;
            MaskedLanguageModel::from_scratch(shape, tokenizer, environment.device).context("model.scratch")
        }
    }
}

fn options(config: &Config, environment: &Environment) -> Options {
    let Config { max_seq_length, pooling, dropout, .. } = *config;
    Options { device: environment.device, max_seq_length, pooling, dropout, trainable: true, ..Options::default() }
}

/// Shape and tokenizer of a fresh encoder.
fn fresh<T: AsRef<str>>(
    config: &Config,
    texts: impl FnOnce() -> anyhow::Result<Vec<T>>,
    environment: &Environment,
) -> anyhow::Result<(EncoderConfig, Tokenizer)> {
    let ModelSource::Scratch { config: shape, vocab_size, tokenizer, .. } = &config.model else {
        unreachable!("the caller's model is from scratch");
    };
    let max_seq_length = config.max_seq_length.unwrap_or(DEFAULT_MAX_SEQ_LENGTH);
    let mut shape = shape.as_ref().clone();
    let (tokenizer, rows) = match tokenizer {
        Some(path) => {
            let tokenizer = Tokenizer::from_file(&environment.data_dir.resolve(path), max_seq_length)
                .context("model.scratch.tokenizer (without this key, one is trained)")?;
            let rows = vocab_size.unwrap_or(tokenizer.vocab_size()); // more than it needs is the user's choice
            (tokenizer, rows)
        }
        None => {
            let entries = vocab_size.context("model.scratch.vocab_size: the tokenizer to be trained needs it")?;
            let tokenizer = Tokenizer::train(&texts()?, entries, max_seq_length).context("model.scratch")?;
            let rows = tokenizer.vocab_size(); // few sentences may give fewer entries than asked for
            (tokenizer, rows)
        }
    };
    shape.vocab_size = rows as i64;
    if let Some(dropout) = config.dropout {
        (shape.hidden_dropout_prob, shape.attention_probs_dropout_prob) = (dropout, dropout);
    }
    shape.pad_token_id = shape.pad_token_id.or(tokenizer.pad_token_id());
    Ok((shape, tokenizer))
}

/// A sentence encoder that a run saved.
pub(crate) fn saved_encoder(
    path: &Path,
    environment: &Environment,
    trainable: bool,
) -> anyhow::Result<SentenceEncoder> {
    Ok(SentenceEncoder::load(path, &Options { device: environment.device, trainable, ..Options::default() })?)
}

/// A masked language model that a run saved.
pub(crate) fn saved_masked_model(
    path: &Path,
    config: &Config,
    environment: &Environment,
) -> anyhow::Result<MaskedLanguageModel> {
    Ok(MaskedLanguageModel::load(path, &options(config, environment))?)
}
