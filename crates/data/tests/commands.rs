//! The binary on good input.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{data, files, stderr, stdout};
use data::{DataDir, Dataset, SentencePair};

/// Sixty pairs with everything that CSV has to quote.
fn write_pairs(path: &Path) -> Vec<SentencePair> {
    let odd = ["가, 나", "\"인용\"", "\"", "두\n줄", " 앞뒤 ", "끝\r", "탭\t", "x\"\"y", "#", "1.5"];
    let pair = |i: usize| SentencePair {
        sentence1: format!("{i} {}", odd[i % odd.len()]),
        sentence2: format!("{}{i}", odd[(i / 3) % odd.len()]),
        score: Some(i as f64 / 59.0 * 5.0),
    };
    let pairs: Vec<SentencePair> = (0..60).map(pair).collect();
    let records: Vec<_> = pairs
        .iter()
        .map(|pair| serde_json::json!({"sentence1": pair.sentence1, "sentence2": pair.sentence2, "score": pair.score}))
        .collect();
    fs::write(path, serde_json::to_string_pretty(&records).unwrap()).unwrap();
    pairs
}

#[test]
fn the_parts_of_a_split_read_back_as_the_pairs_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let pairs = write_pairs(&folder.path().join("pairs.json"));
    let output = data(folder.path(), &["split", "pairs.json", "--fraction", "0.25", "--seed", "7", "--out", "parts/a"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "parts/a/train.csv  45 pairs\nparts/a/dev.csv  15 pairs\n");
    assert_eq!(files(&folder.path().join("parts")), ["dev.csv", "train.csv"]);

    let split = data::stratified_split(&pairs, 0.25, 7).unwrap();
    for (name, rows) in [("train", split.train), ("dev", split.dev)] {
        let path = folder.path().join(format!("parts/a/{name}.csv"));
        let read = Dataset::load(path.to_str().unwrap(), &DataDir::new(None)).unwrap();
        assert_eq!(read.pairs, rows.into_iter().map(|row| pairs[row].clone()).collect::<Vec<_>>());
    }
}

#[test]
fn a_split_replaces_files_only_with_overwrite() {
    let folder = tempfile::tempdir().unwrap();
    write_pairs(&folder.path().join("pairs.json"));
    fs::write(folder.path().join("dev.csv"), "mine").unwrap();
    let output = data(folder.path(), &["split", "pairs.json", "--out", "."]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "error: ./dev.csv: the file exists already; pass --overwrite to replace it\n");
    assert_eq!(fs::read(folder.path().join("dev.csv")).unwrap(), b"mine");
    assert_eq!(files(folder.path()), ["dev.csv", "pairs.json"]);
    assert!(data(folder.path(), &["split", "pairs.json", "--out", ".", "--overwrite"]).status.success());
    assert!(fs::read_to_string(folder.path().join("dev.csv")).unwrap().starts_with("sentence1,sentence2,score\n"));
}

