//! The fingerprint of a model directory changes if and only if something changes that an encoder reads.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::fixture;
use model::fingerprint;
use tempfile::TempDir;

fn copy(name: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join(name);
    copy_tree(&fixture(name), &target);
    (folder, target)
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

fn write(dir: &Path, file: &str, text: &str) {
    fs::create_dir_all(dir.join(file).parent().unwrap()).unwrap();
    fs::write(dir.join(file), text).unwrap();
}

#[test]
fn what_an_encoder_does_not_read_does_not_count() {
    for name in ["bert-tiny", "roberta-tiny", "bert-tiny-sharded", "st-roberta-tiny-old", "st-roberta-tiny-new"] {
        let (_folder, dir) = copy(name);
        let before = fingerprint(&dir).unwrap();
        for file in [
            "README.md",
            "manifest.json",
            "trainer_state.json",
            "optimizer.safetensors",
            "adapter_model.safetensors",
            "adapter_config.json",
            "second.safetensors",
            "model-00009-of-00009.safetensors",
            "pytorch_model-00001-of-00002.bin",
            "tf_model.h5",
            "flax_model.msgpack",
            "onnx/model.onnx",
            "onnx/config.json",
            "onnx/tokenizer.json",
            "other/model.safetensors",
            "other/pytorch_model.bin",
            "1_Pooling/model.safetensors",
            ".cache/config.json",
            "generation_config.json",
        ] {
            write(&dir, file, "{}");
            assert_eq!(fingerprint(&dir).unwrap(), before, "{name}: {file}");
        }
        if name != "bert-tiny" {
            for file in ["pytorch_model.bin", "pytorch_model.bin.index.json", "vocab.txt"] {
                write(&dir, file, "{}");
                assert_eq!(fingerprint(&dir).unwrap(), before, "{name}: {file}");
            }
        }
    }
}

#[test]
fn every_file_that_an_encoder_reads_counts() {
    for (name, files) in [
        ("bert-tiny", &["config.json", "pytorch_model.bin", "tokenizer_config.json", "vocab.txt"][..]),
        (
            "bert-tiny-sharded",
            &["model-00002-of-00003.safetensors", "model.safetensors.index.json", "tokenizer.json", "config.json"],
        ),
        (
            "st-roberta-tiny-old",
            &[
                "modules.json",
                "1_Pooling/config.json",
                "sentence_bert_config.json",
                "config_sentence_transformers.json",
                "config.json",
                "model.safetensors",
                "tokenizer.json",
                "tokenizer_config.json",
            ],
        ),
    ] {
        for file in files {
            let (_folder, dir) = copy(name);
            let before = fingerprint(&dir).unwrap();
            let mut bytes = fs::read(dir.join(file)).unwrap();
            bytes.push(b'\n');
            fs::write(dir.join(file), bytes).unwrap();
            assert_ne!(fingerprint(&dir).unwrap(), before, "{name}: {file}");
        }
    }
    for (name, file) in [
        ("bert-tiny", "model.safetensors"), // is preferred
        ("bert-tiny", "tokenizer.json"),
        ("roberta-tiny", "added_tokens.json"),
        ("roberta-tiny", "special_tokens_map.json"),
        ("roberta-tiny", "config_sentence_transformers.json"),
    ] {
        let (_folder, dir) = copy(name);
        let before = fingerprint(&dir).unwrap();
        write(&dir, file, "{}");
        assert_ne!(fingerprint(&dir).unwrap(), before, "{name}: {file}");
    }
}

#[test]
fn of_the_files_with_a_length_those_up_to_the_first_that_says_something_count() {
    let (_folder, dir) = copy("st-roberta-tiny-old");
    let first = fingerprint(&dir).unwrap();
    write(&dir, "sentence_xlnet_config.json", r#"{"max_seq_length": 3}"#);
    assert_eq!(fingerprint(&dir).unwrap(), first);
    write(&dir, "sentence_bert_config.json", "{}");
    let second = fingerprint(&dir).unwrap();
    assert_ne!(second, first);
    write(&dir, "sentence_xlnet_config.json", r#"{"max_seq_length": 4}"#);
    let third = fingerprint(&dir).unwrap();
    assert_ne!(third, second);
    for name in ["roberta", "distilbert", "camembert", "albert", "xlm-roberta"] {
        write(&dir, &format!("sentence_{name}_config.json"), r#"{"max_seq_length": 3}"#);
        let with = fingerprint(&dir).unwrap();
        assert_ne!(with, third, "{name}");
        fs::remove_file(dir.join(format!("sentence_{name}_config.json"))).unwrap();
    }
}

#[test]
fn a_directory_of_transformers_keeps_its_fingerprint() {
    // python: sha256(json.dumps({"files": {name: {"size": …, "sha256": …}, …}}, separators=(",", ":"))), names sorted, of
    // config.json, model.safetensors, tokenizer.json and tokenizer_config.json; corpora hold this digest.
    let expected = "635eea6c0e3bfe11aa1165674703018e9b2998a48d9906db4078d3eeedf6de28";
    assert_eq!(fingerprint(&fixture("roberta-tiny")).unwrap(), expected);
}

#[test]
fn a_directory_without_a_model_has_no_fingerprint() {
    let (_folder, dir) = copy("bert-tiny-sharded");
    fs::remove_file(dir.join("model-00002-of-00003.safetensors")).unwrap();
    assert!(fingerprint(&dir).unwrap_err().to_string().contains("shard `model-00002-of-00003.safetensors` is missing"));
    fs::remove_file(dir.join("model.safetensors.index.json")).unwrap();
    assert!(fingerprint(&dir).unwrap_err().to_string().contains("no weights: expected model.safetensors or"));
}
