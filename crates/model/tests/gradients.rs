//! The gradient that is written out by hand, beside the one that libtorch differentiates, beside differences of the loss
//! where dropout draws other masks than libtorch's, and beside a GPU's.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{collections::BTreeMap, io::Write, sync::LazyLock};

use common::fixture;
use model::{
    EncoderConfig, Options, Pooling, Precision, SentenceEncoder, TrainableEncoder,
    runtime::{self, DeviceChoice},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use tch::{Device, Kind, Tensor};

/// One token, a whole block of the attention's queries, one more than that, and several blocks.
const LENGTHS: [usize; 5] = [1, 48, 49, 130, 17];

/// Before any test computes, since it sets the threads that all of them use.
static DEVICE: LazyLock<Device> = LazyLock::new(|| runtime::init(DeviceChoice::Auto, None).unwrap());

fn encoder(changes: &[(&str, serde_json::Value)], pooling: Pooling) -> TrainableEncoder {
    LazyLock::force(&DEVICE);
    let tokenizer = SentenceEncoder::load(fixture("roberta-tiny"), &Options::default()).unwrap().tokenizer().clone();
    let mut config = json!({
        "model_type": "roberta", "vocab_size": tokenizer.vocab_size(), "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 56, "max_position_embeddings": 160, "pad_token_id": 1,
        "initializer_range": 0.3, // far from zero, so that every function bends
    });
    for (key, value) in changes {
        config[*key] = value.clone();
    }
    let config: EncoderConfig = serde_json::from_value(config).unwrap();
    tch::manual_seed(7);
    TrainableEncoder::from_scratch(config, tokenizer, pooling, Device::Cpu).unwrap()
}

fn sentences() -> Vec<Vec<i64>> {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    LENGTHS.map(|length| (0..length).map(|_| rng.random_range(2..100)).collect()).to_vec()
}

/// A function of all embeddings that treats no two numbers alike.
fn loss(embeddings: &Tensor) -> Tensor {
    let weights = (Tensor::arange(embeddings.numel() as i64, (Kind::Float, embeddings.device())) * 0.7).sin();
    (embeddings.tanh() * weights.view_as(embeddings)).sum(Kind::Float)
}

fn gradients(encoder: &TrainableEncoder) -> BTreeMap<String, Tensor> {
    let gradient = |(name, mut variable): (String, Tensor)| {
        let gradient = variable.grad().copy();
        variable.zero_grad();
        (name, gradient)
    };
    encoder.variables().into_iter().map(gradient).collect()
}

#[test]
fn gradients_equal_those_that_libtorch_differentiates() {
    let sentences = sentences();
    for activation in ["gelu", "gelu_new", "relu"] {
        for pooling in ["mean", "cls", "max", "cls+max+mean+mean_sqrt_len+weightedmean+lasttoken"] {
            let pooling: Pooling = pooling.parse().unwrap();
            let encoder = encoder(&[("hidden_act", activation.into())], pooling);
            loss(&encoder.forward(&sentences, Precision::F32, false)).backward();
            let expected = gradients(&encoder);
            encoder.backpropagate(&sentences, Precision::F32, None, loss);
            for (name, found) in gradients(&encoder) {
                let (apart, norm) = ((&found - &expected[&name]).norm(), expected[&name].norm());
                let (apart, norm) = (apart.double_value(&[]), norm.double_value(&[]));
                // A key's bias changes nothing (softmax ignores it): its gradient is rounding noise.
                let limit = if name.ends_with("key.bias") { 1e-3 } else { 1e-5 * norm };
                assert!(norm > 0.0 && apart <= limit, "{activation} {pooling:?} {name}: {apart} of {norm}");
            }
        }
    }
}

/// A mask that the backward pass draws otherwise than the forward pass would only look like slightly worse training.
#[test]
fn gradients_with_dropout_are_the_slopes_of_the_loss() {
    let sentences = sentences();
    for (hidden, attention) in [(0.3, 0.0), (0.0, 0.4), (0.3, 0.4)] {
        let changes = [("hidden_dropout_prob", hidden.into()), ("attention_probs_dropout_prob", attention.into())];
        let encoder = encoder(&changes, Pooling::MEAN);
        let loss_of = || encoder.backpropagate(&sentences, Precision::F32, Some(11), loss);
        loss_of();
        let gradients = gradients(&encoder);
        for (name, variable) in encoder.variables().into_iter().filter(|(name, _)| !name.ends_with("key.bias")) {
            let slope = gradients[&name].norm().double_value(&[]);
            let direction = &gradients[&name] / slope;
            let step = 1e-2 / slope; // the loss moves by a hundredth: far above rounding, and hardly bent
            let move_by = |length: f64| {
                tch::no_grad(|| drop(variable.shallow_clone().g_add_(&(&direction * length))));
            };
            move_by(step);
            let above = loss_of();
            move_by(-2.0 * step);
            let below = loss_of();
            move_by(step);
            let found = (above - below) / (2.0 * step);
            let apart = (found / slope - 1.0).abs();
            assert!(apart < 1e-2, "dropout {hidden} {attention}, {name}: {found}, expected {slope}");
        }
    }
}

/// On a GPU a packed batch takes another way through attention and pooling: one for heads that its kernel reads, and one for
/// others.
#[test]
fn a_gpu_gives_the_gradients_of_a_processor() {
    let device = *DEVICE;
    if device == Device::Cpu {
        let notice = "\n*** SKIPPED: no GPU: that it gives the gradients of a processor is NOT tested ***\n";
        std::io::stderr().write_all(notice.as_bytes()).unwrap(); // past the capture of the test's output
        return;
    }
    let (sentences, folder) = (sentences(), tempfile::tempdir().unwrap());
    for heads in [2, 8] {
        for pooling in ["mean", "cls", "max", "cls+max+mean+mean_sqrt_len+weightedmean+lasttoken"] {
            let pooling: Pooling = pooling.parse().unwrap();
            let here = encoder(&[("num_attention_heads", heads.into())], pooling);
            here.save(folder.path().join("model"), "").unwrap();
            let options = Options { device, pooling: Some(pooling), ..Options::default() };
            let there = TrainableEncoder::load(folder.path().join("model"), &options).unwrap();
            let losses = [&here, &there].map(|encoder| encoder.backpropagate(&sentences, Precision::F32, None, loss));
            assert!((losses[0] - losses[1]).abs() < 1e-4, "{heads} {pooling:?}: {losses:?}");
            let expected = gradients(&here);
            for (name, found) in gradients(&there) {
                let (found, norm) = (found.to_device(Device::Cpu), expected[&name].norm().double_value(&[]));
                let apart = (&found - &expected[&name]).norm().double_value(&[]);
                let limit = if name.ends_with("key.bias") { 1e-3 } else { 1e-4 * norm };
                assert!(apart <= limit, "{heads} {pooling:?} {name}: {apart} of {norm}");
            }
        }
    }
}
