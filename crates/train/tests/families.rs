//! Every family of encoders is trained in every objective: the loss falls, and a run that is done once more ends with the
//! same weights.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{fs, path::Path};

use common::{Folder, metrics};

const FAMILIES: [&str; 9] = [
    "camembert",
    "deberta-v2",
    "deberta-v2-apart",
    "distilbert",
    "electra",
    "electra-unprojected",
    "modernbert",
    "qwen3",
    "xlm-roberta",
];

/// The tiny model of a family with a tokenizer, as `init` of a folder.
fn lay_out(folder: &Folder, family: &str) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures");
    fs::create_dir(folder.path("init")).unwrap();
    for (from, name) in [
        (format!("families/{family}"), "config.json"),
        (format!("families/{family}"), "model.safetensors"),
        ("roberta-tiny".to_owned(), "tokenizer.json"),
        ("roberta-tiny".to_owned(), "tokenizer_config.json"),
    ] {
        fs::copy(fixtures.join(from).join(name), folder.path("init").join(name)).unwrap();
    }
}

/// Losses of the logged steps, first to last.
fn losses(folder: &Folder, run: &str) -> Vec<f64> {
    metrics(folder, run).iter().filter_map(|line| line["loss"].as_f64()).collect()
}

/// The mean of the first three, that of the last three, and all.
fn ends(folder: &Folder, run: &str) -> (f64, f64, Vec<f64>) {
    let losses = losses(folder, run);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    (mean(&losses[..3]), mean(&losses[losses.len() - 3..]), losses)
}

fn without_scratch(folder: &Folder) {
    let config = fs::read_to_string(folder.path("config.toml")).unwrap();
    let start = config.find("[model.scratch]").unwrap();
    let end = start + config[start..].find("[data]").unwrap();
    let config = format!("{}{}", &config[..start].replace("[model]", "[model]\ninit = \"init\""), &config[end..]);
    fs::write(folder.path("config.toml"), config).unwrap();
}

#[test]
fn a_family_learns_similarity_and_a_run_repeats_itself() {
    for family in FAMILIES {
        let folder = Folder::new();
        lay_out(&folder, family);
        without_scratch(&folder);
        let keys = ["--set", "model.dropout=0.1", "--set", "train.epochs=3", "--set", "model.prompt=\"문장: \""];
        folder.trained(&[&keys[..], &["--output", "one"]].concat());
        folder.trained(&[&keys[..], &["--output", "two"]].concat());
        let (begin, end, losses) = ends(&folder, "one");
        assert!(end < begin, "{family}: {losses:?}");
        let weights = |run: &str| fs::read(folder.path(run).join("best/model.safetensors")).unwrap();
        assert!(weights("one") == weights("two"), "{family}: a run repeats itself to the bit");
        // The prompt that it was trained with is the default of what is saved.
        let settings = fs::read_to_string(folder.path("one/best/config_sentence_transformers.json")).unwrap();
        assert!(settings.contains("\"default_prompt_name\": \"default\"") && settings.contains("문장: "), "{settings}");
    }
}

#[test]
fn a_family_learns_the_other_objectives() {
    for family in FAMILIES {
        let folder = Folder::with_hard_negatives();
        lay_out(&folder, family);
        without_scratch(&folder);
        let config = fs::read_to_string(folder.path("config.toml")).unwrap();
        fs::write(folder.path("config.toml"), config.replace("train = [\"pairs.csv\"]", "train = [\"nli.json\"]"))
            .unwrap();
        let inference = |number: usize, label: &str| {
            serde_json::json!({"premise": format!("{number}명이 걷는다."), "hypothesis": format!("{label} {number}"),
                               "gold_label": label})
        };
        let inferences: Vec<_> =
            (0..9).flat_map(|number| ["entailment", "contradiction"].map(|label| inference(number, label))).collect();
        fs::write(folder.path("nli.json"), serde_json::to_string(&inferences).unwrap()).unwrap();
        folder.trained(&["--output", "contrastive"]);
        assert!(losses(&folder, "contrastive").iter().all(|loss| loss.is_finite()), "{family}");
        if family == "qwen3" {
            continue; // it guesses no hidden tokens
        }
        let folder = Folder::new();
        lay_out(&folder, family);
        without_scratch(&folder);
        let config = fs::read_to_string(folder.path("config.toml")).unwrap();
        let config = config.replace("dev_fraction = 0.2\ntest = [\"pairs.csv\"]\n", "held_out = 10\n");
        let config = config.replace("pairs.csv", "text.txt").replace("epochs = 2", "epochs = 2\nsteps_per_epoch = 6");
        fs::write(folder.path("config.toml"), format!("objective = \"mlm\"\n{config}")).unwrap();
        let text: String = (0..80).map(|number| format!("{number}일에 비가 온다. 그래서 우산을 쓴다.\n")).collect();
        fs::write(folder.path("text.txt"), text).unwrap();
        folder.trained(&["--output", "masked", "--set", "train.epochs=6", "--set", "train.learning_rate=3e-3"]);
        let (begin, end, losses) = ends(&folder, "masked");
        assert!(end < 0.8 * begin, "{family}: {losses:?}");
    }
}
