//! Hard negatives: for each example a sentence that a model finds like its anchor, of those that are not known to be alike.
//!
//! Source: sentence-transformers, `mine_hard_negatives`, with one negative drawn from the nearest five. A cross-encoder beside
//! the model leaves out those that are as near to the anchor as its positive.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, ensure};
use data::{Dataset, Exclusion, SentencePair, canonical};
use model::TrainableEncoder;
use rand::{
    SeedableRng,
    seq::{IndexedRandom, IteratorRandom},
};
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use crate::{
    config::HardNegatives,
    datasets::ExampleSet,
    named_model::NamedModel,
    nearest::{nearest, scores},
    prepared::{Prepared, weights_origin},
    progress::Progress,
};

/// Where they are asked for.
const KEY: &str = "data.hard_negatives";
/// Name of the set in messages.
pub(crate) const NAME: &str = "hard negatives";

/// Neighbours that one is drawn from: always the nearest would too often be one that means the same.
const NEAREST: usize = 5;

/// Neighbours that a cross-encoder judges, so that some are left.
const JUDGED: usize = 4 * NEAREST;

/// The anchor of each example with its hard negative, and the score that the model gives the two: a function of the sets, the
/// model and the seed. Any sentence of the sets may be a hard negative but the excluded ones and those of a dev set. The model
/// is the one that `asked` names, or else `own`.
pub(crate) fn hard_negatives(
    sets: &[ExampleSet],
    dev: &[Dataset],
    exclusion: &Exclusion,
    asked: &HardNegatives,
    own: &TrainableEncoder,
    prepared: &Prepared<'_>,
) -> anyhow::Result<Dataset> {
    let judge = asked.cross_encoder.as_ref();
    let judge = judge.map(|model| NamedModel::find("data.hard_negatives.cross_encoder", model)).transpose()?;
    if let Some(judge) = &judge {
        ensure!(judge.is_cross_encoder(), "{}: a sentence encoder, expected a cross-encoder", judge.place());
    }
    let pool = Pool::new(sets, exclusion, &Exclusion::of(dev)?);
    let &Prepared { config, environment, .. } = prepared;
    // The first rank's are those of all: another machine may round otherwise.
    let numbers = environment.ranks.of_first(|| {
        let progress = Progress::preparing();
        let task = "encoding, to find hard negatives";
        let (origin, embeddings) = match &asked.model {
            Some(model) => {
                let model = NamedModel::find("data.hard_negatives.model", model)?;
                let (origin, load) = (model.origin()?, || model.load(environment));
                let embeddings = prepared.unit_embeddings(&origin, load, &pool.sentences, task, &progress);
                (origin, embeddings.with_context(|| model.place())?)
            }
            None => {
                let origin = weights_origin(own)?;
                let embeddings =
                    prepared.unit_embeddings(&origin, || Ok(own.encoder()), &pool.sentences, task, &progress);
                (origin, embeddings.context(KEY)?)
            }
        };
        let neighbours =
            prepared.neighbours(&[origin], &pool.sentences, || nearest(&embeddings, environment.device, &progress));
        let judged = if judge.is_some() { JUDGED } else { NEAREST };
        let mut candidates = pool.candidates(&neighbours.context(KEY)?, judged);
        if let Some(judge) = &judge {
            let pairs = pool.judged(&candidates);
            let (task, load) = ("scoring, to find hard negatives", || judge.load_cross_encoder(environment));
            let scores = prepared.pair_scores(&judge.origin()?, load, &pool.sentences, &pairs, task, &progress);
            leave_out_alike(&mut candidates, &scores.with_context(|| judge.place())?);
        }
        progress.finish();
        let found = pool.mine(&embeddings, &candidates, config.seed).context(KEY)?;
        Ok(found.into_iter().flat_map(|(negative, score)| [negative as f64, score]).collect())
    })?;
    let pair = |(example, number): (&Example, &[f64])| SentencePair {
        sentence1: pool.sentences[example.anchor].to_owned(),
        sentence2: pool.sentences[number[0] as usize].to_owned(),
        score: Some(number[1]),
    };
    let pairs: Vec<SentencePair> = pool.examples.iter().zip(numbers.chunks_exact(2)).map(pair).collect();
    let (count, sentences, of_dev) = (pairs.len(), pool.sentences.len(), pool.dev.len());
    ground::say!(
        "{NAME}: {count}, one for each example, of {sentences} sentences, {of_dev} of them left out as a dev set's"
    );
    Ok(Dataset::made(NAME, pairs))
}

/// The sentences of some sets, and what is known of them.
#[derive(Default)]
struct Pool<'a> {
    sentences: Vec<&'a str>,
    places: HashMap<String, usize>,
    /// Of each sentence, the lists of sentences alike that it stands in.
    alike: Vec<Vec<usize>>,
    lists: usize,
    examples: Vec<Example>,
    /// Places of sentences that are a dev set's too.
    dev: HashSet<usize>,
}

