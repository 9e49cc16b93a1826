//! Mean loss and speed over some steps.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::speed::{Amount, Speed, Unit};

/// Adds up steps from the moment it is made; kept with a run's state, it goes on where it stood.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Meter {
    weighted_loss: f64, // Σ loss · amount
    #[serde(alias = "pairs")]
    amount: usize,
    #[serde(default)]
    unit: Unit, // of the amount
    seconds: f64, // before `start`
    #[serde(skip, default = "Instant::now")]
    start: Instant,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self { weighted_loss: 0.0, amount: 0, unit: Unit::default(), seconds: 0.0, start: Instant::now() }
    }

    /// What to keep of it at this moment.
    pub(crate) fn pause(&self) -> Self {
        Self { seconds: self.seconds(), start: Instant::now(), ..*self }
    }

    /// Goes on, without the time since it was paused.
    pub(crate) fn resume(self) -> Self {
        Self { start: Instant::now(), ..self }
    }

    /// Takes in a step by its mean loss over what it took in.
    pub(crate) fn add(&mut self, loss: f64, amount: Amount) {
        let Amount { count, unit } = amount;
        self.unit = unit;
        self.weighted_loss += loss * count as f64;
        self.amount += count;
    }

    /// Mean loss over all that was taken in so far.
    pub(crate) fn loss(&self) -> f64 {
        self.weighted_loss / self.amount as f64
    }

    pub(crate) fn speed(&self) -> Speed {
        self.unit.speed(self.amount as f64 / self.seconds())
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.seconds + self.start.elapsed().as_secs_f64()
    }
}
