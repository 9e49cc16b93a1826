//! Percentile bootstrap intervals of a correlation.

use std::iter::repeat_with;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::correlation::{Coefficient, MetricError, check, is_constant};
use super::ranks::Ranking;

/// The correlation whose interval is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// Of the values.
    Pearson,
    /// Of their ranks.
    Spearman,
}

/// 95 % interval of a correlation: `scipy.stats.bootstrap(…, paired=True, method="percentile")`.
///
/// Pairs are drawn with replacement, as many as there are. A resample without variance has no correlation and is
/// drawn again. The same seed gives the same interval on every machine.
///
/// # Errors
/// As [`pearson`](super::pearson).
///
/// # Panics
/// If `resamples` is 0.
pub fn bootstrap_ci95(
    labels: &[f64],
    predictions: &[f64],
    statistic: Statistic,
    resamples: usize,
    seed: u64,
) -> Result<[f64; 2], MetricError> {
    check(labels, predictions)?;
    let sides = [labels, predictions];
    let rankings = sides.map(Ranking::new);
    let pick = |side: usize, rows: &[usize]| match statistic {
        Statistic::Pearson => rows.iter().map(|&row| sides[side][row]).collect(),
        Statistic::Spearman => rankings[side].ranks(rows),
    };

    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut rows = vec![0; labels.len()];
    let draw = || {
        // u32: usize would draw differently on other machines.
        rows.fill_with(|| rng.random_range(0..labels.len() as u32) as usize);
        let (x, y): (Vec<f64>, Vec<f64>) = (pick(0, &rows), pick(1, &rows));
        (!is_constant(&x) && !is_constant(&y)).then(|| Coefficient::new(&x, &y).r)
    };
    // At worst, one row differs on each side, and three resamples in five lack one of the two: the bound is for form.
    let mut drawn: Vec<f64> = repeat_with(draw).take(100 * resamples).flatten().take(resamples).collect();
    drawn.sort_by(f64::total_cmp);
    Ok([0.025, 0.975].map(|fraction| quantile(&drawn, fraction)))
}

/// Linear between the neighbours, as numpy's default.
fn quantile(sorted: &[f64], fraction: f64) -> f64 {
    let place = fraction * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}
