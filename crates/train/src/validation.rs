//! Dev figures after an epoch, and which epoch is best by them.

use data::Dataset;
use eval::{
    THRESHOLD,
    metrics::{f1, mse, pearson, spearman},
    score,
};
use model::SentenceEncoder;
use serde::Serialize;

use crate::config::SelectBy;

/// Figures of one dev set.
#[derive(Clone, Debug, Serialize)]
pub struct DevFigures {
    /// The dev set; `merged` stands for all of them together.
    pub data: String,
    /// Number of pairs.
    pub pairs: usize,
    /// Pearson's correlation, unless predictions are constant.
    pub pearson: Option<f64>,
    /// Spearman's correlation, unless predictions are constant.
    pub spearman: Option<f64>,
    /// F1 of «score ≥ 3».
    pub f1: f64,
    /// Mean squared error.
    pub loss: f64,
}

impl DevFigures {
    fn new(data: &str, labels: &[f64], predictions: &[f64]) -> Self {
        Self {
            data: data.to_owned(),
            pairs: labels.len(),
            pearson: pearson(labels, predictions).ok().map(|correlation| correlation.r),
            spearman: spearman(labels, predictions).ok().map(|correlation| correlation.r),
            f1: f1(labels, predictions, THRESHOLD),
            loss: mse(labels, predictions),
        }
    }

    /// The figure that picks the best epoch, the higher the better; an undefined one is worse than any other.
    pub(crate) fn selection(&self, select_by: SelectBy) -> f64 {
        match select_by {
            SelectBy::Pearson => self.pearson.unwrap_or(f64::NEG_INFINITY),
            SelectBy::Spearman => self.spearman.unwrap_or(f64::NEG_INFINITY),
            SelectBy::F1 => self.f1,
            SelectBy::Loss => -self.loss,
        }
    }
}

/// Figures of every dev set, and after them, if there are several, of all pairs merged. The last entry picks the epoch.
pub(crate) fn validate(encoder: &SentenceEncoder, datasets: &[Dataset]) -> anyhow::Result<Vec<DevFigures>> {
    let (mut figures, mut labels, mut predictions) = (Vec::new(), Vec::new(), Vec::new());
    for dataset in datasets {
        let (expected, found) = (dataset.scores()?, score(encoder, dataset, &mut |_| {})?.predictions);
        figures.push(DevFigures::new(&dataset.name, &expected, &found));
        labels.extend(expected);
        predictions.extend(found);
    }
    if datasets.len() > 1 {
        figures.push(DevFigures::new("merged", &labels, &predictions));
    }
    Ok(figures)
}
