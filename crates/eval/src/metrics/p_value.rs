//! Two-sided p-values of a correlation, exact far beyond the range of f64.

use std::f64::consts::LN_10;
use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use statrs::function::beta::{beta_reg, ln_beta};

/// Below it the incomplete beta function of f64 loses digits, then underflows.
const SMALLEST_DIRECT: f64 = 1e-290;

/// Digits that a p-value beyond f64 is written with: as many as its logarithm holds.
const TAIL_DIGITS: usize = 11;

/// A p-value, kept as its logarithm: large samples go far below the 1e-308 of f64.
///
/// It prints as `0.042`, `3.0e-278` or `1.2e-4200`, and serializes as that number with all its digits. Readers that
/// hold JSON numbers in f64 see 0 beyond 1e-324; [`serde_json::to_value`] refuses it, the text is right.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct PValue {
    ln: f64,
}

impl PValue {
    /// Of a perfect correlation, and of nothing else.
    pub const ZERO: Self = Self { ln: f64::NEG_INFINITY };

    /// Two-sided p-value of the correlation `r` of `pairs` pairs (at least 3).
    pub fn of_correlation(r: f64, pairs: usize) -> Self {
        Self::of_unexplained((1.0 - r) * (1.0 + r), pairs)
    }

    /// I_{1−r²}((n − 2)/2, 1/2), from 1 − r²: the t-test of scipy's pearsonr and spearmanr in other terms.
    pub(super) fn of_unexplained(unexplained: f64, pairs: usize) -> Self {
        if unexplained <= 0.0 {
            return Self::ZERO;
        }
        let half_freedom = (pairs as f64 - 2.0) / 2.0;
        let direct = beta_reg(half_freedom, 0.5, unexplained.min(1.0));
        let ln = if direct > SMALLEST_DIRECT { direct.ln() } else { ln_tail(half_freedom, unexplained) };
        Self { ln: ln.min(0.0) }
    }

    /// Natural logarithm; −∞ of 0.
    pub fn ln(self) -> f64 {
        self.ln
    }

    /// As f64, which is 0 for what lies below its range.
    pub fn value(self) -> f64 {
        self.ln.exp()
    }

    /// `1.2e-4200`, with so many digits after the point.
    fn scientific(self, digits: usize) -> String {
        let log10 = self.ln / LN_10;
        let exponent = log10.floor();
        let mantissa = format!("{:.digits$}", 10_f64.powf(log10 - exponent));
        match mantissa.strip_prefix("10") {
            Some(zeros) => format!("1{zeros}e{}", exponent + 1.0), // 9.96 was rounded up
            None => format!("{mantissa}e{exponent}"),
        }
    }
}

/// ln I_x(a, 1/2) = ln[xᵃ (1−x)^½ / (a B(a, ½))] + ln Σ (a+½)ₖ/(a+1)ₖ xᵏ (<https://dlmf.nist.gov/8.17.E8>).
fn ln_tail(a: f64, x: f64) -> f64 {
    let (mut sum, mut term, mut k) = (1.0, 1.0, 0.0);
    while term > f64::EPSILON * sum * (1.0 - x) / 8.0 {
        term *= (a + 0.5 + k) / (a + 1.0 + k) * x;
        sum += term;
        k += 1.0;
    }
    a * x.ln() + 0.5 * (-x).ln_1p() - a.ln() - ln_beta(a, 0.5) + f64::ln(sum)
}

impl fmt::Display for PValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value();
        f.pad(&match value {
            _ if *self == Self::ZERO => "0".to_owned(),
            0.001.. => format!("{value:.3}"),
            f64::MIN_POSITIVE.. => format!("{value:.1e}"),
            _ => self.scientific(1),
        })
    }
}

impl Serialize for PValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.value();
        if value >= f64::MIN_POSITIVE || *self == Self::ZERO {
            return serializer.serialize_f64(value);
        }
        let text = RawValue::from_string(self.scientific(TAIL_DIGITS)).map_err(serde::ser::Error::custom)?;
        text.serialize(serializer)
    }
}
