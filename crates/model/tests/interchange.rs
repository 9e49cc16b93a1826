//! What is saved here serves others: sentence-transformers and text-embeddings-inference. `scripts/interchange.sh` is the
//! same for every version of theirs, and the other way round.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use common::{assert_embeddings, fixture, json, reference_python, texts};
use model::{Options, Pooling, TrainableEncoder, weights::read_safetensors};
use serde_json::{Value, json};

/// Saves each kind of encoder below `folder`, by a name.
fn saved(folder: &Path) -> Vec<(&'static str, PathBuf, TrainableEncoder)> {
    let kinds = [
        ("roberta-mean", "roberta-tiny", Pooling::MEAN),
        ("bert-cls", "bert-tiny", Pooling::CLS),
        ("roberta-max", "roberta-tiny", Pooling::MAX),
    ];
    let save = |(name, from, pooling)| {
        let options = Options { pooling: Some(pooling), ..Options::default() };
        let (encoder, dir) = (TrainableEncoder::load(fixture(from), &options).unwrap(), folder.join(name));
        encoder.save(&dir, "# card").unwrap();
        (name, dir, encoder)
    };
    kinds.into_iter().map(save).collect()
}

#[test]
fn sentence_transformers_reads_what_is_saved_here_to_the_same_vectors() {
    const CODE: &str = "
import json, sys
from pathlib import Path
from sentence_transformers import SentenceTransformer
from check_tei import failed_checks  # of scripts/interchange

sentences, directories = json.loads(sys.argv[1]), sys.argv[2:]
rows = [SentenceTransformer(path, device='cpu').encode(sentences).tolist() for path in directories]
print(json.dumps([rows, [failed_checks(Path(path)) for path in directories]]))
";
    let Some(python) = reference_python("sentence-transformers reads what is saved here") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (models, sentences) = (saved(folder.path()), texts(&json("embeddings.json")["sentences"]));
    let mut command = Command::new(python);
    command.args(["-c", CODE, &json!(sentences).to_string()]).args(models.iter().map(|(_, dir, _)| dir));
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/interchange");
    let output = command.env("PYTHONPATH", scripts).env("HF_HUB_OFFLINE", "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let [rows, failed]: [Vec<Value>; 2] = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((rows.len(), failed.len()), (models.len(), models.len()));
    for (((name, _, encoder), rows), failed) in models.iter().zip(&rows).zip(&failed) {
        assert_embeddings(&encoder.encoder().encode(&sentences).unwrap().to_tensor(), rows, name);
        assert_eq!(failed, &json!([]), "{name}: text-embeddings-inference could not read it");
    }
}

/// Source: the structures of text-embeddings-inference, which refuse a file that lacks a key.
#[test]
fn what_is_saved_here_holds_what_text_embeddings_inference_reads() {
    let folder = tempfile::tempdir().unwrap();
    for (name, dir, _) in saved(folder.path()) {
        let read = |file: &str| serde_json::from_slice::<Value>(&fs::read(dir.join(file)).unwrap()).unwrap();
        let (config, pooling) = (read("config.json"), read("1_Pooling/config.json"));
        let (kind, mode) = name.split_once('-').unwrap();
        let architecture = if kind == "bert" { "BertModel" } else { "RobertaModel" };
        assert_eq!((&config["model_type"], &config["architectures"]), (&json!(kind), &json!([architecture])));
        for (flag, named) in [("cls_token", "cls"), ("mean_tokens", "mean"), ("max_tokens", "max")] {
            assert_eq!(pooling[format!("pooling_mode_{flag}")], json!(named == mode), "{name}: {flag}");
        }
        assert_eq!(pooling["pooling_mode_mean_sqrt_len_tokens"], json!(false));
        let classes: Vec<Value> =
            read("modules.json").as_array().unwrap().iter().map(|module| module["type"].clone()).collect();
        assert_eq!(classes, ["sentence_transformers.models.Transformer", "sentence_transformers.models.Pooling"]);
        assert!(read("sentence_bert_config.json")["max_seq_length"].is_u64(), "{name}");
        // `truncation` and `padding` would be applied beside its own.
        let tokenizer = read("tokenizer.json");
        assert_eq!((&tokenizer["truncation"], &tokenizer["padding"]), (&Value::Null, &Value::Null));
        let weights = read_safetensors(&dir.join("model.safetensors")).unwrap();
        assert!(weights.keys().all(|key| key.starts_with("embeddings.") || key.starts_with("encoder.")), "{name}");
    }
}
