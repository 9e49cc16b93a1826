//! The training pairs, tokenized once.

use std::ops::Range;

use data::SentencePair;
use model::Tokenizer;
use tch::Tensor;

use crate::tokenizing::Tokenizing;

/// Pairs that go through the encoder together.
#[derive(Debug)]
pub struct Batch {
    /// Token ids of all first sentences, then of all second ones.
    pub sentences: Vec<Vec<i64>>,
    /// (pairs), on the scale 0..=5.
    pub labels: Tensor,
}

impl Batch {
    pub(crate) fn pairs(&self) -> i64 {
        self.sentences.len() as i64 / 2
    }

    /// Some of its pairs, by their places.
    pub(crate) fn part(&self, places: Range<usize>) -> Self {
        let (first, second) = self.sentences.split_at(self.sentences.len() / 2);
        let labels = self.labels.narrow(0, places.start as i64, places.len() as i64);
        Self { sentences: [&first[places.clone()], &second[places]].concat(), labels }
    }
}

/// Labelled pairs as token ids.
pub(crate) struct TokenizedPairs {
    sentences1: Vec<Vec<i64>>,
    sentences2: Vec<Vec<i64>>,
    labels: Vec<f32>,
}

impl TokenizedPairs {
    pub(crate) fn new(pairs: &[SentencePair], labels: &[f64], tokenizer: &Tokenizer) -> Result<Self, model::Error> {
        let mut tokenizing = Tokenizing::by(tokenizer);
        let mut side =
            |sentence: fn(&SentencePair) -> &String| tokenizing.encode(&pairs.iter().map(sentence).collect::<Vec<_>>());
        let (sentences1, sentences2) = (side(|pair| &pair.sentence1)?, side(|pair| &pair.sentence2)?);
        tokenizing.tell("training pairs");
        Ok(Self { sentences1, sentences2, labels: labels.iter().map(|&label| label as f32).collect() })
    }

    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// Some of the pairs.
    pub(crate) fn batch(&self, rows: &[usize]) -> Batch {
        let sides = [&self.sentences1, &self.sentences2];
        Batch {
            sentences: sides.iter().flat_map(|side| rows.iter().map(|&row| side[row].clone())).collect(),
            labels: Tensor::from_slice(&rows.iter().map(|&row| self.labels[row]).collect::<Vec<f32>>()),
        }
    }
}
