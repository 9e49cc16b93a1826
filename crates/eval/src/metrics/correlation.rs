//! Pearson's and Spearman's correlation.

use super::PValue;
use super::ranks::Ranking;

/// A correlation and how likely one so far from 0 is by chance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Correlation {
    /// The coefficient, from -1 to 1.
    pub r: f64,
    /// Two-sided p-value, of t with n − 2 degrees of freedom, as scipy's.
    pub p_value: PValue,
}

/// Why two lists have no correlation.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum MetricError {
    /// Lists of different lengths.
    #[error("{0} values on one side and {1} on the other: expected pairs")]
    Lengths(usize, usize),
    /// Two points always lie on a line; scipy's p-value of them says nothing.
    #[error("{0} pairs: a correlation needs at least 3")]
    TooFew(usize),
    /// NaN or an infinity.
    #[error("pair {index} (counted from 0) holds {value}: expected finite numbers")]
    NotFinite {
        /// Its place in the list.
        index: usize,
        /// What is there.
        value: f64,
    },
    /// All values of a side are within rounding of each other, so that their order is chance.
    #[error("predictions are constant: all are within {0:.1e} of each other, which is rounding")]
    WithinRounding(f64),
    /// No variance to share.
    #[error("one side is {0} throughout: a correlation needs at least two different values")]
    Constant(f64),
}

/// Pearson's product-moment correlation, `scipy.stats.pearsonr(x, y)`.
///
/// # Errors
/// If the lengths differ, there are fewer than three pairs, a value is not finite, or a side is constant.
pub fn pearson(x: &[f64], y: &[f64]) -> Result<Correlation, MetricError> {
    check(x, y)?;
    Ok(Coefficient::new(x, y).correlation(x.len()))
}

/// Spearman's rank correlation, `scipy.stats.spearmanr(x, y)`: Pearson's of the ranks, ties averaged.
///
/// # Errors
/// As [`pearson`].
pub fn spearman(x: &[f64], y: &[f64]) -> Result<Correlation, MetricError> {
    check(x, y)?;
    let rows: Vec<usize> = (0..x.len()).collect();
    let ranks = |values| Ranking::new(values).ranks(&rows);
    Ok(Coefficient::new(&ranks(x), &ranks(y)).correlation(x.len()))
}

/// Refuses what has no correlation.
pub(super) fn check(x: &[f64], y: &[f64]) -> Result<(), MetricError> {
    if x.len() != y.len() {
        return Err(MetricError::Lengths(x.len(), y.len()));
    }
    if x.len() < 3 {
        return Err(MetricError::TooFew(x.len()));
    }
    for values in [x, y] {
        if let Some((index, &value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(MetricError::NotFinite { index, value });
        }
        if is_constant(values) {
            return Err(MetricError::Constant(values[0]));
        }
    }
    Ok(())
}

pub(super) fn is_constant(values: &[f64]) -> bool {
    values.iter().all(|&value| value == values[0])
}

/// Pearson's r, with the digits that r itself loses next to 1.
pub(super) struct Coefficient {
    pub(super) r: f64,
    unexplained: f64, // 1 − r²
}

impl Coefficient {
    /// Of lists that [`check`] lets through.
    pub(super) fn new(x: &[f64], y: &[f64]) -> Self {
        let (x, y) = (unit(x), unit(y));
        let product: f64 = x.iter().zip(&y).map(|(x, y)| x * y).sum();
        let sign = 1_f64.copysign(product);
        // 1 − |r| is half the squared distance of the unit vectors: exact where 1 − r would cancel.
        let gap = x.iter().zip(&y).map(|(x, y)| (x - sign * y).powi(2)).sum::<f64>() / 2.0;
        let r = if gap < 0.5 { sign * (1.0 - gap) } else { product };
        Self { r, unexplained: gap * (2.0 - gap) }
    }

    fn correlation(&self, pairs: usize) -> Correlation {
        let p_value = if self.r.abs() == 1.0 { PValue::ZERO } else { PValue::of_unexplained(self.unexplained, pairs) };
        Correlation { r: self.r, p_value }
    }
}

/// Centred and of length 1.
fn unit(values: &[f64]) -> Vec<f64> {
    let centred = centre(&centre(values)); // twice: the second mean is what rounding left of the first
    // Scaled first, so that no square of a tiny difference vanishes.
    let largest = centred.iter().fold(0_f64, |largest, value| largest.max(value.abs()));
    let norm = centred.iter().map(|value| (value / largest).powi(2)).sum::<f64>().sqrt();
    centred.iter().map(|value| value / largest / norm).collect()
}

fn centre(values: &[f64]) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| value - mean).collect()
}
