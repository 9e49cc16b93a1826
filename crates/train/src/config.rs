//! The configuration of a run: a TOML file with overrides, validated once.

mod hard_negatives;
mod model_source;
mod objective_keys;
mod raw;
mod silver;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use data::{DataDir, Reading};
use model::{Pooling, Precision, PromptChoice};
use serde::{Deserialize, Serialize};

pub use hard_negatives::HardNegatives;
pub use model_source::{ModelSource, TokenEmbeddings};
pub(crate) use raw::{Member, RawConfig, RawTrial};
pub use silver::Silver;

use crate::{environment::Environment, figures::SelectBy, loss::Loss, objective::Objective};

/// Seed by which a dev set is drawn.
const DEFAULT_SPLIT_SEED: u64 = 42;

/// A validated configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// As it was read, with every default filled in; this is what a run directory keeps.
    pub(crate) raw: RawConfig,
    /// What the encoder is taught.
    pub objective: Objective,
    /// Seed of weights, dropout, data order and hidden tokens.
    pub seed: u64,
    /// Run directory.
    pub output: PathBuf,
    /// Where the encoder comes from.
    pub model: ModelSource,
    /// Tokens per sentence, special tokens included; `None` leaves it to the model, or is 128.
    pub max_seq_length: Option<usize>,
    /// From token embeddings to a sentence's; `None` leaves it to the model.
    pub pooling: Option<Pooling>,
    /// What to put before every text.
    pub prompt: PromptChoice,
    /// Dropout of embeddings, attention and layers while training; `None` leaves it to the model.
    pub dropout: Option<f64>,
    /// Training datasets, merged; of distillation, those whose sentences are learned from.
    pub train: Vec<String>,
    /// Models whose similarities are learned; of distillation.
    pub teachers: Vec<PathBuf>,
    /// Hard negatives to be found for every example; of contrastive training.
    pub hard_negatives: Option<HardNegatives>,
    /// Pairs that models score, to be learned beside the others.
    pub silver: Option<Silver>,
    /// Share of the training pairs that is set aside as a dev set.
    pub dev_fraction: Option<f64>,
    /// The training datasets that share is drawn from; all of them if none is named.
    pub dev_from: Vec<String>,
    /// Seed of that draw: runs that share it have the same dev set, whatever their own seed.
    pub split_seed: u64,
    /// Dev datasets.
    pub dev: Vec<String>,
    /// Datasets that the best epoch is measured on.
    pub test: Vec<String>,
    /// Datasets whose sentences are left out of training.
    pub exclude: Vec<String>,
    /// Paragraphs at the beginning of the text that are not trained on; of masked language modelling.
    pub held_out: usize,
    /// Pairs of neighbouring sentences that a text gives; of contrastive training.
    pub text_pairs: usize,
    /// Sentences that a text gives to distillation and silver pairs.
    pub text_sentences: usize,
    /// How the files of a user's own pairs are read.
    pub reading: Reading,
    /// Optimizer steps of an epoch of masked language modelling; a text is read on from epoch to epoch.
    pub steps_per_epoch: u64,
    /// Passes over the training pairs.
    pub epochs: u32,
    /// Optimizer steps after which the run ends, whatever `epochs` says.
    pub max_steps: Option<u64>,
    /// Pairs, or sentences of distillation, that go through the encoder at once.
    pub batch_size: usize,
    /// Batches per optimizer step.
    pub gradient_accumulation: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Factor on the learning rate of each layer for every layer above it.
    pub layerwise_lr_decay: f64,
    /// Length of the warm-up.
    pub warmup: Warmup,
    /// Step at which the learning rate has decayed to 0, where that is not the run's last.
    pub decay_steps: Option<u64>,
    /// Bound on the norm of the gradient; `None` leaves it alone.
    pub max_grad_norm: Option<f64>,
    /// Number format of training.
    pub precision: Precision,
    /// Dev figure that picks the best epoch.
    pub select_by: SelectBy,
    /// What training on scored pairs makes small.
    pub loss: Loss,
    /// Steps between two entries of the log.
    pub log_every_steps: u64,
    /// Steps between two saved states within an epoch; one is saved after each epoch in any case.
    pub save_every_steps: Option<u64>,
}

/// Length of the warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warmup {
    /// In epochs.
    Epochs(f64),
    /// As a share of the run.
    Ratio(f64),
    /// In steps.
    Steps(u64),
}

