//! Distillation: the cosines of a batch's sentences are to be those that other models find, on average.
//!
//! Source: Tung and Mori 2019, «Similarity-Preserving Knowledge Distillation», with cosines in the place of its normalized rows
//! of inner products. Here the batch is made of groups of neighbours, since most sentences that are drawn at random have
//! nothing in common. There is no dropout: what teachers say of so many pairs is not learned by heart, and a student that is to
//! repeat it exactly needs all of its units.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, ensure};
use data::Dataset;
use eval::LABEL_SCALE;
use ground::hex;
use model::{
    Precision, SimilarityFunction, TrainableEncoder,
    architecture::Variable,
    similarity_matrix, slices,
    weights::{read_safetensors, write_safetensors},
};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use super::{EpochOrder, Step, StepPlace, Task, order::steps};
use crate::{
    config::Config,
    datasets::{self, Count, Rows, dev_sha256, digest_pairs, digest_texts, distinct_sentences, load_labelled},
    entries::TEACHERS,
    environment::Environment,
    figures::DevFigures,
    initial::{initial_encoder, trainable_encoder},
    nearest::nearest,
    optimizer::AdamW,
    prepared::Prepared,
    progress::Progress,
    ranks::Ranks,
    speed::{Amount, Unit},
    step::{backpropagate_whole, finish_step},
    teachers::Teachers,
    tokenizing::{Tokenizing, tell_losses},
    validation::{validate, warn_where_unranked},
};

/// Neighbours of a sentence that the others of its group are drawn from: always the nearest would be the same group again.
const MAX_NEIGHBOURS: usize = 32;

/// Names of the parts of the file that keeps what the teachers say.
const EMBEDDINGS_KEY: &str = "embeddings";
const NEIGHBOURS_KEY: &str = "neighbours";

/// Sentences of a group at most.
fn group_size(batch_size: usize) -> usize {
    (batch_size / 4).clamp(2, 8) // so that a batch holds several
}

/// Mean squared difference of 5 · cosine between `embeddings`, (n, hidden), and the `cosines`, (n, n), that they are to have.
///
/// `groups` holds a number for each sentence: pairs of one group, and pairs of two, count half each, however many there are.
/// Source: Tung and Mori 2019, <https://arxiv.org/abs/1907.09682>; cosines and the weights of groups are not from there.
pub fn similarity_distillation_loss(embeddings: &Tensor, cosines: &Tensor, groups: &[i64]) -> Tensor {
    let device = embeddings.device();
    let squares = (LABEL_SCALE * (similarity_matrix(embeddings, embeddings) - cosines)).square(); // (n, n)
    let groups = Tensor::from_slice(groups).to_device(device);
    let alike = groups.unsqueeze(1).eq_tensor(&groups.unsqueeze(0));
    let own = Tensor::eye(groups.size()[0], (Kind::Bool, device));
    let mean = |pairs: &Tensor| {
        let pairs = pairs.to_kind(squares.kind());
        (&squares * &pairs).sum(squares.kind()) / pairs.sum(squares.kind()).clamp_min(1.0)
    };
    (mean(&alike.logical_xor(&own)) + mean(&alike.logical_not())) / 2.0
}

pub(super) struct Distillation {
    encoder: TrainableEncoder,
    sentences: Vec<Sentence>,
    taught: Taught,
    order: EpochOrder<Row>,
    sets: Vec<Count>,
    sha256: String,
    dev: Vec<Dataset>,
    test: Vec<Dataset>,
    precision: Precision,
    max_grad_norm: Option<f64>,
    batch_size: usize,
    ranks: Ranks,
}

/// A sentence as token ids.
struct Sentence {
    ids: Vec<i64>,
    set: usize,
    row: usize, // of its set
}

