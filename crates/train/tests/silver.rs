//! Pairs that models score, learned beside those of people.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{collections::HashSet, fs};

use common::{Folder, assert_same, fixture, holds, only_line, pairs};
use data::{Dataset, SentencePair};
use eval::score;
use model::{CrossEncoder, Options, SentenceEncoder};
use serde_json::Value;

/// Two teachers, and a run that learns from them.
const SILVER: [&str; 4] =
    ["--set", "data.silver.teachers=[\"one/best\", \"two/best\"]", "--set", "data.silver.pairs=100"];

fn unordered(dataset: &Dataset) -> HashSet<(String, String)> {
    dataset.pairs.iter().map(SentencePair::unordered).collect()
}

#[test]
fn silver_pairs_are_new_pairs_of_the_sets_sentences_with_the_mean_score_of_the_teachers() {
    let folder = Folder::with_teachers();
    folder.trained(&SILVER);
    let (gold, silver) = (pairs(&folder, "pairs.csv"), pairs(&folder, "run/silver.csv"));
    let known: HashSet<&String> = gold.pairs.iter().flat_map(|pair| [&pair.sentence1, &pair.sentence2]).collect();
    assert!(silver.pairs.iter().all(|pair| known.contains(&pair.sentence1) && known.contains(&pair.sentence2)));
    // A fifth of the pairs is the dev set, whose sentences are in no silver pair: no more are seen than 48 pairs have.
    let seen: HashSet<&String> = silver.pairs.iter().flat_map(|pair| [&pair.sentence1, &pair.sentence2]).collect();
    assert!(seen.len() <= 96 && known.len() > 96, "{} of {}", seen.len(), known.len());
    assert!(unordered(&silver).is_disjoint(&unordered(&gold)));
    assert_eq!(unordered(&silver).len(), silver.pairs.len());
    assert_eq!(silver.pairs.len(), 100);

    let predictions = ["one/best", "two/best"].map(|teacher| {
        let encoder = SentenceEncoder::load(folder.path(teacher), &Options::default()).unwrap();
        score(&encoder, &silver, &mut |_| {}).unwrap().predictions
    });
    for (place, score) in silver.scores().unwrap().iter().enumerate() {
        let mean = ((predictions[0][place] + predictions[1][place]) / 2.0).clamp(0.0, 5.0);
        assert!((score - mean).abs() < 1e-4, "row {place}: {score}, expected {mean}");
    }

    let report: Value = serde_json::from_str(&fs::read_to_string(folder.path("run/report.json")).unwrap()).unwrap();
    let sets = report["rows"]["train_sets"].as_array().unwrap();
    assert_eq!((sets.len(), sets[1]["data"].as_str()), (2, Some("silver pairs")));
    assert_eq!(sets[1]["pairs"], silver.pairs.len());
}

#[test]
fn a_cross_encoder_scores_what_a_sentence_encoder_finds_and_scores_can_be_brought_to_the_labels() {
    let folder = Folder::with_teachers();
    folder.with_cross_encoder();
    let teachers = |names: &str| format!("data.silver.teachers=[{names}]");
    let both = teachers("\"one/best\", \"cross\"");
    folder.trained(&["--set", &both, "--set", "data.silver.pairs=100"]);
    let silver = pairs(&folder, "run/silver.csv");
    let encoder = SentenceEncoder::load(folder.path("one/best"), &Options::default()).unwrap();
    let cross = CrossEncoder::load(folder.path("cross"), &Options::default()).unwrap();
    let of_encoder = score(&encoder, &silver, &mut |_| {}).unwrap().predictions;
    let of_cross = score(&cross, &silver, &mut |_| {}).unwrap().predictions;
    for (place, score) in silver.scores().unwrap().iter().enumerate() {
        let mean = (of_encoder[place].clamp(0.0, 5.0) + of_cross[place]) / 2.0;
        assert!((score - mean).abs() < 1e-4, "row {place}: {score}, expected {mean}");
    }
    // By what it gives the training pairs, a teacher that finds all alike says the mean label and little else.
    let keys = ["--set", &both, "--set", "data.silver.pairs=100", "--set", "data.silver.calibrate=true"];
    folder.trained(&[&keys[..], &["--output", "calibrated"]].concat());
    let calibrated = pairs(&folder, "calibrated/silver.csv");
    assert_eq!(unordered(&calibrated), unordered(&silver));
    let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
    let (before, after) = (silver.scores().unwrap(), calibrated.scores().unwrap());
    let gold = mean(&pairs(&folder, "pairs.csv").scores().unwrap());
    assert_ne!(before, after);
    assert!((mean(&after) - gold).abs() < (mean(&before) - gold).abs().max(0.5), "{} {gold}", mean(&after));
    assert!(after.iter().all(|score| (0.0..=5.0).contains(score)));
    // None of them finds pairs.
    let line = folder.train(&["--set", &teachers("\"cross\""), "--output", "none"]);
    assert!(only_line(&line).contains("a cross-encoder scores pairs and finds none"), "{}", only_line(&line));
}

