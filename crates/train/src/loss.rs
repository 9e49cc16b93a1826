//! Training losses over the pairs of a batch.

use eval::LABEL_SCALE;
use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, Tensor};

/// What training makes small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// Mean squared error of 5 · cosine against the label.
    #[default]
    Mse,
    /// Ranking of the batch's cosines by their labels.
    Cosent,
}

impl Loss {
    /// Its name in the literature.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Loss::Mse => "MSE",
            Loss::Cosent => "CoSENT",
        }
    }

    /// Whether it compares the pairs of a batch with each other, and so is no mean over them.
    pub(crate) fn spans_batch(self) -> bool {
        self == Self::Cosent
    }

    /// Cosines (pairs) and labels (pairs) to a scalar.
    pub fn forward(self, cosines: &Tensor, labels: &Tensor) -> Tensor {
        match self {
            Loss::Mse => mse_loss(cosines, labels),
            Loss::Cosent => cosent_loss(cosines, labels),
        }
    }
}

fn mse_loss(cosines: &Tensor, labels: &Tensor) -> Tensor {
    (cosines * LABEL_SCALE).mse_loss(labels, Reduction::Mean)
}

/// Factor on the cosines' differences.
const COSENT_SCALE: f64 = 20.0;

/// ln(1 + Σ exp(20 · (cosᵢ − cosⱼ))) over all i, j of the batch where i is labelled lower than j. It looks at the order
/// of the labels alone, and depends on which pairs share a batch. Source: sentence-transformers, `CoSENTLoss`.
fn cosent_loss(cosines: &Tensor, labels: &Tensor) -> Tensor {
    let scores = cosines * COSENT_SCALE;
    let differences = scores.unsqueeze(1) - scores.unsqueeze(0); // (pairs, pairs): i − j
    let wrong_order = labels.unsqueeze(1).lt_tensor(&labels.unsqueeze(0)); // (pairs, pairs): i should be below j
    let exponents = differences.masked_select(&wrong_order);
    let zero = Tensor::zeros([1], (Kind::Float, cosines.device())); // the 1 of the logarithm
    Tensor::cat(&[zero, exponents], 0).logsumexp([0], false)
}
