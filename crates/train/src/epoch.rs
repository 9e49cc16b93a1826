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
    /// Counted from 1; 0 is before the first step.
    pub epoch: u32,
    /// Optimizer steps so far.
    pub step: u64,
    /// Mean training loss of the epoch; none before the first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_loss: Option<f64>,
    /// Speed of training; likewise.
    #[serde(flatten)]
    pub speed: Option<Speed>,
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
        match (self.train_loss, self.speed) {
            (Some(loss), Some(speed)) => write!(f, "epoch {} · train loss {loss:.4} · {speed}", self.epoch)?,
            _ => write!(f, "before the first step")?,
        }
        for dev in &self.dev {
            write!(f, " · {}:", dev.data)?;
            for figure in dev.figures() {
                write!(f, " {} {}", figure.header, shown((figure.value)(dev)))?;
            }
        }
        Ok(())
    }
}
