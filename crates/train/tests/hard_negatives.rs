//! Hard negatives that a model finds for the examples of contrastive training.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{collections::HashMap, fs};

use common::{Folder, assert_same, fixture, holds, only_line, pairs};
use data::SentencePair;
use eval::score;
use model::{CrossEncoder, Options, SentenceEncoder};
use serde_json::Value;

#[test]
fn every_example_has_a_hard_negative_that_no_one_scored_alike_with_the_score_of_the_model() {
    let folder = Folder::with_hard_negatives();
    folder.trained(&["--output", "begin", "--set", "train.max_steps=1"]);
    folder.trained(&["--set", "data.hard_negatives.model=begin/best"]);
    let (scored, found) = (pairs(&folder, "pairs.csv"), pairs(&folder, "run/hard_negatives.csv"));
    let scores: HashMap<_, f64> = scored.pairs.iter().map(|pair| (pair.unordered(), pair.score.unwrap())).collect();
    let positives: Vec<&String> =
        scored.pairs.iter().filter(|pair| pair.score.unwrap() >= 3.0).map(|pair| &pair.sentence1).collect();
    assert_eq!(found.pairs.iter().map(|pair| &pair.sentence1).collect::<Vec<_>>(), positives);
    for pair in &found.pairs {
        assert!(holds(&scored, &pair.sentence2), "{}", pair.sentence2);
        assert!(scores.get(&pair.unordered()).is_none_or(|&score| score < 2.0), "{pair:?}");
        assert_ne!(pair.sentence1, pair.sentence2);
    }
    let encoder = SentenceEncoder::load(folder.path("begin/best"), &Options::default()).unwrap();
    let predictions = score(&encoder, &found, &mut |_| {}).unwrap().predictions;
    for (prediction, score) in predictions.iter().zip(found.scores().unwrap()) {
        assert!((prediction.clamp(0.0, 5.0) - score).abs() < 1e-4, "{score}, expected {prediction}");
    }
}

#[test]
fn hard_negatives_are_learned_from() {
    let folder = Folder::with_hard_negatives();
    folder.trained(&["--output", "with", "--set", "train.max_steps=1"]);
    let config = fs::read_to_string(folder.path("config.toml")).unwrap();
    fs::write(folder.path("config.toml"), config.replace("hard_negatives = {}", "")).unwrap();
    folder.trained(&["--output", "none", "--set", "train.max_steps=1"]);
    let loss = |run: &str| {
        let report = fs::read_to_string(folder.path(run).join("report.json")).unwrap();
        let report: Value = serde_json::from_str(&report).unwrap();
        report["epochs"][1]["train_loss"].as_f64().unwrap()
    };
    // More candidates to tell from the positive.
    assert!(loss("with") > loss("none") + 0.1, "{} {}", loss("with"), loss("none"));
    assert!(!folder.path("none/hard_negatives.csv").exists());
    // A run in the place of one that had them has none.
    folder.trained(&["--output", "with", "--overwrite", "--set", "train.max_steps=1"]);
    assert!(!folder.path("with/hard_negatives.csv").exists());
}

#[test]
fn excluded_sentences_are_no_hard_negatives() {
    let folder = Folder::with_hard_negatives();
    let negatives = |run: &str| pairs(&folder, &format!("{run}/hard_negatives.csv"));
    folder.trained(&["--output", "whole"]);
    // One of a pair that is no example: only the search could bring it in.
    let apart = pairs(&folder, "pairs.csv").pairs.into_iter().filter(|pair| pair.score.unwrap() < 2.0);
    let sentence = apart
        .map(|pair| pair.sentence2)
        .filter(|sentence| !sentence.contains('"'))
        .find(|sentence| holds(&negatives("whole"), sentence))
        .unwrap();
    fs::write(folder.path("held.csv"), format!("sentence1,sentence2\n\"{sentence}\",\"{sentence}\"\n")).unwrap();
    folder.trained(&["--set", "data.exclude=[\"held.csv\"]"]);
    assert!(!holds(&negatives("run"), &sentence));
    // Nor is a sentence of a dev set.
    fs::write(folder.path("held.csv"), format!("sentence1,sentence2,score\n\"{sentence}\",\"{sentence}\",5\n"))
        .unwrap();
    folder.trained(&["--output", "dev", "--set", "data.dev=[\"dev.csv\", \"held.csv\"]"]);
    assert!(!holds(&negatives("dev"), &sentence));
}

