//! A run that was stopped, however roughly, ends as one that never was.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use common::{CONFIG, Folder, assert_same, metrics, only_line, saved_step, send};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

const LONG: [&str; 4] = ["--set", "train.epochs=6", "--set", "train.save_every_steps=1"];

fn spawn(folder: &Folder, arguments: &[&str]) -> Child {
    let mut command = folder.command();
    command.args(["--config", "config.toml"]).args(arguments).stderr(Stdio::piped()).stdout(Stdio::null());
    command.spawn().unwrap()
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
            let mut child = spawn(&folder, &arguments);
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

/// The command by way of a program that starts it.
fn through(folder: &Folder, starter: &[&str]) -> Command {
    let (mut command, inner) = (Command::new(starter[0]), folder.command());
    command.args(&starter[1..]).arg(inner.get_program()).args(inner.get_args()).args(["--config", "config.toml"]);
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(folder.dir.path()).stdout(Stdio::null());
    command
}

/// Waits until a run is at work, and fails if it ended.
fn wait_for_step(folder: &Folder, run: &str, child: &mut Child) {
    while !folder.path(run).join("metrics.jsonl").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before its time");
        sleep(Duration::from_millis(5));
    }
    assert!(child.try_wait().unwrap().is_none(), "the run ended before its time");
}

#[test]
fn a_signal_lets_the_step_end_and_saves() {
    let folder = Folder::new();
    folder.trained(&[&LONG[..], &["--output", "whole"]].concat());
    for (signal, status) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let run = format!("run-{signal}");
        // Long enough that the signal finds it at work; the state is saved because of it alone.
        let arguments = ["--set", "train.epochs=6", "--output", &run];
        let mut command = through(&folder, &["env", "--default-signal=HUP"]); // whoever runs the tests may ignore it
        let mut child = command.args(arguments).stderr(Stdio::piped()).spawn().unwrap();
        wait_for_step(&folder, &run, &mut child);
        send(signal, &child);
        if signal == "HUP" {
            send(signal, &child); // by the shell and by the system, when a terminal closes
        }
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{stderr}");
        let line = stderr.lines().last().unwrap();
        assert!(line.starts_with("interrupted: saved after step ") && line.contains("with --resume"), "{stderr}");
        folder.trained(&[&LONG[..], &["--output", &run, "--resume"]].concat());
        assert_same(&folder, &run, "whole");
    }
}

#[test]
fn a_run_that_is_to_outlive_its_terminal_does() {
    let folder = Folder::new();
    let arguments = ["--set", "train.epochs=6"];
    folder.trained(&[&arguments[..], &["--output", "whole"]].concat());
    let mut child = through(&folder, &["nohup"]).args(arguments).stderr(Stdio::null()).spawn().unwrap();
    wait_for_step(&folder, "run", &mut child);
    send("HUP", &child);
    assert!(child.wait().unwrap().success());
    assert_same(&folder, "run", "whole");
}

#[test]
fn a_run_whose_words_nobody_reads_goes_on() {
    let folder = Folder::new();
    let mut child = spawn(&folder, &["--set", "train.log_every_steps=1"]);
    drop(child.stderr.take());
    assert!(child.wait().unwrap().success());
    assert!(folder.path("run/report.json").exists());
}

#[test]
fn a_run_killed_within_its_epochs_ends_as_one_that_never_was() {
    let folder = Folder::new();
    // 48 training pairs: so many steps to an epoch, and how they are taken.
    for (run, steps, settings) in [
        ("accumulated", 3, "train.batch_size=10 train.gradient_accumulation=2 train.save_every_steps=1"),
        ("uneven", 6, "train.save_every_steps=4 train.log_every_steps=3"),
        ("cut", 6, "train.max_steps=10 train.warmup_steps=2 train.save_every_steps=1"),
    ] {
        let settings: Vec<&str> = settings.split(' ').flat_map(|setting| ["--set", setting]).collect();
        let whole = format!("{run}-whole");
        folder.trained(&[&settings[..], &["--output", &whole]].concat());
        let arguments = [&settings[..], &["--output", run, "--resume"]].concat();
        let mut resumed = vec![0]; // the steps from which it went on
        loop {
            let mut child = spawn(&folder, &arguments);
            let last = resumed[resumed.len() - 1];
            while child.try_wait().unwrap().is_none() && saved_step(&folder, run) == last {
                sleep(Duration::from_millis(1));
            }
            let _ = child.kill(); // SIGKILL; nothing if it has ended
            if let Some(code) = child.wait().unwrap().code() {
                assert_eq!(code, 0, "{run} failed when it went on from {resumed:?}");
                break;
            }
            resumed.push(saved_step(&folder, run));
        }
        let last_epoch = resumed.iter().filter(|&&step| step > steps && step % steps != 0);
        assert!(last_epoch.count() > 0, "{run} was never killed within its last epoch: {resumed:?}");
        assert_same(&folder, run, &whole);
    }
}

