//! Embeddings equal those of transformers and sentence-transformers on the same weights; the fixtures and the Python
//! behind them come from `scripts/reference/make_fixtures.py`.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::fs;

use common::{assert_embeddings, fixture, json, matrix, texts};
use model::{
    Options, Pooling, Precision, SentenceEncoder, TrainableEncoder,
    weights::{read_safetensors, write_safetensors},
};
use tch::{Kind, Tensor};

fn load(name: &str, options: Options) -> SentenceEncoder {
    SentenceEncoder::load(fixture(name), &options).unwrap()
}

fn trainable(name: &str, options: &Options) -> TrainableEncoder {
    TrainableEncoder::load(fixture(name), options).unwrap()
}

fn assert_every_pooling(directory: &str, reference: &str) {
    let expected = json("embeddings.json");
    let sentences = texts(&expected["sentences"]);
    for (pooling, key) in [(Pooling::MEAN, "mean"), (Pooling::CLS, "cls"), (Pooling::MAX, "max")] {
        let encoder = load(
            directory,
            Options {
                max_seq_length: expected["max_seq_length"].as_u64().map(|length| length as usize),
                pooling: Some(pooling),
                ..Options::default()
            },
        );
        assert_embeddings(
            &encoder.encode(&sentences).unwrap().to_tensor(),
            &expected["models"][reference][key],
            &format!("{directory}, {key}"),
        );
    }
}

#[test]
fn roberta_from_safetensors_equals_transformers() {
    // RobertaForMaskedLM: names with `roberta.`, a head to ignore, positions from pad_token_id + 1
    assert_every_pooling("roberta-tiny", "roberta-tiny");
}

#[test]
fn bert_from_a_pytorch_archive_and_a_vocabulary_equals_transformers() {
    // BertForMaskedLM by torch.save: names with `bert.`, gelu_new, eps 1e-12, vocab.txt in lower case
    assert_every_pooling("bert-tiny", "bert-tiny");
}

#[test]
fn sharded_weights_equal_whole_ones() {
    assert_every_pooling("bert-tiny-sharded", "bert-tiny");
}

#[test]
fn both_layouts_of_sentence_transformers_equal_its_encode() {
    let expected = json("embeddings.json");
    for name in ["st-roberta-tiny-old", "st-roberta-tiny-new"] {
        let encoder = load(name, Options::default());
        assert_eq!(encoder.tokenizer().max_seq_length(), 24, "{name}");
        let embeddings = encoder.encode(&texts(&expected["sentences"])).unwrap().to_tensor();
        assert_embeddings(&embeddings, &expected["sentence_transformers"], name);
    }
}

#[test]
fn an_embedding_does_not_depend_on_its_batch() {
    let encoder = load("roberta-tiny", Options::default());
    let sentences = texts(&json("embeddings.json")["sentences"]);
    let together = matrix(&encoder.encode(&sentences).unwrap().to_tensor());
    for (index, sentence) in sentences.iter().enumerate() {
        let alone = &matrix(&encoder.encode(&[sentence]).unwrap().to_tensor())[0];
        let worst = alone.iter().zip(&together[index]).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-5, "sentence {index}: {worst}");
    }
}

#[test]
fn many_passes_keep_the_callers_order() {
    let encoder = load("roberta-tiny", Options::default());
    let base = texts(&json("embeddings.json")["sentences"]);
    // More tokens than one pass holds, and no two sentences alike.
    let sentences: Vec<String> = (0..2_000).map(|index| format!("{} {index}", base[index % base.len()])).collect();
    let mut reversed = sentences.clone();
    reversed.reverse();
    let rows = encoder.encode(&sentences).unwrap().to_tensor();
    let back = encoder.encode(&reversed).unwrap().to_tensor().flip([0]);
    assert!(f64::try_from((rows - back).abs().max()).unwrap() < 1e-5);
}

#[test]
fn a_sentence_that_stands_there_twice_has_one_embedding() {
    let encoder = load("roberta-tiny", Options::default());
    let mut told = 0;
    let sentences = ["비가 온다.", "비가 내린다.", "비가 온다."];
    let rows = matrix(&encoder.encode_with_progress(&sentences, &mut |count| told += count).unwrap().to_tensor());
    assert_eq!(told, 3);
    assert_eq!(rows[0], rows[2]);
    assert_ne!(rows[0], rows[1]);
}

#[test]
fn narrow_formats_stay_close_to_f32() {
    let sentences = texts(&json("embeddings.json")["sentences"]);
    let exact = load("roberta-tiny", Options::default()).encode(&sentences).unwrap().to_tensor();
    // Both keep about 8 bits, so two layers of random weights agree to about 2^-8 in angle: a cosine of 1 - 1e-5 to
    // 1 - 1e-3.
    for precision in [Precision::Bf16, Precision::Int8] {
        let narrow =
            load("roberta-tiny", Options { precision, ..Options::default() }).encode(&sentences).unwrap().to_tensor();
        let cosines: Vec<f64> = Vec::try_from(model::similarity(&exact, &narrow).to_kind(tch::Kind::Double)).unwrap();
        let worst = cosines.iter().copied().fold(1.0, f64::min);
        assert!(worst > 0.999, "{precision}: {worst}");
        assert!(worst < 1.0 - 1e-7, "{precision} was not used: {worst}");
    }
}