impl Distillation {
    pub(super) fn load(
        config: &Config,
        environment: &Environment,
        last: Option<&Path>,
        prepared: &Prepared<'_>,
    ) -> anyhow::Result<Self> {
        let dir = &config.data_dir(environment);
        let (dev, test) = (load_labelled(&config.dev, dir)?, load_labelled(&config.test, dir)?);
        warn_where_unranked(&dev, config.select_by)?;
        let sentences = distinct_sentences("data.train", &config.train, &dev, config, dir)?;
        prepared.check(steps(sentences.len(), config.batch_size * config.gradient_accumulation))?;
        let texts = || sentences.iter().map(|sentence| sentence.text.as_str()).collect::<Vec<_>>();
        let (encoder, taught) = match last {
            Some(last) => {
                (trainable_encoder(last, environment)?, Taught::read(&config.output.join(TEACHERS), sentences.len())?)
            }
            None => {
                let teachers = Teachers::find("data.teachers", &config.teachers)?;
                teachers.check_embed()?;
                let encoder = initial_encoder(config, || Ok(texts()), environment)?;
                (encoder, Taught::by(&teachers, &texts(), prepared)?)
            }
        };
        let mut hash = Sha256::new();
        digest_texts(&mut hash, texts());
        let neighbours = taught.neighbours()?;
        taught.digest(&neighbours, &mut hash);
        dev.iter().chain(&test).for_each(|dataset| digest_pairs(&mut hash, &dataset.pairs));
        let size = group_size(config.batch_size);
        let rows_per_step = config.batch_size * config.gradient_accumulation;
        let order =
            EpochOrder::new(sentences.len(), rows_per_step, config.seed, move |rng| grouped(&neighbours, size, rng));
        let mut sets: Vec<Count> =
            config.train.iter().map(|data| Count { data: data.clone(), pairs: 0, scores: None }).collect();
        sentences.iter().for_each(|sentence| sets[sentence.set].pairs += 1);
        let mut tokenizing = Tokenizing::by(encoder.tokenizer());
        let ids = tokenizing.encode(&texts())?.into_iter();
        tokenizing.tell("training sentences");
        tell_losses(&dev, encoder.tokenizer())?;
        tell_losses(&test, encoder.tokenizer())?;
        let sentence =
            |(ids, sentence): (_, &datasets::Sentence)| Sentence { ids, set: sentence.set, row: sentence.row };
        Ok(Self {
            encoder,
            sentences: ids.zip(&sentences).map(sentence).collect(),
            taught,
            order,
            sets,
            sha256: hex(hash),
            dev,
            test,
            precision: config.precision,
            max_grad_norm: config.max_grad_norm,
            batch_size: config.batch_size,
            ranks: environment.ranks.clone(),
        })
    }
}

/// The teachers' embeddings and neighbours of the sentences, made by the first rank and kept for resuming.
struct Taught {
    /// (sentences, Σ hidden), on the processor: the inner product of two rows is the mean of the teachers' cosines.
    embeddings: Tensor,
    /// The places of the most alike of each sentence, (sentences, at most `MAX_NEIGHBOURS`).
    neighbours: Tensor,
}

impl Taught {
    fn by(teachers: &Teachers, sentences: &[&str], prepared: &Prepared<'_>) -> anyhow::Result<Self> {
        let environment = prepared.environment;
        let (ranks, progress, count) = (&environment.ranks, Progress::preparing(), sentences.len() as i64);
        let mut found = None;
        let places = ranks.of_first(|| {
            let embeddings = teachers.embeddings(sentences, prepared, &progress)?;
            let nearest = prepared
                .neighbours(&teachers.origins()?, sentences, || nearest(&embeddings, environment.device, &progress))?;
            found = Some(embeddings);
            Ok(nearest
                .into_iter()
                .flat_map(|places| places.into_iter().take(MAX_NEIGHBOURS))
                .map(|place| place as f64)
                .collect())
        })?;
        let width = ranks.of_first(|| Ok(found.iter().map(|embeddings| embeddings.size()[1] as f64).collect()))?;
        progress.finish();
        let width = *width.first().expect("the first rank gives the width") as i64;
        let mut embeddings = match &found {
            Some(embeddings) => slices::to_vec(embeddings)?,
            None => vec![0.0; (count * width) as usize],
        };
        ranks.broadcast(&mut embeddings);
        let embeddings = Tensor::from_slice(&embeddings).view((count, width));
        let places: Vec<i64> = places.into_iter().map(|place| place as i64).collect();
        Ok(Self { embeddings, neighbours: Tensor::from_slice(&places).view((count, -1)) })
    }

    fn read(path: &Path, sentences: usize) -> anyhow::Result<Self> {
        let place = || path.display().to_string();
        let mut tensors = read_safetensors(path).with_context(place)?;
        let mut of_each = |name: &str, kind: Kind| {
            let tensor = tensors.remove(name).filter(|tensor| tensor.kind() == kind && tensor.dim() == 2);
            tensor
                .filter(|tensor| tensor.size()[0] == sentences as i64)
                .with_context(|| format!("{}: expected {name:?} with a row for each of {sentences} sentences", place()))
        };
        Ok(Self {
            embeddings: of_each(EMBEDDINGS_KEY, Kind::Float)?,
            neighbours: of_each(NEIGHBOURS_KEY, Kind::Int64)?,
        })
    }

