//! The configuration of a run: a TOML file with overrides, validated once.

mod objective_keys;
mod plan;
mod raw;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use data::TextFile;
use model::{EncoderConfig, Pooling, Precision};
use serde::{Deserialize, Serialize};

pub use plan::Plan;
pub(crate) use raw::RawConfig;

use crate::{loss::Loss, objective::Objective};

/// A validated configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// As it was read, with every default filled in; this is what a run directory keeps.
    pub(crate) raw: RawConfig,
    /// What the encoder is taught.
    pub objective: Objective,
    /// Seed of weights, dropout, data order and dev split.
    pub seed: u64,
    /// Run directory.
    pub output: PathBuf,
    /// Where the encoder comes from.
    pub model: ModelSource,
    /// Tokens per sentence, special tokens included; `None` leaves it to the model, or is 128.
    pub max_seq_length: Option<usize>,
    /// From token embeddings to a sentence's; `None` leaves it to the model.
    pub pooling: Option<Pooling>,
    /// Dropout of embeddings, attention and layers while training; `None` leaves it to the model.
    pub dropout: Option<f64>,
    /// Training datasets, merged.
    pub train: Vec<String>,
    /// Share of the training pairs that is set aside as a dev set.
    pub dev_fraction: Option<f64>,
    /// The training datasets that share is drawn from; all of them if none is named.
    pub dev_from: Vec<String>,
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
    /// Optimizer steps of an epoch of masked language modelling; a text is read on from epoch to epoch.
    pub steps_per_epoch: u64,
    /// Passes over the training pairs.
    pub epochs: u32,
    /// Optimizer steps after which the run ends, whatever `epochs` says.
    pub max_steps: Option<u64>,
    /// Pairs that go through the encoder at once.
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

/// Where the encoder comes from.
#[derive(Clone, Debug)]
pub enum ModelSource {
    /// A model directory, or a model's id on the hub.
    Init(PathBuf),
    /// Fresh weights.
    Scratch {
        /// Shape of the encoder; its `vocab_size` and `pad_token_id` are settled with the tokenizer.
        config: Box<EncoderConfig>,
        /// Entries of the tokenizer to be trained, or rows of the embedding table beside one that is given.
        vocab_size: Option<usize>,
        /// A `tokenizer.json`; one is trained on the training data without it. May start with `data:`.
        tokenizer: Option<String>,
        /// Where the token embeddings come from.
        token_embeddings: TokenEmbeddings,
    },
}

/// Where a fresh encoder's token embeddings come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenEmbeddings {
    /// Drawn like every other weight.
    #[default]
    Random,
    /// Which tokens stand beside which in the text of `data.train`. The encoder begins as the weighted average of such vectors.
    Cooccurrence,
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

/// The dev figure that picks the best epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SelectBy {
    /// Pearson's correlation, the higher the better.
    #[default]
    Pearson,
    /// Spearman's correlation, the higher the better.
    Spearman,
    /// F1 of «score ≥ 3», the higher the better.
    F1,
    /// Mean squared error, the lower the better.
    Loss,
}

impl SelectBy {
    /// Whether one figure is better than another; one that is undefined is worse than any.
    pub(crate) fn is_better(self, new: Option<f64>, old: Option<f64>) -> bool {
        match (new, old) {
            (Some(new), Some(old)) if self == SelectBy::Loss => new < old,
            (Some(new), Some(old)) => new > old,
            (new, old) => new.is_some() && old.is_none(),
        }
    }
}

impl Config {
    fn validate(mut raw: RawConfig) -> anyhow::Result<Self> {
        let model = model_source(&mut raw)?;
        let (data, train) = (&mut raw.data, &mut raw.train);
        objective_keys::check(raw.objective, data, train)?;
        if let Some(fraction) = data.dev_fraction {
            ensure!(
                fraction > 0.0 && fraction < 1.0,
                "data.dev_fraction is {fraction}, expected more than 0 and less than 1"
            );
        }
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
        if let ModelSource::Init(init) = &model {
            // --overwrite would remove the very model that the run starts from.
            let within = |path: &Path| {
                path.canonicalize().is_ok_and(|path| output.canonicalize().is_ok_and(|run| path.starts_with(run)))
            };
            ensure!(
                !within(init),
                "model.init lies in the run's own output {}: choose another output",
                output.display()
            );
        }
        Ok(Self {
            seed: raw.seed,
            output,
            model,
            max_seq_length: raw.model.max_seq_length,
            pooling: raw.model.pooling,
            dropout: raw.model.dropout,
            objective: raw.objective,
            held_out: raw.data.held_out.unwrap_or_default(),
            text_pairs: raw.data.text_pairs.unwrap_or_default(),
            steps_per_epoch: raw.train.steps_per_epoch.unwrap_or(1),
            train: raw.data.train.clone(),
            dev_fraction: raw.data.dev_fraction,
            dev_from: raw.data.dev_from.clone(),
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
        })
    }
}

