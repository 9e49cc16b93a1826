//! Modules behind a transformer, static embeddings, truncated and quantized embeddings equal sentence-transformers'; the
//! fixtures and the Python behind them come from `scripts/reference/make_fixtures.py`.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use common::{assert_embeddings, copy_tree, fixture, json, reference_python, texts};
use model::{
    Matryoshka, Options, Precision, PromptChoice, Quantization, Quantized, Ranges, SentenceEncoder, TrainableEncoder,
    similarity,
};
use serde_json::Value;
use tch::{Device, Kind, Tensor};
use tempfile::TempDir;

const NAMES: [&str; 5] = ["dense", "dense-gelu", "without-prompt", "static", "model2vec"];

fn is_static(name: &str) -> bool {
    ["static", "model2vec"].contains(&name)
}

/// A fixture with the files that it shares with the tiny RoBERTa.
fn whole(name: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join(name);
    copy_tree(&fixture("modules").join(name), &dir);
    let files = ["tokenizer.json", "tokenizer_config.json", "config.json", "model.safetensors"];
    for file in files.into_iter().take(if is_static(name) { 1 } else { 4 }) {
        fs::copy(fixture("roberta-tiny").join(file), dir.join(file)).unwrap();
    }
    (folder, dir)
}

fn expected() -> Value {
    json("modules/modules.json")
}

fn load(dir: &Path, options: &Options) -> SentenceEncoder {
    SentenceEncoder::load(dir, options).unwrap_or_else(|error| panic!("{error}"))
}

/// Those of the fixture; a text without any token has an embedding too.
fn all_texts(expected: &Value) -> Vec<String> {
    texts(&expected["texts"]).into_iter().chain([String::new()]).collect()
}

#[test]
fn embeddings_are_sentence_transformers() {
    let expected = expected();
    let texts = all_texts(&expected);
    for name in NAMES {
        let (_folder, dir) = whole(name);
        let encoder = load(&dir, &Options::default());
        let embeddings = encoder.encode(&texts).unwrap().to_tensor();
        let reference = &expected["models"][name]["embeddings"];
        assert_embeddings(&embeddings, reference, &format!("{name} by the kernels"));
        let trainable = TrainableEncoder::load(&dir, &Options::default()).unwrap();
        let ids = trainable.tokenizer().encode(&texts).unwrap();
        let by_torch = tch::no_grad(|| trainable.forward(&ids, Precision::F32, false));
        assert_embeddings(&by_torch, reference, &format!("{name} by libtorch"));
        for precision in [Precision::Bf16, Precision::Int8] {
            let narrow = load(&dir, &Options { precision, ..Options::default() }).encode(&texts).unwrap().to_tensor();
            let cosines = similarity(&narrow, &embeddings).narrow(0, 0, texts.len() as i64 - 1);
            let least = cosines.min().double_value(&[]);
            assert!(least > 0.99, "{name} in {precision}: {least}");
        }
    }
}

#[test]
fn gradients_are_pytorchs() {
    let expected = expected();
    let texts = texts(&expected["texts"]);
    let labels: Vec<f32> = serde_json::from_value(expected["labels"].clone()).unwrap();
    for name in NAMES {
        let (_folder, dir) = whole(name);
        let reference = &expected["models"][name];
        let encoder = TrainableEncoder::load(&dir, &Options::default()).unwrap();
        let ids = encoder.tokenizer().encode(&texts[..8]).unwrap();
        let loss = encoder.backpropagate(&ids, Precision::F32, None, |rows| {
            let cosines = similarity(&rows.narrow(0, 0, 4), &rows.narrow(0, 4, 4));
            (cosines * 5.0 - Tensor::from_slice(&labels)).square().mean(Kind::Float)
        });
        let expected = reference["loss"].as_f64().unwrap();
        assert!((loss - expected).abs() < 1e-5 * expected, "{name}: {loss}, expected {expected}");
        let variables = encoder.variables();
        let gradients = reference["gradients"].as_object().unwrap();
        assert_eq!(variables.len(), gradients.len(), "{name}");
        for (key, norm) in gradients {
            // sentence-transformers counts the modules.
            let (place, own) = key.split_once('.').unwrap();
            let own = own.strip_prefix("model.").unwrap_or(own);
            let variable = variables.iter().find(|(name, _)| match place {
                "0" => *name == own,
                place => name.starts_with(&format!("{place}_")) && name.ends_with(&format!(".{own}")),
            });
            let variable = variable.unwrap_or_else(|| panic!("{name}: {key}")).1;
            let (found, norm) = (variable.grad().norm().double_value(&[]), norm.as_f64().unwrap());
            let apart = (found - norm).abs();
            assert!(apart <= 1e-4 * norm || norm < 1e-6 && found < 1e-5, "{name} {key}: {found}, expected {norm}");
        }
        // What describes them says the same.
        assert!(encoder.described().iter().all(|one| variables[&one.name].size() == one.shape), "{name}");
    }
}

