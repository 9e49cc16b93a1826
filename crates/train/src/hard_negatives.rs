//! Hard negatives: for each example a sentence that a model finds like its anchor, of those that are not known to be alike.
//!
//! Source: sentence-transformers, `mine_hard_negatives`, with one negative drawn from the nearest five.

use std::collections::HashMap;

use anyhow::{Context, ensure};
use data::{Dataset, Exclusion, SentencePair};
use model::{SentenceEncoder, normalized};
use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use crate::{
    neighbours::{nearest, scores},
    progress::Progress,
    task::ExampleSet,
    trainer::Environment,
};

/// Name of the set in messages.
pub(crate) const NAME: &str = "hard negatives";

/// Neighbours that a hard negative is drawn from: the very nearest is too often one that means the same.
const NEAREST: usize = 5;
/// Sentences that are tried where all neighbours are known to be alike.
const TRIES: usize = 1000;

/// The anchor of each example with its hard negative and the score that `encoder` gives the two: a function of the sets, the
/// encoder and the seed. Any sentence of the sets may be a hard negative, but for those with an excluded one.
pub(crate) fn hard_negatives(
    sets: &[ExampleSet],
    exclusion: &Exclusion,
    encoder: &SentenceEncoder,
    seed: u64,
    environment: &Environment,
) -> anyhow::Result<Dataset> {
    let pool = Pool::new(sets, exclusion);
    // The first rank's are those of all: another machine may round otherwise.
    let own = match environment.ranks.is_first() {
        true => pool.mine(encoder, seed, environment)?,
        false => Vec::new(),
    };
    let numbers: Vec<f64> = own.iter().flat_map(|&(negative, score)| [negative as f64, score]).collect();
    let numbers = environment.ranks.gather(&numbers).concat();
    let pair = |(&(anchor, _), number): (&(usize, usize), &[f64])| SentencePair {
        sentence1: pool.sentences[anchor].to_owned(),
        sentence2: pool.sentences[number[0] as usize].to_owned(),
        score: Some(number[1]),
    };
    let pairs: Vec<SentencePair> = pool.examples.iter().zip(numbers.chunks_exact(2)).map(pair).collect();
    eprintln!("{NAME}: {}, one for each example, of {} sentences", pairs.len(), pool.sentences.len());
    Ok(Dataset { name: NAME.to_owned(), path: Default::default(), pairs })
}

/// The sentences of some sets, and what is known of them.
#[derive(Default)]
struct Pool<'a> {
    sentences: Vec<&'a str>,
    places: HashMap<&'a str, usize>,
    /// Of each sentence, the lists of sentences alike that it stands in.
    alike: Vec<Vec<usize>>,
    lists: usize,
    /// Anchor and positive of each example.
    examples: Vec<(usize, usize)>,
}

impl<'a> Pool<'a> {
    fn new(sets: &'a [ExampleSet], exclusion: &Exclusion) -> Self {
        let mut pool = Self::default();
        for ExampleSet { triplets, others, .. } in sets {
            let first = pool.lists;
            for (_, triplet) in triplets {
                let list = Some(first + triplet.group);
                let example = (pool.add(&triplet.anchor, list), pool.add(&triplet.positive, list));
                pool.examples.push(example);
                for negative in &triplet.negatives {
                    pool.add(negative, None);
                }
            }
            for other in others.iter().filter(|other| !other.holds(exclusion)) {
                let list = other.is_alike.then_some(pool.lists);
                pool.add(&other.first, list);
                pool.add(&other.second, list);
            }
        }
        pool
    }

    fn add(&mut self, sentence: &'a str, list: Option<usize>) -> usize {
        let place = *self.places.entry(sentence).or_insert_with(|| {
            self.sentences.push(sentence);
            self.alike.push(Vec::new());
            self.sentences.len() - 1
        });
        if let Some(list) = list {
            self.lists = self.lists.max(list + 1);
            if !self.alike[place].contains(&list) {
                self.alike[place].push(list);
            }
        }
        place
    }

