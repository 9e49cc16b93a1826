//! What comes before fine-tuning: masked language modelling, contrastive training, and stages of them.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{fs, process::Output};

use common::{Folder, assert_same, only_line};
use model::{Options, TrainableEncoder};
use serde_json::Value;

const LANGUAGE: &str = r#"
objective = "mlm"
seed = 7
output = "run"

[model]
max_seq_length = 16

[model.scratch]
vocab_size = 300
hidden_size = 16
num_hidden_layers = 1
num_attention_heads = 2
intermediate_size = 32

[data]
train = ["text.txt"]
held_out = 20

[train]
epochs = 3
steps_per_epoch = 60
batch_size = 8
learning_rate = 1e-2
log_every_steps = 5
"#;

const STAGES: &str = r#"
seed = 7
output = "run"

[model]
max_seq_length = 16

[model.scratch]
vocab_size = 300
hidden_size = 16
num_hidden_layers = 1
num_attention_heads = 2
intermediate_size = 32

[train]
epochs = 1
batch_size = 8

[[stage]]
name = "language"
objective = "mlm"
model.scratch.token_embeddings = "cooccurrence"
data.train = ["text.txt"]
data.held_out = 20
train.steps_per_epoch = 10

[[stage]]
name = "contrast"
objective = "contrastive"
data.train = ["text.txt", "groups.tsv", "nli.json"]
data.text_pairs = 30
data.dev = ["pairs.csv"]

[[stage]]
name = "similarity"
data.train = ["pairs.csv"]
data.dev_fraction = 0.2
data.test = ["pairs.csv"]

[export]
path = "exported"
card = "card.md"
"#;

/// A folder with the pairs of the other tests, a text, groups and inferences.
fn folder(config: &str) -> Folder {
    let folder = Folder::new();
    let subjects = ["비가", "눈이", "바람이", "개가", "고양이가", "아이가", "학생이", "선생님이"];
    let actions = ["온다", "내린다", "분다", "간다", "먹는다", "달린다", "웃는다", "말한다", "쉰다"];
    let sentence = |number: usize| {
        format!("{} {} {}.", ["오늘", "어제", "내일은"][number % 3], subjects[number % 8], actions[number % 9])
    };
    let text: String = (0..200).map(|number| format!("{} {}\n", sentence(number), sentence(7 * number + 1))).collect();
    let groups: String = (0..40).map(|number| format!("{}\t{}\n", number / 4, sentence(number))).collect();
    let record = |number: usize| {
        let label = ["entailment", "contradiction"][number % 2];
        serde_json::json!({"premise": sentence(number / 2), "hypothesis": sentence(number + 3), "gold_label": label})
    };
    let nli: Vec<Value> = (0..40).map(record).collect();
    for (name, content) in [
        ("text.txt", text),
        ("groups.tsv", groups),
        ("nli.json", serde_json::to_string(&nli).unwrap()),
        ("card.md", "# A card\n".to_owned()),
        ("config.toml", config.to_owned()),
    ] {
        fs::write(folder.path(name), content).unwrap();
    }
    folder
}

fn json(folder: &Folder, name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.path(name)).unwrap()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_language_model_learns_to_name_hidden_tokens() {
    let folder = folder(LANGUAGE);
    folder.trained(&[]);
    let report = json(&folder, "run/report.json");
    let figure = |epoch: usize, name: &str| report["epochs"][epoch]["dev"][0][name].as_f64().unwrap();
    assert!(figure(3, "loss") < figure(1, "loss") && figure(3, "accuracy") > 0.3, "{}", report["epochs"]);
    assert!(report["epochs"][1]["tokens_per_second"].as_f64().unwrap() > 0.0);
    assert_eq!(report["rows"]["text"][0]["data"], "text.txt");
    let page = fs::read_to_string(folder.path("run/report.md")).unwrap();
    assert!(page.contains("| accuracy |") && page.contains("| text.txt |") && !page.contains("Pearson"), "{page}");
    let config = json(&folder, "run/best/config.json");
    assert_eq!(config["architectures"][0], "RobertaForMaskedLM");
    assert!(!folder.path("run/best/modules.json").exists(), "a plain Hugging Face directory");
    assert!(fs::read_to_string(folder.path("run/curves.svg")).unwrap().contains("held-out accuracy"));
}