impl Warmup {
    /// Warm-up steps of a run.
    pub fn steps(self, steps_per_epoch: u64, total_steps: u64) -> anyhow::Result<u64> {
        let steps = match self {
            Warmup::Epochs(epochs) => (epochs * steps_per_epoch as f64).round() as u64,
            Warmup::Ratio(ratio) => (ratio * total_steps as f64).round() as u64,
            Warmup::Steps(steps) => steps,
        };
        ensure!(
            steps <= total_steps,
            "the warm-up is {steps} steps long, beyond the {total_steps} of the schedule: lower train.warmup_steps, warmup_epochs or warmup_ratio"
        );
        Ok(steps)
    }
}

impl Config {
    pub(crate) fn validate(mut raw: RawConfig) -> anyhow::Result<Self> {
        let model = model_source::read(&raw)?;
        let (data, train) = (&mut raw.data, &mut raw.train);
        objective_keys::check(raw.objective, &raw.model, data, train)?;
        if let Some(silver) = &mut data.silver {
            silver.check(&data.train)?;
        }
        if let Some(fraction) = data.dev_fraction {
            ensure!(
                fraction > 0.0 && fraction < 1.0,
                "data.dev_fraction is {fraction}, expected more than 0 and less than 1"
            );
        }
        if data.dev_fraction.is_some() {
            data.split_seed_is_default = data.split_seed.is_none();
            data.split_seed.get_or_insert(DEFAULT_SPLIT_SEED);
        }
        ensure!(
            data.split_seed.is_none() || data.dev_fraction.is_some(),
            "data.split_seed does nothing: no dev set is drawn (data.dev_fraction)"
        );
        if let Some(name) = data.dev_from.iter().find(|name| !data.train.contains(name)) {
            bail!("data.dev_from names {name:?}, which is none of data.train");
        }
        let positive = |name: &str, value: u64| {
            ensure!(value > 0, "{name} is 0, expected at least 1");
            Ok(())
        };
        // The bound keeps their product, the pairs of a step, within any integer.
        for (name, value) in [("batch_size", train.batch_size), ("gradient_accumulation", train.gradient_accumulation)]
        {
            ensure!((1..=1 << 20).contains(&value), "train.{name} is {value}, expected 1..=1048576");
        }
        positive("train.epochs", train.epochs.into())?;
        positive("train.max_steps", train.max_steps.unwrap_or(1))?;
        positive("train.log_every_steps", train.log_every_steps)?;
        positive("train.save_every_steps", train.save_every_steps.unwrap_or(1))?;
        let within = |name: &str, value: f64, low: f64, high: f64| {
            ensure!((low..=high).contains(&value), "{name} is {value}, expected {low}..={high}");
            Ok(())
        };
        ensure!(
            train.learning_rate > 0.0 && train.learning_rate < 1.0,
            "train.learning_rate is {}, expected more than 0 and less than 1",
            train.learning_rate
        );
        within("train.weight_decay", train.weight_decay, 0.0, 1.0)?;
        within("train.layerwise_lr_decay", train.layerwise_lr_decay.unwrap_or(1.0), 0.0, 1.0)?;
        ensure!(train.precision != Precision::Int8, "train.precision is int8, expected f32 or bf16");
        ensure!(train.max_grad_norm >= 0.0, "train.max_grad_norm is {}, expected 0 (off) or more", train.max_grad_norm);
        let warmup = match (train.warmup_epochs, train.warmup_ratio, train.warmup_steps) {
            (Some(epochs), None, None) => {
                within("train.warmup_epochs", epochs, 0.0, train.epochs.into())?;
                Warmup::Epochs(epochs)
            }
            (None, Some(ratio), None) => {
                within("train.warmup_ratio", ratio, 0.0, 1.0)?;
                Warmup::Ratio(ratio)
            }
            (None, None, Some(steps)) => Warmup::Steps(steps),
            (None, None, None) => {
                train.warmup_ratio = Some(0.1);
                Warmup::Ratio(0.1)
            }
            _ => bail!("train.warmup_epochs, train.warmup_ratio and train.warmup_steps exclude each other: give one"),
        };
        let output = raw.output.clone().context("output is missing")?;
        let config = Self {
            seed: raw.seed,
            output,
            model,
            max_seq_length: raw.model.max_seq_length,
            pooling: raw.model.pooling,
            prompt: PromptChoice::of(raw.model.prompt_name.clone(), raw.model.prompt.clone()),
            dropout: raw.model.dropout,
            objective: raw.objective,
            held_out: raw.data.held_out.unwrap_or_default(),
            text_pairs: raw.data.text_pairs.unwrap_or_default(),
            text_sentences: raw.data.text_sentences.unwrap_or_default(),
            reading: Reading {
                columns: raw.data.columns.clone(),
                scale: raw.data.scale.unwrap_or_default(),
                sheet: raw.data.sheet.clone(),
            },
            steps_per_epoch: raw.train.steps_per_epoch.unwrap_or(1),
            train: raw.data.train.clone(),
            teachers: raw.data.teachers.clone(),
            hard_negatives: raw.data.hard_negatives.clone(),
            silver: raw.data.silver.clone(),
            dev_fraction: raw.data.dev_fraction,
            dev_from: raw.data.dev_from.clone(),
            split_seed: raw.data.split_seed.unwrap_or(DEFAULT_SPLIT_SEED),
            dev: raw.data.dev.clone(),
            test: raw.data.test.clone(),
            exclude: raw.data.exclude.clone(),
            epochs: raw.train.epochs,
            max_steps: raw.train.max_steps,
            batch_size: raw.train.batch_size,
            gradient_accumulation: raw.train.gradient_accumulation,
            learning_rate: raw.train.learning_rate,
            weight_decay: raw.train.weight_decay,
            layerwise_lr_decay: raw.train.layerwise_lr_decay.unwrap_or(1.0),
            warmup,
            decay_steps: raw.train.decay_steps,
            max_grad_norm: (raw.train.max_grad_norm > 0.0).then_some(raw.train.max_grad_norm),
            precision: raw.train.precision,
            select_by: raw.train.select_by.unwrap_or_default(),
            loss: raw.train.loss.unwrap_or_default(),
            log_every_steps: raw.train.log_every_steps,
            save_every_steps: raw.train.save_every_steps,
            raw,
        };
        // --overwrite would remove the very model that the run starts or learns from.
        let within = |path: &Path| {
            path.canonicalize().is_ok_and(|path| config.output.canonicalize().is_ok_and(|run| path.starts_with(run)))
        };
        if let Some(model) = config.models().find(|model| within(model)) {
            let (model, output) = (model.display(), config.output.display());
            bail!("the model {model} lies in the run's own output {output}: choose another output");
        }
        Ok(config)
    }
}

