//! Cross-encoders are trained from an encoder or from a cross-encoder, saved, resumed, evaluated and exported.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{fs, path::Path};

use common::{Folder, metrics};
use data::{DataDir, Dataset};
use eval::score;
use model::{CrossEncoder, Options, ScoreActivation};

/// A folder whose configuration trains a cross-encoder from the tiny model of a family.
fn folder(family: &str) -> Folder {
    let folder = Folder::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures");
    fs::create_dir(folder.path("init")).unwrap();
    for (from, name) in [
        (format!("families/{family}"), "config.json"),
        (format!("families/{family}"), "model.safetensors"),
        ("roberta-tiny".to_owned(), "tokenizer.json"),
        ("roberta-tiny".to_owned(), "tokenizer_config.json"),
    ] {
        fs::copy(fixtures.join(from).join(name), folder.path("init").join(name)).unwrap();
    }
    let config = fs::read_to_string(folder.path("config.toml")).unwrap();
    let (start, end) = (config.find("[model.scratch]").unwrap(), config.find("[data]").unwrap());
    let head = config[..start].replace("[model]", "[model]\ninit = \"init\"");
    let config = format!("objective = \"cross-encoder\"\n{head}{}", &config[end..]);
    fs::write(folder.path("config.toml"), config).unwrap();
    folder
}

/// Adds queries with several documents to the pairs.
fn with_lists(folder: &Folder) {
    let csv = fs::read_to_string(folder.path("pairs.csv")).unwrap();
    let rows: String = (0..12)
        .flat_map(|query| {
            (0..4).map(move |document| format!("질문 {query}번,\"문서 {query} {document}\",{document}\n"))
        })
        .collect();
    fs::write(folder.path("pairs.csv"), csv + &rows).unwrap();
}

fn ends(folder: &Folder, run: &str) -> (f64, f64) {
    let losses: Vec<f64> = metrics(folder, run).iter().filter_map(|line| line["loss"].as_f64()).collect();
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    (mean(&losses[..2]), mean(&losses[losses.len() - 2..]))
}

#[test]
fn every_loss_is_learned_and_a_run_repeats_itself() {
    let folder = folder("electra");
    with_lists(&folder);
    for (loss, activation) in [
        ("bce", ScoreActivation::Sigmoid),
        ("mse", ScoreActivation::Identity),
        ("ranknet", ScoreActivation::Sigmoid),
        ("lambdaloss", ScoreActivation::Sigmoid),
        ("listmle", ScoreActivation::Sigmoid),
    ] {
        let set = format!("train.loss=\"{loss}\"");
        let epochs = if ["bce", "mse"].contains(&loss) { "train.epochs=8" } else { "train.epochs=40" };
        let rate = ["--set", "train.learning_rate=3e-3"];
        let keys = ["--set", &set, "--set", epochs, "--set", "train.batch_size=4"];
        folder.trained(&[&keys[..], &rate, &["--output", loss]].concat());
        let (begin, end) = ends(&folder, loss);
        assert!(end < begin, "{loss}: from {begin} to {end}");
        let best = CrossEncoder::load(folder.path(loss).join("best"), &Options::default()).unwrap();
        assert_eq!(best.activation(), activation, "{loss}");
    }
    let weights = |run: &str| fs::read(folder.path(run).join("last/model.safetensors")).unwrap();
    let keys = ["--set", "train.loss=\"bce\"", "--set", "train.epochs=8", "--set", "train.batch_size=4"];
    folder.trained(&[&keys[..], &["--set", "train.learning_rate=3e-3", "--output", "again"]].concat());
    assert!(weights("bce") == weights("again"), "a run repeats itself to the bit");
    // With gradients that libtorch makes, too, and from a cross-encoder.
    for init in ["bce/best", "mse/best"] {
        let set = format!("model.init=\"{init}\"");
        folder.trained(&["--set", &set, "--set", "train.epochs=1", "--output", &format!("from-{}", &init[..3])]);
    }
}

