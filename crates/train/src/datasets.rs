//! The datasets of a run: training pairs merged, dev sets drawn or named, test sets.

use std::{
    collections::HashSet,
    path::{self, Path, PathBuf},
};

use anyhow::{Context, ensure};
use data::{
    DataDir, Dataset, Exclusion, Histogram, SentencePair, TextFile, Triplet, TripletSet, UnmatchedPair, canonical,
    doubt_of_scale, sentences, stratified_split,
};
use ground::hex;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{config::Config, objective::Objective};

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
#[derive(Clone, Debug, Default, Serialize)]
pub struct Rows {
    /// Training pairs that are left after the dev set was drawn, examples of contrastive training, or sentences of
    /// distillation.
    pub train: usize,
    /// Their scores, if they have any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_scores: Option<Histogram>,
    /// The same by the sets that they come from.
    pub train_sets: Vec<Count>,
    /// Texts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub text: Vec<TextCount>,
    /// Dev sets.
    pub dev: Vec<Count>,
    /// Digest of their sentences and scores, or of a held-out text's tokens: figures of runs that differ in it are not to be
    /// compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dev_sha256: Option<String>,
    /// Test sets.
    pub test: Vec<Count>,
}

/// A text and its size.
#[derive(Clone, Debug, Serialize)]
pub struct TextCount {
    /// The file as it was named.
    pub data: String,
    /// Its bytes on the disk.
    pub bytes: u64,
}

/// A dataset and its size.
#[derive(Clone, Debug, Serialize)]
pub struct Count {
    /// The dataset as it was named.
    pub data: String,
    /// Its pairs, examples of contrastive training, or sentences of distillation.
    pub pairs: usize,
    /// Their scores, if they have any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<Histogram>,
}

impl Count {
    /// Of a set of scored pairs.
    pub(crate) fn of(dataset: &Dataset) -> Self {
        Self::of_pairs(&dataset.name, &dataset.pairs)
    }

    fn of_pairs(name: &str, pairs: &[SentencePair]) -> Self {
        Self { data: name.to_owned(), pairs: pairs.len(), scores: Some(scores(pairs)) }
    }
}

fn scores(pairs: &[SentencePair]) -> Histogram {
    Histogram::of(pairs.iter().filter_map(|pair| pair.score))
}

/// Finds the files of the sets that a configuration names, but for those that another run makes; none is read.
pub(crate) fn find(config: &Config, dir: &DataDir, is_made: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let all = |specs: &[String], locate: fn(&str, &DataDir) -> Result<PathBuf, data::Error>| {
        specs.iter().filter(|spec| !is_made(spec)).try_for_each(|spec| locate(spec, dir).map(drop))
    };
    let train = match config.objective {
        Objective::Sts | Objective::CrossEncoder => Dataset::locate,
        Objective::Contrastive => TripletSet::locate,
        Objective::Distillation => data::locate,
        Objective::Mlm => |spec: &str, dir: &DataDir| Ok(TextFile::locate(spec, dir)?.path().to_owned()),
    };
    all(&config.train, train).context("data.train")?;
    all(&config.dev, Dataset::locate).context("data.dev")?;
    all(&config.test, Dataset::locate).context("data.test")?;
    all(&config.exclude, Dataset::locate).context("data.exclude")?;
    let of_silver = config.silver.iter().try_for_each(|silver| all(&silver.sentences, data::locate));
    of_silver.context("data.silver.sentences")
}

/// Loads sets whose pairs have to have scores.
pub(crate) fn load_labelled(specs: &[String], dir: &DataDir) -> anyhow::Result<Vec<Dataset>> {
    let datasets = specs.iter().map(|spec| Dataset::load(spec, dir)).collect::<Result<Vec<_>, _>>()?;
    for dataset in &datasets {
        if let Some(layout) = dataset.layout.filter(|layout| layout.encoding != "UTF-8") {
            ground::say!("{}: {layout}", dataset.name);
        }
        if dir.has_scale() {
            continue; // it was set on purpose
        }
        if let Some(doubt) = doubt_of_scale(&dataset.name, &dataset.scores()?) {
            ground::say!("warning: {doubt}");
        }
    }
    Ok(datasets)
}

