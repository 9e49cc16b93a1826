//! A signal ends a run at once as long as there is nothing to save, and a second one in any case.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;
#[allow(dead_code)] // The tests of `model` use the rest.
#[path = "../../model/tests/common/stub_hub.rs"]
mod stub_hub;

use std::{
    fs::{self, OpenOptions},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use common::{Folder, send};
use stub_hub::{Fault, Stub};

fn spawn(command: &mut Command, arguments: &[&str]) -> Child {
    command.args(["--config", "config.toml"]).args(arguments).stderr(Stdio::piped()).stdout(Stdio::null());
    command.spawn().unwrap()
}

/// Sends a signal, and fails unless it ends the run at once, with nothing changed.
fn assert_ends(folder: &Folder, signal: &str, status: i32, child: Child) {
    let start = Instant::now();
    send(signal, &child);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed()); // others give up after 20 and 30
    assert_eq!(stderr.lines().last(), Some("interrupted: nothing was changed; run the same command again"));
    assert!(!folder.path("run").exists());
}

#[test]
fn a_download_is_left_at_once_and_continued_by_the_next_run() {
    left_and_continued("");
}

#[test]
fn a_download_before_the_first_stage_is_left_at_once_too() {
    left_and_continued("[[stage]]\nname = \"one\"\n");
}

/// `stages` are added to a configuration whose model is on the hub.
fn left_and_continued(stages: &str) {
    let (folder, stub) = (Folder::new(), Stub::new("roberta-tiny"));
    let config = fs::read_to_string(folder.path("config.toml")).unwrap();
    fs::write(folder.path("config.toml"), config + stages).unwrap();
    let arguments = ["--set", "model.init=team/tiny"];
    let command = || {
        let mut command = folder.command();
        command.env("HF_HUB_OFFLINE", "0").env("HF_ENDPOINT", &stub.url);
        command
    };
    stub.set(Fault::Silent(100_000));
    let child = spawn(&mut command(), &arguments);
    let received = || {
        let blobs = fs::read_dir(folder.path("hub/models--team--tiny/blobs")).into_iter().flatten();
        blobs.map(|blob| blob.unwrap().metadata().map_or(0, |data| data.len())).max()
    };
    while received() != Some(100_000) {
        sleep(Duration::from_millis(5));
    }
    assert_ends(&folder, "INT", 130, child);
    stub.set(Fault::None);
    stub.requests();
    assert!(spawn(&mut command(), &arguments).wait().unwrap().success());
    let requests: Vec<_> = stub.requests().into_iter().filter(|request| request.contains("/cdn/")).collect();
    assert!(requests.len() == 1 && requests[0].ends_with(" bytes=100000-"), "{requests:?}");
}

#[test]
fn the_loading_of_a_dataset_is_left_at_once() {
    let folder = Folder::new();
    let pairs = folder.path("pairs.csv");
    fs::remove_file(&pairs).unwrap();
    assert!(Command::new("mkfifo").arg(&pairs).status().unwrap().success());
    let child = spawn(&mut folder.command(), &[]);
    let _pipe = OpenOptions::new().write(true).open(&pairs).unwrap(); // waits for the reader, whom it keeps waiting
    assert_ends(&folder, "TERM", 143, child);
}

#[test]
fn a_second_signal_does_not_wait_for_the_step() {
    let folder = Folder::new();
    let rows: String = (0..16_000).map(|row| format!("비가 온다 {row}.,눈이 온다 {row}.,{}\n", row % 6)).collect();
    fs::write(folder.path("pairs.csv"), format!("sentence1,sentence2,score\n{rows}")).unwrap();
    // An epoch is one step, of seconds.
    let child = spawn(&mut folder.command(), &["--set", "train.gradient_accumulation=1600"]);
    // Once the dev set is scored, before the first step.
    while fs::read_to_string(folder.path("run/metrics.jsonl")).unwrap_or_default().is_empty() {
        sleep(Duration::from_millis(5));
    }
    for _ in 0..2 {
        sleep(Duration::from_millis(100));
        send("INT", &child);
    }
    let start = Instant::now();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(!stderr.contains("saved after step 1"), "{stderr}");
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    assert!(!folder.path("run/last").exists());
}
