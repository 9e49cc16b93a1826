//! Cross-encoders of every family equal sentence-transformers' and transformers'; the fixtures and the Python behind them come
//! from `scripts/reference/make_fixtures.py`.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use common::{copy_tree, fixture, json, reference_python};
use model::{
    CrossEncoder, Options, Precision, SentenceEncoder, TokenPair, TrainableCrossEncoder, holds_cross_encoder,
    weights::read_safetensors,
};
use serde_json::{Value, json};
use tch::{Kind, Tensor};
use tempfile::TempDir;

const TYPED: [&str; 5] = ["bert", "electra", "electra-unprojected", "deberta-v2-typed", "deberta-v2-apart"];

fn expected() -> Value {
    json("cross-encoders/cross-encoders.json")
}

/// A fixture with the tokenizer of the tiny RoBERTa, of a length.
fn whole(name: &str, length: &Value) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join(name);
    copy_tree(&fixture("cross-encoders").join(name), &dir);
    fs::copy(fixture("roberta-tiny/tokenizer.json"), dir.join("tokenizer.json")).unwrap();
    let config = fs::read(fixture("roberta-tiny/tokenizer_config.json")).unwrap();
    let mut config: Value = serde_json::from_slice(&config).unwrap();
    config["model_max_length"] = length.clone();
    // What transformers needs to be told where a tokenizer gives types of tokens and the model knows none.
    if !TYPED.contains(&name) {
        config["model_input_names"] = json!(["input_ids", "attention_mask"]);
    }
    fs::write(dir.join("tokenizer_config.json"), config.to_string()).unwrap();
    (folder, dir)
}

fn for_each(check: impl Fn(&str, &Path, &Value, &[[&str; 2]])) {
    let expected = expected();
    let pairs: Vec<[&str; 2]> = expected["pairs"].as_array().unwrap().iter().map(pair).collect();
    let models = expected["models"].as_object().unwrap();
    assert_eq!(models.len(), 12);
    for (name, model) in models {
        let (_folder, dir) = whole(name, &expected["max_length"]);
        check(name, &dir, model, &pairs);
    }
}

fn pair(pair: &Value) -> [&str; 2] {
    [0, 1].map(|side| pair[side].as_str().unwrap())
}

/// Numbers, row by row.
fn flat(value: &Value) -> Vec<f32> {
    match value.as_array() {
        Some(rows) => rows.iter().flat_map(flat).collect(),
        None => vec![value.as_f64().unwrap() as f32],
    }
}

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1.0f32, |largest, x| largest.max(x.abs()));
    for (index, (x, y)) in found.iter().zip(expected).enumerate() {
        assert!((x - y).abs() <= tolerance * largest, "{what}, {index}: {x}, expected {y}");
    }
}

fn labels(model: &Value) -> Vec<String> {
    (0..model["labels"].as_u64().unwrap()).map(|id| format!("LABEL_{id}")).collect()
}

#[test]
fn numbers_are_sentence_transformers() {
    for_each(|name, dir, model, pairs| {
        assert!(holds_cross_encoder(dir), "{name}");
        let encoder = CrossEncoder::load(dir, &Options::default()).unwrap();
        assert_eq!(encoder.labels(), labels(model), "{name}");
        let mut told = 0;
        let (logits, losses) = encoder.logits(pairs, &mut |count| told += count).unwrap();
        assert_eq!(told, pairs.len(), "{name}");
        assert_close(&logits, &flat(&model["logits"]), 1e-5, &format!("{name} by the kernels"));
        assert!(losses.to_string().contains("cut"), "{name}: {losses}");
        match encoder.labels().len() {
            1 => assert_close(&encoder.scores(pairs).unwrap(), &flat(&model["scores"]), 1e-5, name),
            _ => {
                let message = encoder.scores(pairs).unwrap_err().to_string();
                assert!(message.starts_with("the cross-encoder has 3 labels (LABEL_0, "), "{message}");
            }
        }
        // A pair does not depend on those beside it, and one that stands there twice has one number.
        let twice: Vec<[&str; 2]> = [pairs[3], pairs[0], pairs[3]].to_vec();
        let few = encoder.logits(&twice, &mut |_| {}).unwrap().0;
        let width = encoder.labels().len();
        assert_eq!(few[..width], few[2 * width..], "{name}");
        assert_close(&few[..width], &logits[3 * width..4 * width], 1e-5, name);
        let trainable = TrainableCrossEncoder::load(dir, &Options::default(), &labels(model)).unwrap();
        let seen = seen_in_training(&trainable, &tokens(&trainable, pairs));
        assert_close(&seen, &flat(&model["logits"]), 1e-5, &format!("{name} in training"));
        for (precision, tolerance) in [(Precision::Bf16, 0.1), (Precision::Int8, 0.1)] {
            let narrow = CrossEncoder::load(dir, &Options { precision, ..Options::default() }).unwrap();
            let found = narrow.logits(pairs, &mut |_| {}).unwrap().0;
            assert_close(&found, &logits, tolerance, &format!("{name} in {precision}"));
        }
    });
}

