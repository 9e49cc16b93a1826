//! Training of a sentence encoder: fine-tuning on scored sentence pairs, distillation of other encoders, and what may come
//! before, contrastive training and masked language modelling.

#![cfg_attr(test, allow(clippy::unwrap_used))] // A test may panic.

mod card;
mod config;
mod curves;
mod datasets;
mod entries;
mod environment;
mod epoch;
mod figures;
mod files;
mod hard_negatives;
mod initial;
mod interrupt;
mod isotonic;
mod joined;
mod list_loss;
mod log;
mod loss;
mod machine;

mod meter;
mod named_model;
mod nearest;
mod objective;
mod optimizer;
mod pairs;
mod plan;
mod prepared;
mod progress;
mod ranks;
mod report;
mod run_dir;
mod schedule;
mod sentence_groups;
mod silver;
mod space;
mod speed;
mod stages;
mod state;
mod step;
mod task;
mod teachers;
mod tensorboard;
mod tokenizing;
mod trainer;
mod trials;
mod validation;

pub use config::{Config, ExportWeights, HardNegatives, ModelSource, Silver, TokenEmbeddings, Warmup};
pub use datasets::{Count, Rows, TextCount};
pub use environment::{Environment, Existing};
pub use epoch::{Best, Epoch};
pub use figures::{DevFigures, SelectBy};
pub use interrupt::Interrupt;
pub use joined::JoinedBatch;
pub use loss::Loss;
pub use objective::Objective;
pub use optimizer::{AdamW, AdamWConfig};
pub use pairs::Batch;
pub use plan::Plan;
pub use ranks::{Ranks, Voice};
pub use report::Report;
pub use schedule::LinearSchedule;
pub use speed::Speed;
pub use stages::{Export, Finished, Stages, run_stages};
pub use step::{StepConfig, StepOutcome, joined_step, training_step};
pub use task::{multiple_negatives_loss, similarity_distillation_loss};
pub use trainer::train;
pub use trials::{Outcome, Ranked, Ranking, Trial, Trials, run_trials};