/// A link to nowhere is no file yet, but a file of its name cannot be made.
#[cfg(unix)]
#[test]
fn half_a_split_is_not_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    write_pairs(&folder.path().join("pairs.json"));
    fs::create_dir(folder.path().join("parts")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("parts/dev.csv")).unwrap();
    let output = data(folder.path(), &["split", "pairs.json", "--out", "parts"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(files(&folder.path().join("parts")), ["dev.csv"]);
}

#[test]
fn stats_prints_figures_and_a_histogram_per_dataset() {
    let folder = tempfile::tempdir().unwrap();
    write_pairs(&folder.path().join("pairs.json"));
    fs::write(folder.path().join("plain.tsv"), "sentence1\tsentence2\n가나\t다\n다\t가나\n").unwrap();
    let output = data(folder.path(), &["stats", "pairs.json", "plain.tsv"]);
    assert!(output.status.success());
    let text = stdout(&output);
    let (labelled, plain) = text.split_once("\n\n").unwrap();
    assert!(labelled.starts_with("pairs.json\n") && labelled.contains("  pairs            60\n"), "{text}");
    assert!(labelled.contains("mean 2.500, standard deviation 1.468\n"), "{text}");
    assert_eq!(labelled.matches('█').count(), 400, "{text}"); // Six pairs in each bin, so ten full bars.
    assert_eq!(
        plain,
        "plain.tsv\n  file             plain.tsv\n  form             tab-separated, UTF-8, with a header\n  pairs            2\n  duplicate pairs  1\n  characters       \
         mean 1.5, median 1.5, 95th percentile 2, max 2 per sentence\n  score            none\n"
    );
}

#[test]
fn stats_draws_a_panel_per_dataset_but_none_without_scores() {
    let folder = tempfile::tempdir().unwrap();
    write_pairs(&folder.path().join("pairs.json"));
    fs::write(folder.path().join("plain.tsv"), "sentence1\tsentence2\n가\t나\n").unwrap();
    let output = data(folder.path(), &["stats", "pairs.json", "pairs.json", "--svg", "new/scores.svg"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let svg = fs::read_to_string(folder.path().join("new/scores.svg")).unwrap();
    assert_eq!(svg.matches("Scores of pairs.json (60 pairs)").count(), 2);
    let output = data(folder.path(), &["stats", "plain.tsv", "--svg", "none.svg"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("error: plain.tsv: no scores"), "{}", stderr(&output));
    assert!(!folder.path().join("none.svg").exists());
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_column() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("x.csv", "\u{FEFF}sentence1,sentence2\r\n가,나\r\n"),
        ("x.tsv", "\u{FEFF}sentence1\tsentence2\n가\t나\n"),
        ("x.JSON", "\u{FEFF}[{\"sentence1\": \"가\", \"sentence2\": \"나\"}]"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let dataset = Dataset::load(path.to_str().unwrap(), &DataDir::new(None)).unwrap();
        let expected = SentencePair { sentence1: "가".into(), sentence2: "나".into(), score: None };
        assert_eq!(dataset.pairs, [expected], "{name}");
        assert!(!dataset.is_labelled());
        let error = dataset.scores().unwrap_err().to_string();
        assert!(error.starts_with(path.to_str().unwrap()) && error.contains("no scores"), "{error}");
    }
}

#[test]
fn a_reader_that_stops_early_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    write_pairs(&folder.path().join("pairs.json"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_data"))
        .args(std::iter::once("stats").chain(std::iter::repeat_n("pairs.json", 200)))
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}

#[test]
fn help_names_the_datasets() {
    let output = data(Path::new("."), &["--help"]);
    assert!(output.status.success() && stdout(&output).contains("kor-sts:{train,dev,test}"));
}

#[test]
fn test_sentences_in_training_sets_are_counted_and_fail_the_command() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("test.csv", "sentence1,sentence2\n비가 온다.,하루 종일 눈이 온다.\n"),
        (
            "pairs.csv",
            "sentence1,sentence2,score\n비가  온다!,해가 뜬다.,1\n오늘도 하루 종일 눈이 온다.,해가 진다.,2\n",
        ),
        ("text.txt", "어제도 하루 종일 눈이 온다. 춥다.\n비가 온다. 바람이 분다.\n"),
    ] {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let overlap = |arguments: &[&str]| data(folder.path(), &[&["overlap"], arguments].concat());
    let found = overlap(&["pairs.csv", "text.txt", "--test", "test.csv"]);
    assert_eq!(found.status.code(), Some(1));
    assert_eq!(
        stdout(&found),
        "2 different sentences in test.csv\n\
         pairs.csv: 2 rows, 0 left out, 1 hold a sentence of the test sets\n\
         text.txt: 2 rows, 0 left out, 1 hold a sentence of the test sets\n"
    );
    assert_eq!(stderr(&found), "error: 2 rows of the training sets hold a sentence of the test sets\n");
    let left_out = overlap(&["pairs.csv", "text.txt", "--test", "test.csv", "--exclude", "test.csv"]);
    assert!(left_out.status.success(), "{}", stderr(&left_out));
    assert!(stdout(&left_out).contains("text.txt: 2 rows, 1 left out, 0 hold"));
    for (spec, expected) in [("klue-nli:train", "klue-nli-v1.1_train.json is missing"), ("gone.txt", "gone.txt")] {
        let output = overlap(&[spec, "--test", "test.csv"]);
        assert!(!output.status.success() && stderr(&output).contains(expected), "{}", stderr(&output));
    }
}
