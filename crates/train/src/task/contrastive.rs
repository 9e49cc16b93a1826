//! Contrastive training: every anchor is to find its positive among all positives and hard negatives of its batch.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::{Context, ensure};
use data::{Dataset, Exclusion, TextFile, Triplet, TripletSet, write_pairs};
use ground::hex;
use model::{Precision, SimilarityFunction, TrainableEncoder, architecture::Variable, similarity_matrix};
use sha2::{Digest, Sha256};
use tch::{Kind, Reduction, Tensor};

use super::{EpochOrder, Step, StepPlace, Task, order::steps};
use crate::{
    config::{Config, TokenEmbeddings},
    datasets::{
        Count, ExampleSet, Rows, dev_sha256, digest_pairs, digest_texts, leave_out, load_labelled, saved_pairs,
    },
    entries::HARD_NEGATIVES,
    environment::Environment,
    figures::DevFigures,
    hard_negatives::{self, hard_negatives},
    initial::{Text, initial_encoder, initial_encoder_of_text, trainable_encoder},
    optimizer::AdamW,
    prepared::Prepared,
    progress::Progress,
    ranks::Ranks,
    sentence_groups::{ExampleGroups, Groups, SentenceGroups, share_group},
    speed::{Amount, Unit},
    step::{backpropagate_whole, finish_step},
    tokenizing::{Tokenizing, tell_losses},
    validation::{validate, warn_where_unranked},
};

/// Factor on the cosines. Source: sentence-transformers, `MultipleNegativesRankingLoss`.
const SCALE: f64 = 20.0;

/// Multiple-negatives ranking loss: the cross-entropy with which an anchor's positive is picked among all candidates of the
/// batch, by cosines times 20.
///
/// `anchors` is (n, hidden); `candidates` is (n + m, hidden), the n positives in the order of their anchors and m hard
/// negatives. Each anchor and each candidate has the numbers of the groups in which its sentence stands. A candidate that
/// shares a group with an anchor, and be it the anchor's own text, is no wrong answer of it and is left out, but for its own
/// positive. Where no two examples share a group, this is sentence-transformers' `MultipleNegativesRankingLoss`.
pub fn multiple_negatives_loss(
    anchors: &Tensor,
    candidates: &Tensor,
    anchor_groups: &[impl AsRef<[i64]>],
    candidate_groups: &[impl AsRef<[i64]>],
) -> Tensor {
    let device = anchors.device();
    let count = anchor_groups.len() as i64;
    let scores = similarity_matrix(anchors, candidates) * SCALE; // (n, n + m)
    let left_out = anchor_groups.iter().enumerate().flat_map(|(own, of_anchor)| {
        let of_anchor = of_anchor.as_ref();
        candidate_groups
            .iter()
            .enumerate()
            .map(move |(place, of_candidate)| place != own && share_group(of_anchor, of_candidate.as_ref()))
    });
    let left_out = Tensor::from_slice(&left_out.collect::<Vec<bool>>()).view_as(&scores).to_device(device);
    let scores = scores.masked_fill(&left_out, f64::NEG_INFINITY);
    let labels = Tensor::arange(count, (Kind::Int64, device));
    scores.cross_entropy_loss::<Tensor>(&labels, None, Reduction::Mean, -100, 0.0)
}

pub(super) struct Contrastive {
    encoder: TrainableEncoder,
    examples: Vec<Example>,
    sets: Vec<Count>,
    mined: Option<Dataset>,
    sha256: String,
    dev: Vec<Dataset>,
    test: Vec<Dataset>,
    precision: Precision,
    max_grad_norm: Option<f64>,
    batch_size: usize,
    order: EpochOrder<usize>,
    ranks: Ranks,
}

/// A triplet as token ids.
struct Example {
    anchor: Vec<i64>,
    positive: Vec<i64>,
    negatives: Vec<Vec<i64>>,
    groups: ExampleGroups,
    set: usize,
    row: usize, // of its set
}