#[test]
fn excluded_sentences_are_in_no_silver_pair() {
    let folder = Folder::with_teachers();
    let sentence = pairs(&folder, "pairs.csv").pairs[3].sentence1.clone();
    fs::write(folder.path("held.csv"), format!("sentence1,sentence2\n\"{sentence}\",\"{sentence}\"\n")).unwrap();
    folder.trained(&[&SILVER[..], &["--output", "whole"]].concat());
    assert!(holds(&pairs(&folder, "whole/silver.csv"), &sentence), "it would be there");
    folder.trained(&[&SILVER[..], &["--set", "data.exclude=[\"held.csv\"]"]].concat());
    assert!(!holds(&pairs(&folder, "run/silver.csv"), &sentence));
}

#[test]
fn a_killed_run_goes_on_with_the_silver_pairs_that_it_began_with() {
    let folder = Folder::with_teachers();
    let arguments = [&SILVER[..], &["--resume", "--set", "train.save_every_steps=1"]].concat();
    folder.trained(&[&arguments[..], &["--output", "whole"]].concat());
    folder.killed_after(3, &arguments);
    // What a teacher is meanwhile does not matter.
    fs::remove_dir_all(folder.path("one")).unwrap();
    folder.trained(&arguments);
    assert_same(&folder, "run", "whole");
}

#[test]
fn silver_pairs_that_cannot_be_are_refused_by_key() {
    let folder = Folder::new();
    let refused = |key: &str| folder.refusal(&["--set", key]);
    assert!(refused("data.silver.pairs=9").contains("data.silver.teachers is empty"));
    assert!(refused("data.silver={teachers=[\"x\"], pairs=0}").contains("data.silver.pairs is 0"));
    assert!(refused("data.silver={teachers=[\"x\"], pears=1}").contains("unknown field `pears`"));
    // The second as the first, before any work is done for that.
    let teacher = fixture("roberta-tiny");
    let line = refused(&format!("data.silver={{teachers=[{teacher:?}, \"nowhere/best\"]}}"));
    assert!(line.contains("data.silver.teachers nowhere/best"), "{line}");
    folder.trained(&["--output", "one"]);
    let own = ["--output", "one", "--overwrite", "--set", "data.silver.teachers=[\"one/best\"]"];
    let line = only_line(&folder.train(&own));
    assert!(line.contains("the model one/best lies in the run's own output one"), "{line}");
    let line = refused(&format!("data.silver={{teachers=[{teacher:?}], sentences=[\"nowhere.csv\"]}}"));
    assert!(line.contains("data.silver.sentences") && line.contains("nowhere.csv"), "{line}");
    let contrastive = ["--set", "objective=contrastive", "--set", "data.silver.teachers=[\"x\"]"];
    assert!(folder.refusal(&contrastive).contains("data.silver does nothing with objective = \"contrastive\""));
}
