//! Masked language modelling on running text.

mod masking;
mod sequences;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::{Context, ensure};
use data::{BlockPlace, Dataset, Exclusion, TextBlocks, TextFile};
use ground::hex;
use model::{Guesses, MaskedBatch, MaskedLanguageModel, Precision, architecture::Variable};
use sha2::{Digest, Sha256};
use tch::Tensor;

use self::{masking::Masking, sequences::Sequences};
use super::{Step, StepPlace, Task};
use crate::{
    config::Config,
    datasets::{Rows, TextCount},
    environment::Environment,
    figures::DevFigures,
    initial::{Text, initial_masked_model, saved_masked_model},
    optimizer::AdamW,
    prepared::Prepared,
    progress::Progress,
    ranks::Ranks,
    speed::{Amount, Unit},
    state::StreamPlace,
    step::finish_step,
};

pub(super) struct Masked {
    model: MaskedLanguageModel,
    files: Vec<TextFile>,
    names: Vec<String>, // of the files, as asked for
    sequences: Sequences,
    masking: Masking,
    exclusion: Arc<Exclusion>,
    held_out: Vec<MaskedBatch>,
    dev_sha256: String,
    precision: Precision,
    max_grad_norm: Option<f64>,
    batch_size: usize,
    sequences_per_step: usize,
    steps_per_epoch: u64,
    ranks: Ranks,
}

impl Masked {
    pub(super) fn load(
        config: &Config,
        environment: &Environment,
        last: Option<&Path>,
        place: StreamPlace,
        prepared: &Prepared<'_>,
    ) -> anyhow::Result<Self> {
        let locate = |path: &String| TextFile::locate(path, &environment.data_dir);
        let files: Vec<TextFile> = config.train.iter().map(locate).collect::<Result<_, _>>().context("data.train")?;
        let exclusion =
            Arc::new(Exclusion::load(&config.exclude, &config.data_dir(environment)).context("data.exclude")?);
        prepared.check(config.steps_per_epoch)?;
        let model = match last {
            Some(last) => saved_masked_model(last, config, environment)?,
            None => {
                let text = Text { files: &files, exclusion: &exclusion, held_out: config.held_out };
                initial_masked_model(config, &text, environment)?
            }
        };
        let tokenizer = model.tokenizer();
        let masking = Masking::new(tokenizer)?;
        let blocks = TextBlocks::new(files.clone(), config.held_out, exclusion.clone(), config.seed, place.block)?;
        let sequences = Sequences::new(blocks, tokenizer.clone(), place)?;
        let mut paragraphs = Vec::new();
        for file in &files {
            let left = config.held_out - paragraphs.len();
            paragraphs.extend(file.paragraphs()?.take(left).collect::<Result<Vec<_>, _>>()?);
        }
        let held_out: Vec<Vec<i64>> = tokenizer.encode_windows(&paragraphs)?.into_iter().flatten().collect();
        let mut hash = Sha256::new();
        held_out.iter().flatten().for_each(|id| hash.update(id.to_le_bytes()));
        let dev_sha256 = hex(hash);
        // The same masks in every epoch and every run of the same seed.
        let mask = |(index, batch): (usize, &[Vec<i64>])| masking.mask(batch.to_vec(), config.seed ^ index as u64);
        let held_out: Vec<MaskedBatch> = held_out
            .chunks(config.batch_size)
            .enumerate()
            .map(mask)
            .filter(|batch| !batch.positions.is_empty())
            .collect();
        ensure!(
            !held_out.is_empty(),
            "data.held_out: the first {} paragraphs of the text hold no token that the vocabulary knows, so that nothing of them \
             can be hidden and no epoch be measured",
            config.held_out
        );
        Ok(Self {
            held_out,
            dev_sha256,
            model,
            files,
            names: config.train.clone(),
            sequences,
            masking,
            exclusion,
            precision: config.precision,
            max_grad_norm: config.max_grad_norm,
            batch_size: config.batch_size,
            sequences_per_step: config.batch_size * config.gradient_accumulation,
            steps_per_epoch: config.steps_per_epoch,
            ranks: environment.ranks.clone(),
        })
    }
}