#[test]
fn a_language_model_that_was_killed_ends_as_one_that_never_was() {
    let folder = folder(LANGUAGE);
    folder.trained(&["--output", "whole"]);
    let arguments = ["--resume", "--set", "train.save_every_steps=1"];
    // Within each of the epochs, of 60 steps, and within a later pass over the text.
    for step in [3, 70, 115, 160] {
        folder.killed_after(step, &arguments);
    }
    folder.trained(&arguments);
    assert_same(&folder, "run", "whole");
}

/// A stage that is missing is not made anew while there is something that came of it.
fn refuses_to_discard(folder: &Folder, stages: &str) {
    let before = folder.names("run");
    let told = stderr(&folder.train(&[]));
    assert!(told.contains(&format!("holds no finished run, and {stages} began from what it held")), "{told}");
    assert_eq!(folder.names("run"), before);
}

#[test]
fn stages_go_on_from_one_another_and_are_not_run_twice() {
    let folder = folder(STAGES);
    let output = folder.trained(&[]);
    let told = stderr(&output);
    for stage in ["stage 1/3: language", "stage 2/3: contrast", "stage 3/3: similarity"] {
        assert!(told.contains(stage), "{told}");
    }
    assert_eq!(folder.names("run"), ["contrast", "language", "similarity"]);
    // 30 pairs of neighbours, 10 groups of 4, and an entailment for each second record.
    let rows = &json(&folder, "run/contrast/report.json")["rows"]["train_sets"];
    assert_eq!((&rows[0]["pairs"], &rows[1]["pairs"], &rows[2]["pairs"]), (&30.into(), &40.into(), &20.into()));
    let init = fs::read_to_string(folder.path("run/similarity/config.toml")).unwrap();
    assert!(init.contains("init = \"run/contrast/best\"") && !init.contains("scratch"), "{init}");
    let exported = TrainableEncoder::load(folder.path("exported"), &Options::default()).unwrap();
    assert_eq!(exported.encoder().encode(&["비가 온다."]).unwrap().width(), 16);
    assert_eq!(fs::read_to_string(folder.path("exported/README.md")).unwrap(), "# A card\n");
    let again = stderr(&folder.trained(&[]));
    assert_eq!(again.matches("is finished").count(), 3, "{again}");
    // A stage that is run again makes those after it another model's: none of them goes unasked.
    fs::remove_dir_all(folder.path("run/contrast")).unwrap();
    refuses_to_discard(&folder, "similarity");
    assert_eq!(folder.names("run"), ["language", "similarity"]);
    fs::remove_dir_all(folder.path("run/similarity")).unwrap();
    let again = stderr(&folder.trained(&[]));
    assert_eq!(again.matches("is finished").count(), 1, "{again}");
    let anew = stderr(&folder.trained(&["--overwrite", "--set", "seed=8"]));
    assert!(!anew.contains("is finished"), "{anew}");
}

