//! A histogram of scores in ten bins of width 0.5.

use serde::Serialize;

use crate::scale::MAX_SCORE;

/// How many scores fall into each bin; a bin holds its lower bound, the last one 5.0 too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Histogram {
    /// The counts, lowest bin first.
    pub counts: [usize; Histogram::BINS],
}

impl Histogram {
    /// The number of bins.
    pub const BINS: usize = 10;

    /// Counts the scores.
    pub fn of(scores: impl IntoIterator<Item = f64>) -> Histogram {
        let mut counts = [0; Histogram::BINS];
        for score in scores {
            counts[Histogram::bin(score)] += 1;
        }
        Histogram { counts }
    }

    /// The bin that a score falls into.
    pub fn bin(score: f64) -> usize {
        // The cast saturates, so a negative score lands in the first bin.
        ((score / MAX_SCORE * Histogram::BINS as f64) as usize).min(Histogram::BINS - 1)
    }

    /// The lower and upper bound of a bin.
    pub fn bounds(bin: usize) -> (f64, f64) {
        let width = MAX_SCORE / Histogram::BINS as f64;
        (bin as f64 * width, (bin + 1) as f64 * width)
    }

    /// The number of scores counted.
    pub fn total(&self) -> usize {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_holds_its_lower_bound_and_the_last_one_five() {
        for bin in 0..Histogram::BINS {
            let (lower, upper) = Histogram::bounds(bin);
            assert_eq!(Histogram::bin(lower), bin);
            assert_eq!(Histogram::bin(upper - 1e-9), bin);
        }
        assert_eq!(Histogram::bin(5.0), 9);
        assert_eq!(Histogram::of([0.0, 0.49, 0.5, 4.9, 5.0]).counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
    }
}