fn tokens(encoder: &TrainableCrossEncoder, pairs: &[[&str; 2]]) -> Vec<TokenPair> {
    let texts: Vec<&str> = pairs.iter().flatten().copied().collect();
    let places: Vec<[usize; 2]> = (0..pairs.len()).map(|pair| [2 * pair, 2 * pair + 1]).collect();
    encoder.pairs().encode(&texts, &places).unwrap()
}

/// The labels' numbers that a step sees.
fn seen_in_training(encoder: &TrainableCrossEncoder, tokens: &[TokenPair]) -> Vec<f32> {
    let mut seen = None;
    encoder.backpropagate(tokens, Precision::F32, None, |logits| {
        seen = Some(model::slices::to_vec(logits).unwrap());
        logits.sum(Kind::Float)
    });
    seen.unwrap()
}

#[test]
fn loss_and_gradients_are_pytorchs() {
    for_each(|name, dir, model, pairs| {
        let labels = labels(model);
        let encoder = TrainableCrossEncoder::load(dir, &Options::default(), &labels).unwrap();
        let loss = encoder.backpropagate(&tokens(&encoder, &pairs[..8]), Precision::F32, None, |logits| {
            if labels.len() == 1 {
                let targets = Tensor::arange(8, (Kind::Float, tch::Device::Cpu)) / 7.0;
                let none = None::<Tensor>;
                let reduction = tch::Reduction::Mean;
                logits.squeeze_dim(1).binary_cross_entropy_with_logits(
                    &targets,
                    none.as_ref(),
                    none.as_ref(),
                    reduction,
                )
            } else {
                logits.cross_entropy_for_logits(&(Tensor::arange(8, (Kind::Int64, tch::Device::Cpu)).remainder(3)))
            }
        });
        let expected = model["loss"].as_f64().unwrap();
        assert!((loss - expected).abs() < 1e-5 * expected, "{name}: {loss}, expected {expected}");
        let (variables, norms) = (encoder.variables(), model["gradients"].as_object().unwrap());
        assert_eq!(variables.keys().collect::<Vec<_>>().len(), norms.len(), "{name}");
        for (variable, norm) in norms {
            let found = variables.get(variable).unwrap_or_else(|| panic!("{name}: no {variable}"));
            let (found, norm) = (found.grad().norm().double_value(&[]), norm.as_f64().unwrap());
            // A key's bias changes nothing (softmax ignores it): its gradient is rounding noise.
            let apart = (found - norm).abs();
            assert!(apart <= 1e-4 * norm || norm < 1e-5 && found < 1e-5, "{name} {variable}: {found}, expected {norm}");
        }
        assert!(encoder.described().iter().all(|one| variables[&one.name].size() == one.shape), "{name}");
    });
}

