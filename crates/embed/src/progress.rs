//! How far a job is: a bar on a terminal, a line per part elsewhere.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use model::TextLosses;

pub(crate) struct Progress {
    bar: ProgressBar,
    bytes: u64,               // of the whole table
    position: Arc<AtomicU64>, // in it
    start: Instant,
    sentences: u64,
}

impl Progress {
    pub(crate) fn new(bytes: u64) -> Self {
        let template = "{wide_bar} {percent}% · {msg} · {eta} left";
        let style = ProgressStyle::with_template(template).expect("a valid template");
        let bar = ProgressBar::new(bytes).with_style(style).with_message("0 sentences");
        Self { bar, bytes, position: Arc::default(), start: Instant::now(), sentences: 0 }
    }

    /// Bytes of the table that were read, to be kept by who reads them.
    pub(crate) fn position(&self) -> &Arc<AtomicU64> {
        &self.position
    }

    pub(crate) fn add(&mut self, sentences: usize) {
        self.sentences += sentences as u64;
        self.bar.set_position(self.position.load(Ordering::Relaxed).min(self.bytes));
        self.bar.set_message(self.rate());
    }

    /// Tells of a part that is written.
    pub(crate) fn part(&self, path: &Path, rows: usize, losses: TextLosses) {
        if !self.bar.is_hidden() {
            return;
        }
        let done = self.position.load(Ordering::Relaxed).clamp(1, self.bytes.max(1));
        let elapsed = self.start.elapsed();
        let left = elapsed.mul_f64((self.bytes.max(1) - done) as f64 / done as f64);
        let left = HumanDuration(Duration::from_secs(left.as_secs()));
        ground::say!("{}: {rows} rows · {} · {left} left{}", path.display(), self.rate(), losses.appended());
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    pub(crate) fn sentences_per_second(&self) -> f64 {
        self.sentences as f64 / self.start.elapsed().as_secs_f64()
    }

    fn rate(&self) -> String {
        format!("{} sentences, {:.0} sentences/s", self.sentences, self.sentences_per_second())
    }
}
