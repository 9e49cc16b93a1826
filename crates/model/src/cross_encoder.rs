//! The cross-encoder: two texts are read together, and a head gives a number for each label.
//!
//! Source: sentence-transformers, `CrossEncoder`, and transformers' classes `…ForSequenceClassification`.

mod training;

use std::path::{Path, PathBuf};

use ground::Distinct;

pub use self::training::TrainableCrossEncoder;
use crate::{
    config::EncoderConfig,
    error::Error,
    files::refuse_adapter,
    layout::{CrossEncoderLayout, is_cross_encoder},
    manifest,
    precision::Precision,
    sentence_encoder::{Options, Parts, SentenceEncoder},
    sequence::Sequence,
    stored::Stored,
    text_losses::TextLosses,
    tokenizer::{PairTokenizer, Tokenizer},
};

/// What makes a score of a label's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreActivation {
    /// 1 / (1 + e⁻ˣ): from 0 to 1.
    Sigmoid,
    /// x.
    Identity,
}

impl ScoreActivation {
    /// That of PyTorch's class.
    pub(crate) fn of_class(name: &str) -> Option<Self> {
        match name {
            "torch.nn.modules.activation.Sigmoid" => Some(Self::Sigmoid),
            "torch.nn.modules.linear.Identity" => Some(Self::Identity),
            _ => None,
        }
    }

    /// PyTorch's class.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Sigmoid => "torch.nn.modules.activation.Sigmoid",
            Self::Identity => "torch.nn.modules.linear.Identity",
        }
    }

    /// That of a model which names none. Source: sentence-transformers, `get_default_activation_fn`.
    fn of_labels(labels: usize) -> Self {
        if labels == 1 { Self::Sigmoid } else { Self::Identity }
    }

    /// A label's number as a score.
    pub fn apply(self, x: f32) -> f32 {
        match self {
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Identity => x,
        }
    }
}

/// Whether a directory says that it holds a cross-encoder, which is loaded by [`CrossEncoder::load`], and not a sentence
/// encoder.
pub fn holds_cross_encoder(dir: &Path) -> bool {
    is_cross_encoder(dir)
}

/// What a cross-encoder reads: pairs of texts, and what its numbers mean.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pairs: PairTokenizer,
    activation: ScoreActivation,
    labels: Vec<String>,
}

/// Scores pairs of texts.
#[derive(Debug)]
pub struct CrossEncoder {
    encoder: SentenceEncoder, // whose embeddings are the labels' numbers
    reading: Reading,
}

impl CrossEncoder {
    /// Loads a directory in Hugging Face's or sentence-transformers' layout. Nothing in it is executed. Of the options, those of
    /// pooling, prompts and dimensions have no meaning here.
    ///
    /// # Errors
    /// Where a file of it is not what it should be, or asks for something that is not supported; where it holds another kind of
    /// model; and where the options contradict it.
    pub fn load(path: impl AsRef<Path>, options: &Options) -> Result<Self, Error> {
        let (parts, stored, reading) = read(path.as_ref(), options)?;
        Ok(Self { encoder: SentenceEncoder::of_stored(parts, &stored, options)?, reading })
    }

    /// The numbers of each pair's labels, before any activation: (pairs · labels), and what the model could not take of the
    /// texts. A pair that stands there several times is encoded once. After each batch `progress` is told how many pairs it held.
    ///
    /// # Errors
    /// Where a text has a token that is beyond the vocabulary.
    pub fn logits(
        &self,
        pairs: &[[&str; 2]],
        progress: &mut dyn FnMut(usize),
    ) -> Result<(Vec<f32>, TextLosses), Error> {
        logits(&self.encoder, &self.reading, pairs, progress)
    }

    /// The same of pairs that the [pair tokenizer](CrossEncoder::pairs) made token ids of.
    ///
    /// # Errors
    /// Where libtorch refuses.
    ///
    /// # Panics
    /// If a pair has more tokens than the encoder has positions, or an id that is beyond its vocabulary.
    pub fn logits_of<S: Sequence>(&self, pairs: &[S]) -> Result<Vec<f32>, Error> {
        Ok(self.encoder.encode_ids(pairs)?.values().to_vec())
    }

    /// The score of each pair: its label's number, behind the [activation](CrossEncoder::activation).
    ///
    /// # Errors
    /// As of [`CrossEncoder::logits`], and where the model has several labels.
    pub fn scores(&self, pairs: &[[&str; 2]]) -> Result<Vec<f32>, Error> {
        self.check_single_label()?;
        let logits = self.logits(pairs, &mut |_| {})?.0;
        Ok(logits.into_iter().map(|x| self.activation().apply(x)).collect())
    }

