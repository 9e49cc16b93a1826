//! Several trials in one configuration: each is a run, and all epochs are ranked.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::fs;

use common::{CONFIG, Folder, only_line};
use serde_json::Value;

const TRIALS: &str = r#"
[[trial]]
name = "slow"
train.learning_rate = 1e-5

[[trial]]
name = "fast"
train.learning_rate = 5e-3
train.warmup_steps = 2
"#;

fn folder(trials: &str) -> Folder {
    let folder = Folder::new();
    fs::write(folder.path("config.toml"), format!("{CONFIG}warmup_epochs = 1.0\n{trials}")).unwrap();
    folder
}

fn report(folder: &Folder) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.path("run/report.json")).unwrap()).unwrap()
}

#[test]
fn every_epoch_of_every_trial_is_ranked() {
    let folder = folder(TRIALS);
    let output = folder.trained(&[]);
    assert_eq!(folder.names("run"), ["fast", "report.json", "report.md", "slow"]);
    let report = report(&folder);
    let ranking = report["ranking"].as_array().unwrap();
    assert_eq!(ranking.len(), 4); // 2 trials of 2 epochs
    let values: Vec<f64> = ranking.iter().map(|entry| entry["value"].as_f64().unwrap()).collect();
    assert!(values.is_sorted_by(|a, b| a >= b), "{values:?}");
    for entry in ranking {
        let trial = entry["trial"].as_str().unwrap();
        let own = fs::read_to_string(folder.path("run").join(trial).join("report.json")).unwrap();
        let own: Value = serde_json::from_str(&own).unwrap();
        let epoch = entry["epoch"].as_u64().unwrap() as usize - 1;
        assert_eq!(own["epochs"][epoch]["dev"], entry["dev"]);
    }
    let best = ranking[0]["trial"].as_str().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains(&format!("checkpoint: run/{best}/best")), "{stdout}");
    // A trial's key replaces the one that it excludes.
    let config = fs::read_to_string(folder.path("run/fast/config.toml")).unwrap();
    assert!(config.contains("warmup_steps = 2") && !config.contains("warmup_epochs"), "{config}");
}

#[test]
fn a_rerun_skips_what_is_finished_and_goes_on_with_the_rest() {
    let folder = folder(TRIALS);
    folder.trained(&[]);
    let before = report(&folder);
    let slow = fs::metadata(folder.path("run/slow/report.json")).unwrap().modified().unwrap();
    fs::remove_file(folder.path("run/fast/report.json")).unwrap(); // as if it had been interrupted
    folder.trained(&[]);
    assert_eq!(fs::metadata(folder.path("run/slow/report.json")).unwrap().modified().unwrap(), slow);
    let figures = |report: &Value| {
        report["ranking"].as_array().unwrap().iter().map(|entry| entry["dev"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(figures(&report(&folder)), figures(&before));
}

#[test]
fn trials_do_not_write_over_a_single_run() {
    let folder = folder("");
    folder.trained(&[]);
    fs::write(folder.path("config.toml"), format!("{CONFIG}warmup_epochs = 1.0\n{TRIALS}")).unwrap();
    let line = only_line(&folder.train(&["--overwrite"]));
    assert!(line.starts_with("run: holds a single run, not trials"), "{line}");
}

#[test]
fn a_trial_that_fails_is_reported_and_the_others_go_on() {
    let folder = folder(&format!("[[trial]]\nname = \"broken\"\ndata.train = [\"no.csv\"]\n{TRIALS}"));
    let output = folder.train(&[]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.lines().last().unwrap().starts_with("error: failed trials: broken"), "{stderr}");
    let report = report(&folder);
    assert_eq!(report["ranking"].as_array().unwrap().len(), 4);
    assert!(report["failed"][0]["error"].as_str().unwrap().contains("no.csv"));
}

#[test]
fn a_trial_that_cannot_be_is_named() {
    for (trials, expected) in [
        ("[[trial]]\ntrain.epochs = 3\n", "config.toml: a [[trial]] has no name"),
        ("[[trial]]\nname = \"../x\"\n", "trial name \"../x\": expected letters"),
        ("[[trial]]\nname = \"report.md\"\n", "and no name of a report"),
        ("[[trial]]\nname = \"a\"\n[[trial]]\nname = \"a\"\n", "config.toml: trial `a`: the name is taken twice"),
        ("[[trial]]\nname = \"a\"\ntrain.epoch = 3\n", "config.toml: trial `a`: train.epoch: unknown field `epoch`"),
        ("[[trial]]\nname = \"a\"\ntrain.epochs = 0\n", "config.toml: trial `a`: train.epochs is 0"),
    ] {
        let folder = folder(trials);
        let line = only_line(&folder.train(&[]));
        assert!(line.contains(expected), "{line}");
        assert!(!folder.path("run").exists());
    }
}