#[test]
fn a_stage_may_go_on_from_any_before_it_begin_anew_or_learn_from_several() {
    let similarity = "name = \"similarity\"";
    let branches = STAGES
        .replace("name = \"contrast\"", "name = \"contrast\"\nmodel.scratch.num_hidden_layers = 2")
        .replace(similarity, &format!("{similarity}\nfrom = \"language\"\ndata.silver.teachers = [\"contrast\"]"));
    let folder = folder(&branches);
    folder.trained(&[]);
    let layers = |stage: &str| json(&folder, &format!("run/{stage}/best/config.json"))["num_hidden_layers"].clone();
    assert_eq!(["language", "contrast", "similarity"].map(layers), [1, 2, 1].map(Value::from));
    let config = fs::read_to_string(folder.path("run/similarity/config.toml")).unwrap();
    assert!(config.contains("init = \"run/language/best\"") && config.contains("\"run/contrast/best\""), "{config}");
    assert!(folder.path("run/similarity/silver.csv").exists());
    // A stage that is run again takes with it what came of it, and nothing else.
    fs::remove_dir_all(folder.path("run/language")).unwrap();
    refuses_to_discard(&folder, "similarity");
    fs::remove_dir_all(folder.path("run/similarity")).unwrap();
    let again = stderr(&folder.trained(&[]));
    assert!(again.contains("run/contrast is finished") && again.matches("is finished").count() == 1, "{again}");
    fs::remove_dir_all(folder.path("run/contrast")).unwrap();
    refuses_to_discard(&folder, "similarity");
    fs::remove_dir_all(folder.path("run/similarity")).unwrap();
    let again = stderr(&folder.trained(&[]));
    assert!(again.contains("run/language is finished") && again.matches("is finished").count() == 1, "{again}");
}

#[test]
fn a_stage_before_may_find_the_hard_negatives_and_is_run_again_with_what_came_of_it() {
    let contrast = "name = \"contrast\"";
    let words = STAGES.replace(
        &format!("[[stage]]\n{contrast}"),
        &format!(
            "[[stage]]\nname = \"words\"\nmodel.scratch.num_hidden_layers = 2\nobjective = \"contrastive\"\n\
                  data.train = [\"text.txt\"]\ndata.dev = [\"pairs.csv\"]\n\n\
                  [[stage]]\n{contrast}\nfrom = \"language\"\ndata.hard_negatives.model = \"words\""
        ),
    );
    let folder = folder(&words);
    folder.trained(&[]);
    let config = fs::read_to_string(folder.path("run/contrast/config.toml")).unwrap();
    assert!(config.contains("run/words/best") && config.contains("run/language/best"), "{config}");
    assert!(folder.path("run/contrast/hard_negatives.csv").exists());
    fs::remove_dir_all(folder.path("run/words")).unwrap();
    refuses_to_discard(&folder, "contrast, similarity");
    for stage in ["contrast", "similarity"] {
        fs::remove_dir_all(folder.path("run").join(stage)).unwrap();
    }
    let again = stderr(&folder.trained(&[]));
    assert!(again.contains("run/language is finished") && again.matches("is finished").count() == 1, "{again}");
}

#[test]
fn an_encoder_may_begin_from_the_text_of_a_contrastive_stage() {
    let (before, rest) = STAGES.split_once("[[stage]]").unwrap();
    let (_, after) = rest.split_once("[[stage]]").unwrap();
    let counted =
        before.replace("intermediate_size = 32", "intermediate_size = 32\ntoken_embeddings = \"cooccurrence\"");
    let config = format!("{counted}[[stage]]{after}");
    let run = folder(&config);
    let told = stderr(&run.trained(&[]));
    assert!(told.contains("factorizing the counts into 14 dimensions"), "{told}");
    // Drawn weights are of 0.02, and 1 epoch at the default learning rate moves none so far.
    let begins_as_average = |folder: &Folder, stage: &str| {
        let options = Options::default();
        let encoder = TrainableEncoder::load(folder.path(&format!("run/{stage}/best")), &options).unwrap();
        encoder.variables()["embeddings.position_embeddings.weight"].abs().max().double_value(&[]) < 0.01
    };
    assert!(begins_as_average(&run, "contrast"));
    let drawn = folder(&STAGES.replace("model.scratch.token_embeddings = \"cooccurrence\"", ""));
    drawn.trained(&[]);
    assert!(!begins_as_average(&drawn, "language"));
    let counted = folder(STAGES);
    counted.trained(&[]);
    assert!(begins_as_average(&counted, "language"));
    let line = only_line(&folder(&config.replace("\"text.txt\", ", "")).train(&[]));
    assert!(line.contains("needs a text to count in"), "{line}");
}

