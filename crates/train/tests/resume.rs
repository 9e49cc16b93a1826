//! A run that was stopped, however roughly, ends as one that never was.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{fs, process::Stdio, thread::sleep, time::Duration};

use common::{Folder, only_line};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

const LONG: [&str; 4] = ["--set", "train.epochs=6", "--set", "train.save_every_steps=1"];

/// The lines of `metrics.jsonl` without those figures that depend on the clock.
fn metrics(folder: &Folder, run: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.path(run).join("metrics.jsonl")).unwrap();
    let mut entries: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for entry in &mut entries {
        entry.as_object_mut().unwrap().remove("pairs_per_second");
    }
    entries
}

/// Fails unless both runs hold the same weights, moments and figures, to the last bit.
fn assert_same(folder: &Folder, run: &str, reference: &str) {
    for file in ["best/model.safetensors", "last/model.safetensors", "last/optimizer.safetensors"] {
        let read = |run: &str| fs::read(folder.path(run).join(file)).unwrap();
        assert_eq!(read(run), read(reference), "{file}");
    }
    assert_eq!(metrics(folder, run), metrics(folder, reference));
    let report = |run: &str| {
        let text = fs::read_to_string(folder.path(run).join("report.json")).unwrap();
        let report: Value = serde_json::from_str(&text).unwrap();
        let losses = |epoch: &Value| (epoch["train_loss"].clone(), epoch["dev"].clone());
        let epochs: Vec<_> = report["epochs"].as_array().unwrap().iter().map(losses).collect();
        (epochs, report["best"].clone(), report["test"][0]["pearson"].clone())
    };
    assert_eq!(report(run), report(reference));
}

#[test]
fn a_run_killed_twenty_times_ends_as_one_that_never_was() {
    let folder = Folder::new();
    folder.trained(&[&LONG[..], &["--output", "whole"]].concat());
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut kills = 0;
    while kills < 20 {
        let run = format!("killed-{kills}");
        let arguments = [&LONG[..], &["--output", &run, "--resume"]].concat();
        // Several kills within a run, at moments over all of it: while loading, stepping, evaluating and saving.
        for _ in 0..5 {
            let mut command = folder.command();
            command.args(["--config", "config.toml"]).args(&arguments).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            sleep(Duration::from_millis(rng.random_range(50..900)));
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap(); // SIGKILL
                kills += 1;
            }
            child.wait().unwrap();
        }
        folder.trained(&arguments);
        assert_same(&folder, &run, "whole");
        assert_eq!(folder.names(&run), folder.names("whole"), "a rest was left");
    }
}

#[test]
fn a_signal_lets_the_step_end_and_saves() {
    let folder = Folder::new();
    folder.trained(&[&LONG[..], &["--output", "whole"]].concat());
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let run = format!("run-{signal}");
        // Long enough that the signal finds it at work; the state is saved because of it alone.
        let arguments = ["--set", "train.epochs=6", "--output", &run];
        let mut command = folder.command();
        command.args(["--config", "config.toml"]).args(arguments).stderr(Stdio::piped()).stdout(Stdio::null());
        let child = command.spawn().unwrap();
        while !folder.path(&run).join("metrics.jsonl").exists() {
            sleep(Duration::from_millis(5));
        }
        let kill = format!("kill -{signal} {}", child.id());
        assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{stderr}");
        assert!(stderr.lines().last().unwrap().contains("go on by the same command with --resume"), "{stderr}");
        folder.trained(&[&LONG[..], &["--output", &run, "--resume"]].concat());
        assert_same(&folder, &run, "whole");
    }
}

#[test]
fn a_finished_run_that_is_resumed_stays_as_it_is() {
    let folder = Folder::new();
    folder.trained(&[]);
    let before = metrics(&folder, "run");
    folder.trained(&["--resume"]);
    assert_eq!(metrics(&folder, "run"), before);
}

#[test]
fn max_steps_and_resumption_agree() {
    let folder = Folder::new();
    let arguments = ["--set", "train.max_steps=8", "--set", "train.warmup_steps=0"];
    folder.trained(&arguments);
    let before = metrics(&folder, "run");
    folder.trained(&[&arguments[..], &["--resume"]].concat());
    assert_eq!(metrics(&folder, "run"), before);
    assert_eq!(before.iter().filter(|entry| entry["event"] == "epoch").count(), 2);
}

#[test]
fn other_data_do_not_continue_a_run() {
    let folder = Folder::new();
    folder.trained(&[]);
    let text = fs::read_to_string(folder.path("pairs.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(folder.path("pairs.csv"), lines[..lines.len() - 1].join("\n")).unwrap();
    let line = only_line(&folder.train(&["--resume"]));
    assert_eq!(line, "run: the datasets are not those that the run began with");
}

#[test]
fn a_run_that_was_killed_before_it_began_is_begun() {
    let folder = Folder::new();
    for rest in [&["metrics.jsonl"][..], &[".incomplete-x"], &["config.toml.x"]] {
        let _ = fs::remove_dir_all(folder.path("run"));
        fs::create_dir(folder.path("run")).unwrap();
        for name in rest {
            fs::write(folder.path("run").join(name), "").unwrap();
        }
        let output = folder.train(&["--resume"]);
        assert_eq!(output.status.success(), rest != ["config.toml.x"], "{rest:?}");
    }
}

#[test]
fn another_configuration_does_not_continue_a_run() {
    let folder = Folder::new();
    folder.trained(&[]);
    let line = only_line(&folder.train(&["--resume", "--set", "train.learning_rate=2e-3"]));
    assert!(line.contains("train.learning_rate was 0.001 and is 0.002; a run is resumed with"), "{line}");
    let line = only_line(&folder.train(&["--resume", "--set", "train.max_steps=5"]));
    assert!(line.contains("train.max_steps was not given and is 5"), "{line}");
}

#[test]
fn a_damaged_state_is_named() {
    let folder = Folder::new();
    folder.trained(&[]);
    let path = folder.path("run/last/optimizer.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let line = only_line(&folder.train(&["--resume"]));
    assert!(line.contains("optimizer.safetensors: damaged or changed"), "{line}");
}
