//! The datasets of a run: training pairs merged, dev sets drawn or named, test sets.

use std::collections::HashSet;

use anyhow::Context;
use data::{DataDir, Dataset, Histogram, SentencePair, stratified_split};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::config::Config;

/// Everything that a run reads.
pub(crate) struct Datasets {
    pub(crate) train: Vec<SentencePair>,
    pub(crate) train_labels: Vec<f64>,
    /// Dataset and row that each training pair comes from.
    train_origins: Vec<(String, usize)>,
    pub(crate) dev: Vec<Dataset>,
    pub(crate) test: Vec<Dataset>,
}

/// Pairs of each part, for the report.
#[derive(Clone, Debug, Serialize)]
pub struct Rows {
    /// Training pairs that are left after the dev set was drawn.
    pub train: usize,
    /// Their scores.
    pub train_scores: Histogram,
    /// The same by the sets that they come from.
    pub train_sets: Vec<Count>,
    /// Dev sets.
    pub dev: Vec<Count>,
    /// Test sets.
    pub test: Vec<Count>,
}

/// A dataset and its size.
#[derive(Clone, Debug, Serialize)]
pub struct Count {
    /// The dataset as it was named.
    pub data: String,
    /// Its pairs.
    pub pairs: usize,
    /// Their scores.
    pub scores: Histogram,
}

fn pick<T: Clone>(items: &[T], rows: &[usize]) -> Vec<T> {
    rows.iter().map(|&row| items[row].clone()).collect()
}

impl Datasets {
    pub(crate) fn load(config: &Config, dir: &DataDir) -> anyhow::Result<Self> {
        let load = |specs: &[String]| -> anyhow::Result<Vec<Dataset>> {
            let datasets = specs.iter().map(|spec| Dataset::load(spec, dir)).collect::<Result<Vec<_>, _>>()?;
            for dataset in &datasets {
                dataset.scores()?; // training and selection need labels
            }
            Ok(datasets)
        };
        let (mut pairs, mut origins) = (Vec::<SentencePair>::new(), Vec::new());
        for dataset in load(&config.train)? {
            origins.extend((0..dataset.pairs.len()).map(|row| (dataset.name.clone(), row)));
            pairs.extend(dataset.pairs);
        }
        let mut dev = Vec::new();
        if let Some(fraction) = config.dev_fraction {
            let all = config.dev_from.is_empty();
            let source: Vec<usize> =
                (0..pairs.len()).filter(|&row| all || config.dev_from.contains(&origins[row].0)).collect();
            let candidates: Vec<SentencePair> = source.iter().map(|&row| pairs[row].clone()).collect();
            let split = stratified_split(&candidates, fraction, config.seed).context("data.dev_fraction")?;
            let drawn: HashSet<usize> = split.dev.iter().map(|&place| source[place]).collect();
            let (percent, name) = ((fraction * 1e6).round() / 1e4, config.dev_from.join(" + "));
            let name = format!("{percent} % of {}", if all { "train" } else { &name });
            let (dev_rows, rows): (Vec<usize>, Vec<usize>) = (0..pairs.len()).partition(|row| drawn.contains(row));
            // A copy of a dev pair in a training set that the dev set is not drawn from would be trained on.
            let in_dev: HashSet<_> = dev_rows.iter().map(|&row| pairs[row].unordered()).collect();
            let rows: Vec<usize> = rows.into_iter().filter(|&row| !in_dev.contains(&pairs[row].unordered())).collect();
            dev.push(Dataset { name, path: Default::default(), pairs: pick(&pairs, &dev_rows) });
            (pairs, origins) = (pick(&pairs, &rows), pick(&origins, &rows));
        }
        dev.extend(load(&config.dev)?);
        let train_labels = pairs.iter().filter_map(|pair| pair.score).collect();
        Ok(Self { train: pairs, train_labels, train_origins: origins, dev, test: load(&config.test)? })
    }

    pub(crate) fn rows(&self) -> Rows {
        let scores = |pairs: &[SentencePair]| Histogram::of(pairs.iter().filter_map(|pair| pair.score));
        let count = |dataset: &Dataset| {
            let (data, pairs) = (dataset.name.clone(), dataset.pairs.len());
            Count { data, pairs, scores: scores(&dataset.pairs) }
        };
        let rows = |datasets: &[Dataset]| datasets.iter().map(count).collect();
        let (train, train_scores) = (self.train.len(), scores(&self.train));
        // The pairs of a set stand together.
        let mut start = 0;
        let sets = self.train_origins.chunk_by(|(set, _), (next, _)| set == next).map(|origins| {
            let pairs = &self.train[start..start + origins.len()];
            start += origins.len();
            Count { data: origins[0].0.clone(), pairs: pairs.len(), scores: scores(pairs) }
        });
        Rows { train, train_scores, train_sets: sets.collect(), dev: rows(&self.dev), test: rows(&self.test) }
    }

    /// A digest of every sentence and score, by which a resumed run knows its data again.
    pub(crate) fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        let sets = [&self.train].into_iter().chain(self.dev.iter().chain(&self.test).map(|dataset| &dataset.pairs));
        for pairs in sets {
            hash.update((pairs.len() as u64).to_le_bytes());
            for SentencePair { sentence1, sentence2, score } in pairs {
                for sentence in [sentence1, sentence2] {
                    hash.update((sentence.len() as u64).to_le_bytes());
                    hash.update(sentence);
                }
                hash.update(score.unwrap_or(f64::NAN).to_le_bytes());
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Names training pairs by dataset and row.
    pub(crate) fn origins(&self, rows: &[usize]) -> String {
        let origin = |&row: &usize| format!("{} {}", self.train_origins[row].0, self.train_origins[row].1);
        rows.iter().map(origin).collect::<Vec<_>>().join(", ")
    }

    /// Both sentences of every training pair.
    pub(crate) fn train_sentences(&self) -> Vec<&str> {
        self.train.iter().flat_map(|pair| [pair.sentence1.as_str(), pair.sentence2.as_str()]).collect()
    }
}
