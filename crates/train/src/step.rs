//! One optimizer step.

use model::{Precision, TrainableCrossEncoder, TrainableEncoder, similarity};

use tch::{Kind, Tensor};

use crate::{joined::JoinedBatch, loss::Loss, optimizer::AdamW, pairs::Batch, ranks::Ranks};

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
/// Every rank is given the same batches and computes its share of each; the step is that of one process.
///
/// Where loss or gradient is not finite, no step is taken, so that the weights stay those of the step before.
pub fn training_step(
    encoder: &TrainableEncoder,
    optimizer: &mut AdamW,
    batches: &[Batch],
    learning_rate: f64,
    config: &StepConfig,
    ranks: &Ranks,
) -> StepOutcome {
    let pairs: i64 = batches.iter().map(Batch::pairs).sum();
    let mut total = 0.0;
    for (index, batch) in batches.iter().enumerate() {
        let own = batch.part(ranks.share(batch.pairs() as usize));
        let count = own.pairs();
        let labels = batch.labels.to_device(encoder.device());
        let loss = |cosines: &Tensor| match config.loss.spans_batch() {
            true => config.loss.forward(&ranks.complete(cosines), &labels) * (batch.pairs() as f64 / pairs as f64),
            false => {
                config.loss.forward(cosines, &own.labels.to_device(encoder.device())) * (count as f64 / pairs as f64)
            }
        };
        if count == 0 {
            // Of a batch with fewer pairs than ranks; the others may wait for what this one has not.
            if config.loss.spans_batch() {
                let _ = ranks.complete(&Tensor::from_slice::<f32>(&[]));
            }
            continue;
        }
        let dropout = config.dropout.map(|seed| ranks.seed(seed.wrapping_add(index as u64)));
        let found = encoder.backpropagate(&own.sentences, config.precision, dropout, |embeddings| {
            loss(&similarity(&embeddings.narrow(0, 0, count), &embeddings.narrow(0, count, count))) // of (pairs)
        });
        // Every rank has the whole of a loss that spans the batch.
        total += if config.loss.spans_batch() && !ranks.is_first() { 0.0 } else { found };
    }
    finish_step(optimizer, total, learning_rate, config.max_grad_norm, ranks)
}

/// The same for a cross-encoder: one step along the gradient of the mean loss over all pairs, or lists, of `batches`, each of
/// which goes through the encoder in one packed pass.
pub fn joined_step(
    encoder: &TrainableCrossEncoder,
    optimizer: &mut AdamW,
    batches: &[JoinedBatch],
    learning_rate: f64,
    config: &StepConfig,
    ranks: &Ranks,
) -> StepOutcome {
    let units: f64 = batches.iter().map(|batch| config.loss.units(batch)).sum();
    let mut total = 0.0;
    for (index, batch) in batches.iter().enumerate() {
        let own = batch.part(ranks.share(batch.lists.len()));
        if own.lists.is_empty() {
            continue; // of a batch with fewer lists than ranks
        }
        let dropout = config.dropout.map(|seed| ranks.seed(seed.wrapping_add(index as u64)));
        total += encoder.backpropagate(&own.pairs, config.precision, dropout, |numbers| {
            config.loss.sum(&numbers.squeeze_dim(1), &own) / units // of (pairs, 1)
        });
    }
    finish_step(optimizer, total, learning_rate, config.max_grad_norm, ranks)
}

/// Adds the gradient of a loss that looks at the whole batch, and exchanges embeddings with the other ranks: one without
/// sentences of the batch takes part in that. Returns the loss on the first rank, 0 on the others.
pub(crate) fn backpropagate_whole(
    encoder: &TrainableEncoder,
    sentences: &[Vec<i64>],
    precision: Precision,
    dropout: Option<u64>,
    ranks: &Ranks,
    loss: impl FnOnce(&Tensor) -> Tensor,
) -> f64 {
    if sentences.is_empty() {
        let _ = loss(&Tensor::zeros([0, encoder.width() as i64], (Kind::Float, encoder.device())));
        return 0.0;
    }
    let found = encoder.backpropagate(sentences, precision, dropout, loss);
    if ranks.is_first() { found } else { 0.0 } // every rank has the whole
}

/// Takes the step whose loss and gradient the ranks have in parts: those of each variable.
pub(crate) fn finish_step(
    optimizer: &mut AdamW,
    loss: f64,
    learning_rate: f64,
    max_grad_norm: Option<f64>,
    ranks: &Ranks,
) -> StepOutcome {
    let mut loss = [loss];
    ranks.sum(&mut loss);
    let [loss] = loss;
    optimizer.sum_gradients(ranks);
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