#[test]
fn a_killed_run_goes_on_with_the_hard_negatives_that_it_began_with() {
    // Who found them is not asked again: a model that is gone, and the run's own as it began.
    for model in ["data.hard_negatives.model=begin/best", "data.hard_negatives={}"] {
        let folder = Folder::with_hard_negatives();
        folder.trained(&["--output", "begin", "--set", "train.max_steps=1"]);
        let arguments = ["--set", model, "--resume", "--set", "train.save_every_steps=1"];
        folder.trained(&[&arguments[..], &["--output", "whole"]].concat());
        folder.killed_after(3, &arguments);
        fs::remove_dir_all(folder.path("begin")).unwrap();
        folder.trained(&arguments);
        assert_same(&folder, "run", "whole");
    }
}

#[test]
fn hard_negatives_that_were_tampered_with_are_told() {
    let folder = Folder::with_hard_negatives();
    let arguments = ["--resume", "--set", "train.save_every_steps=1"];
    folder.killed_after(3, &arguments);
    let path = folder.path("run/hard_negatives.csv");
    let text = fs::read_to_string(&path).unwrap();
    let (kept, _) = text.trim_end().rsplit_once('\n').unwrap();
    fs::write(&path, format!("{kept}\n")).unwrap();
    let output = folder.train(&arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && told.contains("hard_negatives.csv: ") && told.contains(" rows, expected "),
        "{told}"
    );
}

#[test]
fn hard_negatives_that_cannot_be_are_refused_by_key() {
    let folder = Folder::with_hard_negatives();
    let refused = |key: &str| folder.refusal(&["--set", key]);
    assert!(refused("data.hard_negatives={modell=\"x\"}").contains("unknown field `modell`"));
    let line = refused("data.hard_negatives={model=\"nowhere/best\"}");
    assert!(line.contains("data.hard_negatives.model nowhere/best"), "{line}");
    // A model without a sentence encoder's weights is no reason to begin a run.
    fs::create_dir(folder.path("empty")).unwrap();
    assert!(refused("data.hard_negatives={model=\"empty\"}").contains("data.hard_negatives.model empty"));
    folder.trained(&["--output", "one"]);
    let own = ["--output", "one", "--overwrite", "--set", "data.hard_negatives.model=one/best"];
    let line = only_line(&folder.train(&own));
    assert!(line.contains("the model one/best lies in the run's own output one"), "{line}");
    let sts = Folder::new();
    let model = fixture("roberta-tiny");
    let line = sts.refusal(&["--set", &format!("data.hard_negatives.model={model:?}")]);
    assert!(line.contains("data.hard_negatives does nothing with objective = \"sts\""), "{line}");
}

#[test]
fn what_a_cross_encoder_finds_as_near_as_the_positive_is_no_hard_negative() {
    let folder = Folder::with_hard_negatives();
    folder.with_cross_encoder();
    folder.trained(&["--output", "plain", "--set", "train.max_steps=1"]);
    let judged = folder.trained(&["--set", "train.max_steps=1", "--set", "data.hard_negatives.cross_encoder=cross"]);
    let told = String::from_utf8(judged.stderr).unwrap();
    assert!(told.contains("candidates are left out, as near to the anchor as its positive"), "{told}");
    let judge = CrossEncoder::load(folder.path("cross"), &Options::default()).unwrap();
    let number = |first: &str, second: &str| judge.logits(&[[first, second]], &mut |_| {}).unwrap().0[0];
    let scored = pairs(&folder, "pairs.csv").pairs;
    let positives: Vec<_> = scored.iter().filter(|pair| pair.score.unwrap() >= 3.0).collect();
    // How many hard negatives the judge finds as near as the positive.
    let alike = |run: &str| {
        let found = pairs(&folder, &format!("{run}/hard_negatives.csv")).pairs;
        assert_eq!(found.len(), positives.len());
        let of_both = found.iter().zip(&positives);
        let is_alike = |(negative, positive): &(&SentencePair, &&SentencePair)| {
            number(&negative.sentence1, &negative.sentence2) >= number(&positive.sentence1, &positive.sentence2)
        };
        of_both.filter(is_alike).count()
    };
    let (before, after) = (alike("plain"), alike("run"));
    assert!(after < before, "{after}, {before} without the judge");
    let keys = ["--set", "data.hard_negatives.cross_encoder=plain/best", "--output", "other"];
    let line = only_line(&folder.train(&keys));
    let expected = "data.hard_negatives.cross_encoder plain/best: a sentence encoder, expected a cross-encoder";
    assert_eq!(line, expected);
}
