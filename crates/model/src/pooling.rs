//! From token embeddings to one embedding per sentence.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::torch::{PackedBatch, Packing, Run, Starts};

/// How a sentence's token embeddings become one. Source: sentence-transformers, `Pooling`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// Mean over all tokens, special tokens included.
    #[default]
    Mean,
    /// The first token.
    Cls,
    /// Maximum over all tokens, per dimension.
    Max,
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Pooling::Mean => "mean",
            Pooling::Cls => "cls",
            Pooling::Max => "max",
        })
    }
}

impl FromStr for Pooling {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|pooling| pooling.to_string() == text)
            .ok_or_else(|| format!("expected one of {}", Self::ALL.map(|pooling| pooling.to_string()).join(", ")))
    }
}

impl Pooling {
    /// Every pooling, in the order that messages name them.
    pub const ALL: [Pooling; 3] = [Pooling::Mean, Pooling::Cls, Pooling::Max];

    /// (tokens, hidden) in any number format to (sentences, hidden) in f32, in the caller's order.
    pub fn forward(self, hidden: &Tensor, batch: &PackedBatch) -> Tensor {
        batch.restore_order(match &batch.packing {
            Packing::Runs { runs, .. } => {
                Tensor::cat(&runs.iter().map(|run| self.pool_run(hidden, run)).collect::<Vec<_>>(), 0)
            }
            Packing::Starts(starts) => self.pool_packed(&hidden.to_kind(Kind::Float), starts),
        })
    }

    /// Sentences of equal length within (tokens, hidden) to (sentences, hidden).
    fn pool_run(self, hidden: &Tensor, run: &Run) -> Tensor {
        let tokens = run.view(hidden); // (sentences, length, hidden)
        match self {
            Pooling::Mean => tokens.mean_dim(1, false, Kind::Float),
            Pooling::Cls => tokens.select(1, 0).to_kind(Kind::Float),
            Pooling::Max => tokens.amax(1, false).to_kind(Kind::Float),
        }
    }

    /// All sentences of (tokens, hidden) to (sentences, hidden).
    fn pool_packed(self, tokens: &Tensor, starts: &Starts) -> Tensor {
        match self {
            Pooling::Mean => Tensor::segment_reduce(tokens, "mean", Some(&starts.lengths), None, None, 0, true, 0.0),
            Pooling::Cls => tokens.index_select(0, &starts.cu_seqlens.slice(0, 0, -1, 1)),
            // Not `segment_reduce`, whose gradient gives each of several largest the whole.
            Pooling::Max => starts.pad(tokens, f64::NEG_INFINITY).amax(1, false),
        }
    }

    /// Adds to the gradient of one sentence's tokens, (tokens, hidden), what that of its embedding, (hidden), makes of it.
    pub(crate) fn pool_backward(self, tokens: &[f32], grad_pooled: &[f32], grad: &mut [f32]) {
        let width = grad_pooled.len();
        let count = (tokens.len() / width) as f32;
        match self {
            Pooling::Mean => {
                for grad in grad.chunks_exact_mut(width) {
                    grad.iter_mut().zip(grad_pooled).for_each(|(grad, x)| *grad += x / count);
                }
            }
            Pooling::Cls => grad[..width].iter_mut().zip(grad_pooled).for_each(|(grad, x)| *grad += x),
            Pooling::Max => {
                for (column, x) in grad_pooled.iter().enumerate() {
                    let values = tokens.iter().skip(column).step_by(width).copied();
                    let largest = values.clone().fold(f32::NEG_INFINITY, f32::max);
                    // Source: `torch.amax`, which shares the gradient evenly among equals.
                    let equals = values.clone().filter(|value| *value == largest).count() as f32;
                    for (token, _) in values.enumerate().filter(|(_, value)| *value == largest) {
                        grad[token * width + column] += x / equals;
                    }
                }
            }
        }
    }

    /// The tokens of one sentence, (tokens, hidden), to its embedding, (hidden).
    pub(crate) fn pool(self, tokens: &[f32], pooled: &mut [f32]) {
        let mut rows = tokens.chunks_exact(pooled.len());
        let count = rows.len() as f32;
        pooled.copy_from_slice(rows.next().expect("a sentence has a token"));
        match self {
            Pooling::Mean => {
                rows.for_each(|row| pooled.iter_mut().zip(row).for_each(|(sum, x)| *sum += x));
                pooled.iter_mut().for_each(|sum| *sum /= count);
            }
            Pooling::Cls => {}
            Pooling::Max => {
                rows.for_each(|row| {
                    pooled.iter_mut().zip(row).for_each(|(most, x)| *most = if *x <= *most { *most } else { *x })
                });
            }
        }
    }
}
