//! The `eval` command: what it writes, and how it refuses.
#![allow(clippy::unwrap_used)] // A test may panic.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use data::{DataDir, Dataset};
use model::{CrossEncoder, Options, SentenceEncoder, SimilarityFunction};
use serde_json::Value;
use tempfile::TempDir;

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/roberta-tiny")
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data")
}

fn command(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eval"));
    command
        .current_dir(folder.path())
        .env("STS_DATA_DIR", sample())
        .args(["--device", "cpu", "--threads", "1", "--model"])
        .arg(model())
        .args(["--pooling", "mean"]); // told, so that no line says what is assumed
    command.args(arguments);
    command
}

fn eval(folder: &TempDir, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn succeeded(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The one line with which the command fails, having left nothing behind.
fn refusal(folder: &TempDir, arguments: &[&str]) -> String {
    let before = names(folder);
    let output = eval(folder, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(matches!(output.status.code(), Some(1 | 2)), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert_eq!(names(folder), before);
    stderr
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_figures_are_written_as_json_and_as_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let output = eval(&folder, &["--data", "sample:dev", "--data", "sample:test", "--json", "out/figures.json"]);
    let table = succeeded(output);
    assert!(table.contains("sample:dev") && table.contains("sample:test") && table.contains("Spearman"), "{table}");
    let text = fs::read_to_string(folder.path().join("out/figures.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let result = &report["results"][1];
    assert_eq!(keys(&report), ["model", "precision", "processor", "results"]);
    let expected = ["data", "f1", "mse", "pairs", "pearson", "sentences_per_second", "spearman", "threshold"];
    assert_eq!(keys(result), expected);
    assert_eq!(keys(&result["pearson"]), ["ci95", "p_value", "r"]);
    assert_eq!(keys(&result["spearman"]), ["ci95", "p_value", "rho"]);
    assert_eq!(
        (&result["data"], &result["pairs"], &result["threshold"]),
        (&"sample:test".into(), &80.into(), &3.0.into())
    );
    let (low, high) = (result["pearson"]["ci95"][0].as_f64().unwrap(), result["pearson"]["ci95"][1].as_f64().unwrap());
    assert!((low..high).contains(&result["pearson"]["r"].as_f64().unwrap()));
}

#[test]
fn labelled_datasets_have_the_figures_of_one_file_with_all_their_rows() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("unlabelled.csv"), "sentence1,sentence2\n밥,책\n").unwrap();
    let [dev, test] =
        ["dev", "test"].map(|part| fs::read_to_string(sample().join(format!("sample/sample-{part}.tsv"))).unwrap());
    let (_, rows) = test.split_once('\n').unwrap(); // without the header
    fs::write(folder.path().join("both.tsv"), dev + rows).unwrap();
    let results = |datasets: &[&str]| {
        let arguments: Vec<_> = datasets.iter().flat_map(|name| ["--data", name]).collect();
        succeeded(eval(&folder, &[&arguments[..], &["--json", "f.json", "--predictions", "p.csv"]].concat()));
        let text = fs::read_to_string(folder.path().join("f.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["results"].as_array().unwrap().clone()
    };
    let several = results(&["sample:dev", "unlabelled.csv", "sample:test"]);
    let one = results(&["both.tsv"]);
    let named: Vec<_> = several.iter().map(|result| result["data"].as_str().unwrap()).collect();
    assert_eq!(named, ["sample:dev", "unlabelled.csv", "sample:test", "merged"]);
    assert_eq!((&several[3]["pairs"], one.len()), (&160.into(), 1));
    for figure in ["/pearson/r", "/pearson/ci95/0", "/spearman/rho", "/spearman/ci95/1", "/f1", "/mse"] {
        let value = |result: &Value| result.pointer(figure).unwrap().as_f64().unwrap();
        let (merged, expected) = (value(&several[3]), value(&one[0]));
        assert!((merged - expected).abs() < 1e-6, "{figure}: {merged} and {expected}"); // f32 in other batches
    }
    assert!(names(&folder).iter().all(|name| !name.contains("merged")), "{:?}", names(&folder));
}

#[test]
fn predictions_are_five_times_the_cosine_beside_their_pairs() {
    let folder = tempfile::tempdir().unwrap();
    succeeded(eval(&folder, &["--data", "sample:test", "--predictions", "out.csv"]));
    let dir = DataDir::new(Some(sample()));
    let pairs = Dataset::load("sample:test", &dir).unwrap().pairs;
    let path = folder.path().join("out.csv");
    let header = fs::read_to_string(&path).unwrap().lines().next().unwrap().to_owned();
    assert_eq!(header, "\u{FEFF}index,sentence1,sentence2,label,prediction"); // the mark by which Excel knows UTF-8
    // Read back by the reader of datasets: the sentences, quotes and all, and the label.
    let back = Dataset::load(path.to_str().unwrap(), &dir).unwrap().pairs;
    assert_eq!(back, pairs);
    let encoder = SentenceEncoder::load(model(), &Options::default()).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let last: f64 = text.lines().last().unwrap().rsplit(',').next().unwrap().parse().unwrap();
    let pair = pairs.last().unwrap();
    let embeddings = encoder.encode(&[&pair.sentence1, &pair.sentence2]).unwrap();
    let expected = 5.0 * SimilarityFunction::Cosine.of(&embeddings[0], &embeddings[1]);
    assert!((last - expected).abs() < 1e-5, "{last} and {expected}");
}

#[test]
fn figures_of_fewer_numbers_are_those_of_the_first_ones() {
    let folder = tempfile::tempdir().unwrap();
    let line = refusal(&folder, &["--data", "sample:test", "--dimensions", "8"]);
    assert!(line.contains("dimensions 8: expected 32") && line.contains("--allow-truncation"), "{line}");
    let few = ["--data", "sample:test", "--dimensions", "8", "--allow-truncation", "--predictions", "few.csv"];
    succeeded(eval(&folder, &few));
    let dir = DataDir::new(Some(sample()));
    let pair = Dataset::load("sample:test", &dir).unwrap().pairs.pop().unwrap();
    let embeddings = SentenceEncoder::load(model(), &Options::default()).unwrap();
    let embeddings = embeddings.encode(&[&pair.sentence1, &pair.sentence2]).unwrap();
    let expected = 5.0 * SimilarityFunction::Cosine.of(&embeddings[0][..8], &embeddings[1][..8]);
    let text = fs::read_to_string(folder.path().join("few.csv")).unwrap();
    let last: f64 = text.lines().last().unwrap().rsplit(',').next().unwrap().parse().unwrap();
    assert!((last - expected).abs() < 1e-5, "{last} and {expected}");
}

#[test]
fn a_cross_encoder_is_evaluated_by_its_own_scores() {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures");
    let dir = folder.path().join("cross");
    fs::create_dir(&dir).unwrap();
    for (from, name) in [
        ("cross-encoders/roberta", "config.json"),
        ("cross-encoders/roberta", "model.safetensors"),
        ("roberta-tiny", "tokenizer.json"),
        ("roberta-tiny", "tokenizer_config.json"),
    ] {
        fs::copy(fixtures.join(from).join(name), dir.join(name)).unwrap();
    }
    let cross = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eval"));
        command.current_dir(folder.path()).env("STS_DATA_DIR", sample());
        command.args(["--device", "cpu", "--threads", "1", "--model", "cross", "--data", "sample:test"]);
        command.args(arguments).output().unwrap()
    };
    let output = cross(&["--predictions", "out.csv"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let pair = Dataset::load("sample:test", &DataDir::new(Some(sample()))).unwrap().pairs.pop().unwrap();
    let encoder = CrossEncoder::load(&dir, &Options::default()).unwrap();
    let expected = 5.0 * f64::from(encoder.scores(&[[&pair.sentence1, &pair.sentence2]]).unwrap()[0]);
    let text = fs::read_to_string(folder.path().join("out.csv")).unwrap();
    let last: f64 = text.lines().last().unwrap().rsplit(',').next().unwrap().parse().unwrap();
    assert!((last - expected).abs() < 1e-5, "{last} and {expected}");
    let output = cross(&["--prompt", "query: "]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("--prompt is for sentence encoders, and the model is a cross-encoder"), "{stderr}");
}

#[test]
fn several_datasets_have_a_file_of_predictions_each() {
    let folder = tempfile::tempdir().unwrap();
    succeeded(eval(&folder, &["--data", "sample:dev", "--data", "sample:test", "--predictions", "out.csv"]));
    assert_eq!(names(&folder), ["out.sample-dev.csv", "out.sample-test.csv"]);
}

#[test]
fn every_dataset_has_its_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let long = format!("{}/pairs.csv", "./".repeat(200)); // longer than a file's name may be
    fs::write(folder.path().join("pairs.csv"), "sentence1,sentence2\n비가 온다.,비가 내린다.\n밥,책\n").unwrap();
    succeeded(eval(&folder, &["--data", "sample:test", "--data", &long, "--plots", "new/plots"]));
    let plots = folder.path().join("new/plots");
    let mut names: Vec<_> = fs::read_dir(&plots).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["pairs-csv.histogram.svg", "sample-test.histogram.svg", "sample-test.scatter.svg"]);
    let scatter = fs::read_to_string(plots.join("sample-test.scatter.svg")).unwrap();
    assert_eq!(scatter.matches("<circle").count(), 80);
    assert!(scatter.trim_end().ends_with("</svg>"));
}

#[test]
fn a_file_without_labels_is_scored_without_figures() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pairs.csv"), "sentence1,sentence2\n비가 온다.,비가 내린다.\n밥,책\n").unwrap();
    let output = eval(&folder, &["--data", "pairs.csv", "--json", "f.json", "--predictions", "p.csv"]);
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(stderr.contains("pairs.csv: no column score or label"), "{stderr}");
    let table = succeeded(output);
    assert!(table.contains("no labels"), "{table}");
    let report: Value = serde_json::from_str(&fs::read_to_string(folder.path().join("f.json")).unwrap()).unwrap();
    let keys: Vec<&String> = report["results"][0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["data", "pairs", "sentences_per_second"]);
    let text = fs::read_to_string(folder.path().join("p.csv")).unwrap();
    assert!(text.lines().nth(1).unwrap().starts_with("0,비가 온다.,비가 내린다.,,"), "{text}");
}

#[test]
fn labels_of_another_scale_are_doubted() {
    let folder = tempfile::tempdir().unwrap();
    let stderr = |highest: f64| {
        let text = format!("sentence1,sentence2,score\n비가 온다.,비가 내린다.,{highest}\n밥,책,0\n");
        fs::write(folder.path().join("pairs.csv"), text).unwrap();
        String::from_utf8(eval(&folder, &["--data", "pairs.csv"]).stderr).unwrap()
    };
    assert!(stderr(1.0).contains("warning: pairs.csv: no score is above 1, where scores go from 0 to 5"));
    assert!(!stderr(1.1).contains("warning"));
}

#[test]
fn constant_labels_have_no_correlation_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pairs.csv"), "sentence1,sentence2,score\n가,나,1\n다,라,1\n마,바,1\n").unwrap();
    let table = succeeded(eval(&folder, &["--data", "pairs.csv", "--json", "f.json"]));
    assert!(table.contains("pairs.csv: no correlation: one side is 1 throughout"), "{table}");
    let report: Value = serde_json::from_str(&fs::read_to_string(folder.path().join("f.json")).unwrap()).unwrap();
    assert_eq!(report["results"][0]["pearson"], Value::Null);
}

#[cfg(target_os = "linux")] // where a file under way has no name
#[test]
fn a_signal_ends_it_at_once_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..100_000).map(|row| format!("비가 온다 {row}.,눈이 온다 {row}.,{}\n", row % 6)).collect();
    fs::write(folder.path().join("long.csv"), format!("sentence1,sentence2,score\n{rows}")).unwrap();
    let outputs = ["--json", "f.json", "--predictions", "p.csv", "--plots", "plots"];
    let mut command = command(&folder, &[&["--data", "long.csv"], &outputs[..]].concat());
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "scoring long.csv: 200000 sentences");
    // Not Ctrl-C's own: a shell that starts the tests in the background has it ignored.
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(15), "{status}"); // a shell shows 143
    assert_eq!(lines.count(), 0);
    assert_eq!(names(&folder), ["long.csv", "plots"]);
    assert_eq!(fs::read_dir(folder.path().join("plots")).unwrap().count(), 0);
}

