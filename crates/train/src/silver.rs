//! Silver pairs: sentences that are paired by their likeness and scored by models, to be learned beside the gold of people.
//!
//! Source: Thakur et al. 2021, «Augmented SBERT», whose teacher is a cross-encoder; here it is the mean of any number of
//! sentence encoders, which knows more than any of them.

use std::{
    collections::{BTreeSet, HashSet},
    path::Path,
};

use anyhow::{Context, ensure};
use data::{DataDir, Dataset, Exclusion, MAX_SCORE, SentencePair, sentences};
use eval::LABEL_SCALE;
use model::{
    Options, SentenceEncoder,
    hub::{self, Hub},
    normalized,
};
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use crate::{
    config::{Config, Silver},
    progress::Progress,
    run_dir::SILVER,
    trainer::Environment,
};

/// Name of the set in reports and messages.
pub(crate) const NAME: &str = "silver pairs";

/// Neighbours of a sentence that its partners are drawn from.
const NEIGHBOURS: usize = 64;
/// Mean rank of a partner among them, counted from 0: most pairs are alike enough to be hard to tell, as those of people are.
const MEAN_RANK: f64 = 8.0;
/// Share of the partners that are drawn from all sentences, since few of those are alike.
const ANY: f64 = 0.1;
/// Sentences whose neighbours are looked for at once.
const QUERIES: usize = 512;

/// Pairs the sentences of the named sets and scores them: a function of the sentences, the teachers and the seed.
pub(crate) fn silver_pairs(silver: &Silver, config: &Config, environment: &Environment) -> anyhow::Result<Dataset> {
    let exclusion = Exclusion::load(&config.exclude, &environment.data_dir).context("data.exclude")?;
    let (mut distinct, mut seen) = (Vec::new(), HashSet::new());
    for spec in &silver.sentences {
        for sentence in sentences(spec, &environment.data_dir).context("data.silver.sentences")? {
            if !exclusion.is_within(&sentence) && seen.insert(sentence.clone()) {
                distinct.push(sentence);
            }
        }
    }
    ensure!(distinct.len() > 1, "data.silver.sentences: fewer than two sentences are left to pair");
    let progress = Progress::preparing();
    let mut embeddings = Vec::new();
    for teacher in &silver.teachers {
        let failed = || format!("data.silver.teachers {}", teacher.display());
        let dir = Hub::from_env().resolve(teacher, &mut hub::on_stderr()).with_context(failed)?;
        let options = Options { device: environment.device, ..Options::default() };
        let encoder = SentenceEncoder::load(dir, &options).with_context(failed)?;
        let mut told = progress.counting(&format!("encoding by {}", teacher.display()), distinct.len(), "sentences");
        embeddings.push(normalized(&encoder.encode_with_progress(&distinct, &mut told).with_context(failed)?));
    }
    // The inner product of two rows is the mean of the teachers' cosines.
    let embeddings = Tensor::cat(&embeddings, 1) / (silver.teachers.len() as f64).sqrt(); // (sentences, Σ hidden)
    let neighbours = nearest(&embeddings, environment.device, &progress)?;
    progress.finish();
    let pairs = draw(&neighbours, silver.pairs, config.seed);
    let pair = |(&(first, second), score): (&(usize, usize), f64)| SentencePair {
        sentence1: distinct[first].clone(),
        sentence2: distinct[second].clone(),
        score: Some(score),
    };
    let scores = scores(&embeddings, &pairs)?;
    let pairs: Vec<SentencePair> = pairs.iter().zip(scores).map(pair).collect();
    eprintln!("{NAME}: {} of {} sentences, scored by {} teachers", pairs.len(), distinct.len(), silver.teachers.len());
    Ok(Dataset { name: NAME.to_owned(), path: Default::default(), pairs })
}

/// The pairs that a run keeps in its directory.
pub(crate) fn saved_silver_pairs(run: &Path) -> anyhow::Result<Dataset> {
    let path = run.join(SILVER);
    let saved = Dataset::load(&path.to_string_lossy(), &DataDir::new(None))?;
    saved.scores()?;
    Ok(Dataset { name: NAME.to_owned(), ..saved })
}

