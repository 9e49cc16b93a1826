//! The report of a run as a page: `report.md`.

use std::{fmt, fmt::Write, time::Duration};

use data::Histogram;
use eval::{Evaluation, Figures, Interval, metrics::MetricError};
use indicatif::FormattedDuration;
use model::SimilarityFunction;

use super::Report;
use crate::{
    datasets::{Count, Rows},
    figures::DevFigures,
    figures::shown,
    loss::Loss,
    objective::Objective,
};

/// Rows of others' figures, from the models' cards and papers.
const PUBLISHED: &str = include_str!("published.md");

impl Report {
    /// The report as Markdown.
    pub(crate) fn to_markdown(&self) -> String {
        let mut text = String::new();
        self.write_markdown(&mut text).expect("writing to a string does not fail");
        text
    }

    fn write_markdown(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "# Training run `{}`\n", self.output)?;
        let meaning = match self.config.objective {
            Objective::Mlm => {
                "The loss is the mean cross-entropy of the tokens that were hidden, the accuracy the share of them that the model \
                 names, of the paragraphs that were held out."
            }
            Objective::CrossEncoder => {
                "A prediction is 5 times the score that the model gives two sentences it reads together, on the labels' scale of \
                 0 to 5; F1 is of the question whether a score is at least 3.0, asked of label and prediction; MSE, which \
                 `select_by = \"loss\"` chooses by, is the mean squared difference of the two."
            }
            Objective::Sts | Objective::Contrastive | Objective::Distillation => {
                "A prediction is 5 · cosine, on the labels' scale of 0 to 5; F1 is of the question whether a score is at least 3.0, \
                 asked of label and prediction; MSE, which `select_by = \"loss\"` chooses by, is the mean squared difference of the \
                 two."
            }
        };
        let meaning = meaning.to_owned() + self.caveats().as_str();
        let (best, select_by, why) = (self.best.epoch, self.best.select_by, self.why_by_loss());
        writeln!(out, "Best epoch: **{best}**, chosen by {select_by} on dev{why}. {meaning}\n")?;
        if let Some(warning) = self.no_gain() {
            writeln!(out, "**Warning:** {warning}.\n")?;
        }
        writeln!(out, "## Dev figures per epoch\n\nEpoch 0 is the model before the first step.\n")?;
        writeln!(out, "{}\n", self.dev_table())?;
        if !self.test.is_empty() {
            writeln!(out, "## Test figures of epoch {}\n\nBrackets hold 95 % bootstrap intervals.\n", self.best.epoch)?;
            writeln!(
                out,
                "| data | pairs | Pearson | p | Spearman | p | F1 ≥ 3.0 | MSE |\n|---|---|---|---|---|---|---|---|"
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
        if self.config.objective == Objective::Mlm {
            writeln!(out, "## Data\n\n| text | bytes on the disk |\n|---|---|")?;
            self.rows.text.iter().try_for_each(|text| writeln!(out, "| {} | {} |", text.data, text.bytes))?;
        } else {
            self.write_comparison(out)?;
            self.write_pairs(out)?;
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
        writeln!(out, "| sha256 of all data | {} |", self.data_sha256)
    }

    /// What the figures do not say of such a model.
    fn caveats(&self) -> String {
        let mut caveats = String::new();
        let is_scaled = match (self.objective(), self.loss()) {
            (Objective::Mlm, _) | (Objective::Sts | Objective::CrossEncoder, Loss::Mse | Loss::Bce) => true,
            (Objective::Sts | Objective::CrossEncoder | Objective::Contrastive | Objective::Distillation, _) => false,
        };
        if !is_scaled {
            caveats += " The model was not trained on that scale, so F1 and MSE say little of it.";
        }
        if let Some(other) = self.similarity.filter(|similarity| *similarity != SimilarityFunction::Cosine) {
            caveats += &format!(" Correlations on test are those of the model's own similarity, {other}.");
        }
        caveats
    }

    /// The pairs of each part and their scores.
    fn write_pairs(&self, out: &mut String) -> fmt::Result {
        writeln!(
            out,
            "## Data\n\nPairs of each part, and how many have a score from a column's bound up to the next{}.\n",
            if self.config.objective == Objective::Distillation { "; of train, its distinct sentences" } else { "" }
        )?;
        let bounds: Vec<String> = (0..Histogram::BINS).map(|bin| format!("{:.1}", Histogram::bounds(bin).0)).collect();
        writeln!(
            out,
            "| part | dataset | pairs | {} |\n|---|---|---|{}",
            bounds.join(" | "),
            "---|".repeat(Histogram::BINS)
        )?;
        let Rows { train_sets, dev, test, .. } = &self.rows;
        for (part, sets) in [("train", train_sets), ("dev", dev), ("test", test)] {
            for Count { data, pairs, scores } in sets {
                let counts: Vec<String> = match scores {
                    Some(scores) => scores.counts.iter().map(usize::to_string).collect(),
                    None => vec!["–".to_owned(); Histogram::BINS], // sentences and examples have none
                };
                writeln!(out, "| {part} | {data} | {pairs} | {} |", counts.join(" | "))?;
            }
        }
        Ok(())
    }

    /// The figures of the best epoch above those that others published on the same sets, in one table; none where there are
    /// no such sets.
    fn write_comparison(&self, out: &mut String) -> fmt::Result {
        let of_others: Vec<&str> = PUBLISHED.lines().filter(|row| self.has_set(published_set(row))).collect();
        if of_others.is_empty() {
            return Ok(());
        }
        writeln!(out, "## Beside published figures\n")?;
        writeln!(out, "| model | kind | data | Pearson | Spearman | F1 ≥ 3.0 | MSE |\n|---|---|---|---|---|---|---|")?;
        let kind = if self.config.objective == Objective::CrossEncoder { "cross-encoder" } else { "bi-encoder" };
        let ours = format!("**this run, epoch {}** | {kind}", self.best.epoch);
        for DevFigures { data, pearson, spearman, f1, loss, .. } in self.best_dev() {
            let [pearson, spearman, f1] = [*pearson, *spearman, *f1].map(shown);
            let name = if data == "merged" { "merged dev sets" } else { data };
            writeln!(out, "| {ours} | {name} | {pearson} | {spearman} | {f1} | {loss:.4} |")?;
        }
        for Evaluation { data, figures, .. } in &self.test {
            let Some(Figures { pearson, spearman, f1, mse, .. }) = figures else { continue };
            let value = |found: &Result<Interval, MetricError>| shown(found.as_ref().ok().map(|found| found.value));
            let name = if data == "merged" { "merged test sets" } else { data };
            writeln!(out, "| {ours} | {name} | {} | {} | {f1:.4} | {mse:.4} |", value(pearson), value(spearman))?;
        }
        of_others.iter().try_for_each(|row| writeln!(out, "{row}"))?;
        writeln!(out)
    }
}

/// The dataset of a published row.
fn published_set(row: &str) -> &str {
    row.split('|').nth(3).unwrap_or_default().trim()
}

fn interval(interval: &Result<Interval, MetricError>) -> String {
    match interval {
        Ok(Interval { value, p_value, ci95: [low, high] }) => format!("{value:.4} [{low:.4}, {high:.4}] | {p_value}"),
        Err(reason) => format!("– ({reason}) | –"),
    }
}
