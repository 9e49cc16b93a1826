//! Several processes under `mpirun` give the run that one process gives.
#![cfg(feature = "mpi")]
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{
    fs,
    process::{Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use common::{Folder, metrics, saved_step};
use serde_json::Value;

/// `train` in `count` processes; dropout is off, since each rank draws a mask of its own.
fn command(folder: &Folder, count: usize, arguments: &[&str]) -> Command {
    let train = folder.command();
    let mut command = Command::new("mpirun");
    command.current_dir(folder.dir.path()).env_remove("STS_DATA_DIR").env("HF_HUB_OFFLINE", "1");
    // More processes than cores, and as root in a container.
    command.args(["--allow-run-as-root", "--oversubscribe", "-q", "-n", &count.to_string()]);
    command.arg(train.get_program()).args(train.get_args());
    command.args(["--config", "config.toml", "--set", "model.dropout=0.0"]).args(arguments);
    command
}

fn trained(folder: &Folder, count: usize, arguments: &[&str]) -> Output {
    let output = command(folder, count, arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Fails unless every number of both runs' logs agrees within `tolerance`, and the reports' figures within 5e-5.
fn assert_alike(folder: &Folder, run: &str, reference: &str, tolerance: f64) {
    let (found, expected) = (metrics(folder, run), metrics(folder, reference));
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        compare(found, expected, tolerance);
    }
    let tests = |run: &str| {
        let text = fs::read_to_string(folder.path(run).join("report.json")).unwrap();
        let report: Value = serde_json::from_str(&text).unwrap();
        let figures = |test: &Value| [test["pearson"]["r"].clone(), test["f1"].clone(), test["mse"].clone()];
        report["test"].as_array().unwrap().iter().map(figures).collect::<Vec<_>>()
    };
    assert_eq!(tests(run).len(), tests(reference).len());
    for (found, expected) in tests(run).into_iter().flatten().zip(tests(reference).into_iter().flatten()) {
        compare(&found, &expected, 5e-5);
    }
}

fn compare(found: &Value, expected: &Value, tolerance: f64) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            for (name, expected) in expected {
                // Of predictions that agree to the last digits, ranks change places: Pearson's correlation says as much.
                if name != "spearman" {
                    compare(&found[name], expected, tolerance);
                }
            }
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len());
            found.iter().zip(expected).for_each(|(found, expected)| compare(found, expected, tolerance));
        }
        (Value::Number(found), Value::Number(expected)) => {
            let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
            assert!((found - expected).abs() <= tolerance * expected.abs().max(1.0), "{found} and {expected}");
        }
        _ => assert_eq!(found, expected),
    }
}

#[test]
fn ranks_give_the_run_of_one_process() {
    // 48 pairs in batches of 7: the ranks' shares differ, and the last step has fewer pairs.
    for keys in [
        &["--set", "train.batch_size=7"][..],
        &["--set", "train.batch_size=3", "--set", "train.gradient_accumulation=3"],
        &["--set", "train.batch_size=7", "--set", "train.loss=cosent"],
        &["--set", "train.batch_size=2"], // fewer pairs than ranks
        &["--set", "train.batch_size=2", "--set", "train.loss=cosent"],
    ] {
        let folder = Folder::new();
        trained(&folder, 1, &[keys, &["--output", "one"]].concat());
        for count in [2, 3] {
            trained(&folder, count, &[keys, &["--output", "several", "--overwrite"]].concat());
            // Of another order of sums, 48 steps of AdamW at a batch of 2 make up to 3e-5.
            assert_alike(&folder, "several", "one", 1e-4);
        }
    }
}

#[test]
fn ranks_compare_an_anchor_with_the_candidates_of_all() {
    let folder = Folder::new();
    let config = fs::read_to_string(folder.path("config.toml")).unwrap();
    let config = config.replace("dev_fraction = 0.2\n", "dev = [\"pairs.csv\"]\ntext_pairs = 20\n");
    let config = config.replace("train = [\"pairs.csv\"]", "train = [\"text.txt\", \"nli.json\"]");
    fs::write(folder.path("config.toml"), format!("objective = \"contrastive\"\n{config}")).unwrap();
    let text: String =
        (0..40).map(|number| format!("{number}일에 비가 온다. 그래서 {number}번 우산을 쓴다.\n")).collect();
    fs::write(folder.path("text.txt"), text).unwrap();
    let inference = |number: usize, label: &str| {
        serde_json::json!({"premise": format!("{number}명이 걷는다."), "hypothesis": format!("{label} {number}"),
                           "gold_label": label})
    };
    let inferences: Vec<Value> =
        (0..9).flat_map(|number| ["entailment", "contradiction"].map(|label| inference(number, label))).collect();
    fs::write(folder.path("nli.json"), serde_json::to_string(&inferences).unwrap()).unwrap();
    trained(&folder, 1, &["--output", "one"]);
    trained(&folder, 3, &["--output", "several"]);
    assert_alike(&folder, "several", "one", 1e-5);
}