impl Config {
    /// What training makes small, by its name in the literature.
    pub(crate) fn loss_name(&self) -> &'static str {
        match self.objective {
            Objective::Sts => self.loss.name(),
            Objective::Contrastive => "multiple negatives",
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

/// Keys of `[model.scratch]`: the tokenizer, those that shape the encoder, and those of Hugging Face's `config.json` that
/// are passed through.
const SCRATCH_KEYS: [&str; 24] = [
    "tokenizer",
    "token_embeddings",
    "model_type",
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "max_position_embeddings",
    "type_vocab_size",
    "initializer_range",
    "layer_norm_eps",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "classifier_dropout",
    "position_embedding_type",
    "is_decoder",
    "use_cache",
    "tie_word_embeddings",
    "architectures",
];

fn model_source(raw: &mut RawConfig) -> anyhow::Result<ModelSource> {
    if let Some(length) = raw.model.max_seq_length {
        ensure!(length >= 3, "model.max_seq_length is {length}, expected at least 3");
    }
    if let Some(dropout) = raw.model.dropout {
        ensure!((0.0..1.0).contains(&dropout), "model.dropout is {dropout}, expected at least 0 and less than 1");
    }
    let mut table = match (&raw.model.init, &raw.model.scratch) {
        (Some(init), None) => {
            ensure!(
                raw.model.tokenizer.is_none(),
                "model.tokenizer goes with [model.scratch]; model.init brings its own"
            );
            return Ok(ModelSource::Init(init.clone()));
        }
        (None, Some(scratch)) => scratch.clone(),
        (Some(_), Some(_)) => bail!("model.init and [model.scratch] exclude each other: give one"),
        (None, None) => bail!("no model: give model.init, or [model.scratch] to train from fresh weights"),
    };
    if let Some(key) = table.keys().find(|key| !SCRATCH_KEYS.contains(&key.as_str())) {
        bail!("model.scratch: unknown key `{key}`, expected one of {}", SCRATCH_KEYS.join(", "));
    }
    let tokenizer = match (raw.model.tokenizer.clone(), table.remove("tokenizer")) {
        (Some(_), Some(_)) => bail!("model.tokenizer and model.scratch.tokenizer are the same key: give one"),
        (None, Some(toml::Value::String(path))) => Some(path),
        (None, Some(other)) => bail!("model.scratch.tokenizer is {other}, expected the path of a tokenizer.json"),
        (path, None) => path,
    };
    let token_embeddings: TokenEmbeddings = match table.remove("token_embeddings") {
        Some(value) => value.try_into().map_err(|error: toml::de::Error| {
            anyhow::anyhow!("model.scratch.token_embeddings: {}", one_line(error.message()))
        })?,
        None => TokenEmbeddings::default(),
    };
    let has_text = match raw.objective {
        Objective::Mlm => true,
        Objective::Contrastive => raw.data.train.iter().any(|spec| TextFile::is_text(Path::new(spec))),
        Objective::Sts => false,
    };
    ensure!(
        token_embeddings == TokenEmbeddings::Random || has_text,
        "model.scratch.token_embeddings = \"cooccurrence\" needs a text to count in (.txt, .txt.zst): give data.train one, \
         with objective = \"mlm\" or \"contrastive\""
    );
    ensure!(
        token_embeddings == TokenEmbeddings::Random || matches!(raw.model.pooling, None | Some(Pooling::Mean)),
        "model.scratch.token_embeddings = \"cooccurrence\" begins as an average: model.pooling has to be \"mean\""
    );
    let vocab_size = match table.get("vocab_size").map(toml::Value::as_integer) {
        Some(size) => {
            let size = size.filter(|size| (1..=1 << 30).contains(size));
            Some(size.context("model.scratch.vocab_size: expected a whole number from 1 to 2^30")? as usize)
        }
        None => {
            ensure!(tokenizer.is_some(), "model.scratch.vocab_size is missing: the tokenizer to be trained needs it");
            table.insert("vocab_size".to_owned(), 1.into()); // settled with the tokenizer
            None
        }
    };
    table.entry("model_type").or_insert_with(|| "roberta".into());
    let config: EncoderConfig = serde_path_to_error::deserialize(toml::Value::Table(table))
        .map_err(|error| anyhow::anyhow!("model.scratch: {}", one_line(&error.to_string())))?;
    Ok(ModelSource::Scratch { config: Box::new(config), vocab_size, tokenizer, token_embeddings })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
