//! Learning what other models find alike.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::fs;

use common::{Folder, assert_same, fixture, only_line, pairs};
use data::{Dataset, SentencePair};
use eval::{metrics::mse, score};
use model::{Options, SentenceEncoder};
use serde_json::Value;

const TEACHERS: &str = "data.teachers=[\"one/best\", \"two/best\"]";

/// Two teachers, and a configuration that learns from them.
fn with_teachers() -> Folder {
    let folder = Folder::with_teachers();
    folder.distilling();
    folder
}

fn predictions(folder: &Folder, model: &str, dataset: &Dataset) -> Vec<f64> {
    let encoder = SentenceEncoder::load(folder.path(model), &Options::default()).unwrap();
    score(&encoder, dataset, &mut |_| {}).unwrap().predictions
}

#[test]
fn a_student_finds_alike_what_its_teachers_do_on_average() {
    let folder = with_teachers();
    let distilled = |output: &str, more: &[&str]| {
        let arguments = ["--set", TEACHERS, "--set", "train.learning_rate=1e-2", "--output", output];
        String::from_utf8(folder.trained(&[&arguments[..], more].concat()).stderr).unwrap()
    };
    let stderr = distilled("run", &["--set", "train.epochs=60"]);
    assert!(stderr.contains(" sentences/s"), "{stderr}");
    distilled("begun", &["--set", "train.max_steps=1"]);
    let dataset = pairs(&folder, "pairs.csv");
    let teachers = ["one/best", "two/best"].map(|teacher| predictions(&folder, teacher, &dataset));
    let mean: Vec<f64> = teachers[0].iter().zip(&teachers[1]).map(|(one, two)| (one + two) / 2.0).collect();
    let apart = |run: &str| mse(&predictions(&folder, &format!("{run}/last"), &dataset), &mean);
    let (before, after) = (apart("begun"), apart("run"));
    assert!(after < before / 4.0, "{before}, {after}");
    let report: Value = serde_json::from_str(&fs::read_to_string(folder.path("run/report.json")).unwrap()).unwrap();
    assert!(report["epochs"][1]["sentences_per_second"].as_f64().unwrap() > 0.0, "{report}");
}

#[test]
fn sentences_of_a_dev_set_and_excluded_ones_are_not_learned_from() {
    let folder = with_teachers();
    let learned_from = |output: &str, more: &[&str]| {
        folder.trained(&[&["--set", TEACHERS, "--set", "train.epochs=1", "--output", output], more].concat());
        let report = fs::read_to_string(folder.path(output).join("report.json")).unwrap();
        serde_json::from_str::<Value>(&report).unwrap()["rows"]["train"].as_u64().unwrap() as usize
    };
    let sentences = |name: &str| -> Vec<String> {
        let pairs = pairs(&folder, name).pairs.into_iter();
        pairs.flat_map(|SentencePair { sentence1, sentence2, .. }| [sentence1, sentence2]).collect()
    };
    let dev = sentences("dev.csv");
    let mut csv = fs::read_to_string(folder.path("pairs.csv")).unwrap();
    csv += &format!("\"{}\",\"그는 웃었다. {}\",3\n", dev[0], dev[1]);
    fs::write(folder.path("pairs.csv"), csv).unwrap();
    let mut all = sentences("pairs.csv");
    all.sort();
    all.dedup();
    let known = all.len();
    all.retain(|sentence| !dev.iter().any(|other| sentence.contains(other.as_str())));
    assert!(all.len() <= known - 2, "both would be there");
    assert_eq!(learned_from("whole", &[]), all.len());
    fs::write(folder.path("held.csv"), format!("sentence1,sentence2\n\"{0}\",\"{0}\"\n", all[5])).unwrap();
    assert_eq!(learned_from("less", &["--set", "data.exclude=[\"held.csv\"]"]), all.len() - 1);
    // The lines of a text are sentences too.
    fs::write(folder.path("lines.txt"), "첫 줄이다.\n\n둘째 줄이다. 셋째 문장이다.\n첫 줄이다.\n").unwrap();
    let train = "data.train=[\"pairs.csv\", \"lines.txt\"]";
    assert_eq!(learned_from("text", &["--set", train]), all.len() + 3);
    let few = ["--set", train, "--set", "data.text_sentences=2"];
    assert_eq!(learned_from("few", &few), all.len() + 2);
}