/// The forward pass that keeps what the backward pass needs, that of libtorch, and that of encoding are one function.
#[test]
fn training_and_encoding_see_the_same_embeddings() {
    let sentences = texts(&json("embeddings.json")["sentences"]);
    for name in ["roberta-tiny", "bert-tiny"] {
        for pooling in [Pooling::MEAN, Pooling::CLS, Pooling::MAX] {
            let options = Options { pooling: Some(pooling), ..Options::default() };
            let trainable = trainable(name, &options);
            let ids = trainable.tokenizer().encode(&sentences).unwrap();
            let trained = trainable.forward(&ids, Precision::F32, false).detach();
            let seen = embeddings_in_training(&trainable, &ids, None);
            let encoded = [trainable.encoder(), &load(name, options)]
                .map(|encoder| encoder.encode(&sentences).unwrap().to_tensor());
            for found in encoded.iter().chain([&seen]) {
                assert!(f64::try_from((found - &trained).abs().max()).unwrap() < 1e-5, "{name} {pooling:?}");
            }
        }
    }
}

#[test]
fn encoding_sees_the_weights_that_training_left() {
    let encoder = trainable("roberta-tiny", &Options::default());
    let before = matrix(&encoder.encoder().encode(&["비가 온다."]).unwrap().to_tensor());
    let weight = &encoder.variables()["encoder.layer.0.output.dense.weight"];
    tch::no_grad(|| {
        let _ = weight.shallow_clone().fill_(0.0);
    });
    assert_ne!(matrix(&encoder.encoder().encode(&["비가 온다."]).unwrap().to_tensor()), before);
}

#[test]
fn dropout_acts_in_training_alone() {
    let encoder = trainable("roberta-tiny", &Options::default()); // its dropout is 0.1
    let ids = encoder.tokenizer().encode(&["비가 온다."]).unwrap();
    let forward = |train| matrix(&encoder.forward(&ids, Precision::F32, train).detach());
    assert_eq!(forward(false), forward(false));
    assert_ne!(forward(true), forward(true));
    let trained = |dropout| matrix(&embeddings_in_training(&encoder, &ids, dropout));
    assert_eq!(trained(None), trained(None));
    assert_eq!(trained(Some(1)), trained(Some(1)));
    assert_ne!(trained(Some(1)), trained(Some(2)));
    assert_ne!(trained(Some(1)), trained(None));
}

/// What a step of training sees.
fn embeddings_in_training(encoder: &TrainableEncoder, ids: &[Vec<i64>], dropout: Option<u64>) -> Tensor {
    let mut seen = None;
    encoder.backpropagate(ids, Precision::F32, dropout, |embeddings| {
        seen = Some(embeddings.detach().copy());
        embeddings.sum(Kind::Float)
    });
    seen.unwrap()
}

#[test]
fn no_sentence_at_all_gives_an_empty_matrix() {
    let encoder = load("roberta-tiny", Options::default());
    assert_eq!(encoder.encode(&[""; 0]).unwrap().to_tensor().size(), [0, 32]);
}

/// A copy of roberta-tiny with other weights and configuration, and its embeddings.
fn rewritten(change: impl Fn(&str, Tensor) -> (String, Tensor), config: (&str, &str)) -> Vec<Vec<f64>> {
    let folder = tempfile::tempdir().unwrap();
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(fixture("roberta-tiny").join(file), folder.path().join(file)).unwrap();
    }
    let text = fs::read_to_string(fixture("roberta-tiny/config.json")).unwrap();
    assert!(text.contains(config.0));
    fs::write(folder.path().join("config.json"), text.replace(config.0, config.1)).unwrap();
    let weights = read_safetensors(&fixture("roberta-tiny/model.safetensors")).unwrap();
    let weights = weights.into_iter().map(|(name, tensor)| change(&name, tensor)).collect();
    write_safetensors(&folder.path().join("model.safetensors"), &weights).unwrap();
    let encoder = SentenceEncoder::load(folder.path(), &Options::default()).unwrap();
    matrix(&encoder.encode(&texts(&json("embeddings.json")["sentences"])).unwrap().to_tensor())
}

fn worst(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn the_names_of_the_first_bert_releases_and_of_relatives_are_read() {
    let same = |name: &str, tensor| (name.to_owned(), tensor);
    let expected = rewritten(same, ("", ""));
    let renamed = |name: &str, tensor| {
        (name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"), tensor)
    };
    assert_eq!(rewritten(renamed, ("", "")), expected);
    let relative = ("\"model_type\": \"roberta\"", "\"model_type\": \"xlm-roberta\"");
    assert_eq!(rewritten(same, relative), expected);
}

#[test]
fn weights_of_every_float_type_are_read() {
    let expected = rewritten(|name, tensor| (name.to_owned(), tensor), ("", ""));
    for (kind, tolerance) in [(Kind::Double, 0.0), (Kind::Half, 0.02), (Kind::BFloat16, 0.2)] {
        let found = rewritten(|name, tensor| (name.to_owned(), tensor.to_kind(kind)), ("", ""));
        let difference = worst(&found, &expected);
        assert!(difference <= tolerance, "{kind:?}: {difference}");
        assert!(kind == Kind::Double || difference > 0.0, "{kind:?} was not used");
    }
}
