//! The encoder that a run starts from.

use anyhow::Context;
use model::{
    Options, Pooling, SentenceEncoder, Tokenizer,
    hub::{self, Hub},
};

use crate::{
    config::{Config, ModelSource},
    datasets::Datasets,
    trainer::Environment,
};

/// Tokens per sentence of a fresh encoder whose configuration names no length.
const DEFAULT_MAX_SEQ_LENGTH: usize = 128;

/// Loads the model that the configuration names, or draws a fresh one and trains its tokenizer.
pub(crate) fn initial_encoder(
    config: &Config,
    datasets: &Datasets,
    environment: &Environment,
) -> anyhow::Result<SentenceEncoder> {
    let device = environment.device;
    match &config.model {
        ModelSource::Init(model) => {
            let dir = Hub::from_env().resolve(model, &mut hub::on_stderr()).context("model.init")?;
            let (max_seq_length, pooling) = (config.max_seq_length, config.pooling);
            let options = Options { device, max_seq_length, pooling, trainable: true, ..Options::default() };
            SentenceEncoder::load(dir, &options).context("model.init")
        }
        ModelSource::Scratch { config: shape, vocab_size, tokenizer } => {
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
                    let entries =
                        vocab_size.context("model.scratch.vocab_size: the tokenizer to be trained needs it")?;
                    let tokenizer = Tokenizer::train(&datasets.train_sentences(), entries, max_seq_length)
                        .context("model.scratch")?;
                    let rows = tokenizer.vocab_size(); // few sentences may give fewer entries than asked for
                    (tokenizer, rows)
                }
            };
            shape.vocab_size = rows as i64;
            shape.pad_token_id = shape.pad_token_id.or(tokenizer.pad_token_id());
            let pooling = config.pooling.unwrap_or(Pooling::Mean);
            SentenceEncoder::from_scratch(shape, tokenizer, pooling, device).context("model.scratch")
        }
    }
}