/// The sentences most alike to each, best first, itself left out.
fn nearest(embeddings: &Tensor, device: Device, progress: &Progress) -> anyhow::Result<Vec<Vec<usize>>> {
    let count = embeddings.size()[0];
    let embeddings = embeddings.to_device(device);
    let most = (NEIGHBOURS as i64 + 1).min(count);
    let mut told = progress.counting("looking for neighbours", count as usize, "sentences");
    let mut neighbours = Vec::with_capacity(count as usize);
    for start in (0..count).step_by(QUERIES) {
        let queries = embeddings.narrow(0, start, (QUERIES as i64).min(count - start));
        let (_, places) = queries.matmul(&embeddings.tr()).topk(most, 1, true, true); // (queries, most)
        let places = Vec::<i64>::try_from(places.to_device(Device::Cpu).flatten(0, -1))?;
        neighbours.extend(places.chunks(most as usize).enumerate().map(|(query, places)| {
            let own = start as usize + query;
            let others = places.iter().map(|&place| place as usize).filter(|&place| place != own);
            others.take(NEIGHBOURS).collect::<Vec<_>>()
        }));
        told(queries.size()[0] as usize);
    }
    Ok(neighbours)
}

/// At most `count` distinct pairs: in each round every sentence draws a partner, in an order of the seed.
fn draw(neighbours: &[Vec<usize>], count: usize, seed: u64) -> Vec<(usize, usize)> {
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
            if partner != own {
                pairs.insert((own.min(partner), own.max(partner)));
            }
            if pairs.len() == count {
                return pairs.into_iter().collect();
            }
        }
    }
    pairs.into_iter().collect()
}

/// The score of each pair on the labels' scale, to four decimals.
fn scores(embeddings: &Tensor, pairs: &[(usize, usize)]) -> anyhow::Result<Vec<f64>> {
    let mut scores = Vec::with_capacity(pairs.len());
    for pairs in pairs.chunks(1 << 14) {
        let side = |place: fn(&(usize, usize)) -> usize| {
            let rows: Vec<i64> = pairs.iter().map(|pair| place(pair) as i64).collect();
            embeddings.index_select(0, &Tensor::from_slice(&rows))
        };
        let cosines = (side(|pair| pair.0) * side(|pair| pair.1)).sum_dim_intlist(1, false, Kind::Double);
        scores.extend(Vec::<f64>::try_from(cosines)?);
    }
    let scale = |cosine: f64| ((LABEL_SCALE * cosine).clamp(0.0, MAX_SCORE) * 1e4).round() / 1e4;
    Ok(scores.into_iter().map(scale).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_the_most_alike_without_the_sentence_itself() {
        let embeddings = Tensor::from_slice2(&[[1.0f32, 0.0], [0.8, 0.6], [0.0, 1.0], [-1.0, 0.0]]);
        let neighbours = nearest(&embeddings, Device::Cpu, &Progress::preparing()).unwrap();
        assert_eq!(neighbours, [vec![1, 2, 3], vec![0, 2, 3], vec![1, 0, 3], vec![2, 1, 0]]);
    }

    #[test]
    fn pairs_are_distinct_as_many_as_asked_for_and_mostly_of_near_neighbours() {
        let around = |own: usize| (1..=NEIGHBOURS).map(|step| (own + step) % 1000).collect::<Vec<_>>();
        let neighbours: Vec<_> = (0..1000).map(around).collect();
        let pairs = draw(&neighbours, 5000, 7);
        assert!(pairs.len() == 5000 && pairs.iter().all(|(first, second)| first < second));
        assert_eq!(pairs, draw(&neighbours, 5000, 7));
        assert_ne!(pairs, draw(&neighbours, 5000, 8));
        let distance = |&(first, second): &(usize, usize)| (second - first).min(1000 + first - second);
        let near = pairs.iter().filter(|pair| distance(pair) <= NEIGHBOURS).count();
        assert!((4000..4800).contains(&near), "{near}");
        // No more than there are.
        assert_eq!(draw(&[vec![1], vec![0]], 10, 7), [(0, 1)]);
    }

    #[test]
    fn a_score_is_five_times_the_mean_cosine_within_the_labels_scale() {
        let embeddings = Tensor::from_slice2(&[[1.0f32, 0.0], [0.8, 0.6], [-1.0, 0.0]]);
        assert_eq!(scores(&embeddings, &[(0, 1), (0, 2), (0, 0)]).unwrap(), [4.0, 0.0, 5.0]);
    }
}
