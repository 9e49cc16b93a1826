//! Figures that compare predictions with labels.
//!
//! Every figure is that of scipy or scikit-learn for the same numbers; where they run out of digits (p-values below
//! 1e-300, correlations next to 1), it is the exact one.

mod bootstrap;
mod correlation;
mod error;
mod p_value;
mod ranks;

pub use bootstrap::{Statistic, bootstrap_ci95};
pub use correlation::{Correlation, MetricError, pearson, spearman};
pub use error::{f1, mse};
pub use p_value::PValue;
