//! Silver pairs: sentences that are paired by their likeness and scored by models, to be learned beside the gold of people.
//!
//! Source: Thakur et al. 2021, «Augmented SBERT», whose teacher is a cross-encoder; here it is the mean of any number of
//! sentence encoders, which find the pairs, and cross-encoders, which score them too: it knows more than any of them.

use std::collections::{BTreeSet, HashMap, HashSet};

use anyhow::ensure;
use data::{Dataset, SentencePair, canonical};
use eval::LABEL_SCALE;
use ground::Distinct;
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::{
    config::Silver,
    datasets::{Datasets, distinct_sentences},
    isotonic::Isotonic,
    nearest::{NEIGHBOURS, nearest},
    prepared::Prepared,
    progress::Progress,
    teachers::{Teachers, TeachersScores, mean},
};

/// Where the teachers are named.
const KEY: &str = "data.silver.teachers";
/// Name of the set in reports and messages.
pub(crate) const NAME: &str = "silver pairs";

/// Mean rank of a partner among them, counted from 0: most pairs are alike enough to be hard to tell, as those of people are.
const MEAN_RANK: f64 = 8.0;
/// Share of the partners that are drawn from all sentences, since few of those are alike.
const ANY: f64 = 0.1;

/// Pairs the sentences of the named sets and scores them: a function of the sentences, the teachers and the seed. No
/// sentence of a dev set is among them, and no pair of `gold`.
pub(crate) fn silver_pairs(silver: &Silver, gold: &Datasets, prepared: &Prepared<'_>) -> anyhow::Result<Dataset> {
    let &Prepared { config, environment, .. } = prepared;
    let teachers = Teachers::find(KEY, &silver.teachers)?;
    teachers.check_find()?;
    let dir = &config.data_dir(environment);
    let distinct = distinct_sentences("data.silver.sentences", &silver.sentences, &gold.dev, config, dir)?;
    let distinct: Vec<String> = distinct.into_iter().map(|sentence| sentence.text).collect();
    let place: HashMap<String, usize> =
        distinct.iter().enumerate().map(|(place, text)| (canonical(text), place)).collect();
    let known = gold.train.iter().filter_map(|pair| {
        let (&first, &second) = (place.get(&canonical(&pair.sentence1))?, place.get(&canonical(&pair.sentence2))?);
        Some((first.min(second), first.max(second)))
    });
    // The first rank's pairs are those of all: another machine may round otherwise.
    let numbers = environment.ranks.of_first(|| {
        let pairs = scored_pairs(&teachers, silver, gold, &distinct, &known.collect(), prepared)?;
        Ok(pairs.into_iter().flat_map(|(first, second, score)| [first as f64, second as f64, score]).collect())
    })?;
    let pair = |number: &[f64]| SentencePair {
        sentence1: distinct[number[0] as usize].clone(),
        sentence2: distinct[number[1] as usize].clone(),
        score: Some(number[2]),
    };
    let pairs: Vec<SentencePair> = numbers.chunks_exact(3).map(pair).collect();
    ensure!(!pairs.is_empty(), "data.silver.sentences: every pair of them is among the training pairs already");
    let teachers = silver.teachers.iter().map(|teacher| teacher.display().to_string()).collect::<Vec<_>>().join(", ");
    ground::say!("{NAME}: {} of {} sentences, scored by {teachers}", pairs.len(), distinct.len());
    Ok(Dataset::made(NAME, pairs))
}

