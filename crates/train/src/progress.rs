//! What a user sees of a running training: a bar on a terminal, plain lines elsewhere; both on stderr.

use std::time::{Duration, Instant};

use data::Dataset;
use indicatif::{FormattedDuration, ProgressBar, ProgressStyle};

use crate::meter::Meter;

/// Progress over the optimizer steps of a whole run.
pub(crate) struct Progress {
    bar: ProgressBar,
    start: Instant,
    first: u64, // step at `start`
}

impl Progress {
    /// Starts at `step`, which is 0 unless a run goes on.
    pub(crate) fn new(step: u64, total_steps: u64) -> Self {
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} steps · {msg} · {eta} left")
            .expect("a valid template");
        let bar = ProgressBar::new(total_steps).with_style(style).with_position(step);
        bar.enable_steady_tick(Duration::from_millis(500));
        Self { bar, start: Instant::now(), first: step }
    }

    /// Of what comes before the first step.
    pub(crate) fn preparing() -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg}").expect("a valid template");
        let bar = ProgressBar::new_spinner().with_style(style);
        bar.enable_steady_tick(Duration::from_millis(500));
        Self { bar, start: Instant::now(), first: 0 }
    }

    pub(crate) fn epoch(&self, epoch: u32, epochs: u32) {
        self.bar.set_prefix(format!("epoch {epoch}/{epochs}"));
    }

    pub(crate) fn step(&self, step: u64) {
        self.bar.set_position(step);
    }

    /// The figures of the steps since the last call.
    pub(crate) fn log(&self, window: &Meter, learning_rate: f64) {
        let message = format!("loss {:.4} · lr {learning_rate:.2e} · {}", window.loss(), window.speed());
        if self.bar.is_hidden() {
            let (step, steps) = (self.bar.position(), self.bar.length().unwrap_or_default());
            let left =
                self.start.elapsed().mul_f64(steps.saturating_sub(step) as f64 / (step - self.first).max(1) as f64);
            ground::say!("{} · step {step}/{steps} · {message} · {} left", self.bar.prefix(), FormattedDuration(left));
        }
        self.bar.set_message(message);
    }

    /// Announces the scoring of a dataset; what it returns is told of each batch of sentences that is done.
    pub(crate) fn scoring(&self, part: &str, dataset: &Dataset) -> impl FnMut(usize) + use<> {
        self.counting(&format!("scoring {part} {}", dataset.name), 2 * dataset.pairs.len(), "sentences")
    }

    /// Announces work on `total` things; what it returns is told how many more are done.
    pub(crate) fn counting(&self, what: &str, total: usize, things: &'static str) -> impl FnMut(usize) + use<> {
        let (bar, what, mut done) = (self.bar.clone(), what.to_owned(), 0);
        if bar.is_hidden() {
            ground::say!("{what}: {total} {things}");
        }
        move |count| {
            done += count;
            bar.set_message(format!("{what}: {done}/{total} {things}"));
        }
    }

    /// A line that stays.
    pub(crate) fn line(&self, text: &str) {
        self.bar.suspend(|| ground::say!("{text}"));
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
