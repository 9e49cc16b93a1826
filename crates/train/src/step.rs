//! One optimizer step.

use model::{Precision, SentenceEncoder, similarity};

use crate::{clip::clip_grad_norm, loss::Loss, optimizer::AdamW, pairs::Batch};

/// What all steps of a run have in common.
#[derive(Clone, Copy, Debug)]
pub struct StepConfig {
    /// What the step makes smaller.
    pub loss: Loss,
    /// Number format of the layers; weights, gradients and moments are f32.
    pub precision: Precision,
    /// Bound on the norm of the gradient; `None` leaves it alone.
    pub max_grad_norm: Option<f64>,
    /// Switches dropout on.
    pub dropout: bool,
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
    for batch in batches {
        let count = batch.pairs();
        let embeddings = encoder.forward(&batch.sentences, config.precision, config.dropout); // (2 · pairs, hidden)
        let cosines = similarity(&embeddings.narrow(0, 0, count), &embeddings.narrow(0, count, count)); // (pairs)
        let share = count as f64 / pairs as f64;
        let loss = config.loss.forward(&cosines, &batch.labels.to_device(encoder.device())) * share;
        loss.backward();
        total += loss.double_value(&[]);
    }
    let grad_norm = clip_grad_norm(&encoder.variables(), config.max_grad_norm.unwrap_or(f64::INFINITY));
    let outcome = StepOutcome { loss: total, grad_norm };
    if outcome.is_finite() {
        optimizer.step(learning_rate);
    }
    optimizer.zero_grad();
    outcome
}
