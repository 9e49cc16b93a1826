//! What a run leaves behind, and that the same run leaves the same.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::fs;

use common::{Folder, metrics, only_line};
use data::{DataDir, Dataset};
use eval::{metrics::pearson, score};
use model::{Options, SentenceEncoder};
use serde_json::Value;

fn json(folder: &Folder, name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.path(name)).unwrap()).unwrap()
}

#[test]
fn a_run_leaves_checkpoints_log_and_report() {
    let folder = Folder::new();
    let output = folder.trained(&[]);
    assert_eq!(
        folder.names("run"),
        ["best", "config.toml", "curves.svg", "last", "metrics.jsonl", "report.json", "report.md", "tensorboard"]
    );
    for file in ["model.safetensors", "optimizer.safetensors", "trainer_state.json", "modules.json", "manifest.json"] {
        assert!(folder.path("run/last").join(file).exists(), "{file}");
    }
    // 60 pairs, of which 12 are dev: 6 steps of 8 pairs an epoch, logged every 2.
    let metrics = metrics(&folder, "run");
    assert_eq!(metrics.iter().filter(|entry| entry["event"] == "step").count(), 6);
    assert_eq!(metrics.iter().filter(|entry| entry["event"] == "epoch").count(), 3);
    let before = &metrics[0];
    assert_eq!((&before["event"], &before["epoch"], &before["step"]), (&"epoch".into(), &0.into(), &0.into()));
    assert!(before["dev"][0]["pearson"].is_f64() && before.get("train_loss").is_none(), "{before}");
    let epoch = metrics.iter().filter(|entry| entry["event"] == "epoch").nth(1).unwrap();
    assert_eq!((&epoch["epoch"], &epoch["step"], &epoch["dev"][0]["pairs"]), (&1.into(), &6.into(), &12.into()));
    let report = json(&folder, "run/report.json");
    assert_eq!(report["rows"]["train"], 48);
    assert_eq!(report["rows"]["dev"][0]["data"], "20 % of train");
    assert_eq!(report["epochs"][2]["step"], 12);
    assert_eq!(report["test"][0]["pairs"], 60);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("checkpoint: run/best"), "{stdout}");
    // What is kept as the configuration runs as it is.
    let again = folder.command().args(["--config", "run/config.toml", "--output", "again"]).output().unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    assert_eq!(json(&folder, "again/report.json")["epochs"][2]["train_loss"], report["epochs"][2]["train_loss"]);
}

#[test]
fn the_same_seed_gives_the_same_run_to_the_last_digit() {
    let (first, second, other) = (Folder::new(), Folder::new(), Folder::new());
    first.trained(&[]);
    second.trained(&[]);
    other.trained(&["--set", "seed=8"]);
    assert_eq!(metrics(&first, "run"), metrics(&second, "run"));
    for file in ["run/best/model.safetensors", "run/last/optimizer.safetensors", "run/best/tokenizer.json"] {
        assert_eq!(fs::read(first.path(file)).unwrap(), fs::read(second.path(file)).unwrap(), "{file}");
    }
    assert_ne!(metrics(&first, "run"), metrics(&other, "run"));
}

#[test]
fn the_best_checkpoint_gives_the_dev_figure_that_chose_it() {
    let folder = Folder::new();
    folder.trained(&["--set", "data.dev=[\"pairs.csv\"]", "--set", "train.epochs=4"]);
    let report = json(&folder, "run/report.json");
    let best = report["best"]["epoch"].as_u64().unwrap() as usize;
    let merged = |epoch: &Value| epoch["dev"][2]["pearson"].as_f64().unwrap(); // drawn, named, merged
    let epochs = report["epochs"].as_array().unwrap();
    assert!(epochs[1..].iter().all(|epoch| merged(epoch) <= merged(&epochs[best])));

    let encoder = SentenceEncoder::load(folder.path("run/best"), &Options::default()).unwrap();
    let dataset = Dataset::load(folder.path("pairs.csv").to_str().unwrap(), &DataDir::new(None)).unwrap();
    let scored = score(&encoder, &dataset, &mut |_| {}).unwrap();
    let found = pearson(&scored.labels.unwrap(), &scored.predictions).unwrap().r;
    let expected = epochs[best]["dev"][1]["pearson"].as_f64().unwrap();
    assert!((found - expected).abs() < 1e-12, "{found} and {expected}");
}