/// The examples of a dataset, with their rows, and the pairs that are none.
pub(crate) struct ExampleSet {
    pub(crate) name: String,
    pub(crate) triplets: Vec<(usize, Triplet)>,
    pub(crate) unmatched: Vec<UnmatchedPair>,
}

/// Refuses a list of datasets that names a file twice.
pub(crate) fn refuse_repeated(config: &Config, dir: &DataDir) -> Result<(), data::Error> {
    let of_silver = config.silver.as_ref().map_or(&[][..], |silver| &silver.sentences);
    let lists =
        [("train", &config.train[..]), ("dev", &config.dev), ("test", &config.test), ("silver.sentences", of_silver)];
    lists.into_iter().try_for_each(|(key, specs)| data::refuse_repeated(&format!("data.{key}"), specs, dir))
}

/// Digest of the sentences and scores of dev sets.
pub(crate) fn dev_sha256(dev: &[Dataset]) -> String {
    let mut hash = Sha256::new();
    dev.iter().for_each(|dataset| digest_pairs(&mut hash, &dataset.pairs));
    hex(hash)
}

/// A sentence of some sets.
pub(crate) struct Sentence {
    pub(crate) text: String,
    /// The first set that it stands in, and where among the sentences of that.
    pub(crate) set: usize,
    pub(crate) row: usize,
}

/// The sentences of the named sets, each once, without what holds a sentence of a dev set or of `data.exclude`; says how many
/// hold one. `key` is where the sets are named.
pub(crate) fn distinct_sentences(
    key: &'static str,
    sets: &[String],
    dev: &[Dataset],
    config: &Config,
    dir: &DataDir,
) -> anyhow::Result<Vec<Sentence>> {
    let excluded = Exclusion::load(&config.exclude, dir).context("data.exclude")?;
    let dev = Exclusion::of(dev)?;
    let (mut seen, mut distinct, mut left_out) = (HashSet::new(), Vec::new(), 0);
    for (set, spec) in sets.iter().enumerate() {
        for (row, text) in sentences(spec, dir, config.text_sentences).context(key)?.into_iter().enumerate() {
            if !seen.insert(canonical(&text)) {
                continue;
            }
            if excluded.holds(&text) || dev.holds(&text) {
                left_out += 1;
            } else {
                distinct.push(Sentence { text, set, row });
            }
        }
    }
    if left_out > 0 {
        let all = seen.len();
        ground::say!("{key}: {left_out} of {all} sentences are those of dev sets or of data.exclude and are left out");
    }
    ensure!(
        distinct.len() > 1,
        "{key}: fewer than two sentences are left without those of dev sets and of data.exclude"
    );
    Ok(distinct)
}

/// Scored pairs that a run made and keeps in its directory.
pub(crate) fn saved_pairs(path: &Path, name: &str) -> anyhow::Result<Dataset> {
    let path = path::absolute(path)?; // which is no name of a dataset
    let saved = Dataset::load(path.to_str().context("the run directory's path is not UTF-8")?, &DataDir::new(None))?;
    saved.scores()?;
    Ok(Dataset { name: name.to_owned(), ..saved })
}

/// The rows of a training set that are not excluded, with their numbers; says how many are.
pub(crate) fn leave_out<T>(rows: Vec<T>, name: &str, is_excluded: impl Fn(&T) -> bool) -> Vec<(usize, T)> {
    let all = rows.len();
    let kept: Vec<(usize, T)> = rows.into_iter().enumerate().filter(|(_, row)| !is_excluded(row)).collect();
    if kept.len() < all {
        ground::say!("{name}: {} of {all} rows hold a sentence of data.exclude and are left out", all - kept.len());
    }
    kept
}

/// Adds sentences to a digest.
pub(crate) fn digest_texts<'a>(hash: &mut Sha256, texts: impl IntoIterator<Item = &'a str>) {
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
}

/// Adds every sentence and score to a digest.
pub(crate) fn digest_pairs(hash: &mut Sha256, pairs: &[SentencePair]) {
    hash.update((pairs.len() as u64).to_le_bytes());
    for SentencePair { sentence1, sentence2, score } in pairs {
        digest_texts(hash, [sentence1.as_str(), sentence2]);
        hash.update(score.unwrap_or(f64::NAN).to_le_bytes());
    }
}

