//! Every family's encoder, its head and its gradients, as transformers computes them (`scripts/reference/families.py`).
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{cell::RefCell, collections::BTreeSet, fs, path::PathBuf, process::Command};

use common::{assert_embeddings, copy_tree, fixture, json, reference_python};
use model::{
    MaskedBatch, MaskedLanguageModel, Options, Precision, SentenceEncoder, TrainableEncoder,
    architecture::{RelativePositions, Table},
    similarity,
    weights::read_safetensors,
};
use serde_json::{Value, json};

/// Calls `check` with each family's name, its directory with a tokenizer, and what transformers makes of it.
fn for_each(check: impl Fn(&str, &PathBuf, &Value, &Value)) {
    let expected = json("families/families.json");
    for (name, family) in expected["families"].as_object().unwrap() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join(name);
        copy_tree(&fixture(&format!("families/{name}")), &dir);
        for file in ["tokenizer.json", "tokenizer_config.json"] {
            fs::copy(fixture("roberta-tiny").join(file), dir.join(file)).unwrap();
        }
        check(name, &dir, &expected["batch"], family);
    }
}

fn ids(value: &Value) -> Vec<Vec<i64>> {
    serde_json::from_value(value.clone()).unwrap()
}

fn options(precision: Precision) -> Options {
    Options { precision, ..Options::default() }
}

#[test]
fn embeddings_are_transformers() {
    for_each(|name, dir, batch, family| {
        let sentences = ids(&batch["sequences"]);
        let native = SentenceEncoder::load(dir, &options(Precision::F32)).unwrap();
        let embeddings = native.encode_ids(&sentences).unwrap().to_tensor();
        assert_embeddings(&embeddings, &family["mean"], &format!("{name} by the kernels"));
        let trainable = TrainableEncoder::load(dir, &options(Precision::F32)).unwrap();
        let by_torch = tch::no_grad(|| trainable.forward(&sentences, Precision::F32, false));
        assert_embeddings(&by_torch, &family["mean"], &format!("{name} by libtorch"));
        for (precision, least) in [(Precision::Bf16, 0.999), (Precision::Int8, 0.99)] {
            let encoder = SentenceEncoder::load(dir, &options(precision)).unwrap();
            let found = encoder.encode_ids(&sentences).unwrap().to_tensor();
            for row in 0..sentences.len() as i64 {
                let cosine = similarity(&found.get(row), &embeddings.get(row)).double_value(&[]);
                assert!(cosine > least, "{name} in {precision}, sentence {row}: cosine {cosine} with f32");
            }
        }
    });
}

#[test]
fn the_loss_and_the_gradients_of_hidden_tokens_are_transformers() {
    for_each(|name, dir, batch, family| {
        let model = MaskedLanguageModel::load(dir, &options(Precision::F32));
        if family["loss"].is_null() {
            let message = model.unwrap_err().to_string();
            assert!(message.contains("is no masked language model"), "{name}: {message}");
            return;
        }
        let model = model.unwrap();
        let masked = MaskedBatch {
            sequences: ids(&batch["sequences"]),
            positions: serde_json::from_value(batch["positions"].clone()).unwrap(),
            labels: serde_json::from_value(batch["labels"].clone()).unwrap(),
        };
        let (loss, expected) =
            (model.backpropagate(&masked, Precision::F32, None, 1.0), family["loss"].as_f64().unwrap());
        assert!((loss - expected).abs() < 1e-5 * expected, "{name}: {loss}, expected {expected}");
        let (variables, norms) = (model.variables(), family["gradients"].as_object().unwrap());
        let names = |names: &mut dyn Iterator<Item = &String>| names.cloned().collect::<BTreeSet<_>>();
        assert_eq!(names(&mut variables.keys()), names(&mut norms.keys()), "{name}");
        for (variable, norm) in norms {
            let (found, norm) = (variables[variable].grad().norm().double_value(&[]), norm.as_f64().unwrap());
            // A key's bias changes nothing (softmax ignores it): its gradient is rounding noise.
            let apart = (found - norm).abs();
            assert!(apart <= 1e-4 * norm || norm < 1e-6 && found < 1e-6, "{name} {variable}: {found}, expected {norm}");
        }
        // What describes them says the same.
        let described = model.architecture().masked_variables();
        assert!(described.iter().all(|one| variables[&one.name].size() == one.shape), "{name}");
        assert_eq!(described.len(), variables.len(), "{name}");
    });
}

