//! What an epoch of training gave.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    figures::{DevFigures, SelectBy, shown},
    speed::Speed,
};

/// What one epoch gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: u32,
    /// Optimizer steps so far.
    pub step: u64,
    /// Mean training loss of the epoch.
    pub train_loss: f64,
    /// Speed of training.
    #[serde(flatten)]
    pub speed: Speed,
    /// Figures of every dev set; with several, the last is of all of them merged.
    pub dev: Vec<DevFigures>,
}

/// The best epoch so far.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Best {
    /// Counted from 1.
    pub epoch: u32,
    /// The dev figure that chose it: the one that was asked for, or the loss where no epoch so far has that.
    pub select_by: SelectBy,
    /// Its value; `None` before the first epoch.
    pub value: Option<f64>,
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {} · train loss {:.4} · {}", self.epoch, self.train_loss, self.speed)?;
        for dev in &self.dev {
            write!(f, " · {}:", dev.data)?;
            for figure in dev.figures() {
                write!(f, " {} {}", figure.header, shown((figure.value)(dev)))?;
            }
        }
        Ok(())
    }
}