#[test]
fn ranks_share_the_hidden_tokens_of_a_text() {
    let folder = Folder::new();
    let config = fs::read_to_string(folder.path("config.toml")).unwrap();
    let config = config.replace("dev_fraction = 0.2\ntest = [\"pairs.csv\"]\n", "held_out = 10\n");
    let config = config.replace("pairs.csv", "text.txt").replace("epochs = 2", "epochs = 2\nsteps_per_epoch = 6");
    fs::write(folder.path("config.toml"), format!("objective = \"mlm\"\n{config}")).unwrap();
    let text: String = (0..80).map(|number| format!("{number}일에 비가 온다. 그래서 우산을 쓴다.\n")).collect();
    fs::write(folder.path("text.txt"), text).unwrap();
    trained(&folder, 1, &["--output", "one"]);
    trained(&folder, 3, &["--output", "several"]);
    assert_alike(&folder, "several", "one", 1e-5);
}

#[test]
fn a_rank_that_dies_ends_the_run_and_another_number_of_ranks_goes_on_with_it() {
    let folder = Folder::new();
    let keys = ["--set", "train.epochs=20", "--set", "train.save_every_steps=2", "--set", "train.learning_rate=1e-4"];
    trained(&folder, 1, &[&keys[..], &["--output", "one"]].concat());
    let mut running = command(&folder, 2, &keys).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    while saved_step(&folder, "run") < 20 {
        assert!(running.try_wait().unwrap().is_none(), "the run ended before it was killed");
        sleep(Duration::from_millis(2));
    }
    let children = Command::new("pgrep").args(["-P", &running.id().to_string()]).output().unwrap();
    let child = String::from_utf8(children.stdout).unwrap().lines().last().unwrap().to_owned();
    let start = Instant::now();
    assert!(Command::new("kill").args(["-KILL", &child]).status().unwrap().success());
    assert!(!running.wait().unwrap().success());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert!((20..120).contains(&saved_step(&folder, "run")));
    let output = trained(&folder, 1, &[&keys[..], &["--resume"]].concat());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("in each of 2 processes, now on cpu with --threads"), "{told}");
    // A hundred steps on, what sums in another order differ in has grown.
    assert_alike(&folder, "run", "one", 1e-3);
}

#[test]
fn an_error_of_all_is_told_once() {
    let folder = Folder::new();
    let output = command(&folder, 2, &["--set", "train.learning_rate=0.9", "--set", "train.max_grad_norm=0.0"])
        .args(["--set", "data.train=[\"missing.csv\"]"])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert_eq!(stderr.matches("error: ").count(), 1, "{stderr}");
    assert!(stderr.contains("missing.csv"), "{stderr}");
}

#[test]
fn ranks_learn_from_the_same_silver_pairs() {
    let folder = Folder::new();
    folder.trained(&["--output", "teacher"]);
    let silver = ["--set", "data.silver.teachers=[\"teacher/best\"]", "--set", "data.silver.pairs=40"];
    trained(&folder, 1, &[&silver[..], &["--output", "alone"]].concat());
    trained(&folder, 3, &[&silver[..], &["--output", "three"]].concat());
    let pairs = |run: &str| fs::read_to_string(folder.path(run).join("silver.csv")).unwrap();
    assert_eq!(pairs("three"), pairs("alone"));
    assert_alike(&folder, "three", "alone", 1e-5);
}

#[test]
fn ranks_distil_together() {
    let folder = Folder::new();
    folder.trained(&["--output", "teacher"]);
    folder.distilling();
    // Of the last batch, one rank alone has a sentence.
    let teachers = ["--set", "data.teachers=[\"teacher/best\"]", "--set", "train.batch_size=19"];
    trained(&folder, 1, &[&teachers[..], &["--output", "alone"]].concat());
    trained(&folder, 3, &[&teachers[..], &["--output", "three"]].concat());
    assert_alike(&folder, "three", "alone", 1e-5);
}

#[test]
fn ranks_learn_from_the_same_hard_negatives() {
    let folder = Folder::with_hard_negatives();
    trained(&folder, 1, &["--output", "alone"]);
    trained(&folder, 3, &["--output", "three"]);
    let negatives = |run: &str| fs::read_to_string(folder.path(run).join("hard_negatives.csv")).unwrap();
    assert_eq!(negatives("three"), negatives("alone"));
    assert_alike(&folder, "three", "alone", 1e-5);
}