    /// The place of each example's hard negative, and its score beside the anchor.
    fn mine(
        &self,
        encoder: &SentenceEncoder,
        seed: u64,
        environment: &Environment,
    ) -> anyhow::Result<Vec<(usize, f64)>> {
        let progress = Progress::preparing();
        let mut told = progress.counting("encoding, to find hard negatives", self.sentences.len(), "sentences");
        let embeddings = normalized(&encoder.encode_with_progress(&self.sentences, &mut told)?);
        ensure!(embeddings.isfinite().all().int64_value(&[]) == 1, "the embeddings are not all finite");
        let neighbours = nearest(&embeddings, environment.device, &progress)?;
        progress.finish();
        let negatives = self.draw(&neighbours, seed)?;
        let pairs: Vec<_> =
            self.examples.iter().zip(&negatives).map(|(&(anchor, _), &negative)| (anchor, negative)).collect();
        Ok(negatives.into_iter().zip(scores(&embeddings, &pairs)?).collect())
    }

    /// A place for each example.
    fn draw(&self, neighbours: &[Vec<usize>], seed: u64) -> anyhow::Result<Vec<usize>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let negative = |&(anchor, positive): &(usize, usize)| {
            let shares = |other: usize, own: usize| self.alike[other].iter().any(|list| self.alike[own].contains(list));
            let may_be = |&place: &usize| ![anchor, positive].into_iter().any(|own| place == own || shares(place, own));
            let nearest: Vec<usize> = neighbours[anchor].iter().copied().filter(may_be).take(NEAREST).collect();
            let any = |rng: &mut ChaCha8Rng| (0..TRIES).map(|_| rng.random_range(0..self.sentences.len())).find(may_be);
            nearest.choose(&mut rng).copied().or_else(|| any(&mut rng)).with_context(|| {
                let anchor = self.sentences[anchor];
                format!("data.hard_negatives: every sentence is known to be like the anchor {anchor:?}")
            })
        };
        self.examples.iter().map(negative).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data::{OtherPair, Triplet};

    fn triplet(anchor: &str, positive: &str, group: usize) -> (usize, Triplet) {
        let (anchor, positive) = (anchor.to_owned(), positive.to_owned());
        (0, Triplet { anchor, positive, negatives: Vec::new(), group })
    }

    fn other(first: &str, second: &str, is_alike: bool) -> OtherPair {
        OtherPair { first: first.to_owned(), second: second.to_owned(), is_alike }
    }

    fn set(triplets: Vec<(usize, Triplet)>, others: Vec<OtherPair>) -> ExampleSet {
        ExampleSet { name: String::new(), triplets, others }
    }

    #[test]
    fn a_hard_negative_is_a_near_sentence_that_is_not_known_to_be_alike() {
        let sets = [
            set(vec![triplet("a", "b", 0), triplet("b", "c", 0), triplet("d", "e", 1)], vec![]),
            set(vec![triplet("f", "g", 0)], vec![other("a", "h", true), other("a", "i", false)]),
        ];
        let pool = Pool::new(&sets, &Exclusion::load(&[], &data::DataDir::new(None)).unwrap());
        assert_eq!(pool.sentences, ["a", "b", "c", "d", "e", "f", "g", "h", "i"]);
        // All are each other's neighbours, in the order of the alphabet.
        let neighbours: Vec<Vec<usize>> = (0..9).map(|own| (0..9).filter(|&place| place != own).collect()).collect();
        let drawn = |seed| pool.draw(&neighbours, seed).unwrap();
        let seen = |example: usize| {
            let mut seen: Vec<&str> = (0..200).map(|seed| pool.sentences[drawn(seed)[example]]).collect();
            seen.sort_unstable();
            seen.dedup();
            seen.concat()
        };
        // Of a: neither its group (b, c) nor what is scored alike (h), but what is scored apart (i).
        assert_eq!(seen(0), "defgi");
        // The nearest five, not all.
        assert_eq!(seen(2), "abcfg");
        assert_eq!(drawn(7), drawn(7));
    }

    #[test]
    fn where_all_neighbours_are_alike_any_other_sentence_is_taken_and_none_is_an_error() {
        let sets = [set(vec![triplet("a", "b", 0)], vec![other("c", "c", false)])];
        let exclusion = Exclusion::load(&[], &data::DataDir::new(None)).unwrap();
        let pool = Pool::new(&sets, &exclusion);
        assert_eq!(pool.draw(&[vec![1], vec![0], vec![]], 1).unwrap(), [2]);
        let sets = [set(vec![triplet("a", "b", 0)], vec![])];
        let error = Pool::new(&sets, &exclusion).draw(&[vec![1], vec![0]], 1).unwrap_err().to_string();
        assert!(error.contains("data.hard_negatives") && error.contains("\"a\""), "{error}");
    }
}
