//! Dev figures after an epoch.

use data::Dataset;
use eval::{
    THRESHOLD,
    metrics::{f1, mse, pearson, spearman},
    score,
};
use model::SentenceEncoder;
use serde::{Deserialize, Serialize};

use crate::{config::SelectBy, progress::Progress};

/// Figures of one dev set.
#[derive(Clone, Debug, Serialize, Deserialize)]
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

    /// The figure that picks the best epoch, `None` where it is undefined.
    pub(crate) fn figure(&self, select_by: SelectBy) -> Option<f64> {
        let figure = match select_by {
            SelectBy::Pearson => self.pearson,
            SelectBy::Spearman => self.spearman,
            SelectBy::F1 => Some(self.f1),
            SelectBy::Loss => Some(self.loss),
        };
        figure.filter(|figure| figure.is_finite())
    }
}

/// Figures of every dev set, and after them, if there are several, of all pairs merged. The last entry picks the epoch.
pub(crate) fn validate(
    encoder: &SentenceEncoder,
    datasets: &[Dataset],
    progress: &Progress,
) -> anyhow::Result<Vec<DevFigures>> {
    let (mut figures, mut labels, mut predictions) = (Vec::new(), Vec::new(), Vec::new());
    for dataset in datasets {
        let expected = dataset.scores()?;
        let found = score(encoder, dataset, &mut progress.scoring("dev", dataset))?.predictions;
        figures.push(DevFigures::new(&dataset.name, &expected, &found));
        labels.extend(expected);
        predictions.extend(found);
    }
    if datasets.len() > 1 {
        figures.push(DevFigures::new("merged", &labels, &predictions));
    }
    Ok(figures)
}
