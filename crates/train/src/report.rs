//! The report of a run: `report.json`, and the table at its end.

mod markdown;

use std::{fmt, time::Instant};

use comfy_table::{Table, presets::ASCII_MARKDOWN};
use eval::{Evaluation, Interval, metrics::MetricError};
use model::{SimilarityFunction, runtime};
use serde::Serialize;

use crate::{
    config::{Config, RawConfig},
    datasets::Rows,
    environment::Environment,
    epoch::{Best, Epoch},
    figures::{DevFigures, SelectBy, shown},
    loss::Loss,
    machine::Machine,
    meter::Meter,
    objective::Objective,
    state::{StreamPlace, TrainerState},
};

/// Everything that a run found out.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The run directory.
    pub output: String,
    config: RawConfig,
    rows: Rows,
    /// One entry per epoch.
    pub epochs: Vec<Epoch>,
    /// The best epoch by the dev figure that the configuration names.
    pub best: Best,
    /// Figures of the best epoch on the test sets.
    pub test: Vec<Evaluation>,
    machine: Machine,
    seconds: f64, // interruptions left out
    peak_memory_bytes: Option<u64>,
    /// Digest of every sentence and score of all datasets.
    data_sha256: String,
    #[serde(skip)]
    asked: SelectBy, // by what to choose the best epoch
    /// What the model's embeddings were made for; none of a masked language model.
    #[serde(skip)]
    pub(crate) similarity: Option<SimilarityFunction>,
    #[serde(skip)]
    start: Instant,
}

impl Report {
    pub(crate) fn new(
        config: &Config,
        environment: &Environment,
        rows: Rows,
        data_sha256: String,
        similarity: Option<SimilarityFunction>,
    ) -> Self {
        Self {
            output: config.output.display().to_string(),
            config: config.raw.clone(),
            rows,
            data_sha256,
            epochs: Vec::new(),
            best: Best { epoch: 0, select_by: config.select_by, value: None },
            test: Vec::new(),
            machine: Machine::new(environment.device, environment.ranks.count()),
            seconds: 0.0,
            peak_memory_bytes: None,
            asked: config.select_by,
            similarity,
            start: Instant::now(),
        }
    }

    /// Takes an epoch in; true if it is the best so far. The first of equals stays best. Epochs that lack the figure that was
    /// asked for are told apart by their loss.
    pub(crate) fn add(&mut self, epoch: Epoch) -> bool {
        let (asked, dev) = (self.asked, epoch.dev.last());
        let (select_by, value) = match dev.and_then(|figures| figures.figure(asked)) {
            Some(value) => (asked, Some(value)),
            None => (SelectBy::Loss, dev.and_then(|figures| figures.figure(SelectBy::Loss))),
        };
        // What the model was before the first step is no epoch of the run's.
        let is_trained = epoch.epoch > 0;
        let is_first = self.best.epoch == 0;
        let is_best = is_trained
            && (is_first
                || match (self.best.select_by == asked, select_by == asked) {
                    (true, false) if self.best.value.is_some() => false,
                    (false, true) => true,
                    _ => select_by.is_better(value, self.best.value),
                });
        if is_best {
            self.best = Best { epoch: epoch.epoch, select_by, value };
        }
        self.epochs.push(epoch);
        is_best
    }

    pub(crate) fn objective(&self) -> Objective {
        self.config.objective
    }

    /// What training on scored pairs made small.
    pub(crate) fn loss(&self) -> Loss {
        self.config.train.loss.unwrap_or_default()
    }

    /// Whether the run has a dev or test set of this name.
    fn has_set(&self, name: &str) -> bool {
        let dev = self.best_dev().iter().map(|dev| dev.data.as_str());
        dev.chain(self.test.iter().map(|test| test.data.as_str())).any(|data| data == name)
    }

    pub(crate) fn data_sha256(&self) -> &str {
        &self.data_sha256
    }

    /// Where the run stands after a step.
    pub(crate) fn state(
        &self,
        step: u64,
        whole: &Meter,
        window: &Meter,
        log_bytes: u64,
        stream_place: Option<StreamPlace>,
    ) -> TrainerState {
        TrainerState {
            data_sha256: self.data_sha256.clone(),
            dev_sha256: self.rows.dev_sha256.clone(),
            step,
            epochs: self.epochs.clone(),
            best: self.best,
            whole: whole.pause(),
            window: window.pause(),
            log_bytes,
            stream_place,
            seconds: self.seconds(),
            device: Some(self.machine.device.clone()),
            threads: Some(self.machine.threads),
            processes: Some(self.machine.processes),
        }
    }

