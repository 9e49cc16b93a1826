//! A loss that is no number ends a run with its step and rows named, and what was saved before stays whole.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::fs;

use common::{Folder, fixture};
use model::{
    Options, SentenceEncoder,
    weights::{read_safetensors, write_safetensors},
};

const BAD_ROW: usize = 5;

/// A folder with a model whose weights for `[MASK]` are no numbers, and data in which one row alone holds that token.
fn folder() -> Folder {
    let folder = Folder::new();
    let (from, to) = (fixture("roberta-tiny"), folder.path("model"));
    fs::create_dir(&to).unwrap();
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    let encoder = SentenceEncoder::load(&from, &Options::default()).unwrap();
    let mask = encoder.tokenizer().encode(&["[MASK]"]).unwrap()[0][1]; // between those that open and close
    let weights = read_safetensors(&from.join("model.safetensors")).unwrap();
    let _ = weights["roberta.embeddings.word_embeddings.weight"].get(mask).fill_(f64::NAN);
    write_safetensors(&to.join("model.safetensors"), &weights).unwrap();

    let text = fs::read_to_string(folder.path("pairs.csv")).unwrap();
    fs::copy(folder.path("pairs.csv"), folder.path("dev.csv")).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1 + BAD_ROW] = "[MASK],비가 온다.,1"; // after the header
    fs::write(folder.path("pairs.csv"), lines.join("\n")).unwrap();
    let config = fs::read_to_string(folder.path("config.toml")).unwrap();
    let (before, rest) = config.split_once("[model.scratch]").unwrap();
    let (_, after) = rest.split_once("[data]").unwrap();
    let config =
        format!("{before}init = \"model\"\n[data]\ndev = [\"dev.csv\"]\n{after}").replace("dev_fraction = 0.2", "");
    fs::write(folder.path("config.toml"), config).unwrap();
    folder
}

#[test]
fn the_step_and_its_rows_are_named_and_the_last_good_state_is_kept() {
    let folder = folder();
    let output = folder.train(&["--set", "train.save_every_steps=1"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let line = stderr.lines().last().unwrap();
    let (step, rest) = line.strip_prefix("error: step ").unwrap().split_once(": the loss is NaN").unwrap();
    let step: u64 = step.parse().unwrap();
    assert!(step > 1, "nothing could be saved before step {step}"); // by the seed's order of the rows
    assert!(rest.contains("the last good state is kept in run/last"), "{line}");
    let (_, rows) = rest.split_once("its rows, counted from 0: ").unwrap();
    let rows: Vec<usize> =
        rows.split(", ").map(|row| row.strip_prefix("pairs.csv ").unwrap().parse().unwrap()).collect();
    assert_eq!(rows.len(), 8); // the batch
    assert!(rows.contains(&BAD_ROW), "{rows:?}");

    let state = fs::read_to_string(folder.path("run/last/trainer_state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["step"], step - 1);
    let last = SentenceEncoder::load(folder.path("run/last"), &Options::default()).unwrap();
    let norm = last.encode(&["비가 온다."]).unwrap().to_tensor().norm().double_value(&[]);
    assert!(norm.is_finite() && norm > 0.0, "{norm}");
    // It goes on from there, to the same end.
    let again = folder.train(&["--set", "train.save_every_steps=1", "--resume"]);
    assert_eq!(String::from_utf8(again.stderr).unwrap().lines().last(), Some(line));
}

#[test]
fn without_a_saved_state_the_line_says_so() {
    let folder = folder();
    let output = folder.train(&["--set", "train.log_every_steps=1000", "--set", "model.pooling=mean"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let line = stderr.lines().last().unwrap();
    assert!(line.contains("nothing was saved yet"), "{line}");
    assert_eq!(folder.names("run"), ["config.toml", "metrics.jsonl", "tensorboard"]);
}