#[test]
fn trials_interrupted_in_the_middle_of_one_are_reported_as_if_they_never_were() {
    let folder = Folder::new();
    let trials = "[[trial]]\nname = \"a\"\n[[trial]]\nname = \"b\"\ntrain.learning_rate = 5e-3\n";
    fs::write(folder.path("config.toml"), format!("{CONFIG}{trials}")).unwrap();
    let report = |output: &str| {
        let mut report: Value =
            serde_json::from_str(&fs::read_to_string(folder.path(output).join("report.json")).unwrap()).unwrap();
        for trial in report["trials"].as_array_mut().unwrap() {
            trial["test"][0].as_object_mut().unwrap().remove("sentences_per_second");
        }
        report
    };
    folder.trained(&["--set", "train.epochs=6", "--output", "whole"]);
    let arguments = ["--set", "train.epochs=6", "--output", "trials"];
    let child = spawn(&folder, &arguments);
    while !folder.path("trials/b/metrics.jsonl").exists() {
        sleep(Duration::from_millis(5));
    }
    send("TERM", &child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{}", String::from_utf8_lossy(&output.stderr));
    let step = saved_step(&folder, "trials/b");
    assert!((1..36).contains(&step), "interrupted after step {step} of 36");
    folder.trained(&arguments);
    assert_eq!(report("trials"), report("whole"));
    for trial in ["a", "b"] {
        assert_same(&folder, &format!("trials/{trial}"), &format!("whole/{trial}"));
    }
}

#[test]
fn other_threads_than_those_of_the_run_are_warned_of() {
    let folder = Folder::new();
    folder.trained(&[]);
    let warnings = |threads: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_train"));
        command.current_dir(folder.dir.path()).args(["--config", "config.toml", "--resume", "--device", "cpu"]);
        let output = command.args(["--threads", threads]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        stderr.lines().filter(|line| line.starts_with("warning: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(warnings("1"), Vec::<String>::new());
    let [warning] = &warnings("2")[..] else { panic!("not one warning") };
    assert!(warning.contains("on cpu with --threads 1, now on cpu with --threads 2: the result will not"), "{warning}");
    // A state of an older version does not say.
    let path = folder.path("run/last/trainer_state.json");
    let mut state: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    for key in ["device", "threads"] {
        state.as_object_mut().unwrap().remove(key).unwrap();
    }
    fs::write(&path, state.to_string()).unwrap();
    fs::remove_file(folder.path("run/last/manifest.json")).unwrap();
    assert_eq!(warnings("2"), Vec::<String>::new());
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
    assert_eq!(before.iter().filter(|entry| entry["event"] == "epoch").count(), 3);
}

#[test]
fn other_data_do_not_continue_a_run() {
    let folder = Folder::new();
    folder.trained(&[]);
    let text = fs::read_to_string(folder.path("pairs.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(folder.path("pairs.csv"), lines[..lines.len() - 1].join("\n")).unwrap();
    let output = folder.train(&["--resume"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    let line = told.lines().last().unwrap();
    assert!(
        line.starts_with("error: run: the datasets are not those that the run began with: choose another output"),
        "{told}"
    );
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
    assert!(line.contains("train.learning_rate was 0.001 and is 0.002; a run goes on with"), "{line}");
    assert!(line.ends_with("or remove run to begin it anew"), "{line}");
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
