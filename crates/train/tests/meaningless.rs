//! Runs that would end well and mean nothing: what cannot be learned or measured is told before the first step, and no figure
//! is made of noise.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{fs, process::Output};

use common::{Folder, only_line};
use serde_json::Value;

fn table(folder: &Folder, name: &str, rows: impl IntoIterator<Item = (String, String, f64)>) {
    let rows: String = rows.into_iter().map(|(first, second, score)| format!("{first},{second},{score}\n")).collect();
    fs::write(folder.path(name), format!("sentence1,sentence2,score\n{rows}")).unwrap();
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn report(folder: &Folder) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.path("run/report.json")).unwrap()).unwrap()
}

/// What was told, in that order.
fn tells_before(told: &str, first: &str, then: &str) {
    let place = |what: &str| told.find(what).unwrap_or_else(|| panic!("no {what:?} in {told}"));
    assert!(place(first) < place(then), "{told}");
}

#[test]
fn a_dev_set_of_two_pairs_ranks_nothing_and_the_loss_does() {
    let folder = Folder::new();
    let csv = fs::read_to_string(folder.path("pairs.csv")).unwrap();
    let few: Vec<&str> = csv.lines().take(21).collect();
    fs::write(folder.path("pairs.csv"), few.join("\n") + "\n").unwrap();
    let output = folder.trained(&["--set", "data.dev_fraction=0.1", "--set", "train.epochs=3"]);
    let told = stderr(&output);
    tells_before(&told, "a correlation needs at least 3 pairs, and there are 2", "epoch 1/3");
    tells_before(&told, "steps is taken at a learning rate of 0", "epoch 1/3");
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("(by loss: pearson is undefined on dev in every epoch)"), "{stdout}");
    let report = report(&folder);
    let best = report["best"]["epoch"].as_u64().unwrap();
    let losses: Vec<f64> =
        report["epochs"].as_array().unwrap().iter().map(|epoch| epoch["dev"][0]["loss"].as_f64().unwrap()).collect();
    assert!(losses[1..].iter().all(|loss| losses[best as usize] <= *loss + 1e-5), "{best} of {losses:?}");
    assert!(report["best"]["select_by"] == "loss" && report["best"]["value"].is_f64(), "{}", report["best"]);
}

#[test]
fn a_dev_set_whose_labels_are_all_alike_ranks_nothing() {
    let folder = Folder::new();
    table(&folder, "alike.csv", (0..8).map(|row| (format!("비가 {row}번 온다."), format!("눈이 {row}번 온다."), 3.0)));
    let keys = ["--set", "data.dev=[\"alike.csv\"]"];
    let config = fs::read_to_string(folder.path("config.toml")).unwrap().replace("dev_fraction = 0.2\n", "");
    fs::write(folder.path("config.toml"), config).unwrap();
    let output = folder.trained(&keys);
    tells_before(&stderr(&output), "every label is 3, so pearson cannot tell one epoch from another", "epoch 1/2");
    assert_eq!(report(&folder)["best"]["select_by"], "loss");
}

#[test]
fn a_correlation_of_rounding_is_none() {
    let folder = Folder::new();
    let config = fs::read_to_string(folder.path("config.toml")).unwrap().replace("dev_fraction = 0.2\n", "");
    fs::write(folder.path("config.toml"), config).unwrap();
    let same = |row: usize| (format!("{row}번째 문장이다."), format!("{row}번째 문장이다."), row as f64 % 6.0);
    table(&folder, "itself.csv", (0..12).map(same));
    let output = folder.trained(&["--set", "data.dev=[\"itself.csv\"]"]);
    tells_before(&stderr(&output), "every pair is a sentence with itself, so predictions are constant", "epoch 1/2");
    let report = report(&folder);
    for epoch in report["epochs"].as_array().unwrap() {
        assert!(epoch["dev"][0]["pearson"].is_null() && epoch["dev"][0]["spearman"].is_null(), "{epoch}");
    }
}

