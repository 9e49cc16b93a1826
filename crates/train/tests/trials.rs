//! Several trials in one configuration: each is a run, and all epochs are ranked.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::fs;

use common::{CONFIG, Folder, only_line};
use serde_json::{Value, json};

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

fn run_report(folder: &Folder, run: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.path(run).join("report.json")).unwrap()).unwrap()
}

fn report(folder: &Folder) -> Value {
    run_report(folder, "run")
}

/// The cells of all tables of a Markdown page.
fn rows(page: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    page.lines().filter(|line| line.starts_with('|')).map(cells).collect()
}

#[test]
fn every_epoch_of_every_trial_is_ranked() {
    let folder = folder(TRIALS);
    fs::copy(folder.path("pairs.csv"), folder.path("more.csv")).unwrap();
    let output = folder.trained(&["--set", "data.test=[\"pairs.csv\", \"more.csv\"]"]);
    assert_eq!(folder.names("run"), ["fast", "report.json", "report.md", "slow"]);
    let report = report(&folder);
    let ranking = report["ranking"].as_array().unwrap();
    assert_eq!(ranking.len(), 4); // 2 trials of 2 epochs
    let values: Vec<f64> = ranking.iter().map(|entry| entry["value"].as_f64().unwrap()).collect();
    assert!(values.is_sorted_by(|a, b| a >= b), "{values:?}");
    for entry in ranking {
        let trial = entry["trial"].as_str().unwrap();
        let own = run_report(&folder, &format!("run/{trial}"));
        let epoch = entry["epoch"].as_u64().unwrap() as usize;
        assert_eq!(own["epochs"][epoch]["dev"], entry["dev"]);
    }
    let trials = report["trials"].as_array().unwrap();
    assert_eq!(trials[0]["keys"], json!({"train.learning_rate": 1e-5}));
    assert_eq!(trials[1]["keys"], json!({"train.learning_rate": 5e-3, "train.warmup_steps": 2}));
    let page = fs::read_to_string(folder.path("run/report.md")).unwrap();
    for entry in trials {
        let own = run_report(&folder, &format!("run/{}", entry["trial"].as_str().unwrap()));
        assert_eq!((&entry["test"], &entry["best_epoch"]), (&own["test"], &own["best"]["epoch"]));
        let sets: Vec<&str> =
            own["test"].as_array().unwrap().iter().map(|test| test["data"].as_str().unwrap()).collect();
        assert_eq!(sets, ["pairs.csv", "more.csv", "merged"]);
        for test in own["test"].as_array().unwrap() {
            let figure = |path: &str| format!("{:.4}", test.pointer(path).unwrap().as_f64().unwrap());
            let interval = |name: &str| {
                let [low, high] = [0, 1].map(|end| figure(&format!("/{name}/ci95/{end}")));
                format!(" [{low}, {high}]")
            };
            let pearson = figure("/pearson/r") + &interval("pearson");
            let spearman = figure("/spearman/rho") + &interval("spearman");
            let f1 = figure("/f1");
            let row = [
                entry["trial"].as_str().unwrap(),
                &entry["best_epoch"].to_string(),
                test["data"].as_str().unwrap(),
                &test["pairs"].to_string(),
                &pearson,
                &spearman,
                &f1,
            ]
            .map(str::to_owned)
            .to_vec();
            assert!(rows(&page).contains(&row), "{row:?}: {page}");
        }
    }
    for row in
        [["trial", "train.learning_rate", "train.warmup_steps"], ["slow", "`0.00001`", ""], ["fast", "`0.005`", "`2`"]]
    {
        assert!(rows(&page).contains(&row.map(str::to_owned).to_vec()), "{row:?}: {page}");
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
    assert!(report["trials"][0]["error"].as_str().unwrap().contains("no.csv"));
    assert_eq!((&report["trials"][1]["error"], &report["trials"][2]["error"]), (&Value::Null, &Value::Null));
}

#[test]
fn epochs_that_a_failed_trial_saved_are_ranked_and_marked() {
    let folder = folder(TRIALS);
    folder.trained(&[]);
    let before = report(&folder);
    fs::remove_file(folder.path("run/fast/report.json")).unwrap();
    fs::remove_file(folder.path("run/fast/curves.svg")).unwrap();
    fs::create_dir(folder.path("run/fast/curves.svg")).unwrap(); // a file cannot take its place
    assert_eq!(folder.train(&[]).status.code(), Some(1));
    let after = report(&folder);
    assert_eq!(after["ranking"], before["ranking"]);
    let fast = &after["trials"][1];
    assert_eq!(fast["best_epoch"], before["trials"][1]["best_epoch"]);
    assert!(fast["error"].as_str().unwrap().contains("curves.svg") && fast["test"] == json!([]), "{fast}");
    let page = fs::read_to_string(folder.path("run/report.md")).unwrap();
    let marked: Vec<bool> = rows(&page)[2..6].iter().map(|row| row[1] == "fast (failed)").collect();
    let expected: Vec<bool> =
        after["ranking"].as_array().unwrap().iter().map(|entry| entry["trial"] == "fast").collect();
    assert_eq!(marked, expected, "{page}");
}

#[test]
fn an_error_that_all_trials_share_is_told_once() {
    let folder = folder(TRIALS);
    fs::remove_file(folder.path("pairs.csv")).unwrap();
    let output = folder.train(&[]);
    assert_eq!((output.status.code(), String::from_utf8(output.stdout).unwrap().as_str()), (Some(1), ""));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr.matches("no file for dataset").count(), 1, "{stderr}");
    assert!(stderr.lines().last().unwrap().starts_with("error: every trial failed: no file for dataset"), "{stderr}");
    let page = fs::read_to_string(folder.path("run/report.md")).unwrap();
    assert!(page.contains("Failed: slow, fast: no file") && page.matches("no file").count() == 1, "{page}");
}

#[test]
fn a_key_that_the_command_line_replaces_is_shown_as_it_was_run() {
    let folder = folder(TRIALS);
    folder.trained(&["--set", "train.learning_rate=2e-3", "--set", "train.warmup_ratio=0.2"]);
    assert_eq!(report(&folder)["trials"][1]["keys"], json!({"train.learning_rate": 2e-3}));
}

#[test]
fn a_trial_that_cannot_be_is_named() {
    for (trials, expected) in [
        ("[[trial]]\ntrain.epochs = 3\n", "config.toml: a [[trial]] has no name"),
        ("[[trial]]\nname = \"../x\"\n", "trial name \"../x\": expected letters"),
        ("[[trial]]\nname = \"report.md\"\n", "and no name of a file of runs"),
        ("[[trial]]\nname = \"metrics.jsonl\"\n", "and no name of a file of runs"),
        ("[[trial]]\nname = \"best\"\n", "and no name of a file of runs"),
        ("[[trial]]\nname = \"last.tmp\"\n", "and no name of a file of runs"),
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