impl Config {
    /// The configuration of a run whose dev set was drawn by another seed, before there was a key for it.
    pub(crate) fn with_split_seed(&self, seed: u64) -> Self {
        let mut config = Self { split_seed: seed, ..self.clone() };
        config.raw.data.split_seed = Some(seed);
        config
    }

    /// Where the run finds its datasets, and how it reads those that have no name.
    pub(crate) fn data_dir(&self, environment: &Environment) -> DataDir {
        environment.data_dir.clone().with_reading(self.reading.clone())
    }

    /// The models that the run reads.
    pub(crate) fn models(&self) -> impl Iterator<Item = &PathBuf> {
        let init = match &self.model {
            ModelSource::Init(init) => Some(init),
            ModelSource::Scratch { .. } => None,
        };
        let miners =
            self.hard_negatives.iter().flat_map(|negatives| negatives.model.iter().chain(&negatives.cross_encoder));
        let of_silver = self.silver.iter().flat_map(|silver| &silver.teachers);
        init.into_iter().chain(miners).chain(of_silver).chain(&self.teachers)
    }

    /// What training makes small, by its name in the literature.
    pub(crate) fn loss_name(&self) -> &'static str {
        match self.objective {
            Objective::Sts | Objective::CrossEncoder => self.loss.name(),
            Objective::Contrastive => "multiple negatives",
            Objective::Distillation => "similarity-preserving",
            Objective::Mlm => "cross-entropy",
        }
    }

    /// Where the token embeddings of a fresh encoder come from.
    pub(crate) fn token_embeddings(&self) -> TokenEmbeddings {
        match self.model {
            ModelSource::Init(_) => TokenEmbeddings::Random,
            ModelSource::Scratch { token_embeddings, .. } => token_embeddings,
        }
    }
}

/// Number format of the weights of an exported checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportWeights {
    /// Half precision: half the size, three digits.
    #[default]
    F16,
    /// bfloat16: half the size, two digits.
    Bf16,
    /// As they were trained.
    F32,
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
