//! What a model card says is so.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::fs;

use common::Folder;

fn card(folder: &Folder, checkpoint: &str) -> String {
    fs::read_to_string(folder.path(checkpoint).join("README.md")).unwrap()
}

#[test]
fn a_card_names_its_own_folder_and_a_scale_only_where_it_was_trained() {
    let folder = Folder::new();
    folder.trained(&["--set", "train.epochs=1"]);
    for checkpoint in ["run/best", "run/last"] {
        let card = card(&folder, checkpoint);
        assert!(card.contains(&format!("SentenceTransformer(\"{checkpoint}\")")), "{card}");
        assert!(card.contains("times 5") && card.contains("print(5 * model.similarity("), "{card}");
    }
    folder.trained(&["--set", "train.epochs=1", "--set", "train.loss=cosent", "--output", "ranked"]);
    let ranked = card(&folder, "ranked/best");
    assert!(ranked.contains("no scale") && ranked.contains("print(model.similarity("), "{ranked}");
}

#[test]
fn an_exported_card_names_where_the_export_lies() {
    let folder = Folder::new();
    let stage = "[[stage]]\nname = \"one\"\n[export]\npath = \"out\"\n";
    let config = fs::read_to_string(folder.path("config.toml")).unwrap();
    fs::write(folder.path("config.toml"), format!("{config}{stage}")).unwrap();
    folder.trained(&["--set", "train.epochs=1"]);
    let card = card(&folder, "out");
    assert!(card.contains("SentenceTransformer(\"out\")") && !card.contains("run/one/best"), "{card}");
}

#[test]
fn a_model_with_another_similarity_is_said_to_be_trained_by_the_cosine() {
    let folder = Folder::new();
    folder.trained(&["--set", "train.epochs=1", "--output", "first"]);
    let path = folder.path("first/best/config_sentence_transformers.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"cosine\"", "\"dot\"")).unwrap();
    fs::remove_file(folder.path("first/best/manifest.json")).unwrap();
    let config = fs::read_to_string(folder.path("config.toml")).unwrap();
    let (before, rest) = config.split_once("[model.scratch]").unwrap();
    let (_, after) = rest.split_once("[data]").unwrap();
    fs::write(folder.path("config.toml"), format!("{before}init = \"first/best\"\n[data]{after}")).unwrap();
    folder.trained(&["--set", "train.epochs=1"]);
    let card = card(&folder, "run/best");
    assert!(card.contains("5 * cos_sim(") && card.contains(", dot,") && !card.contains("model.similarity("), "{card}");
    let report = fs::read_to_string(folder.path("run/report.md")).unwrap();
    assert!(report.contains("the model's own similarity, dot"), "{report}");
}
