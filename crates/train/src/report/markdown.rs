//! The report of a run as a page: `report.md`.

use std::{fmt, fmt::Write, time::Duration};

use data::Histogram;
use eval::{Interval, metrics::MetricError};
use indicatif::FormattedDuration;

use super::Report;
use crate::datasets::Count;

/// Figures of others, from the models' cards and papers.
const PUBLISHED: &str = include_str!("published.md");

impl Report {
    /// The report as Markdown.
    pub(crate) fn to_markdown(&self) -> String {
        let mut text = String::new();
        self.write_markdown(&mut text).expect("writing to a string does not fail");
        text
    }

    fn write_markdown(&self, out: &mut String) -> fmt::Result {
        let select_by = format!("{:?}", self.best.select_by).to_lowercase();
        writeln!(out, "# Training run `{}`\n", self.output)?;
        writeln!(out, "Best epoch: **{}**, chosen by {select_by} on dev.\n", self.best.epoch)?;
        writeln!(out, "## Dev figures per epoch\n")?;
        writeln!(out, "{}\n", self.dev_table())?;
        if !self.test.is_empty() {
            writeln!(out, "## Test figures of epoch {}\n\nBrackets hold 95 % bootstrap intervals.\n", self.best.epoch)?;
            writeln!(
                out,
                "| data | pairs | Pearson | p | Spearman | p | F1 ≥ 3 | MSE |\n|---|---|---|---|---|---|---|---|"
            )?;
            for evaluation in &self.test {
                let Some(figures) = &evaluation.figures else { continue };
                let (pearson, spearman) = (interval(&figures.pearson), interval(&figures.spearman));
                writeln!(
                    out,
                    "| {} | {} | {pearson} | {spearman} | {:.4} | {:.4} |",
                    evaluation.data, evaluation.pairs, figures.f1, figures.mse
                )?;
            }
            writeln!(out)?;
        }
        writeln!(out, "## Published figures beside them\n\n{PUBLISHED}")?;
        writeln!(out, "## Data\n\nPairs of each part, and how many have a score from the bin's bound to the next.\n")?;
        let bounds: Vec<String> = (0..Histogram::BINS).map(|bin| format!("{:.1}", Histogram::bounds(bin).0)).collect();
        writeln!(
            out,
            "| part | dataset | pairs | {} |\n|---|---|---|{}",
            bounds.join(" | "),
            "---|".repeat(Histogram::BINS)
        )?;
        let train = Count {
            data: self.config.train_names().join(" + "),
            pairs: self.rows.train,
            scores: self.rows.train_scores.clone(),
        };
        for (part, sets) in [("train", &vec![train]), ("dev", &self.rows.dev), ("test", &self.rows.test)] {
            for Count { data, pairs, scores } in sets {
                let counts: Vec<String> = scores.counts.iter().map(usize::to_string).collect();
                writeln!(out, "| {part} | {data} | {pairs} | {} |", counts.join(" | "))?;
            }
        }
        writeln!(out, "\n## Settings\n\n```toml\n{}```\n", toml::to_string(&self.config).unwrap_or_default())?;
        writeln!(out, "## Time and machine\n\n| | |\n|---|---|")?;
        writeln!(out, "| time | {} |", FormattedDuration(Duration::from_secs_f64(self.seconds)))?;
        if let Some(bytes) = self.peak_memory_bytes {
            writeln!(out, "| peak memory | {:.2} GiB |", bytes as f64 / f64::from(1 << 30))?;
        }
        for (name, value) in self.machine.parts() {
            writeln!(out, "| {name} | {value} |")?;
        }
        Ok(())
    }
}

fn interval(interval: &Result<Interval, MetricError>) -> String {
    match interval {
        Ok(Interval { value, p_value, ci95: [low, high] }) => format!("{value:.4} [{low:.4}, {high:.4}] | {p_value}"),
        Err(reason) => format!("– ({reason}) | –"),
    }
}
