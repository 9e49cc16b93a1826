//! What a run has made is not lost to other processes, to a dev set, or to hands that touch its folder.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{
    fs,
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};

use common::{Folder, assert_same, metrics, only_line};
use serde_json::Value;

fn spawn(folder: &Folder, arguments: &[&str]) -> Child {
    let mut command = folder.command();
    command.args(["--config", "config.toml"]).args(arguments).stderr(Stdio::piped()).stdout(Stdio::null());
    command.spawn().unwrap()
}

/// Waits until something is so, of a run that is at work.
fn wait_until(what: &str, child: &mut Child, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before {what}");
        assert!(Instant::now() < end, "not within a minute: {what}");
        sleep(Duration::from_millis(1));
    }
}

fn state(folder: &Folder) -> Option<Value> {
    serde_json::from_str(&fs::read_to_string(folder.path("run/last/trainer_state.json")).ok()?).ok()
}

/// A dev set that takes longer to score than the training takes.
fn with_long_dev(folder: &Folder) -> [&'static str; 4] {
    let rows: String = (0..4000).map(|row| format!("비가 온다 {row}.,눈이 온다 {row}.,{}\n", row % 6)).collect();
    fs::write(folder.path("long.csv"), format!("sentence1,sentence2,score\n{rows}")).unwrap();
    ["--set", "data.dev=[\"long.csv\"]", "--set", "train.epochs=2"]
}

#[test]
fn two_processes_do_not_work_on_one_run() {
    let folder = Folder::new();
    let arguments = [&with_long_dev(&folder)[..], &["--set", "train.epochs=8"]].concat();
    folder.trained(&[&arguments[..], &["--output", "whole"]].concat());
    let mut first = spawn(&folder, &arguments);
    wait_until("it began", &mut first, || folder.path("run/metrics.jsonl").exists());
    for more in [&["--resume"][..], &["--overwrite"], &["--overwrite", "--set", "seed=8"]] {
        let line = only_line(&folder.train(&[&arguments[..], more].concat()));
        let owner = format!("process {}", first.id());
        assert!(line.contains("run: another process works on it") && line.contains(&owner), "{more:?}: {line}");
    }
    assert!(first.try_wait().unwrap().is_none(), "it was at work all the while");
    assert!(first.wait().unwrap().success());
    assert_same(&folder, "run", "whole");
    assert!(!folder.names("run").contains(&".lock".to_owned()));
}

#[test]
fn of_two_runs_that_begin_at_once_one_is_refused_and_the_other_whole() {
    let folder = Folder::new();
    folder.trained(&["--output", "whole"]);
    let both = [spawn(&folder, &[]), spawn(&folder, &[])];
    let ended = both.map(|child| child.wait_with_output().unwrap());
    assert_eq!(ended.iter().filter(|output| output.status.success()).count(), 1);
    let refused = ended.iter().find(|output| !output.status.success()).unwrap();
    let line = String::from_utf8(refused.stderr.clone()).unwrap();
    assert!(line.contains("another process works on it") || line.contains("holds a run already"), "{line}");
    assert_same(&folder, "run", "whole");
}

#[test]
fn a_run_that_is_stopped_while_a_dev_set_is_scored_takes_no_step_again() {
    let folder = Folder::new();
    let arguments = with_long_dev(&folder);
    folder.trained(&[&arguments[..], &["--output", "whole"]].concat());
    for (signal, status) in [("KILL", None), ("TERM", Some(143))] {
        let mut child = spawn(&folder, &[&arguments[..], &["--overwrite"]].concat());
        let trained = |state: &Value| state["epochs"].as_array().unwrap().len() - 1;
        wait_until("the first epoch's end", &mut child, || {
            state(&folder).is_some_and(|state| trained(&state) == 0 && state["step"] == 6)
        });
        common::send(signal, &child);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), status);
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(
            signal == "KILL" || told.contains("saved after step 6; go on by the same command with --resume"),
            "{told}"
        );
        let before = metrics(&folder, "run");
        assert!(before.iter().all(|entry| entry["event"] == "step" || entry["epoch"] == 0), "{before:?}");
        folder.trained(&[&arguments[..], &["--resume"]].concat());
        assert_same(&folder, "run", "whole");
    }
}