#[test]
fn bad_input_is_one_line_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.csv"), "sentence1,sentence2,score\n가,나,abc\n").unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    for (arguments, expected) in [
        (vec!["--data", "no.csv", "--json", "f.json"], "no.csv"),
        (vec!["--data", "bad.csv", "--json", "f.json"], "bad.csv:2: score \"abc\" is not a number"),
        (vec!["--data", "sample:dev", "--json", "file/f.json"], "error: file/f.json: cannot make its folder: "),
        (vec!["--data", "sample:dev", "--json", "folder"], "error: folder: cannot write the file: is a directory"),
        (vec!["--data", "sample:dev", "--json", "/proc/f.json"], "error: /proc/f.json: cannot write the file: No such"),
        (vec!["--data", "sample:dev", "--plots", "file"], "error: file/sample-dev.scatter.svg: cannot make its folder"),
        (
            vec!["--data", "sample:dev", "--data", "sample:dev", "--plots", "plots"],
            "--data names one file twice: \"sample:dev\" and \"sample:dev\"",
        ),
        (vec!["--data", "sample:dev", "--max-seq-length", "100000"], "beyond the encoder's 64 positions"),
    ] {
        let line = refusal(&folder, &arguments);
        assert!(line.contains(expected), "{line}");
    }
}

