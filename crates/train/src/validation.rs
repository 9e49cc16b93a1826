//! Dev figures after an epoch.

use data::Dataset;
use eval::{
    Scored, THRESHOLD,
    metrics::{f1, mse, pearson, spearman},
    score,
};
use model::{Guesses, SentenceEncoder};
use serde::{Deserialize, Serialize};

use crate::{config::SelectBy, progress::Progress, ranks::Ranks};

/// Figures of one dev set: of scored pairs, or of a text whose hidden tokens were guessed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DevFigures {
    /// The dev set; `merged` stands for all of them together.
    pub data: String,
    /// Number of pairs, or of hidden tokens.
    pub pairs: usize,
    /// Pearson's correlation, unless predictions are constant.
    pub pearson: Option<f64>,
    /// Spearman's correlation, unless predictions are constant.
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
    Figure { name: "loss", header: "loss", axis: "dev loss (MSE)", value: |dev| Some(dev.loss) },
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

    fn new(data: &str, labels: &[f64], predictions: &[f64]) -> Self {
        Self {
            data: data.to_owned(),
            pairs: labels.len(),
            pearson: pearson(labels, predictions).ok().map(|correlation| correlation.r),
            spearman: spearman(labels, predictions).ok().map(|correlation| correlation.r),
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

/// Figures of every dev set, and after them, if there are several, of all pairs merged. The last entry picks the epoch.
pub(crate) fn validate(
    encoder: &SentenceEncoder,
    datasets: &[Dataset],
    ranks: &Ranks,
    progress: &Progress,
) -> anyhow::Result<Vec<DevFigures>> {
    let (mut figures, mut labels, mut predictions) = (Vec::new(), Vec::new(), Vec::new());
    for dataset in datasets {
        let expected = dataset.scores()?;
        let found = score_together(encoder, dataset, "dev", ranks, progress)?.predictions;
        figures.push(DevFigures::new(&dataset.name, &expected, &found));
        labels.extend(expected);
        predictions.extend(found);
    }
    if datasets.len() > 1 {
        figures.push(DevFigures::new("merged", &labels, &predictions));
    }
    Ok(figures)
}

/// Scores a dataset, each rank a part of it; every rank has all scores.
pub(crate) fn score_together(
    encoder: &SentenceEncoder,
    dataset: &Dataset,
    part: &str,
    ranks: &Ranks,
    progress: &Progress,
) -> anyhow::Result<Scored> {
    if ranks.count() == 1 {
        return Ok(score(encoder, dataset, &mut progress.scoring(part, dataset))?);
    }
    let pairs = dataset.pairs[ranks.share(dataset.pairs.len())].to_vec();
    let own = Dataset { pairs, ..dataset.clone() };
    let scored = score(encoder, &own, &mut progress.scoring(part, &own))?;
    let predictions = ranks.gather(&scored.predictions).concat();
    let similarities = ranks.gather(&scored.similarities).concat();
    Ok(Scored { predictions, similarities, labels: dataset.scores().ok(), ..scored })
}
