//! The order in which a run takes its data.

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::StepPlace;

/// The order in which each epoch takes the rows of its data: a function of seed and epoch alone, so that it can be had again.
pub(super) struct EpochOrder {
    rows: usize,
    rows_per_step: usize,
    seed: u64,
    current: Option<(u32, Vec<usize>)>, // the epoch and its order
}

impl EpochOrder {
    pub(super) fn new(rows: usize, rows_per_step: usize, seed: u64) -> Self {
        Self { rows, rows_per_step, seed, current: None }
    }

    pub(super) fn steps(&self) -> u64 {
        self.rows.div_ceil(self.rows_per_step) as u64
    }

    /// The rows that a step takes.
    pub(super) fn step(&mut self, place: &StepPlace) -> Vec<usize> {
        let order = match &mut self.current {
            Some((epoch, order)) if *epoch == place.epoch => order,
            other => {
                let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
                rng.set_stream(place.epoch.into());
                let mut order: Vec<usize> = (0..self.rows).collect();
                order.shuffle(&mut rng);
                &mut other.insert((place.epoch, order)).1
            }
        };
        order.chunks(self.rows_per_step).nth(place.index as usize).unwrap_or_default().to_vec()
    }
}