#[test]
fn what_teachers_made_is_kept_by_a_run_that_ends_before_its_first_step() {
    let folder = Folder::with_teachers();
    let silver = ["--set", "data.silver.teachers=[\"one/best\", \"two/best\"]", "--set", "data.silver.pairs=100"];
    folder.trained(&[&silver[..], &["--output", "whole"]].concat());
    let mut child = spawn(&folder, &silver);
    let parts = || -> Vec<(String, SystemTime)> {
        let entries = fs::read_dir(folder.path("run/prepared")).into_iter().flatten();
        let parts = entries.filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            name.ends_with(".safetensors").then_some((name, entry.metadata().ok()?.modified().ok()?))
        });
        parts.collect()
    };
    wait_until("a teacher's part", &mut child, || !parts().is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    let kept = parts();
    assert!(!folder.path("run/last").exists() && !kept.is_empty());
    // The same command goes on, without --resume: nothing could be lost.
    let mut again = spawn(&folder, &silver);
    let mut seen = Vec::new();
    wait_until("its first state", &mut again, || {
        let now = parts();
        if !now.is_empty() {
            seen = now;
        }
        folder.path("run/last").exists()
    });
    assert!(again.wait().unwrap().success());
    assert!(kept.iter().all(|part| seen.contains(part)), "{kept:?} and {seen:?}");
    assert!(!folder.path("run/prepared").exists());
    assert_same(&folder, "run", "whole");
}

#[test]
fn what_can_be_checked_is_checked_before_a_teacher_is_asked() {
    let folder = Folder::with_teachers();
    let silver = ["--set", "data.silver.teachers=[\"one/best\"]", "--set", "data.silver.pairs=100"];
    for (key, expected) in [
        ("train.warmup_steps=1000", "the warm-up is 1000 steps long, beyond the"),
        ("train.decay_steps=3", "train.decay_steps is 3, expected the"),
    ] {
        // One line: no sentence was encoded, and no folder is left.
        assert!(folder.refusal(&[&silver[..], &["--set", key]].concat()).contains(expected), "{key}");
    }
}

#[test]
fn a_log_that_was_cut_is_gone_on_with_and_told() {
    let folder = Folder::new();
    let arguments =
        ["--set", "train.epochs=6", "--set", "train.save_every_steps=1", "--set", "train.log_every_steps=1"];
    folder.killed_after(9, &[&arguments[..], &["--resume"]].concat());
    let log = fs::read(folder.path("run/metrics.jsonl")).unwrap();
    fs::write(folder.path("run/metrics.jsonl"), &log[..log.len() / 2]).unwrap();
    let output = folder.trained(&[&arguments[..], &["--resume"]].concat());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("warning: run/metrics.jsonl: ") && told.contains("its curves lack what is gone"), "{told}");
    let text = fs::read(folder.path("run/metrics.jsonl")).unwrap();
    assert!(!text.contains(&0) && metrics(&folder, "run").len() > 10);
}

#[test]
fn a_checkpoint_that_was_removed_is_written_again_or_missed() {
    let folder = Folder::new();
    folder.trained(&["--set", "train.epochs=1", "--output", "whole"]);
    folder.trained(&["--set", "train.epochs=1"]);
    fs::remove_dir_all(folder.path("run/best")).unwrap();
    folder.trained(&["--set", "train.epochs=1", "--resume"]); // the last weights are the best
    assert_same(&folder, "run", "whole");
    // Where all epochs are alike the first is the best, and the last weights are others.
    let still = ["--set", "train.learning_rate=1e-12", "--output", "still"];
    folder.trained(&still);
    fs::remove_dir_all(folder.path("still/best")).unwrap();
    let told = String::from_utf8(folder.train(&[&still[..], &["--resume"]].concat()).stderr).unwrap();
    assert!(told.contains("still/best: the checkpoint of the best epoch, 1, is not there"), "{told}");
}

#[test]
fn a_run_that_makes_its_model_no_better_says_so() {
    let folder = Folder::new();
    let output = folder.trained(&["--set", "train.learning_rate=1e-12"]);
    let words = "no epoch is better than the model was before the first step";
    assert!(String::from_utf8(output.stdout).unwrap().contains(words));
    assert!(fs::read_to_string(folder.path("run/report.md")).unwrap().contains(words));
    // On the very pairs that it is shown.
    let shown = ["--set", "data.dev=[\"pairs.csv\"]", "--set", "train.epochs=30", "--set", "train.learning_rate=3e-3"];
    let good = folder.trained(&[&shown[..], &["--overwrite"]].concat());
    assert!(!String::from_utf8(good.stdout).unwrap().contains(words));
}
