//! What the training loop asks of an objective: steps, figures and files.

mod contrastive;
mod cross_encoder;
mod distillation;
mod masked;
mod order;
mod similarity;

use std::{collections::BTreeMap, path::Path};

use data::Dataset;
use model::{SimilarityFunction, architecture::Variable};
use tch::Tensor;

use self::{
    contrastive::Contrastive, cross_encoder::CrossEncoding, distillation::Distillation, masked::Masked,
    order::EpochOrder, similarity::Similarity,
};
pub use self::{contrastive::multiple_negatives_loss, distillation::similarity_distillation_loss};
use crate::{
    config::Config,
    datasets::{Rows, refuse_repeated},
    environment::Environment,
    figures::DevFigures,
    objective::Objective,
    optimizer::AdamW,
    prepared::Prepared,
    progress::Progress,
    speed::Amount,
    state::StreamPlace,
    state::TrainerState,
    step::StepOutcome,
};

/// A model with the data that it learns from.
pub(crate) trait Task {
    /// The weights by name; they share memory with the model's.
    fn variables(&self) -> BTreeMap<String, Tensor>;

    /// What they are.
    fn described(&self) -> Vec<Variable>;

    /// Optimizer steps of an epoch.
    fn steps_per_epoch(&self) -> u64;

    /// Takes a step, or leaves the weights alone where its loss or gradient is not finite.
    fn step(&mut self, place: &StepPlace, optimizer: &mut AdamW) -> anyhow::Result<Step>;

    /// Names what a step learned from.
    fn origins(&mut self, place: &StepPlace) -> String;

    /// Figures that tell one epoch from another; the last of them picks the best.
    fn validate(&self, progress: &Progress) -> anyhow::Result<Vec<DevFigures>>;

    /// Writes the files of a checkpoint into an empty directory.
    fn write(&self, dir: &Path, card: &str) -> Result<(), model::Error>;

    /// Writes data that were made for the run into its directory, from where a resumed run reads them.
    fn write_data(&self, _run: &Path) -> anyhow::Result<()> {
        Ok(())
    }

    /// Where the reading of a text stands.
    fn stream_place(&self) -> Option<StreamPlace> {
        None
    }

    /// The similarity that the model's embeddings are compared by; none of a model without embeddings.
    fn similarity_function(&self) -> Option<SimilarityFunction> {
        None
    }

    /// What the data are, for the report.
    fn rows(&self) -> Rows;

    /// Digest of the data, by which a resumed run knows them again.
    fn data_sha256(&self) -> anyhow::Result<String>;

    /// The sets that the best epoch is measured on, for when the model is gone.
    fn into_test(self: Box<Self>) -> Vec<Dataset>;
}

/// Which step of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepPlace {
    /// Counted from 1.
    pub(crate) epoch: u32,
    /// Within the epoch, counted from 0.
    pub(crate) index: u64,
    pub(crate) learning_rate: f64,
    /// Seed of what the step draws: dropout, and which tokens are hidden.
    pub(crate) seed: u64,
}

/// What a step saw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) outcome: StepOutcome,
    pub(crate) amount: Amount,
}

/// Loads the data of a run, and the model: as it was saved, or the one that the run begins with.
pub(crate) fn load(
    config: &Config,
    environment: &Environment,
    saved: Option<&TrainerState>,
    prepared: &Prepared<'_>,
) -> anyhow::Result<Box<dyn Task>> {
    refuse_repeated(config, &config.data_dir(environment))?;
    let last = saved.map(|_| config.output.join("last"));
    let last = last.as_deref();
    Ok(match config.objective {
        Objective::Sts => Box::new(Similarity::load(config, environment, last, prepared)?),
        Objective::Contrastive => Box::new(Contrastive::load(config, environment, last, prepared)?),
        Objective::Distillation => Box::new(Distillation::load(config, environment, last, prepared)?),
        Objective::CrossEncoder => Box::new(CrossEncoding::load(config, environment, last, prepared)?),
        Objective::Mlm => {
            let place = saved.and_then(|state| state.stream_place).unwrap_or_default();
            Box::new(Masked::load(config, environment, last, place, prepared)?)
        }
    })
}
