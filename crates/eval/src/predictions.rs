//! Predictions beside their pairs, as a CSV file.

use std::io::Write;

use data::{MAX_SCORE, SentencePair};
use polars::prelude::{Column, CsvWriter, DataFrame, PolarsResult, SerWriter};

/// Writes `index,sentence1,sentence2,label,prediction`, one row per pair, with indices from `first` on and a header above
/// the pair 0, after the mark by which Excel knows UTF-8; the label is empty where the pairs have none. Predictions are
/// brought within the labels' scale of 0 to 5, so that they are labels themselves: a cosine below 0 is written as 0.
pub fn write_predictions(
    writer: impl Write,
    first: usize,
    pairs: &[SentencePair],
    predictions: &[f64],
) -> PolarsResult<()> {
    let indices: Vec<u64> = (first..first + pairs.len()).map(|index| index as u64).collect();
    let sentences1: Vec<&str> = pairs.iter().map(|pair| pair.sentence1.as_str()).collect();
    let sentences2: Vec<&str> = pairs.iter().map(|pair| pair.sentence2.as_str()).collect();
    let labels: Vec<Option<String>> = pairs.iter().map(|pair| pair.score.map(shown)).collect();
    let predictions: Vec<String> =
        predictions.iter().map(|prediction| shown(prediction.clamp(0.0, MAX_SCORE))).collect();
    let mut frame = DataFrame::new(
        pairs.len(),
        vec![
            Column::new("index".into(), indices),
            Column::new("sentence1".into(), sentences1),
            Column::new("sentence2".into(), sentences2),
            Column::new("label".into(), labels),
            Column::new("prediction".into(), predictions),
        ],
    )?;
    CsvWriter::new(writer).include_bom(first == 0).include_header(first == 0).finish(&mut frame)
}

/// A number with the digits that mean something: embeddings are f32, of which 5 · cosine has six behind the point.
fn shown(number: f64) -> String {
    ((number * 1e6).round() / 1e6 + 0.0).to_string() // −0 becomes 0
}