    fn write(&self, path: &Path) -> Result<(), model::Error> {
        let parts = [(EMBEDDINGS_KEY, &self.embeddings), (NEIGHBOURS_KEY, &self.neighbours)];
        write_safetensors(path, &parts.map(|(name, part)| (name.to_owned(), part.shallow_clone())).into())
    }

    fn digest(&self, neighbours: &[Vec<usize>], hash: &mut Sha256) {
        for row in 0..self.embeddings.size()[0] {
            let row = slices::to_vec(&self.embeddings.get(row)).expect("a row on the processor");
            row.iter().for_each(|value| hash.update(value.to_le_bytes()));
        }
        neighbours.iter().flatten().for_each(|&place| hash.update((place as u64).to_le_bytes()));
    }

    fn neighbours(&self) -> anyhow::Result<Vec<Vec<usize>>> {
        let (count, each) = (self.neighbours.size()[0], self.neighbours.size()[1].max(1) as usize);
        let places = Vec::<i64>::try_from(self.neighbours.flatten(0, -1))?;
        ensure!(places.iter().all(|place| (0..count).contains(place)), "{TEACHERS}: a neighbour is no sentence");
        Ok(places.chunks(each).map(|places| places.iter().map(|&place| place as usize).collect()).collect())
    }

    /// The mean cosines of the teachers between some sentences, (n, n).
    fn cosines(&self, places: &[i64], device: Device) -> Tensor {
        let embeddings = self.embeddings.index_select(0, &Tensor::from_slice(places)).to_device(device);
        embeddings.matmul(&embeddings.tr())
    }
}

/// A sentence in its place.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Row {
    sentence: usize,
    group: i64,
}

/// Every sentence once, in groups: one, and some of its neighbours that are in no group yet.
fn grouped(neighbours: &[Vec<usize>], size: usize, rng: &mut ChaCha8Rng) -> Vec<Row> {
    let mut seeds: Vec<usize> = (0..neighbours.len()).collect();
    seeds.shuffle(rng);
    let (mut is_taken, mut groups) = (vec![false; neighbours.len()], Vec::new());
    for own in seeds {
        if is_taken[own] {
            continue;
        }
        let mut free: Vec<usize> = neighbours[own].iter().copied().filter(|&place| !is_taken[place]).collect();
        let (drawn, _) = free.partial_shuffle(rng, size - 1);
        let group: Vec<usize> = [own].into_iter().chain(drawn.iter().copied()).collect();
        group.iter().for_each(|&place| is_taken[place] = true);
        groups.push(group);
    }
    groups.shuffle(rng); // the last seeds found fewer that are free
    let rows = groups
        .into_iter()
        .enumerate()
        .flat_map(|(group, places)| places.into_iter().map(move |sentence| Row { sentence, group: group as i64 }));
    rows.collect()
}

impl Task for Distillation {
    fn variables(&self) -> BTreeMap<String, Tensor> {
        self.encoder.variables()
    }

    fn described(&self) -> Vec<Variable> {
        self.encoder.described()
    }

    fn steps_per_epoch(&self) -> u64 {
        self.order.steps()
    }

    fn step(&mut self, place: &StepPlace, optimizer: &mut AdamW) -> anyhow::Result<Step> {
        let rows = self.order.step(place);
        let (count, mut total) = (rows.len(), 0.0);
        // A sentence is compared within its batch alone, so accumulation is not the same as a larger batch.
        for batch in rows.chunks(self.batch_size) {
            let groups: Vec<i64> = batch.iter().map(|row| row.group).collect();
            let places: Vec<i64> = batch.iter().map(|row| row.sentence as i64).collect();
            let cosines = self.taught.cosines(&places, self.encoder.device());
            let own = &batch[self.ranks.share(batch.len())];
            let sentences: Vec<Vec<i64>> = own.iter().map(|row| self.sentences[row.sentence].ids.clone()).collect();
            let share = batch.len() as f64 / count as f64;
            // A sentence is compared with those of all ranks.
            let loss = |embeddings: &Tensor| {
                similarity_distillation_loss(&self.ranks.complete(embeddings), &cosines, &groups) * share
            };
            total += backpropagate_whole(&self.encoder, &sentences, self.precision, None, &self.ranks, loss);
        }
        let outcome = finish_step(optimizer, total, place.learning_rate, self.max_grad_norm, &self.ranks);
        Ok(Step { outcome, amount: Amount { count, unit: Unit::Sentences } })
    }

