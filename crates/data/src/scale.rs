//! From where to where scores go.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The highest score; the lowest is 0.
pub const MAX_SCORE: f64 = 5.0;

/// From where to where the scores of a file go; they are brought to 0 to 5.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "[f64; 2]", into = "[f64; 2]")]
pub struct Scale {
    lowest: f64,
    highest: f64,
}

impl Default for Scale {
    fn default() -> Self {
        Self { lowest: 0.0, highest: MAX_SCORE }
    }
}

impl Scale {
    /// A score of the file on the scale of 0 to 5; none where it is outside of the file's.
    pub fn label(self, score: f64) -> Option<f64> {
        if !(self.lowest..=self.highest).contains(&score) {
            return None;
        }
        if self == Self::default() {
            return Some(score.abs()); // -0 becomes 0, and all others stay as they are
        }
        Some(((score - self.lowest) * MAX_SCORE / (self.highest - self.lowest)).clamp(0.0, MAX_SCORE))
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.lowest, self.highest)
    }
}

impl TryFrom<[f64; 2]> for Scale {
    type Error = String;

    fn try_from([lowest, highest]: [f64; 2]) -> Result<Self, String> {
        if lowest.is_finite() && highest.is_finite() && lowest < highest {
            return Ok(Self { lowest, highest });
        }
        Err(format!("[{lowest}, {highest}]: expected the lowest score and the highest, as in [0, 1]"))
    }
}

impl From<Scale> for [f64; 2] {
    fn from(scale: Scale) -> Self {
        [scale.lowest, scale.highest]
    }
}

impl FromStr for Scale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers =
            text.split_once(',').and_then(|(low, high)| Some([low.trim().parse().ok()?, high.trim().parse().ok()?]));
        Scale::try_from(
            numbers.ok_or_else(|| format!("{text:?}: expected the lowest score and the highest, as in 0,1"))?,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_brought_to_five() {
        let scale: Scale = "-1,1".parse().unwrap();
        assert_eq!([-1.0, 0.0, 1.0].map(|score| scale.label(score)), [Some(0.0), Some(2.5), Some(5.0)]);
        assert_eq!((scale.label(1.1), scale.label(f64::NAN)), (None, None));
        assert_eq!(Scale::default().label(3.714285714285714), Some(3.714285714285714));
        for text in ["1,0", "0,0", "0", "0,inf", "a,b", ""] {
            assert!(text.parse::<Scale>().is_err(), "{text}");
        }
    }
}