#[test]
fn what_is_saved_is_read_back_here_and_by_sentence_transformers() {
    const CODE: &str = "
import json, sys
from sentence_transformers import CrossEncoder
from torch.nn import Identity
pairs, *directories = sys.argv[1:]
def numbers(path):
    model = CrossEncoder(path, device='cpu')
    names = model.tokenizer.model_input_names
    rows = [model.predict(json.loads(pairs), activation_fn=function).tolist() for function in (Identity(), None)]
    return [type(model.model).__name__, *rows]
print(json.dumps([numbers(path) for path in directories]))
";
    let folder = tempfile::tempdir().unwrap();
    let saved = std::cell::RefCell::new(Vec::new());
    for_each(|name, dir, model, pairs| {
        let path = folder.path().join(name);
        fs::create_dir(&path).unwrap();
        let encoder = TrainableCrossEncoder::load(dir, &Options::default(), &labels(model)).unwrap();
        encoder.write(&path, "# card").unwrap();
        let again = CrossEncoder::load(&path, &Options::default()).unwrap();
        assert_eq!(again.activation(), encoder.activation(), "{name}");
        assert_close(&again.logits(pairs, &mut |_| {}).unwrap().0, &flat(&model["logits"]), 1e-5, name);
        let names: Vec<String> = read_safetensors(&path.join("model.safetensors")).unwrap().into_keys().collect();
        assert_eq!(names, read_safetensors(&dir.join("model.safetensors")).unwrap().into_keys().collect::<Vec<_>>());
        saved.borrow_mut().push((path, model.clone()));
    });
    let Some(python) = reference_python("sentence-transformers reads a saved cross-encoder") else { return };
    let (pairs, saved) = (expected()["pairs"].to_string(), saved.into_inner());
    let mut command = Command::new(python);
    command.args(["-c", CODE, &pairs]).args(saved.iter().map(|(path, _)| path)).env("HF_HUB_OFFLINE", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found.len(), saved.len());
    for (found, (path, model)) in found.iter().zip(&saved) {
        let name = path.file_name().unwrap().to_string_lossy();
        assert_eq!(found[0], model["class"], "{name}");
        assert_close(&flat(&found[1]), &flat(&model["logits"]), 1e-5, &name);
        assert_close(&flat(&found[2]), &flat(&model["scores"]), 1e-5, &name);
    }
}

