//! The masked language model is transformers': loss, gradients and files. `scripts/reference/masked.py` made the fixtures.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{fs, process::Command};

use common::{fixture, json, reference_python};
use model::{
    MaskedBatch, MaskedLanguageModel, Options, Precision, SentenceEncoder, TrainableEncoder, weights::read_safetensors,
};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

fn model() -> MaskedLanguageModel {
    let mut options = Options { max_seq_length: Some(48), ..Options::default() };
    options.device = Device::Cpu;
    MaskedLanguageModel::load(fixture("roberta-tiny"), &options).unwrap()
}

fn batch(case: &Value) -> MaskedBatch {
    let numbers = |value: &Value| serde_json::from_value::<Vec<i64>>(value.clone()).unwrap();
    MaskedBatch {
        sequences: case["sequences"].as_array().unwrap().iter().map(numbers).collect(),
        positions: numbers(&case["positions"]),
        labels: numbers(&case["labels"]),
    }
}

#[test]
fn loss_and_gradients_are_those_of_transformers() {
    let (model, case) = (model(), json("masked-lm/batch.json"));
    let (batch, expected) = (batch(&case), case["loss"].as_f64().unwrap());
    let loss = model.backpropagate(&batch, Precision::F32, None, 1.0);
    assert!((loss - expected).abs() < 1e-5 * expected, "{loss} and {expected}");
    let gradients = read_safetensors(&fixture("masked-lm/gradients.safetensors")).unwrap();
    let variables = model.variables();
    assert!(variables.keys().all(|name| gradients.contains_key(name)), "{:?}", variables.keys());
    for (name, expected) in &gradients {
        let found = variables[name].grad().to_kind(Kind::Double);
        let difference = (found - expected).norm().double_value(&[]);
        // The gradient of a key's bias is zero but for rounding.
        let size = expected.norm().double_value(&[]).max(if name.ends_with("key.bias") { 1.0 } else { 0.0 });
        assert!(difference < 1e-4 * size, "{name}: off by {difference} of {size}");
    }
    let guesses = model.guess(&batch);
    let mean = guesses.loss / guesses.positions as f64;
    assert!((mean - expected).abs() < 1e-5 * expected, "{mean} and {expected}");
    assert_eq!((guesses.right, guesses.positions), (case["right"].as_u64().unwrap(), batch.positions.len() as u64));
}

#[test]
fn parts_of_a_batch_add_up_to_its_gradient() {
    let case = json("masked-lm/batch.json");
    let whole = batch(&case);
    let tokens: i64 = whole.sequences[..4].iter().map(|ids| ids.len() as i64).sum();
    let split = whole.positions.iter().filter(|&&position| position < tokens).count();
    let parts = [
        MaskedBatch {
            sequences: whole.sequences[..4].to_vec(),
            positions: whole.positions[..split].to_vec(),
            labels: whole.labels[..split].to_vec(),
        },
        MaskedBatch {
            sequences: whole.sequences[4..].to_vec(),
            positions: whole.positions[split..].iter().map(|position| position - tokens).collect(),
            labels: whole.labels[split..].to_vec(),
        },
    ];
    let (one, other) = (model(), model());
    let expected = one.backpropagate(&whole, Precision::F32, None, 1.0);
    let share = |part: &MaskedBatch| part.positions.len() as f64 / whole.positions.len() as f64;
    let losses = parts.iter().map(|part| share(part) * other.backpropagate(part, Precision::F32, None, share(part)));
    assert!((losses.sum::<f64>() - expected).abs() < 1e-5);
    let others = other.variables();
    for (name, variable) in one.variables() {
        let difference = (variable.grad() - others[&name].grad()).norm() / (variable.grad().norm() + 1e-3);
        assert!(difference.double_value(&[]) < 1e-4, "{name}");
    }
}

#[test]
fn what_is_saved_is_read_back_and_serves_as_an_encoder() {
    let folder = tempfile::tempdir().unwrap();
    let (model, case) = (model(), json("masked-lm/batch.json"));
    model.write(folder.path(), "# card").unwrap();
    let again =
        MaskedLanguageModel::load(folder.path(), &Options { max_seq_length: Some(48), ..Options::default() }).unwrap();
    let (one, other) = (model.variables(), again.variables());
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    assert!(one.iter().all(|(name, variable)| *variable == other[name]));
    assert_eq!(again.guess(&batch(&case)).right, case["right"].as_u64().unwrap());
    let encoder = SentenceEncoder::load(folder.path(), &Options::default()).unwrap();
    let fixture = SentenceEncoder::load(fixture("roberta-tiny"), &Options::default()).unwrap();
    assert_eq!(encoder.encode(&["비가 온다."]).unwrap(), fixture.encode(&["비가 온다."]).unwrap());
}

#[test]
fn transformers_reads_what_is_saved_here_to_the_same_loss() {
    const CODE: &str = "
import json, sys, torch
from transformers import AutoModelForMaskedLM, AutoTokenizer
case, directory = json.loads(sys.argv[1]), sys.argv[2]
model, info = AutoModelForMaskedLM.from_pretrained(directory, output_loading_info=True)
assert not info['missing_keys'] and not info['unexpected_keys'], info
rows = torch.cat([model.eval()(input_ids=torch.tensor([ids])).logits[0] for ids in case['sequences']])
loss = torch.nn.functional.cross_entropy(rows[case['positions']], torch.tensor(case['labels']))
print(json.dumps([type(model).__name__, loss.item(), AutoTokenizer.from_pretrained(directory).mask_token]))
";
    let Some(python) = reference_python("transformers reads a masked language model") else { return };
    let folder = tempfile::tempdir().unwrap();
    let case = json("masked-lm/batch.json");
    // Trained a little, so that the head is no longer the fixture's.
    let model = model();
    tch::no_grad(|| model.variables().into_values().for_each(|mut variable| drop(variable.g_mul_scalar_(1.1))));
    model.write(folder.path(), "# card").unwrap();
    let guesses = model.guess(&batch(&case));
    let mut command = Command::new(python);
    command.args(["-c", CODE, &case.to_string()]).arg(folder.path()).env("HF_HUB_OFFLINE", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found[0], &found[2]), (&json!("RobertaForMaskedLM"), &json!("[MASK]")));
    let (mean, loss) = (guesses.loss / guesses.positions as f64, found[1].as_f64().unwrap());
    assert!((mean - loss).abs() < 1e-5 * loss, "{mean} here, {loss} there");
}

#[test]
fn weights_of_half_the_size_are_read_as_what_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::default();
    let encoder = TrainableEncoder::load(fixture("roberta-tiny"), &options).unwrap();
    let path = folder.path().join("half");
    encoder.save_as(&path, "# card", Kind::Half).unwrap();
    let size = |dir: &std::path::Path| fs::metadata(dir.join("model.safetensors")).unwrap().len();
    encoder.save(folder.path().join("whole"), "# card").unwrap();
    assert!(size(&path) * 19 < size(&folder.path().join("whole")) * 10);
    let half = SentenceEncoder::load(&path, &Options::default()).unwrap();
    let (a, b): (Tensor, Tensor) = (
        half.encode(&["비가 온다."]).unwrap().to_tensor(),
        encoder.encoder().encode(&["비가 온다."]).unwrap().to_tensor(),
    );
    let difference = ((a - &b).norm() / b.norm()).double_value(&[]);
    assert!(difference < 2e-3, "{difference}");
    let config: Value = serde_json::from_slice(&fs::read(path.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["dtype"], "float32", "transformers is to compute in f32");
}
