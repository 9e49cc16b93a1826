//! The figures of one evaluation: how well predictions agree with labels.

use data::POSITIVE_SCORE;
use model::SimilarityFunction;
use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{
    metrics::{Correlation, MetricError, PValue, Statistic, bootstrap_ci95, f1, mse, pearson, spearman},
    scoring::{LABEL_SCALE, Scored},
};

/// The question of F1, asked of label and prediction alike: is the score at least this?
pub const THRESHOLD: f64 = POSITIVE_SCORE;

const RESAMPLES: usize = 1_000;
const BOOTSTRAP_SEED: u64 = 42; // fixed, so that an evaluation repeated gives the same interval

/// A correlation with its p-value and its 95 % bootstrap interval.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    /// The correlation, in -1..=1.
    pub value: f64,
    /// Two-sided p-value.
    pub p_value: PValue,
    /// 95 % percentile bootstrap interval.
    pub ci95: [f64; 2],
}

impl Interval {
    fn new(found: Correlation, labels: &[f64], predictions: &[f64], statistic: Statistic) -> Result<Self, MetricError> {
        let ci95 = bootstrap_ci95(labels, predictions, statistic, RESAMPLES, BOOTSTRAP_SEED)?;
        Ok(Self { value: found.r, p_value: found.p_value, ci95 })
    }

    fn serialize_as<S: Serializer>(&self, name: &'static str, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Interval", 3)?;
        object.serialize_field(name, &self.value)?;
        object.serialize_field("p_value", &self.p_value)?;
        object.serialize_field("ci95", &self.ci95)?;
        object.end()
    }
}

/// The figures of predictions against labels, both on the labels' scale.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// The similarity whose correlations follow, where it is not the cosine. F1 and mean squared error need the labels' scale
    /// and are those of 5 · cosine whatever it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<SimilarityFunction>,
    /// Pearson's correlation; `null` in JSON where it is undefined.
    #[serde(serialize_with = "pearson_object")]
    pub pearson: Result<Interval, MetricError>,
    /// Spearman's rank correlation; `null` in JSON where it is undefined.
    #[serde(serialize_with = "spearman_object")]
    pub spearman: Result<Interval, MetricError>,
    /// F1 of «score ≥ threshold».
    pub f1: f64,
    /// The threshold of F1.
    pub threshold: f64,
    /// Mean squared error.
    pub mse: f64,
}

impl Figures {
    /// Computes every figure, with intervals.
    pub fn new(labels: &[f64], predictions: &[f64]) -> Self {
        Self::with_similarities(labels, predictions, None)
    }

    /// The same of a model's scores, with the correlations of the similarity that it asks for. Source:
    /// sentence-transformers, `EmbeddingSimilarityEvaluator`.
    pub fn of(scored: &Scored, labels: &[f64]) -> Self {
        let own = (scored.similarity != SimilarityFunction::Cosine)
            .then_some((scored.similarity, scored.similarities.as_slice()));
        Self::with_similarities(labels, &scored.predictions, own)
    }

    fn with_similarities(labels: &[f64], predictions: &[f64], own: Option<(SimilarityFunction, &[f64])>) -> Self {
        let (scale, similarities) = own.map_or((LABEL_SCALE, predictions), |(_, similarities)| (0.0, similarities));
        let interval = |correlation: Result<Correlation, MetricError>, statistic| {
            check_spread(similarities, scale)?;
            Interval::new(correlation?, labels, similarities, statistic)
        };
        Self {
            similarity: own.map(|(function, _)| function),
            pearson: interval(pearson(labels, similarities), Statistic::Pearson),
            spearman: interval(spearman(labels, similarities), Statistic::Spearman),
            f1: f1(labels, predictions, THRESHOLD),
            threshold: THRESHOLD,
            mse: mse(labels, predictions),
        }
    }
}

/// Values of f32 that differ by less than this part of their scale differ by rounding.
const ROUNDING: f64 = 1e-5;

/// Fails where the similarities differ by no more than the rounding of f32, of which no correlation is to be had. Their
/// `scale` is that of the labels where they are 5 · cosine, and else that of the largest.
///
/// # Errors
/// [`MetricError::WithinRounding`], unless they are exactly alike, which [`pearson`] itself tells.
pub fn check_spread(similarities: &[f64], scale: f64) -> Result<(), MetricError> {
    let ends = |(low, high): (f64, f64), &value: &f64| (low.min(value), high.max(value));
    let (low, high) = similarities.iter().fold((f64::INFINITY, f64::NEG_INFINITY), ends);
    let spread = high - low;
    let is_rounding = spread > 0.0 && spread <= ROUNDING * scale.max(low.abs()).max(high.abs());
    if is_rounding { Err(MetricError::WithinRounding(spread)) } else { Ok(()) }
}

fn pearson_object<S: Serializer>(interval: &Result<Interval, MetricError>, serializer: S) -> Result<S::Ok, S::Error> {
    named(interval, "r", serializer)
}

fn spearman_object<S: Serializer>(interval: &Result<Interval, MetricError>, serializer: S) -> Result<S::Ok, S::Error> {
    named(interval, "rho", serializer)
}

fn named<S: Serializer>(
    interval: &Result<Interval, MetricError>,
    name: &'static str,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match interval {
        Ok(interval) => interval.serialize_as(name, serializer),
        Err(_) => serializer.serialize_none(),
    }
}