    /// What to say where a run goes on otherwise than it was computed so far, which changes the order of sums.
    pub(crate) fn other_machine(&self, state: &TrainerState) -> Option<String> {
        let place = |device: &str, threads: usize, processes: usize| match processes {
            1 => format!("{device} with --threads {threads}"),
            _ => format!("{device} with --threads {threads} in each of {processes} processes"),
        };
        let Machine { device, threads, processes, .. } = &self.machine;
        let old = place(state.device.as_ref()?, state.threads?, state.processes.unwrap_or(1));
        let new = place(device, *threads, *processes);
        (old != new).then(|| {
            format!(
                "{}: computed so far on {old}, now on {new}: the result will not equal that of an uninterrupted run bit for bit",
                self.output
            )
        })
    }

    /// Takes up what a run found out before it was interrupted.
    pub(crate) fn restore(&mut self, epochs: Vec<Epoch>, best: Best, seconds: f64) {
        (self.epochs, self.best, self.seconds) = (epochs, best, seconds);
    }

    /// Time that the run has taken, interruptions left out.
    fn seconds(&self) -> f64 {
        self.seconds + self.start.elapsed().as_secs_f64()
    }

    pub(crate) fn finish(&mut self) {
        self.seconds = self.seconds();
        self.peak_memory_bytes = runtime::peak_memory();
    }

    /// The dev figures of the best epoch.
    pub(crate) fn best_dev(&self) -> &[DevFigures] {
        self.epochs.iter().find(|epoch| epoch.epoch == self.best.epoch).map_or(&[], |epoch| epoch.dev.as_slice())
    }

    /// What to say where training did no good, by the figure that chooses.
    pub(crate) fn no_gain(&self) -> Option<String> {
        let before = self.epochs.first().filter(|first| first.epoch == 0)?;
        let select_by = self.best.select_by;
        let before = before.dev.last()?.figure(select_by)?;
        let name = format!("{select_by:?}").to_lowercase();
        (!select_by.is_better(self.best.value, Some(before))).then(|| {
            format!(
                "no epoch is better than the model was before the first step: {name} on dev was {before:.4}, and the best epoch has \
                 {}",
                shown(self.best.value)
            )
        })
    }

    /// What to append to the best epoch where it was chosen by another figure than was asked for.
    fn why_by_loss(&self) -> String {
        match self.best.select_by == self.asked {
            true => String::new(),
            false => format!(" (by {}: {} is undefined on dev in every epoch)", self.best.select_by, self.asked),
        }
    }

    pub(crate) fn to_json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The dev figures of every epoch as a Markdown table, which reads well on a terminal too; a star marks the best.
    fn dev_table(&self) -> Table {
        let mut table = Table::new();
        let figures = self.epochs.first().and_then(|epoch| epoch.dev.first()).map_or(&[][..], |dev| dev.figures());
        let headers = figures.iter().map(|figure| figure.header);
        table.load_style(ASCII_MARKDOWN).set_header(["epoch", "step", "train loss", "dev"].into_iter().chain(headers));
        for epoch in &self.epochs {
            let mark = if epoch.epoch > 0 && epoch.epoch == self.best.epoch { " *" } else { "" };
            for dev in &epoch.dev {
                let place = [
                    format!("{}{mark}", epoch.epoch),
                    epoch.step.to_string(),
                    shown(epoch.train_loss),
                    dev.data.clone(),
                ];
                table.add_row(place.into_iter().chain(figures.iter().map(|figure| shown((figure.value)(dev)))));
            }
        }
        table
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.dev_table())?;
        for evaluation in &self.test {
            let Some(figures) = &evaluation.figures else { continue };
            let value =
                |interval: &Result<Interval, MetricError>| shown(interval.as_ref().ok().map(|interval| interval.value));
            let (pearson, spearman) = (value(&figures.pearson), value(&figures.spearman));
            let (data, pairs) = (&evaluation.data, evaluation.pairs);
            writeln!(
                f,
                "test {data} ({pairs} pairs): Pearson {pearson} · Spearman {spearman} · F1 {:.4} · MSE {:.4}",
                figures.f1, figures.mse
            )?;
        }
        writeln!(f, "best epoch: {}{}", self.best.epoch, self.why_by_loss())?;
        if let Some(warning) = self.no_gain() {
            writeln!(f, "warning: {warning}")?;
        }
        write!(f, "run: {0}/ · checkpoint: {0}/best · report: {0}/report.md", self.output)
    }
}
