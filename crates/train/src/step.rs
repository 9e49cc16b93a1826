//! One optimizer step.

use model::{Precision, SentenceEncoder, similarity};

use crate::{loss::Loss, optimizer::AdamW, pairs::Batch};

/// What all steps of a run have in common.
#[derive(Clone, Copy, Debug)]
pub struct StepConfig {
    /// What the step makes smaller.
    pub loss: Loss,
    /// Number format of the layers; weights, gradients and moments are f32.
    pub precision: Precision,
    /// Bound on the norm of the gradient; `None` leaves it alone.
    pub max_grad_norm: Option<f64>,
    /// Seed of dropout; `None` switches it off.
    pub dropout: Option<u64>,
}

/// What a step saw.
#[derive(Clone, Copy, Debug)]
pub struct StepOutcome {
    /// Mean over all pairs of the step, before it.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
}

impl StepOutcome {
    /// Whether the step was taken.
    pub fn is_finite(&self) -> bool {
        self.loss.is_finite() && self.grad_norm.is_finite()
    }
}

/// Takes one step along the gradient of the mean loss over all pairs of `batches`, each of which goes through the
/// encoder in one packed pass. With a loss that is a mean over pairs, splitting them into more batches changes memory and
/// not the step; a ranking loss compares pairs within their batch alone.
///
/// Where loss or gradient is not finite, no step is taken, so that the weights stay those of the step before.
pub fn training_step(
    encoder: &SentenceEncoder,
    optimizer: &mut AdamW,
    batches: &[Batch],
    learning_rate: f64,
    config: &StepConfig,
) -> StepOutcome {
    let pairs: i64 = batches.iter().map(Batch::pairs).sum();
    let mut total = 0.0;
    for (index, batch) in batches.iter().enumerate() {
        let count = batch.pairs();
        let share = count as f64 / pairs as f64;
        // Of each batch a mask of its own.
        let dropout = config.dropout.map(|seed| seed.wrapping_add(index as u64));
        total += encoder.backpropagate(&batch.sentences, config.precision, dropout, |embeddings| {
            let cosines = similarity(&embeddings.narrow(0, 0, count), &embeddings.narrow(0, count, count)); // (pairs)
            config.loss.forward(&cosines, &batch.labels.to_device(encoder.device())) * share
        });
    }
    finish_step(optimizer, total, learning_rate, config.max_grad_norm)
}

/// Takes the step whose gradient the variables have, with this loss.
pub(crate) fn finish_step(
    optimizer: &mut AdamW,
    loss: f64,
    learning_rate: f64,
    max_grad_norm: Option<f64>,
) -> StepOutcome {
    let grad_norm = optimizer.grad_norm();
    let outcome = StepOutcome { loss, grad_norm };
    if outcome.is_finite() {
        // Source: `torch.nn.utils.clip_grad_norm_`.
        let grad_scale = max_grad_norm.map_or(1.0, |max_norm| (max_norm / (grad_norm + 1e-6)).min(1.0));
        optimizer.step(learning_rate, grad_scale);
    } else {
        optimizer.zero_grad();
    }
    outcome
}