#[test]
fn a_device_that_is_not_there_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_eval"))
        .args(["--data", "sample:dev", "--device", "cuda:99", "--model"])
        .arg(model())
        .env("STS_DATA_DIR", sample())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.starts_with("error: no CUDA device 99: ") && stderr.lines().count() == 1, "{stderr}");
}

#[test]
fn a_model_that_is_not_there_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_eval"))
        .args(["--data", "sample:dev", "--model", "nowhere/at/all"])
        .env("STS_DATA_DIR", sample())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("error: nowhere/at/all: no such directory") && stderr.lines().count() == 1, "{stderr}");

    let output = Command::new(env!("CARGO_BIN_EXE_eval"))
        .args(["--data", "sample:dev", "--model", "klue/roberta-larg"])
        .env("STS_DATA_DIR", sample())
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_HUB_CACHE", "nowhere")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        stderr,
        "error: klue/roberta-larg: no such directory, and no whole copy in the cache nowhere: unset HF_HUB_OFFLINE to \
         download it\n"
    );
}

/// A copy of a tiny sentence-transformers model with these settings.
fn with_settings(folder: &TempDir, settings: &Value) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/st-roberta-tiny-new");
    let dir = folder.path().join("model");
    fs::create_dir_all(dir.join("1_Pooling")).unwrap();
    for entry in fs::read_dir(&from).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        fs::copy(&entry, dir.join(entry.file_name().unwrap())).unwrap();
    }
    fs::copy(from.join("1_Pooling/config.json"), dir.join("1_Pooling/config.json")).unwrap();
    fs::write(dir.join("config_sentence_transformers.json"), settings.to_string()).unwrap();
    dir
}

