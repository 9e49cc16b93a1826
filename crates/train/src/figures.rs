//! The figures that tell one epoch from another.

use std::fmt;

use eval::{
    LABEL_SCALE, THRESHOLD, check_spread,
    metrics::{f1, mse, pearson, spearman},
};
use model::Guesses;
use serde::{Deserialize, Serialize};

/// The dev figure that picks the best epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SelectBy {
    /// Pearson's correlation, the higher the better.
    #[default]
    Pearson,
    /// Spearman's correlation, the higher the better.
    Spearman,
    /// F1 of «score ≥ 3», the higher the better.
    F1,
    /// Mean squared error of 5 · cosine, whatever training makes small, or the mean cross-entropy of hidden tokens; the lower
    /// the better.
    Loss,
}

/// As the configuration names it.
impl fmt::Display for SelectBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SelectBy::Pearson => "pearson",
            SelectBy::Spearman => "spearman",
            SelectBy::F1 => "f1",
            SelectBy::Loss => "loss",
        })
    }
}

/// A loss that is lower by less than this part of it is lower by rounding.
const ROUNDING: f64 = 1e-6;

impl SelectBy {
    /// Whether one figure is better than another; one that is undefined is worse than any.
    pub(crate) fn is_better(self, new: Option<f64>, old: Option<f64>) -> bool {
        match (new, old) {
            (Some(new), Some(old)) if self == SelectBy::Loss => new < old - ROUNDING * old.abs(),
            (Some(new), Some(old)) => new > old,
            (new, old) => new.is_some() && old.is_none(),
        }
    }
}

/// Figures of one dev set: of scored pairs, or of a text whose hidden tokens were guessed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DevFigures {
    /// The dev set; `merged` stands for all of them together.
    pub data: String,
    /// Number of pairs, or of hidden tokens.
    pub pairs: usize,
    /// Pearson's correlation, unless labels or predictions are constant, the latter but for rounding.
    pub pearson: Option<f64>,
    /// Spearman's correlation, unless labels or predictions are constant, the latter but for rounding.
    pub spearman: Option<f64>,
    /// F1 of «score ≥ 3».
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub f1: Option<f64>,
    /// Share of the hidden tokens that the model names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Mean squared error, or mean cross-entropy of the hidden tokens.
    pub loss: f64,
}

/// One of the figures of a set.
pub(crate) struct Figure {
    /// Its name in logs.
    pub(crate) name: &'static str,
    /// Over its column in a table.
    pub(crate) header: &'static str,
    /// On the axis of a picture.
    pub(crate) axis: &'static str,
    /// `None` where it is undefined.
    pub(crate) value: fn(&DevFigures) -> Option<f64>,
}

const OF_PAIRS: [Figure; 4] = [
    Figure { name: "pearson", header: "Pearson", axis: "dev Pearson", value: |dev| dev.pearson },
    Figure { name: "spearman", header: "Spearman", axis: "dev Spearman", value: |dev| dev.spearman },
    Figure { name: "f1", header: "F1 ≥ 3.0", axis: "dev F1 (score ≥ 3)", value: |dev| dev.f1 },
    Figure { name: "loss", header: "MSE", axis: "dev MSE", value: |dev| Some(dev.loss) },
];
const OF_TEXT: [Figure; 2] = [
    Figure { name: "accuracy", header: "accuracy", axis: "held-out accuracy", value: |dev| dev.accuracy },
    Figure { name: "loss", header: "loss", axis: "held-out loss", value: |dev| Some(dev.loss) },
];

impl DevFigures {
    /// The figures that such a set has; all sets of a run have the same.
    pub(crate) fn figures(&self) -> &'static [Figure] {
        if self.accuracy.is_some() { &OF_TEXT } else { &OF_PAIRS }
    }

    /// Of the guesses on a text.
    pub(crate) fn masked(data: &str, guesses: &Guesses) -> Self {
        let positions = guesses.positions.max(1) as f64;
        Self {
            data: data.to_owned(),
            pairs: guesses.positions as usize,
            pearson: None,
            spearman: None,
            f1: None,
            accuracy: Some(guesses.right as f64 / positions),
            loss: guesses.loss / positions,
        }
    }

    pub(crate) fn new(data: &str, labels: &[f64], predictions: &[f64]) -> Self {
        let is_spread = check_spread(predictions, LABEL_SCALE).is_ok();
        Self {
            data: data.to_owned(),
            pairs: labels.len(),
            pearson: pearson(labels, predictions).ok().filter(|_| is_spread).map(|correlation| correlation.r),
            spearman: spearman(labels, predictions).ok().filter(|_| is_spread).map(|correlation| correlation.r),
            f1: Some(f1(labels, predictions, THRESHOLD)),
            accuracy: None,
            loss: mse(labels, predictions),
        }
    }

    /// The figure that picks the best epoch, `None` where it is undefined.
    pub(crate) fn figure(&self, select_by: SelectBy) -> Option<f64> {
        let figure = match select_by {
            SelectBy::Pearson => self.pearson,
            SelectBy::Spearman => self.spearman,
            SelectBy::F1 => self.f1,
            SelectBy::Loss => Some(self.loss),
        };
        figure.filter(|figure| figure.is_finite())
    }
}

/// A figure, or a dash where it is undefined.
pub(crate) fn shown(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.4}"))
}
