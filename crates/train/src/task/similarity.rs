//! Fine-tuning on scored pairs.

use std::{collections::BTreeMap, path::Path};

use anyhow::ensure;
use data::{Dataset, write_pairs};
use model::{SimilarityFunction, TrainableEncoder, architecture::Variable};
use tch::Tensor;

use super::{EpochOrder, Step, StepPlace, Task, order::steps};
use crate::{
    config::Config,
    datasets::{Datasets, Rows, saved_pairs},
    entries::SILVER,
    environment::Environment,
    figures::DevFigures,
    initial::{initial_encoder, trainable_encoder},
    optimizer::AdamW,
    pairs::{Batch, TokenizedPairs},
    prepared::Prepared,
    progress::Progress,
    ranks::Ranks,
    silver::{self, silver_pairs},
    speed::{Amount, Unit},
    step::{StepConfig, training_step},
    tokenizing::tell_losses,
    validation::{validate, warn_where_unranked},
};

pub(super) struct Similarity {
    encoder: TrainableEncoder,
    datasets: Datasets,
    pairs: TokenizedPairs,
    step_config: StepConfig, // but for dropout
    batch_size: usize,
    order: EpochOrder<usize>,
    ranks: Ranks,
}

impl Similarity {
    pub(super) fn load(
        config: &Config,
        environment: &Environment,
        last: Option<&Path>,
        prepared: &Prepared<'_>,
    ) -> anyhow::Result<Self> {
        let mut datasets = Datasets::load(config, &config.data_dir(environment))?;
        let is_ranked = datasets.train_labels.iter().any(|label| *label != datasets.train_labels[0]);
        ensure!(
            is_ranked || !config.loss.spans_batch() || config.silver.is_some(),
            "data.train: every label is {}, and {} ranks pairs by their labels: there is nothing to learn",
            datasets.train_labels[0],
            config.loss.name()
        );
        warn_where_unranked(&datasets.dev, config.select_by)?;
        let rows_per_step = config.batch_size * config.gradient_accumulation;
        let silver_pairs_at_most = config.silver.as_ref().map_or(0, |silver| silver.pairs);
        prepared.check(steps(datasets.train.len() + silver_pairs_at_most, rows_per_step))?;
        if let Some(silver) = &config.silver {
            datasets.add(match last {
                Some(_) => saved_pairs(&config.output.join(SILVER), silver::NAME)?,
                None => silver_pairs(silver, &datasets, prepared)?,
            });
        }
        let encoder = match last {
            Some(last) => trainable_encoder(last, environment)?,
            None => initial_encoder(config, || Ok(datasets.train_sentences()), environment)?,
        };
        tell_losses(&datasets.dev, encoder.tokenizer())?;
        tell_losses(&datasets.test, encoder.tokenizer())?;
        let pairs = TokenizedPairs::new(&datasets.train, &datasets.train_labels, encoder.tokenizer())?;
        let Config { loss, precision, max_grad_norm, batch_size, .. } = *config;
        let step_config = StepConfig { loss, precision, max_grad_norm, dropout: None };
        let order = EpochOrder::shuffled(pairs.len(), batch_size * config.gradient_accumulation, config.seed);
        Ok(Self { encoder, datasets, pairs, step_config, batch_size, order, ranks: environment.ranks.clone() })
    }
}

impl Task for Similarity {
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
        let batches: Vec<Batch> = rows.chunks(self.batch_size).map(|rows| self.pairs.batch(rows)).collect();
        let config = StepConfig { dropout: Some(place.seed), ..self.step_config };
        let outcome = training_step(&self.encoder, optimizer, &batches, place.learning_rate, &config, &self.ranks);
        Ok(Step { outcome, amount: Amount { count: rows.len(), unit: Unit::Pairs } })
    }

    fn origins(&mut self, place: &StepPlace) -> String {
        format!("its rows, counted from 0: {}", self.datasets.origins(&self.order.step(place)))
    }

    fn write_data(&self, run: &Path) -> anyhow::Result<()> {
        let silver = self.datasets.of(silver::NAME);
        if !silver.pairs.is_empty() {
            write_pairs(&silver, &run.join(SILVER))?;
        }
        Ok(())
    }

    fn validate(&self, progress: &Progress) -> anyhow::Result<Vec<DevFigures>> {
        validate(self.encoder.encoder(), &self.datasets.dev, &self.ranks, progress)
    }

    fn write(&self, dir: &Path, card: &str) -> Result<(), model::Error> {
        self.encoder.write(dir, card)
    }

    fn similarity_function(&self) -> Option<SimilarityFunction> {
        Some(self.encoder.encoder().similarity_function())
    }

    fn rows(&self) -> Rows {
        self.datasets.rows()
    }

    fn data_sha256(&self) -> anyhow::Result<String> {
        Ok(self.datasets.sha256())
    }

    fn into_test(self: Box<Self>) -> Vec<Dataset> {
        self.datasets.test
    }
}