    /// Fails where the model has several labels, whose numbers are no scores.
    ///
    /// # Errors
    /// As it says.
    pub fn check_single_label(&self) -> Result<(), Error> {
        check_single_label(&self.reading.labels)
    }

    /// What joins pairs.
    pub fn pairs(&self) -> &PairTokenizer {
        &self.reading.pairs
    }

    /// The tokenizer of single texts.
    pub fn tokenizer(&self) -> &Tokenizer {
        self.encoder.tokenizer()
    }

    /// What makes a score of a label's number.
    pub fn activation(&self) -> ScoreActivation {
        self.reading.activation
    }

    /// The labels' names, in the order of their numbers.
    pub fn labels(&self) -> &[String] {
        &self.reading.labels
    }

    /// Number format of the encoder's layers.
    pub fn precision(&self) -> Precision {
        self.encoder.precision()
    }
}

fn check_single_label(labels: &[String]) -> Result<(), Error> {
    match labels {
        [_] => Ok(()),
        labels => Err(Error::Unusable(format!(
            "the cross-encoder has {} labels ({}), expected one, whose number is the score",
            labels.len(),
            labels.join(", ")
        ))),
    }
}

/// See [`CrossEncoder::logits`].
fn logits(
    encoder: &SentenceEncoder,
    reading: &Reading,
    pairs: &[[&str; 2]],
    progress: &mut dyn FnMut(usize),
) -> Result<(Vec<f32>, TextLosses), Error> {
    // Each text once, and each pair.
    let (mut texts, mut distinct): (Distinct<&str>, Distinct<[usize; 2]>) = Default::default();
    let rows: Vec<usize> = pairs.iter().map(|pair| distinct.place(pair.map(|text| texts.place(text)))).collect();
    let (texts, distinct) = (texts.into_values(), distinct.into_values());
    let mut copies = vec![0; distinct.len()];
    rows.iter().for_each(|&row| copies[row] += 1);
    let tokens = reading.pairs.encode(&texts, &distinct)?;
    let special = encoder.tokenizer().special_token_ids();
    let mut losses = TextLosses::none(encoder.tokenizer());
    for (pair, &copies) in tokens.iter().zip(&copies) {
        losses.add(&pair.ids, pair.is_truncated, copies, &special);
    }
    let mut told = |batch: &[usize]| progress(batch.iter().map(|&index| copies[index]).sum());
    let found = encoder.encode_ids_with_progress(&tokens, &mut told)?;
    Ok((found.select(&rows).values().to_vec(), losses))
}

/// Reads a directory, and opens its weights.
fn read(path: &Path, options: &Options) -> Result<(Parts, Stored, Reading), Error> {
    let layout = CrossEncoderLayout::read(path)?;
    manifest::verify_encoder(path)?;
    refuse_adapter(&layout.encoder)?;
    let config_path: PathBuf = layout.encoder.join("config.json");
    let config = EncoderConfig::load(&config_path)?;
    let (parts, reading) = assemble(path, &layout, config, options)?;
    let stored = Stored::with_classifier(&layout.encoder, &parts.config, &parts.head.variables())?;
    Ok((parts, stored, reading))
}

/// All of a cross-encoder but its weights.
fn assemble(
    path: &Path,
    layout: &CrossEncoderLayout,
    mut config: EncoderConfig,
    options: &Options,
) -> Result<(Parts, Reading), Error> {
    // What is wrong between two files of the directory is wrong with the directory.
    let within = |error| match error {
        Error::Unusable(what) => Error::invalid(path, what),
        error => error,
    };
    if let Some(dropout) = options.dropout {
        config = config.with_dropout(dropout).map_err(Error::Unusable)?;
    }
    let longest = config.max_sequence_length() as usize;
    let max_seq_length = match options.max_seq_length {
        Some(asked) if asked > longest => {
            let what = format!("max_seq_length {asked} is beyond the encoder's {longest} positions");
            return Err(Error::invalid(path, what));
        }
        Some(asked) => asked,
        None => layout.max_seq_length.min(longest),
    };
    let mut tokenizer =
        Tokenizer::load_with(&layout.encoder, max_seq_length, &layout.tokenizer_arguments).map_err(within)?;
    if layout.lowercase {
        tokenizer = tokenizer.with_lowercase()?;
    }
    let tokenizer = tokenizer.with_embeddings(config.vocab_size() as usize).map_err(within)?;
    let labels = config.labels();
    let activation = layout.activation.unwrap_or_else(|| ScoreActivation::of_labels(labels.len()));
    let parts = Parts::of_classifier(config, tokenizer).map_err(within)?;
    let pairs = parts.tokenizer.pairs(parts.types as i64).map_err(within)?;
    Ok((parts, Reading { pairs, activation, labels }))
}