#[test]
fn both_layouts_of_sentence_transformers_say_what_makes_a_score() {
    let length = json!(24);
    let (_folder, dir) = whole("roberta", &length);
    let activation = |dir: &Path| CrossEncoder::load(dir, &Options::default()).unwrap().activation();
    let config: Value = serde_json::from_slice(&fs::read(dir.join("config.json")).unwrap()).unwrap();
    let set = |key: &str, value: Value| {
        let mut config = config.clone();
        config[key] = value;
        fs::write(dir.join("config.json"), config.to_string()).unwrap();
    };
    let [sigmoid, identity] = ["torch.nn.modules.activation.Sigmoid", "torch.nn.modules.linear.Identity"];
    assert_eq!(activation(&dir), model::ScoreActivation::Sigmoid, "of one label");
    set("sentence_transformers", json!({"activation_fn": identity}));
    assert_eq!(activation(&dir), model::ScoreActivation::Identity);
    set("sbert_ce_default_activation_function", json!(identity));
    assert_eq!(activation(&dir), model::ScoreActivation::Identity);
    // The newer layout, whose own file stands above.
    let module = "sentence_transformers.base.modules.transformer.Transformer";
    let modules = json!([{"idx": 0, "name": "0", "path": "", "type": module}]);
    fs::write(dir.join("modules.json"), modules.to_string()).unwrap();
    let input = json!({"transformer_task": "sequence-classification", "module_output_name": "scores",
        "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}}});
    fs::write(dir.join("sentence_bert_config.json"), input.to_string()).unwrap();
    let settings = json!({"model_type": "CrossEncoder", "activation_fn": sigmoid});
    fs::write(dir.join("config_sentence_transformers.json"), settings.to_string()).unwrap();
    assert_eq!(activation(&dir), model::ScoreActivation::Sigmoid);
    fs::write(dir.join("config_sentence_transformers.json"), json!({"activation_fn": "mine.Swish"}).to_string())
        .unwrap();
    let message = CrossEncoder::load(&dir, &Options::default()).unwrap_err().to_string();
    assert!(
        message.contains("activation \"mine.Swish\" is not supported, expected torch's Sigmoid or Identity"),
        "{message}"
    );
}

/// transformers fails where a tokenizer gives a type that the model has no embedding of, as BERT's does for a RoBERTa: here
/// the two texts are then of one type.
#[test]
fn types_that_the_model_does_not_know_are_its_last() {
    let expected = expected();
    let (_folder, dir) = whole("roberta", &expected["max_length"]);
    let path = dir.join("tokenizer_config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config.as_object_mut().unwrap().remove("model_input_names");
    fs::write(&path, config.to_string()).unwrap();
    let pairs: Vec<[&str; 2]> = expected["pairs"].as_array().unwrap().iter().map(pair).collect();
    let found = CrossEncoder::load(&dir, &Options::default()).unwrap().logits(&pairs, &mut |_| {}).unwrap().0;
    assert_close(&found, &flat(&expected["models"]["roberta"]["logits"]), 1e-5, "roberta");
}

#[test]
fn another_kind_of_model_is_refused_by_its_name() {
    let refusal = |dir: &Path| {
        let message = CrossEncoder::load(dir, &Options::default()).unwrap_err().to_string();
        assert_eq!(message.lines().count(), 1, "{message}");
        message
    };
    let message = refusal(&fixture("roberta-tiny"));
    assert!(message.contains("no cross-encoder (architectures: RobertaForMaskedLM)"), "{message}");
    assert!(!holds_cross_encoder(&fixture("roberta-tiny")) && !holds_cross_encoder(&fixture("st-roberta-tiny-new")));
    let message = refusal(&fixture("st-roberta-tiny-old"));
    assert!(message.contains("modules Transformer, Pooling, expected a cross-encoder"), "{message}");
    let (_folder, dir) = whole("roberta", &json!(24));
    let message = SentenceEncoder::load(&dir, &Options::default()).unwrap_err().to_string();
    assert!(message.contains("a classifier or reranker"), "{message}");
    let labels: Vec<String> = ["a", "b"].map(str::to_owned).to_vec();
    let message = TrainableCrossEncoder::load(&dir, &Options::default(), &labels).unwrap_err().to_string();
    assert!(message.contains("has 1 labels (LABEL_0), expected 2 (a, b)"), "{message}");
    fs::remove_file(dir.join("model.safetensors")).unwrap();
    let weights = read_safetensors(&fixture("roberta-tiny/model.safetensors")).unwrap();
    model::weights::write_safetensors(&dir.join("model.safetensors"), &weights).unwrap();
    assert!(refusal(&dir).contains("model.safetensors"), "{}", refusal(&dir));
    let message = TrainableCrossEncoder::load(fixture("families/qwen3"), &Options::default(), &labels[..1]);
    assert!(message.is_err());
}

#[test]
fn an_encoder_becomes_a_cross_encoder_with_a_fresh_head_and_what_is_there_of_one() {
    let labels = ["similar".to_owned()];
    let load = |dir: &Path, seed| {
        tch::manual_seed(seed);
        TrainableCrossEncoder::load(dir, &Options::default(), &labels).unwrap()
    };
    let (one, two) = (load(&fixture("roberta-tiny"), 1), load(&fixture("roberta-tiny"), 2));
    let (one, two) = (one.variables(), two.variables());
    let encoder = "roberta.encoder.layer.0.output.dense.weight";
    assert_eq!(one[encoder], two[encoder]);
    assert_ne!(one["classifier.dense.weight"], two["classifier.dense.weight"]);
    assert!(one["classifier.out_proj.weight"].size() == [1, 32]);
    // BERT's pooler comes with a pretrained encoder.
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("bert");
    copy_tree(&fixture("bert-tiny"), &dir);
    let mut weights = read_safetensors(&fixture("st-roberta-tiny-old/model.safetensors")).unwrap();
    weights.clear();
    let options = Options::default();
    let own = model::TrainableEncoder::load(&dir, &options).unwrap();
    let pooler = Tensor::randn([24, 24], (Kind::Float, tch::Device::Cpu));
    weights.extend(own.variables().into_iter().map(|(name, variable)| (name, variable.detach())));
    weights.insert("pooler.dense.weight".to_owned(), pooler.shallow_clone());
    fs::remove_file(dir.join("pytorch_model.bin")).unwrap();
    model::weights::write_safetensors(&dir.join("model.safetensors"), &weights).unwrap();
    assert_eq!(load(&dir, 1).variables()["bert.pooler.dense.weight"], pooler);
}