#[test]
fn a_dev_set_drawn_from_one_training_set_leaves_no_copy_in_another() {
    let folder = Folder::new();
    fs::copy(folder.path("pairs.csv"), folder.path("copies.csv")).unwrap();
    let sets = ["--set", "data.train=[\"pairs.csv\", \"copies.csv\"]", "--set", "data.dev_from=[\"copies.csv\"]"];
    folder.trained(&sets);
    let rows = &json(&folder, "run/report.json")["rows"];
    // 60 pairs twice: 12 are drawn from the copies, and their 12 twins leave the other set.
    assert_eq!((&rows["train"], &rows["dev"][0]["pairs"]), (&96.into(), &12.into()));
    assert_eq!(rows["dev"][0]["data"], "20 % of copies.csv");
}

#[test]
fn every_set_has_its_figures_and_its_rows_in_the_report() {
    let folder = Folder::new();
    fs::copy(folder.path("pairs.csv"), folder.path("others.csv")).unwrap();
    let sets = ["--set", "data.train=[\"pairs.csv\", \"others.csv\"]", "--set", "data.dev_from=[\"others.csv\"]"];
    let tests = ["--set", "data.test=[\"pairs.csv\", \"others.csv\"]", "--set", "train.epochs=1"];
    folder.trained(&[sets, tests].concat());
    let report = json(&folder, "run/report.json");
    let test = report["test"].as_array().unwrap();
    let of = |index: usize, key: &str| test[index][key].clone();
    assert_eq!(
        (of(0, "data"), of(1, "data"), of(2, "data")),
        ("pairs.csv".into(), "others.csv".into(), "merged".into())
    );
    assert_eq!((of(2, "pairs"), of(2, "f1")), (120.into(), of(0, "f1"))); // the same pairs twice
    let markdown = fs::read_to_string(folder.path("run/report.md")).unwrap();
    // 12 pairs were drawn as dev from the copies, and their twins left the other set.
    for expected in [
        "| train | pairs.csv | 48 |",
        "| train | others.csv | 48 |",
        "| dev | 20 % of others.csv | 12 |",
        "| test | others.csv | 60 |",
        "| libtorch | 2.11.0 |",
        "[model.scratch]",
        report["data_sha256"].as_str().unwrap(),
    ] {
        assert!(markdown.contains(expected), "{expected} is missing:\n{markdown}");
    }
    assert!(!markdown.contains("published"), "nobody published figures of these sets:\n{markdown}");
}

#[test]
fn a_run_on_a_published_set_stands_beside_the_figures_of_that_set_alone() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("sets/kor-sts")).unwrap();
    let head = "genre\tfilename\tyear\tid\tscore\tsentence1\tsentence2\n";
    let rows: String = (0..20)
        .map(|row| format!("main\tx\t2012\t{row:04}\t{}.500\t비가 {row}번 온다.\t눈이 {row}번 온다.\n", row % 5))
        .collect();
    fs::write(folder.path("sets/kor-sts/sts-test.tsv"), format!("{head}{rows}")).unwrap();
    folder.trained(&["--data-dir", "sets", "--set", "data.test=[\"kor-sts:test\"]", "--set", "train.epochs=1"]);
    let markdown = fs::read_to_string(folder.path("run/report.md")).unwrap();
    let figures = &json(&folder, "run/report.json")["test"][0];
    let value = |path: &str| format!("{:.4}", figures.pointer(path).unwrap().as_f64().unwrap());
    let cells = ["/pearson/r", "/spearman/rho", "/f1", "/mse"].map(value).join(" | ");
    let ours = format!("| **this run, epoch 1** | bi-encoder | kor-sts:test | {cells} |");
    assert!(markdown.contains(&ours), "{ours} is missing:\n{markdown}");
    let published = markdown.lines().filter(|line| line.contains("| kor-sts:test |") && !line.contains("this run"));
    assert!(published.count() > 0 && !markdown.contains("klue-sts:dev"), "{markdown}");
}

#[test]
fn the_lowest_loss_is_the_best() {
    let folder = Folder::new();
    folder.trained(&["--set", "train.select_by=loss", "--set", "train.epochs=4", "--set", "train.learning_rate=1e-2"]);
    let report = json(&folder, "run/report.json");
    let losses =
        report["epochs"].as_array().unwrap()[1..].iter().map(|epoch| epoch["dev"][0]["loss"].as_f64().unwrap());
    assert_eq!(report["best"]["value"].as_f64().unwrap(), losses.fold(f64::INFINITY, f64::min));
}

