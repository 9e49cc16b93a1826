//! The keys of `[data.silver]`: pairs that models score.

use std::path::PathBuf;

use anyhow::ensure;
use serde::{Deserialize, Serialize};

/// Pairs that no one has scored, for models to score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Silver {
    /// Model directories, hub ids, or names of earlier stages; a pair's score is the mean of theirs.
    #[serde(default)]
    pub teachers: Vec<PathBuf>,
    /// Datasets whose sentences are paired, scored or not, or texts; those of `data.train` if none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sentences: Vec<String>,
    /// Brings each teacher's scores to the labels' scale, by what it gives the training pairs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub calibrate: bool,
    /// How many pairs to make at most.
    #[serde(default = "default_pairs")]
    pub pairs: usize,
}

fn default_pairs() -> usize {
    100_000
}

impl Silver {
    /// Refuses what cannot be, and fills in what is not said.
    pub(super) fn check(&mut self, train: &[String]) -> anyhow::Result<()> {
        ensure!(
            !self.teachers.is_empty(),
            "data.silver.teachers is empty: name at least one model, such as \"checkpoints/my-model/best\""
        );
        ensure!(self.pairs > 0, "data.silver.pairs is 0, expected at least 1");
        if self.sentences.is_empty() {
            self.sentences = train.to_vec();
        }
        Ok(())
    }
}