#[test]
fn dropout_behind_the_pooling_acts_in_training_alone_and_by_its_seed() {
    let (_folder, dir) = whole("dense");
    let encoder = TrainableEncoder::load(&dir, &Options { dropout: Some(0.0), ..Options::default() }).unwrap();
    let ids = encoder.tokenizer().encode(&["비가 온다.", "눈이 온다."]).unwrap();
    let seen = |dropout| {
        let mut seen = None;
        encoder.backpropagate(&ids, Precision::F32, dropout, |rows| {
            seen = Some(rows.detach().copy());
            rows.sum(Kind::Float)
        });
        seen.unwrap()
    };
    assert_eq!(seen(Some(1)), seen(Some(1)));
    assert_ne!(seen(Some(1)), seen(Some(2)));
    assert_ne!(seen(Some(1)), seen(None));
    assert_eq!(seen(None), seen(None));
}

#[test]
fn what_is_saved_is_read_back_to_the_same_vectors_here_and_by_sentence_transformers() {
    const CODE: &str = "
import json, sys
from sentence_transformers import SentenceTransformer
*directories, texts = sys.argv[1:]
print(json.dumps([SentenceTransformer(path, device='cpu').encode(json.loads(texts)).tolist() for path in directories]))
";
    let (expected, folder) = (expected(), tempfile::tempdir().unwrap());
    let texts = all_texts(&expected);
    let mut saved = Vec::new();
    for name in NAMES {
        let (_folder, dir) = whole(name);
        let path = folder.path().join(name);
        TrainableEncoder::load(&dir, &Options::default()).unwrap().save(&path, "# card").unwrap();
        let again = load(&path, &Options::default());
        let embeddings = again.encode(&texts).unwrap().to_tensor();
        assert_embeddings(&embeddings, &expected["models"][name]["embeddings"], &format!("{name}, saved"));
        // A second time gives the same files.
        let twice = folder.path().join(format!("{name}-twice"));
        TrainableEncoder::load(&path, &Options::default()).unwrap().save(&twice, "# card").unwrap();
        let manifest = |dir: &Path| fs::read(dir.join("manifest.json")).unwrap();
        assert_eq!(manifest(&path), manifest(&twice), "{name}");
        saved.push(path);
    }
    let Some(python) = reference_python("sentence-transformers reads saved modules") else { return };
    let mut command = Command::new(python);
    command.args(["-c", CODE]).args(&saved).arg(serde_json::to_string(&texts).unwrap()).env("HF_HUB_OFFLINE", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows.len(), NAMES.len());
    for (name, rows) in NAMES.iter().zip(&rows) {
        let reference = &expected["models"][name]["embeddings"];
        let found: Vec<Vec<f32>> = serde_json::from_value(rows.clone()).unwrap();
        let found = Tensor::from_slice2(&found);
        assert_embeddings(&found, reference, &format!("{name} by sentence-transformers"));
    }
}

#[test]
fn the_first_numbers_are_those_of_sentence_transformers_and_have_the_norm_1_again() {
    let expected = expected();
    let texts = texts(&expected["texts"]);
    for name in NAMES {
        let (_folder, dir) = whole(name);
        let options = Options { dimensions: Some(5), ..Options::default() };
        let message = SentenceEncoder::load(&dir, &options).unwrap_err().to_string();
        assert!(message.contains("does not say") && message.contains("--allow-truncation"), "{message}");
        let encoder = load(&dir, &Options { allow_truncation: true, ..options.clone() });
        assert_eq!((encoder.dimensions(), encoder.matryoshka().is_said()), (5, false), "{name}");
        let found = encoder.encode(&texts).unwrap();
        let mut reference: Vec<Vec<f32>> =
            serde_json::from_value(expected["models"][name]["truncated"].clone()).unwrap();
        if encoder.normalizes() {
            reference.iter_mut().for_each(|row| model::normalize(row));
        }
        for (row, reference) in found.rows().zip(&reference) {
            assert!(row.iter().zip(reference).all(|(x, y)| (x - y).abs() < 1e-5), "{name}: {row:?} {reference:?}");
        }
        // A directory that says so needs no permission.
        let settings = dir.join("config_sentence_transformers.json");
        let mut keys: Value = serde_json::from_slice(&fs::read(&settings).unwrap()).unwrap();
        keys["matryoshka_dims"] = vec![8, 5].into();
        fs::write(&settings, keys.to_string()).unwrap();
        let said = load(&dir, &options);
        assert_eq!((said.encode(&texts).unwrap(), said.matryoshka().dims()), (found, [8, 5].as_slice()), "{name}");
        let options = Options { dimensions: Some(1000), ..options };
        let message = SentenceEncoder::load(&dir, &options).unwrap_err().to_string();
        assert!(message.contains("dimensions 1000: expected 1..="), "{message}");
    }
    assert!(Matryoshka::any().is_said());
}

