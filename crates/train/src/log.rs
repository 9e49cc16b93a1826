//! The log of a run, `metrics.jsonl`: one JSON object per line.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::{epoch::Epoch, speed::Speed};

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Entry {
    Step(StepPoint),
    Epoch(Epoch),
}

/// What the steps since the line before gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StepPoint {
    /// Counted from 1.
    pub(crate) epoch: u32,
    /// Optimizer steps so far.
    pub(crate) step: u64,
    /// Mean training loss.
    pub(crate) loss: f64,
    /// Of the last step.
    pub(crate) learning_rate: f64,
    /// Of the last step, before clipping.
    pub(crate) grad_norm: f64,
    /// Speed of training.
    #[serde(flatten)]
    pub(crate) speed: Speed,
}

/// Every line of a log.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Entry>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let entry = |(index, line): (usize, io::Result<String>)| {
        let place = || format!("{}:{}", path.display(), index + 1);
        serde_json::from_str(&line.with_context(place)?).with_context(place)
    };
    BufReader::new(file).lines().enumerate().map(entry).collect()
}

/// The steps that a log holds.
pub(crate) fn read_steps(path: &Path) -> anyhow::Result<Vec<StepPoint>> {
    let point = |entry| match entry {
        Entry::Step(point) => Some(point),
        Entry::Epoch(_) => None,
    };
    Ok(read(path)?.into_iter().filter_map(point).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_steps_of_a_log_are_read_back_and_its_epochs_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let point = StepPoint {
            epoch: 1,
            step: 10,
            loss: 0.1,
            learning_rate: 2e-5,
            grad_norm: 1.5,
            speed: Speed::Pairs(200.25),
        };
        let epoch =
            Epoch { epoch: 1, step: 10, train_loss: Some(0.1), speed: Some(Speed::Pairs(200.0)), dev: Vec::new() };
        let lines =
            [Entry::Step(point.clone()), Entry::Epoch(epoch)].map(|entry| serde_json::to_string(&entry).unwrap());
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        assert_eq!(read_steps(&path).unwrap(), [point]);
        let first: Value = serde_json::from_str(&lines[0]).unwrap();
        let expected = json!({
            "event": "step", "epoch": 1, "step": 10, "loss": 0.1, "learning_rate": 2e-5, "grad_norm": 1.5,
            "pairs_per_second": 200.25,
        });
        assert_eq!(first, expected);
        let second: Value = serde_json::from_str(&lines[1]).unwrap();
        assert_eq!((&second["event"], &second["epoch"]), (&json!("epoch"), &json!(1)));
    }

    #[test]
    fn a_line_that_is_no_entry_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        fs::write(&path, "{\"event\": \"lunch\"}\n").unwrap();
        let error = format!("{:#}", read_steps(&path).unwrap_err());
        assert!(error.contains("metrics.jsonl:1: ") && error.contains("lunch"), "{error}");
    }
}