fn pick<T: Clone>(items: &[T], rows: &[usize]) -> Vec<T> {
    rows.iter().map(|&row| items[row].clone()).collect()
}

impl Datasets {
    pub(crate) fn load(config: &Config, dir: &DataDir) -> anyhow::Result<Self> {
        let (mut pairs, mut origins) = (Vec::<SentencePair>::new(), Vec::new());
        let exclusion = Exclusion::load(&config.exclude, dir).context("data.exclude")?;
        for Dataset { name, pairs: all, .. } in load_labelled(&config.train, dir)? {
            for (row, pair) in leave_out(all, &name, |pair| pair.holds(&exclusion)) {
                origins.push((name.clone(), row));
                pairs.push(pair);
            }
        }
        ensure!(!pairs.is_empty(), "data.exclude leaves no pair to train on");
        let mut dev = Vec::new();
        if let Some(fraction) = config.dev_fraction {
            let all = config.dev_from.is_empty();
            let source: Vec<usize> =
                (0..pairs.len()).filter(|&row| all || config.dev_from.contains(&origins[row].0)).collect();
            let candidates: Vec<SentencePair> = source.iter().map(|&row| pairs[row].clone()).collect();
            let split = stratified_split(&candidates, fraction, config.split_seed).context("data.dev_fraction")?;
            let drawn: HashSet<usize> = split.dev.iter().map(|&place| source[place]).collect();
            let (percent, name) = ((fraction * 1e6).round() / 1e4, config.dev_from.join(" + "));
            let name = format!("{percent} % of {}", if all { "train" } else { &name });
            let (dev_rows, rows): (Vec<usize>, Vec<usize>) = (0..pairs.len()).partition(|row| drawn.contains(row));
            // A copy of a dev pair in a training set that the dev set is not drawn from would be trained on.
            let in_dev: HashSet<_> = dev_rows.iter().map(|&row| pairs[row].unordered()).collect();
            let rows: Vec<usize> = rows.into_iter().filter(|&row| !in_dev.contains(&pairs[row].unordered())).collect();
            dev.push(Dataset::made(name, pick(&pairs, &dev_rows)));
            (pairs, origins) = (pick(&pairs, &rows), pick(&origins, &rows));
        }
        dev.extend(load_labelled(&config.dev, dir)?);
        let train_labels = pairs.iter().filter_map(|pair| pair.score).collect();
        Ok(Self { train: pairs, train_labels, train_origins: origins, dev, test: load_labelled(&config.test, dir)? })
    }

    /// Adds training pairs.
    pub(crate) fn add(&mut self, dataset: Dataset) {
        for (row, pair) in dataset.pairs.into_iter().enumerate() {
            self.train_labels.extend(pair.score);
            self.train_origins.push((dataset.name.clone(), row));
            self.train.push(pair);
        }
    }

    /// The training pairs of one set.
    pub(crate) fn of(&self, name: &str) -> Dataset {
        let pairs = self.train.iter().zip(&self.train_origins).filter(|(_, (origin, _))| origin == name);
        Dataset::made(name, pairs.map(|(pair, _)| pair.clone()).collect())
    }

    pub(crate) fn rows(&self) -> Rows {
        // The pairs of a set stand together.
        let mut start = 0;
        let sets = self.train_origins.chunk_by(|(set, _), (next, _)| set == next).map(|origins| {
            let pairs = &self.train[start..start + origins.len()];
            start += origins.len();
            Count::of_pairs(&origins[0].0, pairs)
        });
        Rows {
            train: self.train.len(),
            train_scores: Some(scores(&self.train)),
            train_sets: sets.collect(),
            text: Vec::new(),
            dev: self.dev.iter().map(Count::of).collect(),
            dev_sha256: Some(dev_sha256(&self.dev)),
            test: self.test.iter().map(Count::of).collect(),
        }
    }

    /// A digest of every sentence and score, by which a resumed run knows its data again.
    pub(crate) fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        let sets = [&self.train].into_iter().chain(self.dev.iter().chain(&self.test).map(|dataset| &dataset.pairs));
        sets.for_each(|pairs| digest_pairs(&mut hash, pairs));
        hex(hash)
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
