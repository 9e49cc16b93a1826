//! What computes the new columns.

use std::path::Path;

use anyhow::bail;
use model::{CrossEncoder, Options, Precision, SentenceEncoder, SimilarityFunction, TextLosses, Tokenizer};

/// A sentence encoder, or for pairs a cross-encoder.
#[derive(Debug)]
pub enum Model {
    /// Gives embeddings of texts, and scores of pairs by their cosine.
    SentenceEncoder(Box<SentenceEncoder>),
    /// Reads the two texts of a pair together.
    CrossEncoder(Box<CrossEncoder>),
}

impl From<SentenceEncoder> for Model {
    fn from(encoder: SentenceEncoder) -> Self {
        Self::SentenceEncoder(Box::new(encoder))
    }
}

impl Model {
    /// Loads a directory; `for_pairs` says whether pairs are to be scored.
    ///
    /// # Errors
    /// Where it cannot be loaded, or holds a model that does not do what is asked for.
    pub fn load(dir: &Path, options: &Options, for_pairs: bool) -> anyhow::Result<Self> {
        if !model::holds_cross_encoder(dir) {
            return Ok(SentenceEncoder::load(dir, options)?.into());
        }
        if !for_pairs {
            bail!("{}: a cross-encoder gives no embeddings: it scores the pairs of --pairs", dir.display());
        }
        let encoder = CrossEncoder::load(dir, options)?;
        encoder.check_single_label()?;
        Ok(Self::CrossEncoder(Box::new(encoder)))
    }

    /// The sentence encoder, if it is one.
    pub fn sentence_encoder(&self) -> Option<&SentenceEncoder> {
        match self {
            Self::SentenceEncoder(encoder) => Some(encoder),
            Self::CrossEncoder(_) => None,
        }
    }

    /// The tokenizer of single texts.
    pub fn tokenizer(&self) -> &Tokenizer {
        match self {
            Self::SentenceEncoder(encoder) => encoder.tokenizer(),
            Self::CrossEncoder(encoder) => encoder.tokenizer(),
        }
    }

    /// Number format of the encoder's layers.
    pub fn precision(&self) -> Precision {
        match self {
            Self::SentenceEncoder(encoder) => encoder.precision(),
            Self::CrossEncoder(encoder) => encoder.precision(),
        }
    }

    /// Numbers of an embedding; of a cross-encoder 1, the score.
    pub fn dimensions(&self) -> usize {
        self.sentence_encoder().map_or(1, SentenceEncoder::dimensions)
    }

    /// A score from 0 to 1 of each pair, or a cosine, and what the model could not take of the texts; `progress` is told of the
    /// sentences that are done.
    pub(crate) fn similarities(
        &self,
        pairs: &[[&str; 2]],
        progress: &mut dyn FnMut(usize),
    ) -> anyhow::Result<(Vec<f64>, TextLosses)> {
        match self {
            Self::SentenceEncoder(encoder) => {
                let sides = [0, 1].map(|side| pairs.iter().map(move |pair| pair[side]));
                let sentences: Vec<&str> = sides.into_iter().flatten().collect();
                let (embeddings, losses) = encoder.encode_with_losses(&sentences, progress)?;
                let of = |row| SimilarityFunction::Cosine.of(&embeddings[row], &embeddings[pairs.len() + row]);
                Ok(((0..pairs.len()).map(of).collect(), losses))
            }
            Self::CrossEncoder(encoder) => {
                let (numbers, losses) = encoder.logits(pairs, &mut |count| progress(2 * count))?;
                Ok((numbers.into_iter().map(|x| f64::from(encoder.activation().apply(x))).collect(), losses))
            }
        }
    }
}
