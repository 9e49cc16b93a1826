//! Mean loss and speed over some steps.

use std::time::Instant;

/// Adds up steps from the moment it is made.
pub(crate) struct Meter {
    start: Instant,
    weighted_loss: f64, // Σ loss · pairs
    pairs: usize,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), weighted_loss: 0.0, pairs: 0 }
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
        self.pairs as f64 / self.start.elapsed().as_secs_f64()
    }
}
