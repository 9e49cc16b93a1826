//! Evaluation of sentence encoders and cross-encoders: scoring of a dataset, correlation with its labels, reports.

#![cfg_attr(test, allow(clippy::unwrap_used))] // A test may panic.

mod figures;
pub mod metrics;
mod plots;
mod predictions;
mod report;
mod scoring;

pub use figures::{Figures, Interval, THRESHOLD, check_spread};
pub use plots::Plots;
pub use predictions::write_predictions;
pub use report::{Evaluation, Report};
pub use scoring::{LABEL_SCALE, PairScorer, PairScores, Scored, score};
