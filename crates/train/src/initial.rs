//! The model that a run starts from.

mod averaging;
mod cooccurrence;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::{Context, bail, ensure};
use data::{BlockPlace, Exclusion, TextBlocks, TextFile};
use eval::PairScorer;
use model::{
    CrossEncoder, EncoderConfig, MaskedLanguageModel, Options, Pooling, PromptChoice, SentenceEncoder, Tokenizer,
    TrainableEncoder, holds_cross_encoder,
    hub::{self, Hub},
};
use tch::Tensor;

use crate::{
    config::{Config, ModelSource, TokenEmbeddings},
    environment::Environment,
};

/// Tokens per sentence of a fresh encoder whose configuration names no length.
const DEFAULT_MAX_SEQ_LENGTH: usize = 128;
/// Bytes of text that a tokenizer is trained on: enough for every common word, little enough for the memory of a laptop.
const TOKENIZER_BYTES: usize = 64 << 20;

/// The running text of a run's data.
pub(crate) struct Text<'a> {
    pub(crate) files: &'a [TextFile],
    pub(crate) exclusion: &'a Arc<Exclusion>,
    /// Paragraphs at the beginning that are left out.
    pub(crate) held_out: usize,
}

impl Text<'_> {
    fn blocks(&self) -> Result<TextBlocks, data::Error> {
        TextBlocks::new(self.files.to_vec(), self.held_out, self.exclusion.clone(), 0, BlockPlace::default())
    }

    /// The beginning, up to [`TOKENIZER_BYTES`].
    fn tokenizer_text(&self) -> anyhow::Result<Vec<String>> {
        let mut blocks = self.blocks()?;
        let (mut text, mut bytes) = (Vec::new(), 0);
        loop {
            let (place, block) = blocks.next_block()?;
            if place.pass > 0 {
                break;
            }
            bytes += block.iter().map(String::len).sum::<usize>();
            text.extend(block);
            if bytes >= TOKENIZER_BYTES {
                break;
            }
        }
        ground::say!("training a tokenizer on {:.1} MB of text", bytes as f64 / 1e6);
        Ok(text)
    }
}

/// Loads the sentence encoder that the configuration names, or draws a fresh one, whose tokenizer is trained on `texts`.
pub(crate) fn initial_encoder<T: AsRef<str>>(
    config: &Config,
    texts: impl FnOnce() -> anyhow::Result<Vec<T>>,
    environment: &Environment,
) -> anyhow::Result<TrainableEncoder> {
    match &config.model {
        ModelSource::Init(model) => {
            let dir = Hub::from_env().resolve(model, &mut hub::on_stderr()).context("model.init")?;
            if holds_cross_encoder(&dir) {
                let place = model.display();
                bail!("model.init {place}: a cross-encoder, which is trained further by objective = \"cross-encoder\"");
            }
            let encoder = TrainableEncoder::load(dir, &options(config, environment)).context("model.init")?;
            encoder
                .encoder()
                .pooling_note(model.display(), "model.pooling")
                .iter()
                .for_each(|note| ground::say!("{note}"));
            encoder
                .encoder()
                .prompt_note(model.display(), "model.prompt_name")
                .iter()
                .for_each(|note| ground::say!("{note}"));
            Ok(encoder)
        }
        ModelSource::Scratch { .. } => {
            let (shape, tokenizer) = fresh(config, texts, environment)?;
            let pooling = config.pooling.unwrap_or(Pooling::MEAN);
            TrainableEncoder::from_scratch(shape, tokenizer, pooling, environment.device).context("model.scratch")
        }
    }
}

/// The same for a run that counts in its text, on which the tokenizer is trained too.
pub(crate) fn initial_encoder_of_text(
    config: &Config,
    text: &Text,
    environment: &Environment,
) -> anyhow::Result<TrainableEncoder> {
    let encoder = initial_encoder(config, || text.tokenizer_text(), environment)?;
    begin_as_average(config, encoder.tokenizer(), text, environment, &encoder.variables())?;
    Ok(encoder)
}

/// The same for a masked language model.
pub(crate) fn initial_masked_model(
    config: &Config,
    text: &Text,
    environment: &Environment,
) -> anyhow::Result<MaskedLanguageModel> {
    let model = match &config.model {
        ModelSource::Init(model) => {
            let dir = Hub::from_env().resolve(model, &mut hub::on_stderr()).context("model.init")?;
            MaskedLanguageModel::load(dir, &options(config, environment)).context("model.init")?
        }
        ModelSource::Scratch { .. } => {
            let (shape, tokenizer) = fresh(config, || text.tokenizer_text(), environment)?;
            MaskedLanguageModel::from_scratch(shape, tokenizer, environment.device).context("model.scratch")?
        }
    };
    let (prefix, encoder) = (model.architecture().prefix, model.variables().into_iter());
    let encoder = encoder.filter_map(|(name, weight)| Some((name.strip_prefix(prefix)?.to_owned(), weight)));
    begin_as_average(config, model.tokenizer(), text, environment, &encoder.collect())?;
    Ok(model)
}

