//! What `data.exclude` keeps out of training: the same under every objective.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::fs;

use common::{Folder, pairs};
use serde_json::Value;

/// Sentences of the training pairs as a test set may have them, and the count that each objective tells.
const EXCLUDE: [&str; 2] = ["--set", "data.exclude=[\"held.csv\"]"];

/// A folder whose `held.csv` has the sentence of a training pair, with other spaces, another mark at its end and decomposed;
/// part of another; and a short one.
fn folder() -> (Folder, usize) {
    let folder = Folder::with_teachers();
    let sentence = pairs(&folder, "pairs.csv").pairs[3].sentence1.clone();
    let same = sentence.trim_end_matches('.').replacen(' ', "  ", 1) + " !";
    let part = pairs(&folder, "pairs.csv").pairs[5].sentence1.split_once(' ').unwrap().1.to_owned();
    fs::write(folder.path("held.csv"), format!("sentence1,sentence2\n\"{same}\",\"{part}\"\n다,요\n")).unwrap();
    let config = fs::read_to_string(folder.path("config.toml")).unwrap().replace("dev_fraction = 0.2\n", "");
    fs::write(folder.path("config.toml"), config).unwrap();
    let rows = pairs(&folder, "pairs.csv").pairs;
    let holding = rows.iter().filter(|pair| [&pair.sentence1, &pair.sentence2].contains(&&sentence)).count();
    (folder, holding)
}

fn rows(folder: &Folder, run: &str) -> u64 {
    let report: Value =
        serde_json::from_str(&fs::read_to_string(folder.path(run).join("report.json")).unwrap()).unwrap();
    report["rows"]["train"].as_u64().unwrap()
}

/// Trains with and without `data.exclude`: how many rows fewer there are, and what is told.
fn left_out(folder: &Folder, arguments: &[&str]) -> (u64, String) {
    let dev = ["--set", "train.max_steps=2", "--set", "data.test=[]"];
    folder.trained(&[&["--output", "whole", "--overwrite"], &dev[..], arguments].concat());
    let output = folder.trained(&[&["--output", "run", "--overwrite"], &dev[..], &EXCLUDE, arguments].concat());
    (rows(folder, "whole") - rows(folder, "run"), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn every_objective_leaves_out_the_same_sentence_whatever_its_spacing_and_no_other() {
    let (folder, holding) = folder();
    assert_eq!(holding, 1);
    let named = ["--set", "data.dev=[\"dev.csv\"]"];
    let dev = "나비가 날아간다.,새가 앉아 있다.,4\n고양이가 잔다.,개가 달려간다.,2\n비가 온다.,해가 떴다.,1\n";
    fs::write(folder.path("dev.csv"), format!("sentence1,sentence2,score\n{dev}")).unwrap();
    let told = "hold a sentence of data.exclude and are left out";
    let (count, stderr) = left_out(&folder, &[&named[..], &["--set", "objective=sts"]].concat());
    assert!(count == 1 && stderr.contains(&format!("1 of 60 rows {told}")), "{count}: {stderr}");
    let teachers = ["--set", "objective=distillation", "--set", "data.teachers=[\"one/best\"]"];
    let (count, stderr) = left_out(&folder, &[&named[..], &teachers].concat());
    assert!(count == 1 && stderr.contains("data.train: 1 of "), "{count}: {stderr}");
    // Of contrastive training, only pairs that mean the same are examples.
    let pair = &pairs(&folder, "pairs.csv").pairs[3];
    let is_example = u64::from(pair.score.unwrap() >= 3.0);
    let (count, stderr) = left_out(&folder, &[&named[..], &["--set", "objective=contrastive"]].concat());
    assert!(count == is_example && stderr.contains(told) == (is_example == 1), "{count}: {stderr}");
}

#[test]
fn a_short_sentence_of_a_dev_set_leaves_nothing_else_out() {
    let (folder, _) = folder();
    folder.distilling();
    let short = "sentence1,sentence2,score\n다,나,1\n요,네,2\n.,?,3\n비가 온다.,눈이 온다.,2\n";
    let teachers = ["--set", "data.teachers=[\"one/best\"]", "--set", "train.epochs=1", "--set", "data.test=[]"];
    folder.trained(&teachers);
    fs::write(folder.path("dev.csv"), short).unwrap();
    folder.trained(&[&teachers[..], &["--output", "short"]].concat());
    assert!(rows(&folder, "short") >= rows(&folder, "run"), "{} {}", rows(&folder, "short"), rows(&folder, "run"));
}