impl Contrastive {
    pub(super) fn load(
        config: &Config,
        environment: &Environment,
        last: Option<&Path>,
        prepared: &Prepared<'_>,
    ) -> anyhow::Result<Self> {
        let dir = &config.data_dir(environment);
        let exclusion = Arc::new(Exclusion::load(&config.exclude, dir).context("data.exclude")?);
        let mut sets = Vec::new();
        for spec in &config.train {
            let TripletSet { name, triplets, unmatched } = TripletSet::load(spec, dir, config.text_pairs)?;
            let triplets = leave_out(triplets, &name, |triplet| triplet.holds(&exclusion));
            sets.push(ExampleSet { name, triplets, unmatched });
        }
        ensure!(triplets(&sets).next().is_some(), "data.exclude leaves no example to train on");
        let groups = SentenceGroups::of(&sets);
        ensure!(
            config.hard_negatives.is_some() || groups.have_wrong_answer(&sets),
            "data.train: of {} examples none has a wrong answer, a sentence of another example that is not known to be like its \
             anchor: there is nothing to learn",
            triplets(&sets).count()
        );
        let (dev, test) = (load_labelled(&config.dev, dir)?, load_labelled(&config.test, dir)?);
        warn_where_unranked(&dev, config.select_by)?;
        prepared.check(steps(triplets(&sets).count(), config.batch_size * config.gradient_accumulation))?;
        let encoder = match last {
            Some(last) => trainable_encoder(last, environment)?,
            None if config.token_embeddings() == TokenEmbeddings::Cooccurrence => {
                let texts = config.train.iter().filter(|spec| TextFile::is_text(Path::new(spec)));
                let files = texts.map(|spec| TextFile::locate(spec, dir)).collect::<Result<Vec<_>, _>>()?;
                let text = Text { files: &files, exclusion: &exclusion, held_out: 0 };
                initial_encoder_of_text(config, &text, environment)?
            }
            None => initial_encoder(config, || Ok(triplets(&sets).flat_map(texts).collect()), environment)?,
        };
        let mined = mined(&sets, &dev, &exclusion, &encoder, prepared, last)?;
        for ((_, triplet), pair) in
            sets.iter_mut().flat_map(|set| &mut set.triplets).zip(mined.iter().flat_map(|mined| &mined.pairs))
        {
            triplet.negatives.push(pair.sentence2.clone());
        }
        let mut tokenizing = Tokenizing::by(encoder.tokenizer());
        let examples = tokenize(&sets, &groups, &mut tokenizing)?;
        tokenizing.tell("training examples");
        tell_losses(&dev, encoder.tokenizer())?;
        tell_losses(&test, encoder.tokenizer())?;
        let mut hash = Sha256::new();
        digest_texts(&mut hash, triplets(&sets).flat_map(texts));
        dev.iter().chain(&test).for_each(|dataset| digest_pairs(&mut hash, &dataset.pairs));
        let count = |set: &ExampleSet| Count { data: set.name.clone(), pairs: set.triplets.len(), scores: None };
        Ok(Self {
            encoder,
            order: EpochOrder::shuffled(examples.len(), config.batch_size * config.gradient_accumulation, config.seed),
            examples,
            sets: sets.iter().map(count).collect(),
            mined,
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

fn triplets(sets: &[ExampleSet]) -> impl Iterator<Item = &Triplet> {
    sets.iter().flat_map(|set| &set.triplets).map(|(_, triplet)| triplet)
}

fn texts(triplet: &Triplet) -> impl Iterator<Item = &str> {
    [&triplet.anchor, &triplet.positive].into_iter().chain(&triplet.negatives).map(String::as_str)
}

/// Hard negatives for all examples, if the configuration asks for them: a resumed run's are those that it began with.
fn mined(
    sets: &[ExampleSet],
    dev: &[Dataset],
    exclusion: &Exclusion,
    encoder: &TrainableEncoder,
    prepared: &Prepared<'_>,
    last: Option<&Path>,
) -> anyhow::Result<Option<Dataset>> {
    let Some(asked) = &prepared.config.hard_negatives else { return Ok(None) };
    if last.is_none() {
        return hard_negatives(sets, dev, exclusion, asked, encoder, prepared).map(Some);
    }
    let path = prepared.config.output.join(HARD_NEGATIVES);
    let saved = saved_pairs(&path, hard_negatives::NAME)?;
    let (found, expected) = (saved.pairs.len(), triplets(sets).count());
    ensure!(found == expected, "{}: {found} rows, expected {expected}, one for each example", path.display());
    Ok(Some(saved))
}

fn tokenize(
    sets: &[ExampleSet],
    groups: &SentenceGroups,
    tokenizing: &mut Tokenizing,
) -> Result<Vec<Example>, model::Error> {
    let mut encode = |sentences: Vec<&String>| tokenizing.encode(&sentences).map(Vec::into_iter);
    let mut anchors = encode(triplets(sets).map(|triplet| &triplet.anchor).collect())?;
    let mut positives = encode(triplets(sets).map(|triplet| &triplet.positive).collect())?;
    let mut negatives = encode(triplets(sets).flat_map(|triplet| &triplet.negatives).collect())?;
    let mut examples = Vec::new();
    for (set, ExampleSet { triplets, .. }) in sets.iter().enumerate() {
        for (row, triplet) in triplets {
            examples.push(Example {
                anchor: anchors.next().unwrap_or_default(),
                positive: positives.next().unwrap_or_default(),
                negatives: negatives.by_ref().take(triplet.negatives.len()).collect(),
                groups: groups.of_example(triplet),
                set,
                row: *row,
            });
        }
    }
    Ok(examples)
}

impl Task for Contrastive {
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
        // An anchor is compared within its batch alone, so accumulation is not the same as a larger batch.
        for (index, batch) in rows.chunks(self.batch_size).enumerate() {
            let all = || batch.iter().map(|&row| &self.examples[row]);
            let anchor_groups: Vec<&Groups> = all().map(|example| &example.groups.anchor).collect();
            let positive_groups = all().map(|example| &example.groups.positive);
            let candidate_groups: Vec<&Groups> =
                positive_groups.chain(all().flat_map(|example| &example.groups.negatives)).collect();
            let rows = &batch[self.ranks.share(batch.len())];
            let examples: Vec<&Example> = rows.iter().map(|&row| &self.examples[row]).collect();
            let anchors = examples.iter().map(|example| &example.anchor);
            let positives = examples.iter().map(|example| &example.positive);
            let negatives = examples.iter().flat_map(|example| &example.negatives);
            let sentences: Vec<Vec<i64>> = anchors.chain(positives).chain(negatives).cloned().collect();
            let share = batch.len() as f64 / count as f64;
            let seed = Some(self.ranks.seed(place.seed.wrapping_add(index as u64)));
            // An anchor is compared with the candidates of all ranks.
            let loss = |embeddings: &Tensor| {
                let split = rows.len() as i64;
                let part = |start: i64, count: i64| self.ranks.complete(&embeddings.narrow(0, start, count));
                let (anchors, positives) = (part(0, split), part(split, split));
                let negatives = part(2 * split, embeddings.size()[0] - 2 * split);
                let candidates = Tensor::cat(&[positives, negatives], 0);
                multiple_negatives_loss(&anchors, &candidates, &anchor_groups, &candidate_groups) * share
            };
            total += backpropagate_whole(&self.encoder, &sentences, self.precision, seed, &self.ranks, loss);
        }
        let outcome = finish_step(optimizer, total, place.learning_rate, self.max_grad_norm, &self.ranks);
        Ok(Step { outcome, amount: Amount { count, unit: Unit::Pairs } })
    }

    fn origins(&mut self, place: &StepPlace) -> String {
        let rows = self.order.step(place);
        let name = |row: usize| {
            let Example { set, row, .. } = self.examples[row];
            format!("{} {row}", self.sets[set].data)
        };
        format!("its examples, counted from 0: {}", rows.into_iter().map(name).collect::<Vec<_>>().join(", "))
    }

    fn write_data(&self, run: &Path) -> anyhow::Result<()> {
        if let Some(mined) = &self.mined {
            write_pairs(mined, &run.join(HARD_NEGATIVES))?;
        }
        Ok(())
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
            train: self.examples.len(),
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