#[test]
fn what_is_exported_takes_the_place_of_a_checkpoint_alone() {
    let folder = folder(STAGES);
    let refused = |path: &str| only_line(&folder.train(&["--set", &format!("export.path={path}")]));
    assert!(refused("run/x").contains("lie within each other"), "{}", refused("run/x"));
    assert!(refused(".").contains("lie within each other"));
    fs::create_dir(folder.path("precious")).unwrap();
    fs::write(folder.path("precious/letter.txt"), "").unwrap();
    assert!(refused("precious").contains("is no checkpoint"));
    let line = only_line(&folder.train(&["--set", "export.card=nowhere.md"]));
    assert!(line.contains("export.card nowhere.md"), "{line}");
    assert!(!folder.path("run").exists() && folder.path("precious/letter.txt").exists());
}

#[test]
fn excluded_sentences_are_not_trained_on() {
    let folder = folder(STAGES);
    let text = fs::read_to_string(folder.path("text.txt")).unwrap();
    let line = text.lines().nth(5).unwrap(); // whose sentences are long enough for a pair of neighbours
    let sentence = line.split(". ").next().unwrap().to_owned() + ".";
    fs::write(folder.path("held.csv"), format!("sentence1,sentence2\n{sentence},{sentence}\n")).unwrap();
    let output = folder.trained(&["--set", "data.exclude=[\"held.csv\"]"]);
    let told = stderr(&output);
    // In the text, the groups and the inferences, that sentence stands more than once.
    for name in ["text.txt", "groups.tsv", "nli.json"] {
        assert!(told.contains(&format!("{name}: ")) && told.contains("hold a sentence of data.exclude"), "{told}");
    }
    let rows = &json(&folder, "run/contrast/report.json")["rows"]["train_sets"];
    assert!(rows[1]["pairs"].as_u64().unwrap() < 40 && rows[2]["pairs"].as_u64().unwrap() < 20, "{rows}");
}

#[test]
fn a_key_that_does_nothing_is_refused_by_name() {
    let language = folder(LANGUAGE);
    let refused = |arguments: &[&str]| language.refusal(arguments);
    assert!(refused(&["--set", "train.loss=mse"]).contains("train.loss does nothing with objective = \"mlm\""));
    assert!(refused(&["--set", "data.dev=[\"pairs.csv\"]"]).contains("data.dev does nothing"));
    assert!(refused(&["--set", "train.select_by=pearson"]).contains("chosen by loss"));
    assert!(refused(&["--set", "objective=poetry"]).contains("poetry"));
    assert!(
        refused(&["--set", "objective=contrastive", "--set", "data.held_out=5"]).contains("data.held_out does nothing")
    );
    assert!(refused(&["--set", "model.scratch.token_embeddings=magic"]).contains("magic"));
    let alphabet = refused(&["--set", "model.scratch.alphabet=letters"]);
    assert!(alphabet.contains("model.scratch.alphabet") && alphabet.contains("`jamo`"), "{alphabet}");
    let both = ["--set", "model.scratch.alphabet=jamo", "--set", "model.scratch.tokenizer=tokenizer.json"];
    assert!(refused(&both).contains("model.scratch.alphabet is for a tokenizer that is trained"));
    assert!(refused(&["--set", "data.held_out=200"]).contains("text.txt: no paragraph beside the first 200"));
    assert!(refused(&["--set", "data.train=[\"pairs.csv\"]"]).contains("pairs.csv: expected a text file"));
    assert!(refused(&["--set", "data.train=[\"nowhere.txt\"]"]).contains("nowhere.txt"));
    let pairs = Folder::new();
    assert!(
        pairs.refusal(&["--set", "data.held_out=5"]).contains("data.held_out does nothing with objective = \"sts\"")
    );
    assert!(pairs.refusal(&["--set", "model.scratch.token_embeddings=cooccurrence"]).contains("objective = \"mlm\""));
    assert!(pairs.refusal(&["--set", "export.path=x"]).contains("export goes with [[stage]]"));
    let contrastive = ["--set", "objective=contrastive", "--set", "data.dev_fraction=0.1"];
    assert!(pairs.refusal(&contrastive).contains("data.dev_fraction does nothing"));
}

