//! The result of an evaluation, as JSON and as a table.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use model::Precision;
use serde::Serialize;

use crate::{
    figures::{Figures, Interval, THRESHOLD},
    metrics::MetricError,
    scoring::Scored,
};

/// What one model reaches on one or more datasets. Its JSON form is that of `eval --json`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The model as it was named.
    pub model: String,
    /// Number format that it computed in.
    pub precision: Precision,
    /// What was put before every sentence; absent where it was nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prompt: String,
    /// What of the processor was used.
    pub processor: String,
    /// One entry per dataset, in the order asked for; with several that have labels, the last is of these merged.
    pub results: Vec<Evaluation>,
}

/// What a model reaches on one dataset.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// The dataset as it was named; `merged` stands for all labelled ones together.
    pub data: String,
    /// Number of pairs.
    pub pairs: usize,
    /// The figures; absent for a dataset without labels.
    #[serde(flatten)]
    pub figures: Option<Figures>,
    /// Speed of encoding; a pair has two sentences.
    pub sentences_per_second: f64,
}

impl Evaluation {
    /// Evaluates the scores of a dataset.
    pub fn new(data: &str, scored: &Scored) -> Self {
        Self {
            data: data.to_owned(),
            pairs: scored.predictions.len(),
            figures: scored.labels.as_ref().map(|labels| Figures::of(scored, labels)),
            sentences_per_second: scored.sentences_per_second(),
        }
    }
}

impl fmt::Display for Report {
    /// A table for the terminal: one row per dataset.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        let f1 = format!("F1 ≥ {THRESHOLD:.1}");
        table.load_style(UTF8_FULL_CONDENSED).set_header([
            "data",
            "pairs",
            "Pearson [95 %]",
            "p",
            "Spearman [95 %]",
            "p",
            &f1,
            "MSE",
            "sentences/s",
        ]);
        for result in &self.results {
            let mut row = vec![result.data.clone(), result.pairs.to_string()];
            match &result.figures {
                Some(figures) => {
                    for interval in [&figures.pearson, &figures.spearman] {
                        row.extend(cells(interval));
                    }
                    row.extend([format!("{:.4}", figures.f1), format!("{:.4}", figures.mse)]);
                }
                None => row.extend(["no labels", "", "", "", "", ""].map(str::to_owned)),
            }
            row.push(format!("{:.0}", result.sentences_per_second));
            table.add_row(row);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(f, "{} ({})", self.model, self.precision)?;
        write!(f, "{table}")?;
        // One model, so one similarity.
        let figures = self.results.iter().find_map(|result| result.figures.as_ref());
        if let Some(similarity) = figures.and_then(|figures| figures.similarity) {
            write!(f, "\nPearson and Spearman: of the model's similarity, {similarity}; F1 and MSE: of 5 · cosine")?;
        }
        for result in &self.results {
            // The same reason holds for both correlations.
            if let Some(Figures { pearson: Err(reason), .. }) = &result.figures {
                write!(f, "\n{}: no correlation: {reason}", result.data)?;
            }
        }
        Ok(())
    }
}

fn cells(interval: &Result<Interval, MetricError>) -> [String; 2] {
    match interval {
        Ok(Interval { value, p_value, ci95: [low, high] }) => {
            [format!("{value:.4} [{low:.4}, {high:.4}]"), p_value.to_string()]
        }
        Err(_) => ["–".to_owned(), "–".to_owned()],
    }
}