    fn origins(&mut self, place: &StepPlace) -> String {
        let name = |Row { sentence, .. }: Row| {
            let Sentence { set, row, .. } = self.sentences[sentence];
            format!("{} {row}", self.sets[set].data)
        };
        let rows = self.order.step(place);
        format!("its sentences, counted from 0: {}", rows.into_iter().map(name).collect::<Vec<_>>().join(", "))
    }

    fn write_data(&self, run: &Path) -> anyhow::Result<()> {
        Ok(self.taught.write(&run.join(TEACHERS))?)
    }

    fn validate(&self, progress: &Progress) -> anyhow::Result<Vec<DevFigures>> {
        validate(self.encoder.encoder(), &self.dev, &self.ranks, progress)
    }

    fn write(&self, dir: &Path, card: &str) -> Result<(), model::Error> {
        self.encoder.write(dir, card)
    }

    fn similarity_function(&self) -> Option<SimilarityFunction> {
        Some(self.encoder.encoder().similarity_function())
    }

    fn rows(&self) -> Rows {
        Rows {
            train: self.sentences.len(),
            train_sets: self.sets.clone(),
            dev: self.dev.iter().map(Count::of).collect(),
            dev_sha256: Some(dev_sha256(&self.dev)),
            test: self.test.iter().map(Count::of).collect(),
            ..Rows::default()
        }
    }

    fn data_sha256(&self) -> anyhow::Result<String> {
        Ok(self.sha256.clone())
    }

    fn into_test(self: Box<Self>) -> Vec<Dataset> {
        self.test
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn an_epoch_takes_every_sentence_once_and_neighbours_together() {
        // Ten clusters of twenty, in which all are each other's neighbours.
        let cluster = |own: usize| (own / 20 * 20..own / 20 * 20 + 20).filter(move |&place| place != own);
        let neighbours: Vec<Vec<usize>> = (0..200).map(|own| cluster(own).collect()).collect();
        let order = |seed| grouped(&neighbours, 8, &mut ChaCha8Rng::seed_from_u64(seed));
        let rows = order(1);
        let mut sentences: Vec<usize> = rows.iter().map(|row| row.sentence).collect();
        sentences.sort_unstable();
        assert_eq!(sentences, (0..200).collect::<Vec<_>>());
        let groups: Vec<&[Row]> = rows.chunk_by(|row, next| row.group == next.group).collect();
        // Of twenty: 8, 8 and 4.
        assert_eq!(groups.len(), 30);
        for group in groups {
            assert!(
                group.len() <= 8 && group.iter().all(|row| row.sentence / 20 == group[0].sentence / 20),
                "{group:?}"
            );
        }
        assert_eq!(order(1), rows);
        assert_ne!(order(2), rows);
    }

    #[test]
    fn pairs_within_a_group_and_between_groups_count_half_each() {
        let embeddings = Tensor::from_slice2(&[[1.0f32, 0.0], [0.0, 1.0], [-1.0, 0.0]]);
        let loss = |cosines: &[[f32; 3]; 3], groups: &[i64]| {
            similarity_distillation_loss(&embeddings, &Tensor::from_slice2(cosines), groups).double_value(&[])
        };
        // As they are; what a sentence has with itself does not matter.
        assert_eq!(loss(&[[7.0, 0.0, -1.0], [0.0, 7.0, 0.0], [-1.0, 0.0, 7.0]], &[0, 0, 1]), 0.0);
        // 0.2 more within the group: (5 · 0.2)² of half the loss; and 0.4 more in one of two pairs between groups.
        let within = [[1.0, 0.2, -1.0], [0.2, 1.0, 0.0], [-1.0, 0.0, 1.0]];
        assert!((loss(&within, &[0, 0, 1]) - 0.5).abs() < 1e-6);
        let between = [[1.0, 0.0, -0.6], [0.0, 1.0, 0.0], [-0.6, 0.0, 1.0]];
        assert!((loss(&between, &[0, 0, 1]) - 1.0).abs() < 1e-6);
        // With no pair of a kind, there is none of its loss.
        assert!((loss(&within, &[0, 1, 2]) - 1.0 / 6.0).abs() < 1e-6);
        assert_eq!(
            similarity_distillation_loss(
                &embeddings.narrow(0, 0, 1),
                &Tensor::ones([1, 1], (Kind::Float, Device::Cpu)),
                &[0]
            )
            .double_value(&[]),
            0.0
        );
    }
}