/// Places that an example's hard negative is drawn from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Candidates {
    /// The nearest to the anchor, best first.
    nearest: Vec<usize>,
    /// Those that a cross-encoder found to mean the same, which are not drawn from among all sentences either.
    left_out: Vec<usize>,
}

/// Places of an example's sentences.
struct Example {
    anchor: usize,
    positive: usize,
    negatives: Vec<usize>,
}

impl<'a> Pool<'a> {
    /// Neither an excluded sentence nor one of a dev set may be a hard negative.
    fn new(sets: &'a [ExampleSet], exclusion: &Exclusion, dev: &Exclusion) -> Self {
        let mut pool = Self::default();
        for ExampleSet { triplets, unmatched, .. } in sets {
            let first = pool.lists;
            for (_, triplet) in triplets {
                let list = Some(first + triplet.group);
                let example = Example {
                    anchor: pool.add(&triplet.anchor, list),
                    positive: pool.add(&triplet.positive, list),
                    negatives: triplet.negatives.iter().map(|negative| pool.add(negative, None)).collect(),
                };
                pool.examples.push(example);
            }
            for pair in unmatched.iter().filter(|pair| !pair.holds(exclusion)) {
                let list = pair.is_alike.then_some(pool.lists);
                pool.add(&pair.first, list);
                pool.add(&pair.second, list);
            }
        }
        pool.dev = (0..pool.sentences.len()).filter(|&place| dev.holds(pool.sentences[place])).collect();
        pool
    }

    fn add(&mut self, sentence: &'a str, list: Option<usize>) -> usize {
        let place = *self.places.entry(canonical(sentence)).or_insert_with(|| {
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
    fn mine(&self, embeddings: &Tensor, candidates: &[Candidates], seed: u64) -> anyhow::Result<Vec<(usize, f64)>> {
        let negatives = self.draw(candidates, seed)?;
        let pairs: Vec<_> = self.examples.iter().map(|example| example.anchor).zip(negatives.iter().copied()).collect();
        Ok(negatives.into_iter().zip(scores(embeddings, &pairs)?).collect())
    }

    /// Whether a sentence may be an example's hard negative.
    fn may_be(&self, place: usize, example: &Example) -> bool {
        let is_alike = |own: usize| place == own || self.alike[place].iter().any(|list| self.alike[own].contains(list));
        !is_alike(example.anchor)
            && !is_alike(example.positive)
            && !example.negatives.contains(&place)
            && !self.dev.contains(&place)
    }

    /// Of each example, the places that its hard negative is drawn from: of those that may be one, the nearest to the anchor.
    fn candidates(&self, neighbours: &[Vec<usize>], most: usize) -> Vec<Candidates> {
        let of = |example: &Example| {
            let nearest = neighbours[example.anchor].iter().copied();
            let nearest = nearest.filter(|&place| self.may_be(place, example)).take(most).collect();
            Candidates { nearest, left_out: Vec::new() }
        };
        self.examples.iter().map(of).collect()
    }

    /// Pairs of places that tell which candidates mean the same as an anchor: of each example the positive and the candidates,
    /// each with the anchor.
    fn judged(&self, candidates: &[Candidates]) -> Vec<(usize, usize)> {
        let of = |(example, candidates): (&Example, &Candidates)| {
            let others = std::iter::once(example.positive).chain(candidates.nearest.iter().copied());
            others.map(|other| (example.anchor, other)).collect::<Vec<_>>()
        };
        self.examples.iter().zip(candidates).flat_map(of).collect()
    }

    /// A place for each example.
    fn draw(&self, candidates: &[Candidates], seed: u64) -> anyhow::Result<Vec<usize>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let negative = |(example, candidates): (&Example, &Candidates)| {
            let Candidates { nearest, left_out } = candidates;
            let may_be = |&place: &usize| self.may_be(place, example) && !left_out.contains(&place);
            let found = match nearest.choose(&mut rng) {
                Some(&place) => Some(place),
                None => (0..self.sentences.len()).filter(may_be).choose(&mut rng),
            };
            found.with_context(|| {
                let (anchor, positive) = (self.sentences[example.anchor], self.sentences[example.positive]);
                format!(
                    "no sentence can be one for {anchor:?} and {positive:?}: \
                         all others are known to be like these, are its hard negatives already or stand in a dev set"
                )
            })
        };
        self.examples.iter().zip(candidates).map(negative).collect()
    }
}

/// Leaves out the candidates whose score is not below that of the example's positive: most likely they mean the same as the
/// anchor. `scores` are those of [`Pool::judged`].
fn leave_out_alike(candidates: &mut [Candidates], mut scores: &[f64]) {
    let (mut all, mut left_out) = (0, 0);
    for candidates in candidates {
        let judged = std::mem::take(&mut candidates.nearest);
        let (own, rest) = scores.split_at(1 + judged.len());
        scores = rest;
        for (place, &score) in judged.into_iter().zip(&own[1..]) {
            let is_alike = score >= own[0];
            if is_alike { &mut candidates.left_out } else { &mut candidates.nearest }.push(place);
            (all, left_out) = (all + 1, left_out + usize::from(is_alike));
        }
        candidates.nearest.truncate(NEAREST);
    }
    ground::say!("{NAME}: {left_out} of {all} candidates are left out, as near to the anchor as its positive");
}

#[cfg(test)]
mod tests {
    use super::*;
    use data::{Triplet, UnmatchedPair};

    fn triplet(anchor: &str, positive: &str, group: usize) -> (usize, Triplet) {
        let (anchor, positive) = (anchor.to_owned(), positive.to_owned());
        (0, Triplet { anchor, positive, negatives: Vec::new(), group })
    }

    fn pair(first: &str, second: &str, is_alike: bool) -> UnmatchedPair {
        UnmatchedPair { first: first.to_owned(), second: second.to_owned(), is_alike }
    }

    fn set(triplets: Vec<(usize, Triplet)>, unmatched: Vec<UnmatchedPair>) -> ExampleSet {
        ExampleSet { name: String::new(), triplets, unmatched }
    }

    fn pool<'a>(sets: &'a [ExampleSet], dev: &[&str]) -> Pool<'a> {
        let pair = |&sentence: &&str| SentencePair {
            sentence1: sentence.to_owned(),
            sentence2: sentence.to_owned(),
            score: None,
        };
        let dev = Dataset::made("dev", dev.iter().map(pair).collect());
        Pool::new(sets, &Exclusion::of(&[]).unwrap(), &Exclusion::of(&[dev]).unwrap())
    }