#[test]
fn quantized_embeddings_are_sentence_transformers() {
    let expected = &expected()["quantized"];
    let rows = |key: &str| -> Vec<Vec<f32>> { serde_json::from_value(expected[key].clone()).unwrap() };
    let ranges = Ranges::of(rows("calibration").iter().map(Vec::as_slice));
    assert_eq!(vec![ranges.min.clone(), ranges.max.clone()], rows("ranges"));
    for name in ["int8", "uint8", "binary", "ubinary"] {
        let quantization: Quantization = name.parse().unwrap();
        for (row, (embedding, reference)) in
            rows("embeddings").iter().zip(expected[name].as_array().unwrap()).enumerate()
        {
            let found = quantization.quantize(embedding, &ranges);
            assert_eq!(serde_json::to_value(&found).unwrap(), *reference, "{name}, row {row}");
            assert_eq!(found.bytes().len(), quantization.bytes(embedding.len()), "{name}");
            let is_signed = matches!(found, Quantized::Signed(_));
            assert_eq!(is_signed, quantization.is_signed(), "{name}");
        }
    }
    assert_eq!("bit".parse::<Quantization>().unwrap_err(), "expected int8, uint8, binary or ubinary");
}

#[test]
fn ranges_that_are_none_of_the_model_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ranges.json");
    for (text, expected) in [
        (r#"{"min": [0, 0], "max": [1]}"#, "min has 2 numbers and max 1, expected 2"),
        (r#"{"min": [0, 2], "max": [1, 1]}"#, "dimension 1: min is above max"),
        (r#"{"min": [0, 0]}"#, "missing field `max`"),
        ("[1]", "ranges.json"),
    ] {
        fs::write(&path, text).unwrap();
        let message = Ranges::read(&path, 2).unwrap_err().to_string();
        assert!(message.contains(expected) && message.lines().count() == 1, "{message}");
    }
    fs::write(&path, r#"{"min": [0, -1.5], "max": [1, 1]}"#).unwrap();
    assert_eq!(Ranges::read(&path, 2).unwrap().min, [0.0, -1.5]);
}

#[test]
fn what_contradicts_itself_is_refused_by_its_file() {
    let refusal = |dir: &Path| {
        let message = SentenceEncoder::load(dir, &Options::default()).unwrap_err().to_string();
        assert_eq!(message.lines().count(), 1, "{message}");
        message
    };
    let change = |path: PathBuf, from: &str, to: &str| {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        fs::write(path, text.replace(from, to)).unwrap();
    };
    let (_folder, dir) = whole("dense");
    change(dir.join("2_Dense/config.json"), "\"in_features\": 32", "\"in_features\": 33");
    let message = refusal(&dir);
    assert!(message.contains("module 2_Dense takes 33 numbers, and what stands before it gives 32"), "{message}");
    let (_folder, dir) = whole("dense");
    change(dir.join("2_Dense/config.json"), "\"out_features\": 12", "\"out_features\": 13");
    assert!(refusal(&dir).contains("module 3_LayerNorm takes 12 numbers, and what stands before it gives 13"));
    let (_folder, dir) = whole("dense");
    fs::remove_file(dir.join("5_Dense/model.safetensors")).unwrap();
    assert!(refusal(&dir).contains("5_Dense: no weights"));
    let (_folder, dir) = whole("dense");
    change(dir.join("5_Dense/config.json"), "\"bias\": false", "\"bias\": true");
    assert!(refusal(&dir).contains("tensor `linear.bias` is missing"));
    let (_folder, dir) = whole("dense");
    change(dir.join("modules.json"), "modules.dense.Dense", "modules.cnn.CNN");
    assert!(refusal(&dir).contains("module `sentence_transformers.base.modules.cnn.CNN` is not supported there"));
    let (_folder, dir) = whole("static");
    fs::copy(fixture("roberta-tiny/model.safetensors"), dir.join("model.safetensors")).unwrap();
    assert!(refusal(&dir).contains("no static embedding: expected a tensor `embedding.weight` or `embeddings`"));
    // Where prompts do not count in pooling, another prompt is another number of tokens.
    let (_folder, dir) = whole("without-prompt");
    let options = Options { prompt: PromptChoice::Named("passage".to_owned()), ..Options::default() };
    let (query, passage) = (load(&dir, &Options::default()), load(&dir, &options));
    assert!(!query.pools_prompt() && query.encode(&["비"]).unwrap() != passage.encode(&["비"]).unwrap());
    assert_eq!(query.device(), Device::Cpu);
}
