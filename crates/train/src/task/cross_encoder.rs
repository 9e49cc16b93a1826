//! Training of a cross-encoder, which reads two sentences together, on scored pairs.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, bail, ensure};
use data::{Dataset, write_pairs};
use model::{
    ScoreActivation, TrainableCrossEncoder,
    architecture::Variable,
    hub::{self, Hub},
};
use tch::Tensor;

use super::{EpochOrder, Step, StepPlace, Task, order::steps};
use crate::{
    config::{Config, ModelSource},
    datasets::{Datasets, Rows, saved_pairs},
    entries::SILVER,
    environment::Environment,
    figures::DevFigures,
    initial::options,
    joined::{JoinedBatch, JoinedPairs, lists_by_query},
    loss::Loss,
    optimizer::AdamW,
    prepared::Prepared,
    progress::Progress,
    ranks::Ranks,
    silver::{self, silver_pairs},
    speed::{Amount, Unit},
    step::{StepConfig, joined_step},
    tokenizing::tell_losses,
    validation::{validate, warn_where_unranked},
};

/// Name of the one label.
const LABEL: &str = "similarity";

pub(super) struct CrossEncoding {
    encoder: TrainableCrossEncoder,
    datasets: Datasets,
    pairs: JoinedPairs,
    step_config: StepConfig, // but for dropout
    batch_size: usize,
    order: EpochOrder<usize>,
    ranks: Ranks,
}

impl CrossEncoding {
    pub(super) fn load(
        config: &Config,
        environment: &Environment,
        last: Option<&Path>,
        prepared: &Prepared<'_>,
    ) -> anyhow::Result<Self> {
        let mut datasets = Datasets::load(config, &config.data_dir(environment))?;
        warn_where_unranked(&datasets.dev, config.select_by)?;
        let lists_per_step = config.batch_size * config.gradient_accumulation;
        let silver_pairs_at_most = config.silver.as_ref().map_or(0, |silver| silver.pairs);
        prepared.check(steps(datasets.train.len() + silver_pairs_at_most, lists_per_step))?;
        if let Some(silver) = &config.silver {
            datasets.add(match last {
                Some(_) => saved_pairs(&config.output.join(SILVER), silver::NAME)?,
                None => silver_pairs(silver, &datasets, prepared)?,
            });
        }
        let lists = match config.loss.list_loss() {
            None => (0..datasets.train.len()).map(|row| vec![row]).collect(),
            Some(_) => {
                let (lists, pairs) = (lists_by_query(&datasets.train), datasets.train.len());
                let kept: usize = lists.iter().map(Vec::len).sum();
                ensure!(
                    !lists.is_empty(),
                    "data.train: no first sentence has two pairs with different labels, and {} learns the order of a \
                     sentence's pairs: expected a query as sentence1 of several rows",
                    config.loss.name()
                );
                ground::say!("{} lists of {kept} pairs; {} pairs are in none", lists.len(), pairs - kept);
                lists
            }
        };
        let encoder = match last {
            Some(last) => saved_cross_encoder(last, environment)?,
            None => initial(config, environment)?,
        };
        tell_losses(&datasets.dev, encoder.tokenizer())?;
        tell_losses(&datasets.test, encoder.tokenizer())?;
        let (train, labels) = (&datasets.train, &datasets.train_labels);
        let pairs = JoinedPairs::new(train, labels, lists, encoder.pairs(), encoder.tokenizer())?;
        let Config { loss, precision, max_grad_norm, batch_size, .. } = *config;
        let step_config = StepConfig { loss, precision, max_grad_norm, dropout: None };
        let order = EpochOrder::shuffled(pairs.len(), lists_per_step, config.seed);
        Ok(Self { encoder, datasets, pairs, step_config, batch_size, order, ranks: environment.ranks.clone() })
    }
}

/// The cross-encoder that the configuration names, or one that begins with the encoder that it names.
fn initial(config: &Config, environment: &Environment) -> anyhow::Result<TrainableCrossEncoder> {
    let ModelSource::Init(model) = &config.model else {
        bail!("model.scratch: a cross-encoder begins with an encoder that knows the language: name one by model.init");
    };
    let dir = Hub::from_env().resolve(model, &mut hub::on_stderr()).context("model.init")?;
    let encoder = TrainableCrossEncoder::load(dir, &options(config, environment), &[LABEL.to_owned()]);
    let activation = match config.loss {
        Loss::Mse => ScoreActivation::Identity,
        _ => ScoreActivation::Sigmoid,
    };
    Ok(encoder.context("model.init")?.with_activation(activation))
}

/// One that a run saved, for it to go on with.
fn saved_cross_encoder(path: &Path, environment: &Environment) -> anyhow::Result<TrainableCrossEncoder> {
    let options = model::Options { device: environment.device, ..model::Options::default() };
    Ok(TrainableCrossEncoder::load(path, &options, &[LABEL.to_owned()])?)
}

impl Task for CrossEncoding {
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
        let lists = self.order.step(place);
        let batches: Vec<JoinedBatch> = lists.chunks(self.batch_size).map(|lists| self.pairs.batch(lists)).collect();
        let count = batches.iter().map(|batch| batch.pairs.len()).sum();
        let config = StepConfig { dropout: Some(place.seed), ..self.step_config };
        let outcome = joined_step(&self.encoder, optimizer, &batches, place.learning_rate, &config, &self.ranks);
        Ok(Step { outcome, amount: Amount { count, unit: Unit::Pairs } })
    }

    fn origins(&mut self, place: &StepPlace) -> String {
        let rows: Vec<usize> = self.order.step(place).iter().flat_map(|&list| self.pairs.rows(list)).copied().collect();
        format!("its rows, counted from 0: {}", self.datasets.origins(&rows))
    }

    fn write_data(&self, run: &Path) -> anyhow::Result<()> {
        let silver = self.datasets.of(silver::NAME);
        if !silver.pairs.is_empty() {
            write_pairs(&silver, &run.join(SILVER))?;
        }
        Ok(())
    }

    fn validate(&self, progress: &Progress) -> anyhow::Result<Vec<DevFigures>> {
        validate(&self.encoder, &self.datasets.dev, &self.ranks, progress)
    }

    fn write(&self, dir: &Path, card: &str) -> Result<(), model::Error> {
        self.encoder.write(dir, card)
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
