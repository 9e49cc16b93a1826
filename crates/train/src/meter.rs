//! Mean loss and speed over some steps.

use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Adds up steps from the moment it is made; kept with a run's state, it goes on where it stood.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Meter {
    weighted_loss: f64, // Σ loss · pairs
    pairs: usize,
    seconds: f64, // before `start`
    #[serde(skip, default = "Instant::now")]
    start: Instant,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self { weighted_loss: 0.0, pairs: 0, seconds: 0.0, start: Instant::now() }
    }

    /// What to keep of it at this moment.
    pub(crate) fn pause(&self) -> Self {
        Self { seconds: self.seconds(), start: Instant::now(), ..*self }
    }

    /// Goes on, without the time since it was paused.
    pub(crate) fn resume(self) -> Self {
        Self { start: Instant::now(), ..self }
    }

    /// Takes in a step by its mean loss over its pairs.
    pub(crate) fn add(&mut self, loss: f64, pairs: usize) {
        self.weighted_loss += loss * pairs as f64;
        self.pairs += pairs;
    }

    /// Mean loss over all pairs so far.
    pub(crate) fn loss(&self) -> f64 {
        self.weighted_loss / self.pairs as f64
    }

    pub(crate) fn pairs_per_second(&self) -> f64 {
        self.pairs as f64 / self.seconds()
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.seconds + self.start.elapsed().as_secs_f64()
    }
}