#[test]
fn a_stage_that_cannot_be_is_named() {
    let both = folder(&format!("{STAGES}\n[[trial]]\nname = \"a\"\n"));
    assert!(only_line(&both.train(&[])).contains("[[trial]] and [[stage]] exclude each other"));
    let bad = folder(&STAGES.replace("data.text_pairs = 30", "data.text_pairs = 0"));
    let line = only_line(&bad.train(&[]));
    assert!(line.contains("`contrast`") && line.contains("data.text_pairs is 0"), "{line}");
    let contrast = |keys: &str| {
        let config = STAGES.replace("name = \"contrast\"", &format!("name = \"contrast\"\n{keys}"));
        only_line(&folder(&config).train(&[]))
    };
    for (keys, expected) in [
        ("from = \"similarity\"", "from = \"similarity\" names no stage before this one; they are: language"),
        ("from = 1", "from is 1, expected the name of a stage"),
        ("from = \"language\"\nmodel.init = \"x\"", "from = \"language\" and model.init exclude each other"),
        ("model.tokenizer = \"x\"", "model.tokenizer does nothing here"),
        (
            "data.silver.teachers = [\"similarity\"]",
            "data.silver.teachers: \"similarity\" names no stage before this one; they are: language",
        ),
        (
            "data.teachers = [\"similarity\"]",
            "data.teachers: \"similarity\" names no stage before this one; they are: language",
        ),
        (
            "data.hard_negatives.model = \"contrast\"",
            "data.hard_negatives.model: \"contrast\" names no stage before this one; they are: language",
        ),
    ] {
        let line = contrast(keys);
        assert!(line.contains("stage `contrast`") && line.contains(expected), "{line}");
    }
    let no_dev = folder(&STAGES.replace("data.dev = [\"pairs.csv\"]", ""));
    assert!(only_line(&no_dev.train(&[])).contains("data.dev is empty"));
}

#[test]
fn what_a_later_stage_lacks_is_told_before_the_first() {
    let last = "name = \"similarity\"";
    for (keys, expected) in [
        ("data.exclude = [\"klue-sts:dev\"]", "stage `similarity`: data.exclude: no file for dataset"),
        (
            "data.silver.teachers = [\"contrst\"]",
            "no stage before it (language, contrast) has this name: contrst: no such directory",
        ),
        ("data.silver = {teachers = [\"language\"], sentences = [\"no.txt\"]}", "data.silver.sentences"),
        ("data.silver.teachers = [\"run/contrst/best\"]", "run/contrst/best: no such directory"),
        ("data.train = [\"klue-nli:train\"]", "stage `similarity`: data.train"),
    ] {
        let config = STAGES.replace("data.train = [\"pairs.csv\"]", "").replace(last, &format!("{last}\n{keys}"));
        let train = if keys.starts_with("data.train") { "" } else { "data.train = [\"pairs.csv\"]" };
        let folder = folder(&config.replace(last, &format!("{last}\n{train}")));
        let line = only_line(&folder.train(&[]));
        assert!(line.contains(expected), "{line}");
    }
    let folder = folder(&STAGES.replace("path = \"exported\"", "path = \"card.md/exported\""));
    let line = only_line(&folder.train(&[]));
    assert!(line.contains("export.path card.md/exported"), "{line}");
}

#[test]
fn the_example_of_the_readme_is_a_configuration() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let start = readme.find("```toml\n[model.scratch]").unwrap() + "```toml\n".len();
    let example = &readme[start..start + readme[start..].find("```").unwrap()];
    let folder = folder(example);
    let plan = train::Plan::load(&folder.path("config.toml"), &[], None).unwrap();
    let train::Plan::Stages(stages) = plan else { panic!("{plan:?}") };
    assert_eq!(stages.stages.len(), 3);
    assert!(stages.export.is_some());
}
