//! Fine-tuning of a Siamese sentence encoder on scored sentence pairs.

#![cfg_attr(test, allow(clippy::unwrap_used))] // A test may panic.

mod card;
mod config;
mod curves;
mod datasets;
mod initial;
mod interrupt;
mod log;
mod loss;
mod machine;
mod meter;
mod optimizer;
mod pairs;
mod progress;
mod report;
mod run_dir;
mod schedule;
mod state;
mod step;
mod tensorboard;
mod trainer;
mod trials;
mod validation;

pub use config::{Config, ModelSource, Plan, SelectBy, Warmup};
pub use datasets::{Count, Rows};
pub use interrupt::Interrupt;
pub use loss::Loss;
pub use optimizer::{AdamW, AdamWConfig};
pub use pairs::Batch;
pub use report::{Best, Epoch, Report};
pub use run_dir::Existing;
pub use schedule::LinearSchedule;
pub use step::{StepConfig, StepOutcome, training_step};
pub use trainer::{Environment, train};
pub use trials::{Outcome, Ranked, Ranking, Trial, Trials, run_trials};
pub use validation::DevFigures;