/// Pairs of places with their scores.
fn scored_pairs(
    teachers: &Teachers,
    silver: &Silver,
    gold: &Datasets,
    distinct: &[String],
    known: &HashSet<(usize, usize)>,
    prepared: &Prepared<'_>,
) -> anyhow::Result<Vec<(usize, usize, f64)>> {
    let &Prepared { config, environment, .. } = prepared;
    let progress = Progress::preparing();
    let embeddings = teachers.embeddings(distinct, prepared, &progress)?;
    let neighbours =
        prepared.neighbours(&teachers.origins()?, distinct, || nearest(&embeddings, environment.device, &progress))?;
    let pairs = draw(&neighbours, known, silver.pairs, config.seed);
    let mut all = teachers.scores(distinct, &embeddings, &pairs, prepared, &progress)?;
    if silver.calibrate {
        calibrate(&mut all, teachers, gold, prepared, &progress)?;
    }
    progress.finish();
    // A label is on the labels' scale.
    all.iter_mut().flat_map(|own| &mut own.scores).for_each(|score| *score = score.clamp(0.0, LABEL_SCALE));
    let scores = mean(&all);
    Ok(pairs.into_iter().zip(scores).map(|((first, second), score)| (first, second, score)).collect())
}

/// Brings each teacher's scores to the scale of the training pairs' labels, by the nearest non-decreasing function of what it
/// gives these. No dev set has a part in it.
fn calibrate(
    all: &mut [TeachersScores],
    teachers: &Teachers,
    gold: &Datasets,
    prepared: &Prepared<'_>,
    progress: &Progress,
) -> anyhow::Result<()> {
    let mut sentences = Distinct::default();
    let pairs: Vec<(usize, usize)> = gold
        .train
        .iter()
        .map(|pair| (sentences.place(pair.sentence1.as_str()), sentences.place(pair.sentence2.as_str())))
        .collect();
    let sentences = sentences.into_values();
    let embeddings = teachers.embeddings(&sentences, prepared, progress)?;
    let given = teachers.scores(&sentences, &embeddings, &pairs, prepared, progress)?;
    for (own, given) in all.iter_mut().zip(given) {
        let function = Isotonic::fit(&given.scores, &gold.train_labels);
        own.scores.iter_mut().for_each(|score| *score = function.at(*score));
    }
    Ok(())
}

/// At most `count` distinct pairs, none of them `known`: in each round every sentence draws a partner, in an order of the
/// seed.
fn draw(neighbours: &[Vec<usize>], known: &HashSet<(usize, usize)>, count: usize, seed: u64) -> Vec<(usize, usize)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..neighbours.len()).collect();
    let mut pairs = BTreeSet::new();
    // Later rounds draw what was drawn before more and more often.
    for _ in 0..2 * NEIGHBOURS {
        order.shuffle(&mut rng);
        for &own in &order {
            let (is_any, rank) = (rng.random_bool(ANY), -MEAN_RANK * (1.0 - rng.random::<f64>()).ln());
            let any = rng.random_range(0..neighbours.len());
            let partner = match neighbours[own].get(rank as usize) {
                Some(&partner) if !is_any => partner,
                _ => any,
            };
            let pair = (own.min(partner), own.max(partner));
            if partner != own && !known.contains(&pair) {
                pairs.insert(pair);
            }
            if pairs.len() == count {
                return pairs.into_iter().collect();
            }
        }
    }
    pairs.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_distinct_as_many_as_asked_for_and_mostly_of_near_neighbours() {
        let around = |own: usize| (1..=NEIGHBOURS).map(|step| (own + step) % 1000).collect::<Vec<_>>();
        let neighbours: Vec<_> = (0..1000).map(around).collect();
        let none = HashSet::new();
        let pairs = draw(&neighbours, &none, 5000, 7);
        assert!(pairs.len() == 5000 && pairs.iter().all(|(first, second)| first < second));
        assert_eq!(pairs, draw(&neighbours, &none, 5000, 7));
        assert_ne!(pairs, draw(&neighbours, &none, 5000, 8));
        let distance = |&(first, second): &(usize, usize)| (second - first).min(1000 + first - second);
        let near = pairs.iter().filter(|pair| distance(pair) <= NEIGHBOURS).count();
        assert!((4000..4800).contains(&near), "{near}");
        // No more than there are.
        assert_eq!(draw(&[vec![1], vec![0]], &none, 10, 7), [(0, 1)]);
        assert_eq!(draw(&[vec![1], vec![0]], &HashSet::from([(0, 1)]), 10, 7), []);
    }
}
