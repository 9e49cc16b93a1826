//! Evaluations that would end well and mean nothing.
#![allow(clippy::unwrap_used)] // A test may panic.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use data::{DataDir, Dataset};
use tempfile::TempDir;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/roberta-tiny")
}

fn table(folder: &TempDir, name: &str, rows: &[(&str, &str, &str)]) {
    let rows: String = rows.iter().map(|(first, second, score)| format!("{first},{second},{score}\n")).collect();
    fs::write(folder.path().join(name), format!("sentence1,sentence2,score\n{rows}")).unwrap();
}

fn eval(folder: &TempDir, model: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eval"));
    command.current_dir(folder.path()).args(["--device", "cpu", "--threads", "1", "--pooling", "mean", "--model"]);
    command.arg(model).args(arguments).output().unwrap()
}

fn texts(output: Output) -> (String, String) {
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

const ROWS: [(&str, &str, &str); 4] = [
    ("비가 온다.", "비가 내린다.", "5"),
    ("눈이 온다.", "개가 달린다.", "0"),
    ("새가 난다.", "물이 흐른다.", "1"),
    ("해가 뜬다.", "해가 솟는다.", "4"),
];

#[test]
fn a_set_that_is_named_twice_by_any_path_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    table(&folder, "a.csv", &ROWS);
    let absolute = folder.path().join("a.csv").to_str().unwrap().to_owned();
    for second in ["a.csv", "./a.csv", &absolute] {
        let output = eval(&folder, &fixture(), &["--data", "a.csv", "--data", second]);
        assert!(!output.status.success());
        let (_, stderr) = texts(output);
        assert!(stderr.lines().count() == 1 && stderr.contains("--data names one file twice: \"a.csv\""), "{stderr}");
    }
}

#[test]
fn texts_that_are_cut_or_unknown_are_told_in_a_line_of_their_set() {
    let folder = tempfile::tempdir().unwrap();
    let long = "비가 오는 날에는 집에서 책을 읽는다. ".repeat(20);
    table(&folder, "long.csv", &[&ROWS[..], &[(&long, "☃ ☃", "2")]].concat());
    table(&folder, "short.csv", &ROWS);
    let arguments = ["--max-seq-length", "32", "--data", "long.csv", "--data", "short.csv"];
    let output = eval(&folder, &fixture(), &arguments);
    assert!(output.status.success());
    let (_, stderr) = texts(output);
    assert!(stderr.contains("long.csv: of 10 texts 1 text was cut at 32 tokens"), "{stderr}");
    assert!(!stderr.contains("short.csv: of"), "{stderr}");
}

#[test]
fn predictions_of_nothing_but_rounding_have_no_correlation() {
    let folder = tempfile::tempdir().unwrap();
    let itself = ROWS.map(|(first, _, score)| (first, first, score));
    table(&folder, "itself.csv", &itself);
    let output = eval(&folder, &fixture(), &["--data", "itself.csv", "--json", "figures.json"]);
    assert!(output.status.success());
    let (stdout, _) = texts(output);
    assert!(stdout.contains("itself.csv: no correlation: "), "{stdout}");
    let figures: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("figures.json")).unwrap()).unwrap();
    assert!(figures["results"][0]["pearson"].is_null() && figures["results"][0]["spearman"].is_null(), "{figures}");
}

#[test]
fn a_correlation_needs_predictions_that_differ_by_more_than_the_rounding_of_f32() {
    let labels = [0.0, 1.0, 2.0, 3.0];
    let of = |step: f64| eval::Figures::new(&labels, &[5.0, 5.0 - step, 5.0 - 2.0 * step, 5.0 - step]).pearson;
    assert!(of(1e-3).is_ok());
    let reason = of(6e-7).unwrap_err().to_string();
    assert!(reason.starts_with("predictions are constant"), "{reason}");
}

#[test]
fn embeddings_that_are_no_numbers_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    table(&folder, "a.csv", &ROWS);
    let model = folder.path().join("broken");
    fs::create_dir(&model).unwrap();
    for entry in fs::read_dir(fixture()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, model.join(path.file_name().unwrap())).unwrap();
    }
    let path = model.join("model.safetensors");
    let mut weights = model::weights::read_safetensors(&path).unwrap();
    let name = weights.keys().find(|name| name.ends_with("word_embeddings.weight")).unwrap().clone();
    let broken = &weights[&name] * f64::NAN;
    weights.insert(name, broken);
    model::weights::write_safetensors(&path, &weights).unwrap();
    let output = eval(&folder, &model, &["--data", "a.csv", "--predictions", "out.csv"]);
    assert_eq!(output.status.code(), Some(1));
    let (_, stderr) = texts(output);
    assert!(stderr.contains("a.csv: pair 0, counted from 0, has no finite score"), "{stderr}");
    assert!(!folder.path().join("out.csv").exists());
}

#[test]
fn predictions_are_written_as_labels() {
    let scores = [-0.18, 5.000_000_596, 3.25, 0.0];
    let folder = tempfile::tempdir().unwrap();
    table(&folder, "a.csv", &ROWS);
    let read = |name: &str| Dataset::load(folder.path().join(name).to_str().unwrap(), &DataDir::new(None)).unwrap();
    let mut written = Vec::new();
    eval::write_predictions(&mut written, 0, &read("a.csv").pairs, &scores).unwrap();
    // The predictions in the place of the labels, as a user would take them.
    let text = String::from_utf8(written).unwrap().replace("label,prediction", "old,score");
    fs::write(folder.path().join("out.csv"), text).unwrap();
    assert_eq!(read("out.csv").scores().unwrap(), [0.0, 5.0, 3.25, 0.0]);
}
