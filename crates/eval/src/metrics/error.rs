//! Figures of how far predictions are off: F1 at a threshold, mean squared error.

/// F1 of the question «at least `threshold`?», asked of label and prediction alike.
///
/// 0 where it is undefined, because neither side says yes: `sklearn.metrics.f1_score(…, zero_division=0)`.
///
/// # Panics
/// If the lengths differ.
pub fn f1(labels: &[f64], predictions: &[f64], threshold: f64) -> f64 {
    assert_eq!(labels.len(), predictions.len(), "a prediction for every label");
    let yes = |values: &[f64]| values.iter().filter(|&&value| value >= threshold).count();
    let both = labels
        .iter()
        .zip(predictions)
        .filter(|(label, prediction)| **label >= threshold && **prediction >= threshold)
        .count();
    match yes(labels) + yes(predictions) {
        0 => 0.0,
        either => 2.0 * both as f64 / either as f64,
    }
}

/// Mean squared difference, as `sklearn.metrics.mean_squared_error`; NaN of nothing.
///
/// # Panics
/// If the lengths differ.
pub fn mse(labels: &[f64], predictions: &[f64]) -> f64 {
    assert_eq!(labels.len(), predictions.len(), "a prediction for every label");
    let squares = labels.iter().zip(predictions).map(|(label, prediction)| (label - prediction).powi(2));
    squares.sum::<f64>() / labels.len() as f64
}