#[test]
fn a_killed_run_goes_on_with_what_its_teachers_made_when_it_began() {
    let folder = with_teachers();
    let arguments = ["--set", TEACHERS, "--resume", "--set", "train.save_every_steps=1"];
    folder.trained(&[&arguments[..], &["--output", "whole"]].concat());
    folder.killed_after(3, &arguments);
    // What a teacher is meanwhile does not matter.
    fs::remove_dir_all(folder.path("one")).unwrap();
    folder.trained(&arguments);
    assert_same(&folder, "run", "whole");
}

#[test]
fn what_teachers_made_is_known_again() {
    let folder = with_teachers();
    let arguments = ["--set", TEACHERS, "--resume", "--set", "train.save_every_steps=1"];
    folder.killed_after(3, &arguments);
    let path = folder.path("run/teachers.safetensors");
    let kept = fs::read(&path).unwrap();
    let resumed = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let output = folder.train(&arguments);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    // A bit of the first number, which is a neighbour's, and one of the last, an embedding's.
    for place in [8 + u64::from_le_bytes(kept[..8].try_into().unwrap()) as usize, kept.len() - 4] {
        let mut other = kept.clone();
        other[place] ^= 1;
        assert!(resumed(&other).contains("the datasets are not those that the run began with"));
    }
    assert!(resumed(&kept[..kept.len() - 8]).contains("teachers.safetensors"));
    fs::write(&path, &kept).unwrap();
    folder.trained(&arguments);
}

#[test]
fn a_stage_learns_from_stages_before_it() {
    let folder = Folder::new();
    folder.distilling();
    let config = fs::read_to_string(folder.path("config.toml")).unwrap();
    let stages = "[[stage]]\nname = \"one\"\nobjective = \"sts\"\n\
                  [[stage]]\nname = \"student\"\nmodel.scratch.num_hidden_layers = 1\ndata.teachers = [\"one\"]\n";
    fs::write(folder.path("config.toml"), format!("{config}\n{stages}")).unwrap();
    folder.trained(&[]);
    let config = fs::read_to_string(folder.path("run/student/config.toml")).unwrap();
    assert!(config.contains("\"run/one/best\"") && !config.contains("init ="), "{config}");
    // A teacher that is another has another student, which is not thrown away unasked.
    fs::remove_dir_all(folder.path("run/one")).unwrap();
    let told = String::from_utf8(folder.train(&[]).stderr).unwrap();
    assert!(told.contains("student began from what it held"), "{told}");
    assert!(folder.path("run/student/report.json").exists() && !folder.path("run/one").exists());
    fs::remove_dir_all(folder.path("run/student")).unwrap();
    let again = String::from_utf8(folder.trained(&[]).stderr).unwrap();
    assert!(!again.contains("is finished"), "{again}");
}

#[test]
fn what_cannot_be_distilled_is_refused_by_key() {
    let folder = Folder::new();
    folder.distilling();
    let refused = |key: &str| folder.refusal(&["--set", key]);
    assert!(refused("data.teachers=[]").contains("data.teachers is empty: name at least one model"));
    let teacher = fixture("roberta-tiny");
    let line = refused(&format!("data.teachers=[{teacher:?}, \"nowhere/best\"]"));
    assert!(line.contains("data.teachers nowhere/best"), "{line}");
    let given = |key: &str| folder.refusal(&["--set", &format!("data.teachers=[{teacher:?}]"), "--set", key]);
    assert!(given("data.dev=[]").contains("data.dev is empty: name a scored set"));
    assert!(given("train.batch_size=7").contains("train.batch_size is 7, expected 8 or more"));
    assert!(given("data.train=[\"nowhere.txt\"]").contains("nowhere.txt"));
    assert!(given("data.text_sentences=5").contains("data.text_sentences does nothing"));
    let told = folder.train(&["--set", &format!("data.teachers=[{teacher:?}]"), "--set", "data.train=[\"dev.csv\"]"]);
    let told = String::from_utf8(told.stderr).unwrap();
    assert!(told.contains("data.train: fewer than two sentences are left"), "{told}");
    assert!(given("objective=contrastive").contains("data.teachers does nothing with objective = \"contrastive\""));
    folder.trained(&["--output", "one", "--set", &format!("data.teachers=[{teacher:?}]")]);
    let own = ["--output", "one", "--overwrite", "--set", "data.teachers=[\"one/best\"]"];
    let line = only_line(&folder.train(&own));
    assert!(line.contains("the model one/best lies in the run's own output one"), "{line}");
}