/// Sets the weights of a fresh encoder as its configuration asks for.
fn begin_as_average(
    config: &Config,
    tokenizer: &Tokenizer,
    text: &Text,
    environment: &Environment,
    weights: &BTreeMap<String, Tensor>,
) -> anyhow::Result<()> {
    let ModelSource::Scratch { token_embeddings: TokenEmbeddings::Cooccurrence, config: shape, .. } = &config.model
    else {
        return Ok(());
    };
    let (hidden, vocab) = (shape.hidden_size() as usize, tokenizer.vocab_size());
    ensure!(
        shape.architecture().embeddings.words.width == shape.hidden_size(),
        "model.scratch.token_embeddings = \"cooccurrence\" needs embeddings as wide as the layers: give \
         embedding_size = {hidden}"
    );
    let widest = vocab + averaging::BALANCE;
    ensure!(
        (averaging::BALANCE + 1..=widest).contains(&hidden),
        "model.scratch.hidden_size is {hidden}, expected {} to {widest} with token_embeddings = \"cooccurrence\" and a \
         vocabulary of {vocab}",
        averaging::BALANCE + 1
    );
    // All ranks begin with the first one's weights.
    if environment.ranks.is_first() {
        let tokens = cooccurrence::token_vectors(text.blocks()?, tokenizer, hidden - averaging::BALANCE)?;
        averaging::initialize(weights, &tokens, shape.architecture());
    }
    Ok(())
}

pub(crate) fn options(config: &Config, environment: &Environment) -> Options {
    let Config { max_seq_length, pooling, dropout, .. } = *config;
    let (device, prompt) = (environment.device, config.prompt.clone());
    Options { device, max_seq_length, pooling, prompt, dropout, ..Options::default() }
}

/// Shape and tokenizer of a fresh encoder.
fn fresh<T: AsRef<str>>(
    config: &Config,
    texts: impl FnOnce() -> anyhow::Result<Vec<T>>,
    environment: &Environment,
) -> anyhow::Result<(EncoderConfig, Tokenizer)> {
    let ModelSource::Scratch { config: shape, vocab_size, tokenizer, alphabet, .. } = &config.model else {
        unreachable!("the caller's model is from scratch");
    };
    let max_seq_length = config.max_seq_length.unwrap_or(DEFAULT_MAX_SEQ_LENGTH);
    let mut shape = shape.as_ref().clone();
    let (mut tokenizer, rows) = match tokenizer {
        Some(path) => {
            let tokenizer = Tokenizer::from_file(&environment.data_dir.resolve(path), max_seq_length)
                .context("model.scratch.tokenizer (without this key, one is trained)")?;
            let rows = vocab_size.unwrap_or(tokenizer.vocab_size()); // more than it needs is the user's choice
            (tokenizer, rows)
        }
        None => {
            let entries = vocab_size.context("model.scratch.vocab_size: the tokenizer to be trained needs it")?;
            let tokenizer = Tokenizer::train(&texts()?, *alphabet, entries, max_seq_length).context("model.scratch")?;
            let rows = tokenizer.vocab_size(); // few sentences may give fewer entries than asked for
            (tokenizer, rows)
        }
    };
    if let PromptChoice::Text(text) = &config.prompt {
        tokenizer = tokenizer.with_prompt(text);
    }
    let settled = || {
        if let (false, Some(padding)) = (shape.has("pad_token_id"), tokenizer.pad_token_id()) {
            shape = shape.with("pad_token_id", padding)?;
        }
        if let Some(dropout) = config.dropout {
            shape = shape.with_dropout(dropout)?;
        }
        shape.with("vocab_size", rows)
    };
    let shape = settled().map_err(|what: String| anyhow::anyhow!("model.scratch: {what}"))?;
    Ok((shape, tokenizer))
}

/// What a run saved that gives scores: a sentence encoder, or a cross-encoder.
pub(crate) fn saved_scorer(path: &Path, environment: &Environment) -> anyhow::Result<Box<dyn PairScorer>> {
    let options = Options { device: environment.device, ..Options::default() };
    Ok(match holds_cross_encoder(path) {
        true => Box::new(CrossEncoder::load(path, &options)?),
        false => Box::new(SentenceEncoder::load(path, &options)?),
    })
}

/// A sentence encoder that a run saved, for it to go on with.
pub(crate) fn trainable_encoder(path: &Path, environment: &Environment) -> anyhow::Result<TrainableEncoder> {
    Ok(TrainableEncoder::load(path, &Options { device: environment.device, ..Options::default() })?)
}

/// A masked language model that a run saved.
pub(crate) fn saved_masked_model(
    path: &Path,
    config: &Config,
    environment: &Environment,
) -> anyhow::Result<MaskedLanguageModel> {
    Ok(MaskedLanguageModel::load(path, &options(config, environment))?)
}