#[test]
fn a_family_that_libtorch_differentiates_learns_too_and_figures_are_those_of_eval() {
    let folder = folder("modernbert");
    folder.trained(&["--set", "train.epochs=2"]);
    let report: serde_json::Value = serde_json::from_slice(&fs::read(folder.path("run/report.json")).unwrap()).unwrap();
    let expected = report["test"][0]["pearson"]["r"].as_f64().unwrap();
    let best = CrossEncoder::load(folder.path("run/best"), &Options::default()).unwrap();
    let path = folder.path("pairs.csv");
    let pairs = Dataset::load(path.to_str().unwrap(), &DataDir::new(None)).unwrap();
    let scored = score(&best, &pairs, &mut |_| {}).unwrap();
    let found = eval::metrics::pearson(&scored.labels.unwrap(), &scored.predictions).unwrap().r;
    assert!((found - expected).abs() < 1e-9, "{found} and {expected}");
    assert!(scored.predictions.iter().all(|score| (0.0..=5.0).contains(score)), "five times a sigmoid");
    // The tokenizer is BERT's, the encoder has one type of tokens.
    let tokenizer = fs::read_to_string(folder.path("run/best/tokenizer_config.json")).unwrap();
    let tokenizer: serde_json::Value = serde_json::from_str(&tokenizer).unwrap();
    assert_eq!(tokenizer["model_input_names"], serde_json::json!(["input_ids", "attention_mask"]));
    let card = fs::read_to_string(folder.path("run/best/README.md")).unwrap();
    assert!(card.contains("pipeline_tag: text-ranking") && card.contains("5 * model.predict("), "{card}");
    let report = fs::read_to_string(folder.path("run/report.md")).unwrap();
    assert!(report.contains("5 times the score that the model gives two sentences it reads together"), "{report}");
}

#[test]
fn a_run_that_is_killed_goes_on_to_the_same_weights() {
    let folder = folder("xlm-roberta");
    let keys = ["--set", "train.epochs=30", "--set", "train.save_every_steps=3"];
    folder.trained(&[&keys[..], &["--output", "whole"]].concat());
    folder.killed_after(6, &keys);
    folder.trained(&[&keys[..], &["--resume"]].concat());
    let weights = |run: &str| fs::read(folder.path(run).join("last/model.safetensors")).unwrap();
    assert!(weights("whole") == weights("run"));
}

#[test]
fn what_is_no_cross_encoders_run_is_refused_in_one_line() {
    let folder = folder("xlm-roberta");
    for (keys, expected) in [
        (
            ["--set", "train.loss=\"cosent\""],
            "which objective = \"cross-encoder\" does not have: expected one of bce, mse",
        ),
        (["--set", "train.loss=\"listmle\""], "no first sentence has two pairs with different labels"),
        (["--set", "model.init=\"nowhere\""], "model.init"),
        (["--set", "data.teachers=[\"a\"]"], "data.teachers does nothing with objective = \"cross-encoder\""),
    ] {
        let line = folder.refusal(&keys);
        assert!(line.contains(expected), "{line}");
    }
    let config = fs::read_to_string(folder.path("config.toml")).unwrap();
    let scratch = "[model.scratch]\nvocab_size = 1000\nhidden_size = 16\nnum_hidden_layers = 1\nnum_attention_heads = 2\nintermediate_size = 32\n[data]";
    let scratch = config.replace("init = \"init\"\n", "").replace("[data]", scratch);
    fs::write(folder.path("config.toml"), scratch).unwrap();
    assert!(folder.refusal(&[]).contains("model.scratch: a cross-encoder begins with an encoder"));
    // A sentence encoder's run does not begin with a cross-encoder.
    let sts = config.replace("objective = \"cross-encoder\"\n", "");
    fs::write(folder.path("config.toml"), &config).unwrap();
    folder.trained(&["--output", "cross"]);
    fs::write(folder.path("config.toml"), sts).unwrap();
    let line = folder.refusal(&["--set", "model.init=\"cross/best\""]);
    assert!(line.ends_with("a cross-encoder, which is trained further by objective = \"cross-encoder\""), "{line}");
}