impl Task for Masked {
    fn variables(&self) -> BTreeMap<String, Tensor> {
        self.model.variables()
    }

    fn described(&self) -> Vec<Variable> {
        self.model.architecture().masked_variables()
    }

    fn steps_per_epoch(&self) -> u64 {
        self.steps_per_epoch
    }

    fn step(&mut self, place: &StepPlace, optimizer: &mut AdamW) -> anyhow::Result<Step> {
        let sequences = self.sequences.take(self.sequences_per_step)?;
        let tokens = sequences.iter().map(Vec::len).sum();
        let batches = sequences.chunks(self.batch_size).enumerate();
        let batches: Vec<MaskedBatch> = batches
            .map(|(index, batch)| self.masking.mask(batch.to_vec(), place.seed.wrapping_add(index as u64)))
            .collect();
        let positions: usize = batches.iter().map(|batch| batch.positions.len()).sum();
        let mut total = 0.0;
        for (index, batch) in batches.iter().enumerate() {
            let own = batch.part(self.ranks.share(batch.sequences.len()));
            if own.positions.is_empty() {
                continue; // of a batch with fewer sequences than ranks
            }
            let share = own.positions.len() as f64 / positions as f64;
            let dropout = Some(self.ranks.seed(place.seed.wrapping_add(index as u64)));
            total += share * self.model.backpropagate(&own, self.precision, dropout, share);
        }
        let outcome = finish_step(optimizer, total, place.learning_rate, self.max_grad_norm, &self.ranks);
        Ok(Step { outcome, amount: Amount { count: tokens, unit: Unit::Tokens } })
    }

    fn origins(&mut self, _: &StepPlace) -> String {
        let StreamPlace { block: BlockPlace { pass, block }, taken } = self.sequences.place();
        format!("it read up to sequence {taken} of block {block} in pass {pass} over the text, each counted from 0")
    }

    fn validate(&self, progress: &Progress) -> anyhow::Result<Vec<DevFigures>> {
        let own = &self.held_out[self.ranks.share(self.held_out.len())];
        let mut told = progress.counting("guessing the held-out text", own.len(), "batches");
        let mut sums = [0.0; 3];
        for batch in own {
            let Guesses { loss, right, positions } = self.model.guess(batch);
            sums = [sums[0] + loss, sums[1] + right as f64, sums[2] + positions as f64];
            told(1);
        }
        self.ranks.sum(&mut sums);
        let [loss, right, positions] = sums;
        let sum = Guesses { loss, right: right as u64, positions: positions as u64 };
        Ok(vec![DevFigures::masked("held-out text", &sum)])
    }

    fn write(&self, dir: &Path, card: &str) -> Result<(), model::Error> {
        self.model.write(dir, card)
    }

    fn stream_place(&self) -> Option<StreamPlace> {
        Some(self.sequences.place())
    }

    fn rows(&self) -> Rows {
        let bytes = |file: &TextFile| file.path().metadata().map_or(0, |metadata| metadata.len());
        let count = |(name, file): (&String, &TextFile)| TextCount { data: name.clone(), bytes: bytes(file) };
        Rows {
            text: self.names.iter().zip(&self.files).map(count).collect(),
            dev_sha256: Some(self.dev_sha256.clone()),
            ..Rows::default()
        }
    }

    fn data_sha256(&self) -> anyhow::Result<String> {
        let digests: Vec<String> = self.files.iter().map(TextFile::sha256).collect::<Result<_, _>>()?;
        Ok(format!("{} without {}", digests.join(" + "), self.exclusion.sha256()))
    }

    fn into_test(self: Box<Self>) -> Vec<Dataset> {
        Vec::new()
    }
}
