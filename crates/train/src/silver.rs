//! Silver pairs: sentences that are paired by their likeness and scored by models, to be learned beside the gold of people.
//!
//! Source: Thakur et al. 2021, «Augmented SBERT», whose teacher is a cross-encoder; here it is the mean of any number of
//! sentence encoders, which knows more than any of them.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::{self, Path, PathBuf},
};

use anyhow::{Context, ensure};
use data::{DataDir, Dataset, Exclusion, MAX_SCORE, SentencePair, plain, sentences};
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
    datasets::Datasets,
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

/// Pairs the sentences of the named sets and scores them: a function of the sentences, the teachers and the seed. No
/// sentence of a dev set is among them, and no pair of `gold`.
pub(crate) fn silver_pairs(
    silver: &Silver,
    gold: &Datasets,
    config: &Config,
    environment: &Environment,
) -> anyhow::Result<Dataset> {
    let distinct = distinct_sentences(silver, gold, config, environment)?;
    let place: HashMap<&str, usize> = distinct.iter().enumerate().map(|(place, text)| (text.as_str(), place)).collect();
    let known = gold.train.iter().filter_map(|pair| {
        let (&first, &second) = (place.get(pair.sentence1.as_str())?, place.get(pair.sentence2.as_str())?);
        Some((first.min(second), first.max(second)))
    });
    // The first rank's pairs are those of all: another machine may round otherwise.
    let own = match environment.ranks.is_first() {
        true => scored_pairs(silver, &distinct, &known.collect(), config.seed, environment)?,
        false => Vec::new(),
    };
    let numbers: Vec<f64> =
        own.iter().flat_map(|&(first, second, score)| [first as f64, second as f64, score]).collect();
    let numbers = environment.ranks.gather(&numbers).concat();
    let pair = |number: &[f64]| SentencePair {
        sentence1: distinct[number[0] as usize].clone(),
        sentence2: distinct[number[1] as usize].clone(),
        score: Some(number[2]),
    };
    let pairs: Vec<SentencePair> = numbers.chunks_exact(3).map(pair).collect();
    ensure!(!pairs.is_empty(), "data.silver.sentences: every pair of them is among the training pairs already");
    let teachers = silver.teachers.iter().map(|teacher| teacher.display().to_string()).collect::<Vec<_>>().join(", ");
    eprintln!("{NAME}: {} of {} sentences, scored by {teachers}", pairs.len(), distinct.len());
    Ok(Dataset { name: NAME.to_owned(), path: Default::default(), pairs })
}

/// The pairs that a run keeps in its directory.
pub(crate) fn saved_silver_pairs(run: &Path) -> anyhow::Result<Dataset> {
    let path = path::absolute(run.join(SILVER))?; // which is no name of a dataset
    let saved = Dataset::load(path.to_str().context("the run directory's path is not UTF-8")?, &DataDir::new(None))?;
    saved.scores()?;
    Ok(Dataset { name: NAME.to_owned(), ..saved })
}

fn distinct_sentences(
    silver: &Silver,
    gold: &Datasets,
    config: &Config,
    environment: &Environment,
) -> anyhow::Result<Vec<String>> {
    let exclusion = Exclusion::load(&config.exclude, &environment.data_dir).context("data.exclude")?;
    let dev = gold.dev.iter().flat_map(|dev| &dev.pairs);
    let mut seen: HashSet<String> =
        dev.flat_map(|pair| [&pair.sentence1, &pair.sentence2]).map(|sentence| plain(sentence)).collect();
    let mut distinct = Vec::new();
    for spec in &silver.sentences {
        for sentence in sentences(spec, &environment.data_dir).context("data.silver.sentences")? {
            if !exclusion.is_within(&sentence) && seen.insert(plain(&sentence)) {
                distinct.push(sentence);
            }
        }
    }
    ensure!(distinct.len() > 1, "data.silver.sentences: fewer than two sentences are left to pair");
    Ok(distinct)
}

/// Pairs of places with their scores.
fn scored_pairs(
    silver: &Silver,
    distinct: &[String],
    known: &HashSet<(usize, usize)>,
    seed: u64,
    environment: &Environment,
) -> anyhow::Result<Vec<(usize, usize, f64)>> {
    let failed = |teacher: &Path| format!("data.silver.teachers {}", teacher.display());
    // First all of them: one that is not there is told before hours of work.
    let resolve =
        |teacher: &PathBuf| Hub::from_env().resolve(teacher, &mut hub::on_stderr()).with_context(|| failed(teacher));
    let dirs = silver.teachers.iter().map(resolve).collect::<anyhow::Result<Vec<_>>>()?;
    let progress = Progress::preparing();
    let (mut embeddings, share) = (Vec::new(), (dirs.len() as f64).sqrt());
    for (teacher, dir) in silver.teachers.iter().zip(dirs) {
        let options = Options { device: environment.device, ..Options::default() };
        let encoder = SentenceEncoder::load(dir, &options).with_context(|| failed(teacher))?;
        let mut told = progress.counting(&format!("encoding by {}", teacher.display()), distinct.len(), "sentences");
        let encoded = encoder.encode_with_progress(distinct, &mut told).with_context(|| failed(teacher))?;
        let is_finite = encoded.isfinite().all().int64_value(&[]) == 1;
        ensure!(is_finite, "{}: its embeddings are not all finite", failed(teacher));
        embeddings.push(normalized(&encoded).g_div_scalar_(share));
    }
    // The inner product of two rows is the mean of the teachers' cosines.
    let embeddings = Tensor::cat(&embeddings, 1); // (sentences, Σ hidden)
    let neighbours = nearest(&embeddings, environment.device, &progress)?;
    progress.finish();
    let pairs = draw(&neighbours, known, silver.pairs, seed);
    let scores = scores(&embeddings, &pairs)?;
    Ok(pairs.into_iter().zip(scores).map(|((first, second), score)| (first, second, score)).collect())
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

    #[test]
    fn a_score_is_five_times_the_mean_cosine_within_the_labels_scale() {
        let embeddings = Tensor::from_slice2(&[[1.0f32, 0.0], [0.8, 0.6], [-1.0, 0.0]]);
        assert_eq!(scores(&embeddings, &[(0, 1), (0, 2), (0, 0)]).unwrap(), [4.0, 0.0, 5.0]);
    }
}