#[test]
fn training_learns_what_it_is_shown() {
    let folder = Folder::new();
    folder.trained(&["--set", "train.epochs=30", "--set", "train.learning_rate=3e-3"]);
    let report = json(&folder, "run/report.json");
    let loss = |index: usize| report["epochs"][index]["train_loss"].as_f64().unwrap();
    assert!(loss(30) < loss(1) / 4.0, "{} after {}", loss(30), loss(1));
}

#[test]
fn fine_tuning_starts_from_a_checkpoint() {
    let folder = Folder::new();
    folder.trained(&[]);
    folder.trained(&["--set", "model.init=run/best", "--set", "train.learning_rate=1e-12", "--output", "tuned"]);
    let first = json(&folder, "run/report.json");
    let best = first["best"]["epoch"].as_u64().unwrap() as usize;
    let (expected, found) =
        (&first["epochs"][best]["dev"][0], &json(&folder, "tuned/report.json")["epochs"][1]["dev"][0]);
    let difference = found["pearson"].as_f64().unwrap() - expected["pearson"].as_f64().unwrap();
    assert!(difference.abs() < 1e-4, "{found} and {expected}");
}

#[test]
fn max_steps_ends_a_run_within_an_epoch() {
    let folder = Folder::new();
    folder.trained(&["--set", "train.max_steps=3", "--set", "train.warmup_steps=0"]);
    let report = json(&folder, "run/report.json");
    assert_eq!(report["epochs"].as_array().unwrap().len(), 2);
    assert_eq!(report["epochs"][1]["step"], 3);
}

#[test]
fn a_run_may_end_before_its_schedule_does() {
    let folder = Folder::new();
    let keys = ["--set", "train.warmup_steps=2", "--set", "train.log_every_steps=1", "--set", "train.epochs=1"];
    // An epoch of 6 steps, whose learning rate decays towards the 12th.
    folder.trained(&[&keys[..], &["--set", "train.decay_steps=12"]].concat());
    let rates: Vec<f64> = metrics(&folder, "run").iter().filter_map(|entry| entry["learning_rate"].as_f64()).collect();
    let expected = [0.0, 0.5, 1.0, 0.9, 0.8, 0.7].map(|share| share * 1e-3);
    assert_eq!(rates.len(), expected.len());
    assert!(rates.iter().zip(expected).all(|(rate, expected)| (rate - expected).abs() < 1e-9), "{rates:?}");
    let line = folder.train(&[&keys[..], &["--overwrite", "--set", "train.decay_steps=5"]].concat());
    assert!(only_line(&line).starts_with("train.decay_steps is 5, expected the 6 steps of the run or more"));
}

#[test]
fn columns_and_scale_of_ones_own_train_the_same_run() {
    let (plain, own) = (Folder::new(), Folder::new());
    plain.trained(&[]);
    let csv = fs::read_to_string(own.path("pairs.csv")).unwrap();
    let fifths: Vec<String> = csv
        .lines()
        .skip(1)
        .map(|line| {
            let (sentences, score) = line.rsplit_once(',').unwrap();
            format!("{sentences},{}", score.parse::<f64>().unwrap() / 5.0)
        })
        .collect();
    fs::write(own.path("pairs.csv"), format!("문장1,문장2,유사도\n{}\n", fifths.join("\n"))).unwrap();
    let columns = "data.columns={sentence1 = \"문장1\", sentence2 = \"문장2\", score = \"유사도\"}";
    own.trained(&["--set", columns, "--set", "data.scale=[0, 1]"]);
    let loss = |folder: &Folder| json(folder, "run/report.json")["epochs"][2]["train_loss"].as_f64().unwrap();
    assert!((loss(&plain) - loss(&own)).abs() < 1e-6, "{} {}", loss(&plain), loss(&own));
    // What the run keeps of its configuration has them too.
    let kept = fs::read_to_string(own.path("run/config.toml")).unwrap();
    assert!(kept.contains("유사도") && kept.contains("scale = "), "{kept}");
    for (set, expected) in [
        ("data.scale=[1, 0]", "data.scale: [1, 0]: expected the lowest score and the highest, as in [0, 1]"),
        ("data.columns={a = \"b\"}", "data.columns"),
    ] {
        let line = only_line(&own.train(&["--overwrite", "--set", set]));
        assert!(line.contains(expected), "{line}");
    }
}