    #[test]
    fn a_hard_negative_is_a_near_sentence_that_is_not_known_to_be_alike() {
        let mut with_negative = triplet("d", "e", 1);
        with_negative.1.negatives.push("f".to_owned());
        let sets = [
            set(vec![triplet("a", "b", 0), triplet("b", "c", 0), with_negative], vec![]),
            set(vec![triplet("f", "g", 0)], vec![pair("a", "h", true), pair("a", "i", false), pair("b", "j", true)]),
            set(vec![triplet("k", "l", 0)], vec![pair("m", "m", true)]),
        ];
        let pool = pool(&sets, &["g"]);
        assert_eq!(pool.sentences, ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"]);
        // All are each other's neighbours, in the order of the alphabet.
        let neighbours: Vec<Vec<usize>> = (0..13).map(|own| (0..13).filter(|&place| place != own).collect()).collect();
        let drawn = |seed| pool.draw(&pool.candidates(&neighbours, NEAREST), seed).unwrap();
        let seen = |example: usize| {
            let mut seen: Vec<&str> = (0..200).map(|seed| pool.sentences[drawn(seed)[example]]).collect();
            seen.sort_unstable();
            seen.dedup();
            seen.concat()
        };
        // For a and b: neither their group (c) nor what is scored alike (h, j) nor a dev set's (g), but what is scored apart
        // (i); and the nearest five, not all.
        assert_eq!(seen(0), "defik");
        // For d and e: not the hard negative that they have (f).
        assert_eq!(seen(2), "abchi");
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
    }

    #[test]
    fn a_copy_with_other_spaces_is_the_same_sentence() {
        let sets = [set(vec![triplet("a b", "c", 0)], vec![pair("a  b", "d", false)])];
        assert_eq!(pool(&sets, &[]).sentences, ["a b", "c", "d"]);
    }

    #[test]
    fn where_all_neighbours_are_alike_any_other_sentence_is_taken_and_none_is_an_error() {
        let sets = [set(vec![triplet("a", "b", 0)], vec![pair("c", "c", false)])];
        let drawn = |dev: &[&str]| {
            let pool = pool(&sets, dev);
            pool.draw(&pool.candidates(&[vec![1], vec![0], vec![]], NEAREST), 1)
        };
        assert_eq!(drawn(&[]).unwrap(), [2]);
        let error = drawn(&["c"]).unwrap_err().to_string();
        assert!(error.contains("\"a\"") && error.contains("\"b\""), "{error}");
    }

    #[test]
    fn what_scores_as_much_as_the_positive_is_left_out_and_never_drawn() {
        let of = |nearest: &[usize]| Candidates { nearest: nearest.to_vec(), left_out: Vec::new() };
        let mut candidates = vec![of(&[7, 8, 9]), of(&[]), of(&[4])];
        leave_out_alike(&mut candidates, &[3.0, 1.0, 3.0, 4.0, 2.0, 5.0, 4.9]);
        assert_eq!(candidates, [Candidates { nearest: vec![7], left_out: vec![8, 9] }, of(&[]), of(&[4])]);
        // c is all that could be one for a and b, and d.
        let sets = [set(vec![triplet("a", "b", 0)], vec![pair("c", "d", false)])];
        let pool = pool(&sets, &[]);
        let mut candidates = pool.candidates(&[vec![1, 2], vec![], vec![], vec![]], JUDGED);
        assert_eq!(pool.judged(&candidates), [(0, 1), (0, 2)]);
        leave_out_alike(&mut candidates, &[3.0, 3.5]);
        for seed in 0..20 {
            assert_eq!(pool.draw(&candidates, seed).unwrap(), [3]);
        }
    }
}
