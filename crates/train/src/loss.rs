//! Training losses.

use eval::LABEL_SCALE;
use tch::{Reduction, Tensor};

/// Mean squared error of 5 · cosine against the label, over the pairs: (pairs) and (pairs) to a scalar.
pub fn mse_loss(cosines: &Tensor, labels: &Tensor) -> Tensor {
    (cosines * LABEL_SCALE).mse_loss(labels, Reduction::Mean)
}
