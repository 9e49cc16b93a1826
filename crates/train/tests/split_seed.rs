//! The seed of the drawn dev set, apart from the run's.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::fs;

use common::{Folder, assert_same};
use serde_json::Value;

fn dev_set(folder: &Folder, run: &str) -> String {
    let report = fs::read_to_string(folder.path(run).join("report.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    report["rows"]["dev_sha256"].as_str().unwrap().to_owned()
}

#[test]
fn runs_of_other_seeds_draw_the_same_dev_set_unless_the_split_has_another() {
    let folder = Folder::new();
    let one = ["--set", "train.epochs=1"];
    folder.trained(&[&one[..], &["--output", "a"]].concat());
    folder.trained(&[&one[..], &["--output", "b", "--set", "seed=8"]].concat());
    folder.trained(&[&one[..], &["--output", "c", "--set", "data.split_seed=7"]].concat());
    assert_eq!(dev_set(&folder, "a"), dev_set(&folder, "b"));
    assert_ne!(dev_set(&folder, "a"), dev_set(&folder, "c"));
    let line = folder.refusal(&["--set", "objective=contrastive", "--set", "data.split_seed=1"]);
    assert!(line.contains("data.split_seed does nothing") || line.contains("data.dev_fraction does nothing"), "{line}");
}

/// Before there was a key for it, a run drew its dev set by its own seed, which is 7 here.
#[test]
fn a_run_of_before_the_key_goes_on_with_the_dev_set_that_it_drew() {
    let folder = Folder::new();
    let states = ["--set", "train.save_every_steps=1"];
    folder.trained(&[&states[..], &["--set", "data.split_seed=7", "--output", "whole"]].concat());
    folder.killed_after(4, &[&states[..], &["--set", "data.split_seed=7"]].concat());
    let path = folder.path("run/config.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("split_seed = 7\n"), "{text}");
    fs::write(&path, text.replace("split_seed = 7\n", "")).unwrap();
    folder.trained(&[&states[..], &["--resume"]].concat());
    assert_same(&folder, "run", "whole");
}