#[test]
fn trials_of_which_none_has_the_figure_are_ranked_by_the_loss_and_say_so() {
    let folder = Folder::new();
    table(&folder, "two.csv", [("비가 온다.", "비가 내린다.", 5.0), ("눈이 온다.", "개가 뛴다.", 0.0)].map(owned));
    let config =
        fs::read_to_string(folder.path("config.toml")).unwrap().replace("dev_fraction = 0.2", "dev = [\"two.csv\"]");
    let trials = "[[trial]]\nname = \"one-step\"\ntrain.max_steps = 1\n[[trial]]\nname = \"whole\"\ntrain.epochs = 4\n";
    fs::write(folder.path("config.toml"), format!("{config}{trials}")).unwrap();
    let output = folder.trained(&[]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(!stdout.contains("Best by pearson"), "{stdout}");
    assert!(stdout.to_lowercase().contains("loss"), "{stdout}");
}

fn owned((first, second, score): (&str, &str, f64)) -> (String, String, f64) {
    (first.to_owned(), second.to_owned(), score)
}

#[test]
fn trials_with_different_dev_sets_are_not_ranked_together() {
    let folder = Folder::new();
    let config = fs::read_to_string(folder.path("config.toml")).unwrap();
    let trials =
        "[[trial]]\nname = \"a\"\n[[trial]]\nname = \"b\"\nseed = 8\n[[trial]]\nname = \"c\"\ndata.split_seed = 1\n";
    fs::write(folder.path("config.toml"), format!("{config}{trials}")).unwrap();
    folder.trained(&[]);
    let ranking = report(&folder)["ranking"].as_array().unwrap().clone();
    let sets = |trial: &str| {
        let own = ranking.iter().find(|entry| entry["trial"] == trial).unwrap();
        own["dev_sha256"].as_str().unwrap().to_owned()
    };
    // Another seed draws the same dev set, another split seed another one.
    assert!(sets("a") == sets("b") && sets("a") != sets("c"));
    let order: Vec<&str> = ranking.iter().map(|entry| entry["trial"].as_str().unwrap()).collect();
    let c = order.iter().position(|trial| *trial == "c").unwrap();
    assert!(order[c..].iter().all(|trial| *trial == "c") || order[..2] == ["c", "c"], "{order:?}");
    let page = fs::read_to_string(folder.path("run/report.md")).unwrap();
    assert!(page.contains("dev set"), "{page}");
}

#[test]
fn a_short_sentence_of_a_dev_set_removes_no_text_but_its_equals() {
    let folder = Folder::with_teachers();
    folder.distilling();
    table(&folder, "short.csv", [("다", "나", 1.0), ("요", "네", 2.0), ("가", "이", 3.0)].map(owned));
    let output = folder.trained(&["--set", "data.teachers=[\"one/best\"]", "--set", "data.dev=[\"short.csv\"]"]);
    let rows = report(&folder)["rows"]["train"].as_u64().unwrap();
    assert!(rows > 80, "{rows} sentences are left: {}", stderr(&output));
    // What is a sentence of a dev set is left out, and counted.
    let first = fs::read_to_string(folder.path("pairs.csv")).unwrap();
    fs::write(folder.path("own.csv"), first.lines().take(6).collect::<Vec<_>>().join("\n") + "\n").unwrap();
    let own = ["--set", "data.teachers=[\"one/best\"]", "--set", "data.dev=[\"own.csv\"]", "--overwrite"];
    let told = stderr(&folder.trained(&own));
    assert!(told.contains("are those of dev sets or of data.exclude and are left out"), "{told}");
    assert!(report(&folder)["rows"]["train"].as_u64().unwrap() < rows);
}

#[test]
fn a_text_of_which_nothing_can_be_hidden_measures_no_language_model() {
    let folder = Folder::new();
    let unknown = "☃ ☃☃ ☃\n".repeat(20);
    let text: String = (0..200).map(|row| format!("비가 {row}번 온다. 눈이 {row}번 온다.\n")).collect();
    fs::write(folder.path("text.txt"), format!("{unknown}{text}")).unwrap();
    let config = fs::read_to_string(folder.path("config.toml")).unwrap();
    let config = config.replace(
        "train = [\"pairs.csv\"]\ndev_fraction = 0.2\ntest = [\"pairs.csv\"]",
        "train = [\"text.txt\"]\nheld_out = 20",
    );
    let config = config.replace("epochs = 2", "epochs = 2\nsteps_per_epoch = 4");
    fs::write(folder.path("config.toml"), format!("objective = \"mlm\"\n{config}")).unwrap();
    let told = stderr(&folder.train(&[]));
    assert!(
        told.contains("data.held_out: the first 20 paragraphs of the text hold no token that the vocabulary knows"),
        "{told}"
    );
    assert!(!folder.path("run/report.json").exists());
}

#[test]
fn a_loss_that_has_nothing_to_rank_is_refused() {
    let folder = Folder::new();
    let cosent = ["--set", "train.loss=cosent"];
    let line = folder.refusal(&[&cosent[..], &["--set", "train.batch_size=1"]].concat());
    assert!(line.contains("train.batch_size is 1") && line.contains("ranks the pairs of a batch"), "{line}");
    table(&folder, "alike.csv", (0..40).map(|row| (format!("비가 {row}번 온다."), format!("눈이 {row}번 온다."), 3.0)));
    let line = folder.refusal(&[&cosent[..], &["--set", "data.train=[\"alike.csv\"]"]].concat());
    assert!(line.contains("every label is 3") && line.contains("there is nothing to learn"), "{line}");
}

/// A contrastive run on pairs that all mean the same.
fn contrastive(rows: impl IntoIterator<Item = (String, String)>) -> Folder {
    let folder = Folder::with_hard_negatives();
    let config = fs::read_to_string(folder.path("config.toml")).unwrap();
    let config = config.replace("hard_negatives = {}\n", "").replace("vocab_size = 1000", "vocab_size = 300");
    fs::write(folder.path("config.toml"), config.replace("test = [\"pairs.csv\"]", "")).unwrap();
    table(&folder, "pairs.csv", rows.into_iter().map(|(first, second)| (first, second, 5.0)));
    folder
}

const DAYS: [&str; 8] = ["오늘", "어제", "내일", "모레", "아침", "저녁", "새벽", "한낮"];

#[test]
fn examples_without_a_wrong_answer_are_refused() {
    let one = contrastive([("비가 온다.".to_owned(), "비가 내린다.".to_owned())]);
    let line = one.refusal(&[]);
    assert!(line.contains("none has a wrong answer") && line.contains("there is nothing to learn"), "{line}");
    let group = contrastive(DAYS.map(|day| ("비가 온다.".to_owned(), format!("비가 {day} 내린다."))));
    assert!(group.refusal(&[]).contains("none has a wrong answer"));
}

#[test]
fn what_means_the_same_is_no_wrong_answer_so_that_the_loss_can_go_to_nothing() {
    let keys = [
        "--set",
        "train.epochs=60",
        "--set",
        "train.learning_rate=1e-2",
        "--set",
        "train.batch_size=32",
        "--set",
        "model.dropout=0.0",
    ];
    let pair = |day: &str| (format!("비가 {day} 온다."), format!("{day} 비가 내린다."));
    let unique = DAYS.map(pair).to_vec();
    // Each pair from both sides, and each twice, as sets that were merged have them.
    let mirror: Vec<_> = unique.iter().cloned().chain(unique.iter().map(|(a, b)| (b.clone(), a.clone()))).collect();
    let copies: Vec<_> = unique.iter().cloned().chain(unique.iter().cloned()).collect();
    for (name, rows) in [("unique", unique), ("mirror", mirror), ("copies", copies)] {
        let folder = contrastive(rows);
        folder.trained(&keys);
        let epochs = report(&folder)["epochs"].clone();
        let loss = epochs.as_array().unwrap().last().unwrap()["train_loss"].as_f64().unwrap();
        assert!(loss < 0.05, "{name}: {loss}");
    }
}

#[test]
fn texts_that_are_cut_or_unknown_are_told() {
    let folder = Folder::new();
    let long = "비가 오는 날에는 집에서 책을 읽는다. ".repeat(20);
    let csv = fs::read_to_string(folder.path("pairs.csv")).unwrap();
    fs::write(folder.path("pairs.csv"), format!("{csv}{long},{long},5\n")).unwrap();
    let told = stderr(&folder.trained(&[]));
    assert!(told.contains("were cut at 32 tokens") || told.contains("was cut at 32 tokens"), "{told}");
}

#[test]
fn a_set_that_is_named_twice_is_refused() {
    let folder = Folder::new();
    fs::copy(folder.path("pairs.csv"), folder.path("more.csv")).unwrap();
    let here = folder.path("pairs.csv").display().to_string();
    for key in ["data.train", "data.test"] {
        let line = folder.refusal(&["--set", &format!("{key}=[\"pairs.csv\", {here:?}]")]);
        assert!(line.contains(&format!("{key} names one file twice")), "{line}");
    }
    folder.trained(&["--set", "data.train=[\"pairs.csv\", \"more.csv\"]"]); // another file, whatever is in it
}

#[test]
fn weights_that_a_format_cannot_hold_are_not_exported() {
    let folder = Folder::new();
    let config = fs::read_to_string(folder.path("config.toml")).unwrap();
    // A norm of 1e6 within the encoder is beyond f16 and not beyond f32.
    let stage = "[[stage]]\nname = \"one\"\n[export]\npath = \"out\"\nweights = \"f16\"\n";
    folder.trained(&["--output", "first"]);
    let path = folder.path("first/best/model.safetensors");
    let mut weights = model::weights::read_safetensors(&path).unwrap();
    let name = weights.keys().find(|name| name.ends_with("word_embeddings.weight")).unwrap().clone();
    let scaled = tch::no_grad(|| &weights[&name] * 1e8);
    weights.insert(name, scaled);
    model::weights::write_safetensors(&path, &weights).unwrap();
    fs::remove_file(folder.path("first/best/manifest.json")).unwrap();
    let (before, after) = config.split_once("[model.scratch]").unwrap();
    let (_, after) = after.split_once("[data]").unwrap();
    let config = format!("{before}init = \"first/best\"\n[data]{after}{stage}");
    fs::write(folder.path("config.toml"), config).unwrap();
    let told = stderr(&folder.train(&["--set", "train.learning_rate=1e-9"]));
    let line = told.lines().last().unwrap();
    assert!(line.contains("export.path out") && line.contains("word_embeddings"), "{told}");
    assert!(!folder.path("out/model.safetensors").exists());
}

#[test]
fn predictions_are_labels_that_train_takes() {
    // What `eval --predictions` writes is within 0 to 5, with six digits: see its own tests. Beyond, a label is refused.
    let folder = Folder::new();
    table(&folder, "beyond.csv", [("가 나", "다 라", 5.000000596), ("마 바", "사 아", 0.0)].map(owned));
    let line = only_line(&folder.train(&["--set", "data.train=[\"beyond.csv\"]"]));
    assert!(line.contains("beyond.csv:2") && line.contains("outside"), "{line}");
}
