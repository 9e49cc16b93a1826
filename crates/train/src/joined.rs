//! Training pairs that are read together, tokenized once: in lists, each of which is learned as a whole.

use std::collections::HashMap;

use data::SentencePair;
use ground::Distinct;
use model::{PairTokenizer, TextLosses, TokenPair, Tokenizer};
use tch::Tensor;

/// Lists that go through the encoder together.
#[derive(Debug, Default)]
pub struct JoinedBatch {
    /// Token ids of all pairs, list by list.
    pub pairs: Vec<TokenPair>,
    /// Of the pairs, on the scale 0..=5.
    pub labels: Vec<f32>,
    /// Pairs of each list: one where each pair is learned by itself.
    pub lists: Vec<usize>,
}

impl JoinedBatch {
    /// Some of its lists, by their places.
    pub(crate) fn part(&self, places: std::ops::Range<usize>) -> Self {
        let pairs = |lists: &[usize]| lists.iter().sum::<usize>();
        let (start, count) = (pairs(&self.lists[..places.start]), pairs(&self.lists[places.clone()]));
        Self {
            pairs: self.pairs[start..start + count].to_vec(),
            labels: self.labels[start..start + count].to_vec(),
            lists: self.lists[places].to_vec(),
        }
    }

    /// The labels of each list.
    pub(crate) fn labels_of_lists(&self) -> impl Iterator<Item = &[f32]> {
        let mut rest = self.labels.as_slice();
        self.lists.iter().map(move |&count| {
            let (own, others) = rest.split_at(count);
            rest = others;
            own
        })
    }

    /// Numbers of pairs, cut into those of each list.
    pub(crate) fn split(&self, numbers: &Tensor) -> Vec<Tensor> {
        let sizes: Vec<i64> = self.lists.iter().map(|&count| count as i64).collect();
        numbers.split_with_sizes(sizes, 0)
    }
}

/// Labelled pairs as token ids, in lists.
pub(crate) struct JoinedPairs {
    pairs: Vec<TokenPair>,
    labels: Vec<f32>,
    lists: Vec<Vec<usize>>, // of pairs
}

/// Pairs that share their first sentence and have different labels, in the order in which they are there. What is no list of
/// at least two labels is left out.
pub(crate) fn lists_by_query(pairs: &[SentencePair]) -> Vec<Vec<usize>> {
    let (mut lists, mut places): (Vec<Vec<usize>>, HashMap<&str, usize>) = Default::default();
    for (row, pair) in pairs.iter().enumerate() {
        let place = *places.entry(&pair.sentence1).or_insert_with(|| {
            lists.push(Vec::new());
            lists.len() - 1
        });
        lists[place].push(row);
    }
    lists.retain(|rows| rows.iter().any(|&row| pairs[row].score != pairs[rows[0]].score));
    lists
}

impl JoinedPairs {
    pub(crate) fn new(
        pairs: &[SentencePair],
        labels: &[f64],
        lists: Vec<Vec<usize>>,
        joining: &PairTokenizer,
        tokenizer: &Tokenizer,
    ) -> Result<Self, model::Error> {
        let mut texts = Distinct::default();
        let rows: Vec<[usize; 2]> = pairs
            .iter()
            .map(|pair| [texts.place(pair.sentence1.as_str()), texts.place(pair.sentence2.as_str())])
            .collect();
        let pairs = joining.encode(&texts.into_values(), &rows)?;
        let losses = TextLosses::of_pairs(tokenizer, &pairs);
        if !losses.is_none() {
            ground::say!("training pairs: of {} texts {losses}", pairs.len());
        }
        Ok(Self { pairs, labels: labels.iter().map(|&label| label as f32).collect(), lists })
    }

    /// How many lists there are.
    pub(crate) fn len(&self) -> usize {
        self.lists.len()
    }

    /// The pairs of a list, by their rows.
    pub(crate) fn rows(&self, list: usize) -> &[usize] {
        &self.lists[list]
    }

    /// Some of the lists.
    pub(crate) fn batch(&self, lists: &[usize]) -> JoinedBatch {
        let rows = || lists.iter().flat_map(|&list| &self.lists[list]);
        JoinedBatch {
            pairs: rows().map(|&row| self.pairs[row].clone()).collect(),
            labels: rows().map(|&row| self.labels[row]).collect(),
            lists: lists.iter().map(|&list| self.lists[list].len()).collect(),
        }
    }
}
