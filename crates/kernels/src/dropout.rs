//! Dropout whose mask is a function of a seed and an element's place, so that the backward pass makes it again instead of
//! keeping it.

use rayon::prelude::*;

use crate::vectorize::vectorize;

/// Sets elements to zero with a probability, and scales the others so that the mean stays.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    seed: u64,
    threshold: u32, // of 2³²: below it an element is dropped
    scale: f32,
}

impl Dropout {
    /// Drops with `probability`, at least 0 and less than 1; `None` for 0. Masks of different seeds are independent.
    pub fn new(probability: f64, seed: u64) -> Option<Self> {
        let threshold = (probability * f64::from(u32::MAX)) as u32;
        (threshold > 0).then_some(Self { seed, threshold, scale: (1.0 / (1.0 - probability)) as f32 })
    }

    /// Masks (rows, width) in place.
    pub fn apply(&self, matrix: &mut [f32], width: usize) {
        matrix.par_chunks_exact_mut(width).enumerate().with_min_len(8).for_each(|(index, row)| {
            vectorize(
                #[inline(always)]
                || self.row(index as u32).apply_from(0, row),
            );
        });
    }

    /// The mask of one row of a matrix.
    #[inline(always)]
    pub(crate) fn row(&self, row: u32) -> RowDropout {
        let key = mix((self.seed as u32) ^ mix(row ^ (self.seed >> 32) as u32));
        RowDropout { key, dropout: *self }
    }
}

/// The mask of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowDropout {
    key: u32,
    dropout: Dropout,
}

impl RowDropout {
    /// Masks a part of a row in place, which begins at element `first`.
    #[inline(always)]
    pub(crate) fn apply_from(&self, first: usize, row: &mut [f32]) {
        let RowDropout { key, dropout: Dropout { threshold, scale, .. } } = *self;
        for (index, x) in row.iter_mut().enumerate() {
            let kept = mix(((first + index) as u32).wrapping_mul(0x9e37_79b9) ^ key) >= threshold;
            *x = if kept { *x * scale } else { 0.0 };
        }
    }
}

/// A hash of 32 bits in which each bit of the input reaches every bit of the output. Source: Chris Wellons, `lowbias32`.
#[inline(always)]
fn mix(mut x: u32) -> u32 {
    x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_dropped_elements_and_the_mean_are_as_asked() {
        let dropout = Dropout::new(0.1, 7).unwrap();
        let (mut dropped, mut sum, mut repeated) = (0usize, 0.0, 0usize);
        let (rows, width) = (1_000, 1_000);
        let mut before = vec![1.0; width];
        for row in 0..rows {
            let mut mask = vec![1.0f32; width];
            dropout.row(row).apply_from(0, &mut mask);
            dropped += mask.iter().filter(|x| **x == 0.0).count();
            sum += mask.iter().map(|x| f64::from(*x)).sum::<f64>();
            repeated += mask.iter().zip(&before).filter(|(a, b)| **a == 0.0 && **b == 0.0).count();
            before = mask;
        }
        // Of a million draws: standard deviations of 300, 333 and 100.
        assert!((dropped as f64 - 100_000.0).abs() < 1_500.0, "{dropped}");
        assert!((sum - 1e6).abs() < 1_700.0, "{sum}");
        assert!((repeated as f64 - 10_000.0).abs() < 500.0, "neighbouring rows are independent: {repeated}");
        assert!(Dropout::new(0.0, 7).is_none());
    }
}