#[test]
fn correlations_are_those_of_the_similarity_that_a_model_asks_for_and_f1_and_mse_those_of_the_cosine() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str| {
        let dir = with_settings(&folder, &serde_json::json!({"similarity_fn_name": name, "truncate_dim": 8}));
        let mut command = Command::new(env!("CARGO_BIN_EXE_eval"));
        command.current_dir(folder.path()).env("STS_DATA_DIR", sample());
        command.args(["--device", "cpu", "--threads", "1", "--data", "sample:dev", "--data", "sample:test"]);
        let table = succeeded(command.args(["--json", "f.json", "--model"]).arg(&dir).output().unwrap());
        let text = fs::read_to_string(folder.path().join("f.json")).unwrap();
        let encoder = SentenceEncoder::load(&dir, &Options::default()).unwrap();
        (table, serde_json::from_str::<Value>(&text).unwrap()["results"].clone(), encoder)
    };
    let (plain, cosine, _) = run("cosine");
    assert!(!plain.contains("5 · cosine") && cosine[0].get("similarity").is_none(), "{plain}");
    for name in ["dot", "euclidean", "manhattan"] {
        let (table, results, encoder) = run(name);
        assert!(table.ends_with(&format!("of the model's similarity, {name}; F1 and MSE: of 5 · cosine\n")), "{table}");
        let pairs = Dataset::load("sample:test", &DataDir::new(Some(sample()))).unwrap();
        let of = |pair: &data::SentencePair| {
            let both = encoder.encode(&[&pair.sentence1, &pair.sentence2]).unwrap();
            assert_eq!((both.len(), both.width()), (2, 8));
            let [a, b] = [&both[0], &both[1]];
            encoder.similarity_function().of(a, b)
        };
        let (labels, found): (Vec<f64>, Vec<f64>) =
            pairs.pairs.iter().map(|pair| (pair.score.unwrap(), of(pair))).unzip();
        for (figure, expected) in [
            ("/pearson/r", eval::metrics::pearson(&labels, &found).unwrap().r),
            ("/spearman/rho", eval::metrics::spearman(&labels, &found).unwrap().r),
        ] {
            let value = results[1].pointer(figure).unwrap().as_f64().unwrap();
            // Ranks of neighbours may change places by rounding.
            assert!((value - expected).abs() < 1e-4, "{name} {figure}: {value} and {expected}");
            assert!(results[2].pointer(figure).is_some(), "merged figures are of it too");
        }
        for figure in ["f1", "mse"] {
            assert_eq!(results[1][figure], cosine[1][figure], "{name}");
        }
        assert_eq!(results[1]["similarity"], name);
    }
}

#[test]
fn a_pooling_that_was_assumed_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let run = |pooling: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eval"));
        command.current_dir(folder.path()).env("STS_DATA_DIR", sample());
        command.args(["--device", "cpu", "--threads", "1", "--data", "sample:test", "--model"]).arg(model());
        let output = command.args(pooling).output().unwrap();
        assert!(output.status.success());
        let table = String::from_utf8(output.stdout).unwrap();
        let figures = table.lines().find(|line| line.contains("sample:test")).unwrap().to_owned();
        let is_told = String::from_utf8(output.stderr).unwrap().contains("no pooling of its own, mean is assumed");
        (figures.split('┆').take(6).collect::<String>(), is_told)
    };
    let (assumed, is_told) = run(&[]);
    assert!(is_told);
    assert_eq!(run(&["--pooling", "mean"]), (assumed.clone(), false));
    assert_ne!(run(&["--pooling", "cls"]).0, assumed);
}