#[test]
fn distances_have_the_buckets_that_they_have_in_transformers() {
    for one in json("families/families.json")["buckets"].as_array().unwrap() {
        let (span, farthest) = (one["span"].as_i64().unwrap(), one["farthest"].as_i64().unwrap());
        let table = Table { path: String::new(), rows: 2 * span, width: 1 };
        let positions = RelativePositions { table, norm: None, span, logarithmic: Some(farthest), dropout: 0.0 };
        for (distance, bucket) in one["buckets"].as_array().unwrap().iter().enumerate() {
            let (distance, bucket) = (distance as i64, bucket.as_i64().unwrap());
            for (distance, bucket) in [(distance, bucket), (-distance, -bucket)] {
                let row = (bucket + span).clamp(0, 2 * span - 1);
                assert_eq!(positions.bucket(distance), row, "{distance} of {span} and {farthest}");
            }
        }
    }
}

#[test]
fn what_is_saved_has_the_familys_names_and_is_read_back() {
    for_each(|name, dir, batch, family| {
        let encoder = TrainableEncoder::load(dir, &options(Precision::F32)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let saved = folder.path().join("saved");
        encoder.save(&saved, "# card").unwrap();
        let read =
            |dir: &PathBuf| serde_json::from_slice::<Value>(&fs::read(dir.join("config.json")).unwrap()).unwrap();
        let (before, after) = (read(dir), read(&saved));
        assert_eq!(after["model_type"], before["model_type"], "{name}");
        assert_eq!(after["architectures"], json!([family["class"]]), "{name}");
        for (key, value) in before.as_object().unwrap() {
            let is_kept = ["architectures", "dtype"].contains(&key.as_str()) || after[key] == *value;
            assert!(is_kept, "{name}: {key} was {value} and is {}", after[key]);
        }
        let names = read_safetensors(&saved.join("model.safetensors")).unwrap().into_keys().collect::<Vec<_>>();
        let expected = encoder.variables().into_keys().collect::<Vec<_>>();
        assert_eq!(names, expected, "{name}");
        let again = SentenceEncoder::load(&saved, &options(Precision::F32)).unwrap();
        let embeddings = again.encode_ids(&ids(&batch["sequences"])).unwrap().to_tensor();
        assert_embeddings(&embeddings, &family["mean"], name);
    });
}

#[test]
fn transformers_reads_what_is_saved_here() {
    const CODE: &str = "
import json, os, sys, torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModelForMaskedLM
def read(encoder, masked):
    name = None
    if os.path.exists(masked):
        model, info = AutoModelForMaskedLM.from_pretrained(masked, output_loading_info=True)
        assert not info['missing_keys'] and not info['unexpected_keys'], info
        name = type(model).__name__
    return name, SentenceTransformer(encoder, device='cpu').encode([text]).tolist()
text, *folders = sys.argv[1:]
print(json.dumps([read(folder + '/encoder', folder + '/masked') for folder in folders]))
";
    let Some(python) = reference_python("transformers reads every family that is saved here") else { return };
    let (text, folder) = ("비가 온다. 우산을 쓴다.", tempfile::tempdir().unwrap());
    let poolings =
        ["lasttoken", "weightedmean", "mean_sqrt_len", "cls+max", "max+mean+mean_sqrt_len+weightedmean+lasttoken"];
    let expected = RefCell::new(Vec::new());
    for_each(|name, dir, _, _| {
        let saved = folder.path().join(name);
        fs::create_dir(&saved).unwrap();
        let pooling = poolings[expected.borrow().len() % poolings.len()].parse().unwrap();
        let options_of = Options { pooling: Some(pooling), ..options(Precision::F32) };
        let encoder = TrainableEncoder::load(dir, &options_of).unwrap();
        encoder.save(saved.join("encoder"), "# card").unwrap();
        let class = MaskedLanguageModel::load(dir, &options(Precision::F32)).ok().map(|masked| {
            fs::create_dir(saved.join("masked")).unwrap();
            masked.write(&saved.join("masked"), "# card").unwrap();
            masked.architecture().masked_head.clone().unwrap().class
        });
        expected.borrow_mut().push((saved, class, encoder.encoder().encode(&[text]).unwrap().to_tensor()));
    });
    let mut command = Command::new(python);
    command.args(["-c", CODE, text]).args(expected.borrow().iter().map(|(saved, ..)| saved)).env("HF_HUB_OFFLINE", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Vec<[Value; 2]> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found.len(), expected.borrow().len());
    for ([class_there, rows], (saved, class, embeddings)) in found.iter().zip(&*expected.borrow()) {
        let name = saved.file_name().unwrap().to_string_lossy();
        assert_eq!(*class_there, json!(class), "{name}");
        assert_embeddings(embeddings, rows, &name);
    }
}
