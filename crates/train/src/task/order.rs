//! The order in which a run takes its data.

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::StepPlace;

/// Makes an epoch's order.
type Arrange<Row> = dyn Fn(&mut ChaCha8Rng) -> Vec<Row>;

/// The order in which each epoch takes the rows of its data: a function of the data, seed and epoch alone, so that it can be
/// had again.
pub(super) struct EpochOrder<Row> {
    rows: usize,
    rows_per_step: usize,
    seed: u64,
    arrange: Box<Arrange<Row>>,
    current: Option<(u32, Vec<Row>)>, // the epoch and its order
}

/// Steps that an epoch takes.
pub(super) fn steps(rows: usize, rows_per_step: usize) -> u64 {
    rows.div_ceil(rows_per_step) as u64
}

impl EpochOrder<usize> {
    /// Rows that are taken as chance has it.
    pub(super) fn shuffled(rows: usize, rows_per_step: usize, seed: u64) -> Self {
        Self::new(rows, rows_per_step, seed, move |rng| {
            let mut order: Vec<usize> = (0..rows).collect();
            order.shuffle(rng);
            order
        })
    }
}

impl<Row: Clone> EpochOrder<Row> {
    /// `arrange` has to return as many as `rows`.
    pub(super) fn new(
        rows: usize,
        rows_per_step: usize,
        seed: u64,
        arrange: impl Fn(&mut ChaCha8Rng) -> Vec<Row> + 'static,
    ) -> Self {
        Self { rows, rows_per_step, seed, arrange: Box::new(arrange), current: None }
    }

    pub(super) fn steps(&self) -> u64 {
        steps(self.rows, self.rows_per_step)
    }

    /// The rows that a step takes.
    pub(super) fn step(&mut self, place: &StepPlace) -> Vec<Row> {
        let order = match &mut self.current {
            Some((epoch, order)) if *epoch == place.epoch => order,
            other => {
                let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
                rng.set_stream(place.epoch.into());
                &mut other.insert((place.epoch, (self.arrange)(&mut rng))).1
            }
        };
        order.chunks(self.rows_per_step).nth(place.index as usize).unwrap_or_default().to_vec()
    }
}
