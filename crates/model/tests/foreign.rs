//! Directories of other people are read as transformers 5 and sentence-transformers 6 read them, or refused by file and key.
//!
//! The cases and what the reference makes of them come from `scripts/reference/foreign.py`.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::{assert_embeddings, copy_tree, fixture, json, matrix, texts};
use model::{Options, Pooling, SentenceEncoder, SimilarityFunction, Tokenizer, TrainableEncoder};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Keys of objects within objects; anything else is replaced.
fn merge(own: &mut Value, other: &Value) {
    match (own, other) {
        (Value::Object(own), Value::Object(other)) => {
            other.iter().for_each(|(key, value)| merge(own.entry(key).or_insert(Value::Null), value));
        }
        (own, other) => *own = other.clone(),
    }
}

/// A fixture's directory with some of its files replaced or changed.
fn lay_out(base: &str, files: &Value, merged: &Value) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("model");
    copy_tree(&fixture(base), &dir);
    for (name, value) in files.as_object().into_iter().flatten() {
        match value {
            Value::Null => fs::remove_file(dir.join(name)).unwrap(),
            value => fs::write(dir.join(name), value.to_string()).unwrap(),
        }
    }
    for (name, value) in merged.as_object().into_iter().flatten() {
        let mut own = serde_json::from_str(&fs::read_to_string(dir.join(name)).unwrap()).unwrap();
        merge(&mut own, value);
        fs::write(dir.join(name), own.to_string()).unwrap();
    }
    (folder, dir)
}

fn case(case: &Value) -> (TempDir, PathBuf, String) {
    let (folder, dir) = lay_out(case["base"].as_str().unwrap(), &case["files"], &case["merged"]);
    (folder, dir, case["name"].as_str().unwrap().to_owned())
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn load(dir: &Path) -> Result<SentenceEncoder, model::Error> {
    SentenceEncoder::load(dir, &Options::default())
}

/// The message with which loading fails; it must be one line.
fn refusal(dir: &Path) -> String {
    let message = load(dir).unwrap_err().to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

#[test]
fn token_ids_equal_those_of_transformers() {
    let expected = json("foreign.json");
    let (texts, length) = (texts(&expected["texts"]), expected["max_seq_length"].as_u64().unwrap() as usize);
    for one in expected["tokenizers"].as_array().unwrap() {
        let (_folder, dir, name) = case(one);
        let ids: Vec<Vec<f64>> = one["ids"].as_array().unwrap().iter().map(numbers).collect();
        let found =
            Tokenizer::load(&dir, length).unwrap().encode(&texts).unwrap_or_else(|error| panic!("{name}: {error}"));
        for ((text, expected), found) in texts.iter().zip(ids).zip(found) {
            let found: Vec<f64> = found.into_iter().map(|id| id as f64).collect();
            assert_eq!(found, expected, "{name}: {text}");
        }
    }
}

#[test]
fn embeddings_and_similarities_equal_those_of_sentence_transformers_also_once_they_are_saved() {
    let expected = json("foreign.json");
    let texts = texts(&expected["texts"]);
    for one in expected["encoders"].as_array().unwrap() {
        let (folder, dir, name) = case(one);
        let saved = folder.path().join("saved");
        let trainable = TrainableEncoder::load(&dir, &Options::default()).unwrap();
        trainable.save(&saved, "").unwrap();
        for (encoder, name) in [(load(&dir), name.clone()), (load(&saved), format!("{name}, saved"))] {
            let encoder = encoder.unwrap_or_else(|error| panic!("{name}: {error}"));
            let embeddings = encoder.encode(&texts).unwrap().to_tensor();
            assert_embeddings(&embeddings, &one["embeddings"], &name);
            assert_eq!(embeddings.size()[1] as usize, encoder.dimensions(), "{name}");
            let function = encoder.similarity_function();
            let (first, similarities) = (embeddings.narrow(0, 0, 1), numbers(&one["similarities"]));
            let pairwise: Vec<f64> =
                function.pairwise(&first, &embeddings).to_kind(tch::Kind::Double).try_into().unwrap();
            let rows = matrix(&embeddings);
            let rows: Vec<Vec<f32>> = rows.iter().map(|row| row.iter().map(|x| *x as f32).collect()).collect();
            let largest = similarities.iter().fold(1f64, |largest, similarity| largest.max(similarity.abs()));
            for ((expected, pairwise), row) in similarities.iter().zip(pairwise).zip(&rows) {
                // A distance of 0 is a root of rounding.
                assert!((pairwise - expected).abs() < 1e-4 * largest, "{name}: {pairwise} for {expected}");
                let found = function.of(&rows[0], row);
                assert!((found - expected).abs() < 1e-4 * largest, "{name}: {found} for {expected}");
            }
        }
    }
}

#[test]
fn a_directory_of_another_kind_is_refused_by_what_it_is() {
    let plain = "roberta-tiny";
    let of = |architecture: &str| json!({"config.json": {"architectures": [architecture]}});
    for (architecture, what) in [
        ("BertForSequenceClassification", "a classifier or reranker"),
        ("ElectraForTokenClassification", "a classifier of tokens"),
        ("RobertaForQuestionAnswering", "a model for question answering"),
        ("RobertaForMultipleChoice", "a model for multiple choice"),
        ("BertForNextSentencePrediction", "a model for next-sentence prediction"),
        ("RobertaForCausalLM", "a generative language model"),
    ] {
        let (_folder, dir) = lay_out(plain, &Value::Null, &of(architecture));
        let expected = format!("config.json: {what} (architectures: {architecture}), expected an encoder");
        assert!(refusal(&dir).ends_with(&expected), "{}", refusal(&dir));
    }
    for architecture in ["RobertaForMaskedLM", "BertForPreTraining", "RobertaModel"] {
        let (_folder, dir) = lay_out(plain, &Value::Null, &of(architecture));
        load(&dir).unwrap();
    }
    let cross = json!({"config.json": {"sentence_transformers": {"version": "5.0.0"}}});
    let (_folder, dir) = lay_out(plain, &Value::Null, &cross);
    assert!(refusal(&dir).contains("config.json: a reranker"), "{}", refusal(&dir));
    for (model_type, what) in [("CrossEncoder", "a reranker"), ("SparseEncoder", "an encoder of sparse embeddings")] {
        for base in [plain, "st-roberta-tiny-old"] {
            let settings = json!({"config_sentence_transformers.json": {"model_type": model_type}});
            let (_folder, dir) = lay_out(base, &settings, &Value::Null);
            let expected = format!("config_sentence_transformers.json: {what} (model_type: {model_type}), expected");
            assert!(refusal(&dir).contains(&expected), "{}", refusal(&dir));
        }
    }
}

#[test]
fn the_head_of_a_sentence_transformers_directory_is_left_out_as_there() {
    let head = json!({"config.json": {"architectures": ["RobertaForSequenceClassification"]}});
    let (_folder, dir) = lay_out("st-roberta-tiny-old", &Value::Null, &head);
    load(&dir).unwrap();
}

#[test]
fn what_changes_a_computation_and_is_not_supported_is_refused_by_file_and_key() {
    let (length, st) = ("sentence_bert_config.json", "config_sentence_transformers.json");
    let config = "tokenizer_config.json";
    for (file, keys, expected) in [
        (
            length,
            json!({"max_sequence_length": 9}),
            "unknown key `max_sequence_length`, expected one of max_seq_length",
        ),
        (length, json!({"max_seq_length": "9"}), "max_seq_length: expected a whole number"),
        (length, json!({"do_lower_case": "no"}), "do_lower_case is \"no\", expected true or false"),
        (length, json!({"model_args": {"load_in_8bit": true}}), "model_args: `load_in_8bit` is true"),
        (length, json!({"model_kwargs": {"dtype": "int8"}}), "model_kwargs: `dtype` is \"int8\""),
        (length, json!({"config_args": {"hidden_act": "relu"}}), "config_args: `hidden_act` is \"relu\""),
        (length, json!({"tokenizer_args": {"tokenizer_file": "/x"}}), "tokenizer_args: `tokenizer_file` is \"/x\""),
        (length, json!({"processor_kwargs": {"add_bos_token": true}}), "processor_kwargs: `add_bos_token` is true"),
        (length, json!({"processor_kwargs": 1}), "processor_kwargs is 1, expected an object"),
        (length, json!({"module_output_name": "sentence_embedding"}), "module_output_name `sentence_embedding`"),
        (length, json!({"query_expansion": {"strategy": "fixed"}}), "query_expansion is {\"strategy\":\"fixed\"}"),
        (length, json!({"tokenizer_name_or_path": "other"}), "tokenizer_name_or_path is \"other\""),
        (st, json!({"similarity_fn_name": "maxsim"}), "similarity_fn_name is \"maxsim\", expected one of cosine, dot,"),
        (st, json!({"truncate_dim": 0}), "truncate_dim is 0, expected a whole number of at least 1"),
        (st, json!({"truncate_dim": "8"}), "truncate_dim is \"8\", expected a whole number"),
        (config, json!({"tokenizer_class": "GPT2Tokenizer"}), "tokenizer_class `GPT2Tokenizer` is not supported"),
        (config, json!({"do_lower_case": "false"}), "`do_lower_case` is \"false\", expected true or false"),
        (config, json!({"added_tokens_decoder": {"x": {"content": "[WORLD]"}}}), "added_tokens_decoder: `x`: expected"),
        (config, json!({"fast_tokenizer_files": ["tokenizer.4.0.0.json"]}), "fast_tokenizer_files is not supported"),
        (config, json!({"truncation_side": "left"}), "truncation_side `left` is not supported"),
        ("special_tokens_map.json", json!({"mask_token": {"content": 1}}), "mask_token: invalid type"),
        (config, json!({"cls_token": ""}), "cls_token: expected a text that is not empty"),
        (config, json!({"extra_special_tokens": 1}), "extra_special_tokens: 1, expected a list of tokens"),
        ("tokenizer.json", json!({"model": 1}), "no object `model`, expected the subwords"),
        ("tokenizer.json", json!({"added_tokens": [{"content": "x"}]}), "added_tokens: a token without an id"),
        ("added_tokens.json", json!({"[WORLD]": "500"}), "`[WORLD]`: \"500\", expected a whole number"),
    ] {
        let base = "st-roberta-tiny-old";
        let (_folder, dir) = match fixture(base).join(file).exists() {
            true => lay_out(base, &Value::Null, &json!({file: keys})),
            false => lay_out(base, &json!({file: keys}), &Value::Null),
        };
        let message = refusal(&dir);
        let place = if expected.starts_with("truncation_side") { "" } else { file };
        assert!(message.contains(place) && message.contains(expected), "{message}");
    }
    for class in ["my_models.Transformer", "sentence_transformers.base.modules.router.Router"] {
        let modules = json!({"modules.json": [{"path": "", "type": class}]});
        let (_folder, dir) = lay_out("st-roberta-tiny-old", &modules, &Value::Null);
        assert!(
            refusal(&dir).contains(&format!("modules.json: module `{class}` is not supported")),
            "{}",
            refusal(&dir)
        );
    }
}

#[test]
fn a_vocabulary_that_is_not_of_its_class_is_refused() {
    // RobertaTokenizer makes three tokens of every text from it.
    let (_folder, dir) = lay_out("roberta-tiny", &json!({"tokenizer_config.json": {}}), &Value::Null);
    fs::write(
        dir.join("config.json"),
        fs::read_to_string(dir.join("config.json")).unwrap().replace("BertTokenizer", "RobertaTokenizer"),
    )
    .unwrap();
    assert!(refusal(&dir).contains("tokenizer.json: WordPiece, and RobertaTokenizer expects BPE"), "{}", refusal(&dir));
}

#[test]
fn an_added_token_without_an_embedding_is_refused_where_a_text_has_it() {
    let (_folder, dir) = lay_out("roberta-tiny", &json!({"added_tokens.json": {"[WORLD]": 500}}), &Value::Null);
    let encoder = load(&dir).unwrap();
    assert!(encoder.encode(&["비가 온다."]).is_ok());
    let message = encoder.encode(&["[WORLD]"]).unwrap_err().to_string();
    assert_eq!(message, "tokenizer: id 500 is beyond the vocabulary of 500");
}

#[test]
fn a_tokenizer_that_others_make_is_refused_with_the_command_that_does() {
    for files in [
        vec!["sentencepiece.bpe.model"],
        vec!["spiece.model"],
        vec!["tokenizer.model"],
        vec!["vocab.json", "merges.txt"],
    ] {
        let (_folder, dir) = lay_out("roberta-tiny", &json!({"tokenizer.json": null}), &Value::Null);
        files.iter().for_each(|name| fs::write(dir.join(name), "").unwrap());
        let message = refusal(&dir);
        let named =
            format!("no tokenizer.json, which is read in place of {}: make it by python -c", files.join(" and "));
        let command = format!("AutoTokenizer.from_pretrained('{0}').save_pretrained('{0}')\"", dir.display());
        assert!(message.contains(&named) && message.ends_with(&command), "{message}");
    }
}

#[test]
fn decomposed_text_has_the_tokens_of_its_composed_form() {
    // unicodedata.normalize("NFD", "비가 온다.") and of "각"
    let (composed, decomposed) = (
        ["비가 온다.", "각"],
        ["\u{1107}\u{1175}\u{1100}\u{1161} \u{110b}\u{1169}\u{11ab}\u{1103}\u{1161}.", "\u{1100}\u{1161}\u{11a8}"],
    );
    let encoder = load(&fixture("roberta-tiny")).unwrap();
    let tokenizer = encoder.tokenizer();
    assert_eq!(tokenizer.encode(&decomposed).unwrap(), tokenizer.encode(&composed).unwrap());
    assert_eq!(tokenizer.tokenize(&decomposed).unwrap(), tokenizer.tokenize(&composed).unwrap());
    assert_eq!(tokenizer.encode_windows(&decomposed).unwrap(), tokenizer.encode_windows(&composed).unwrap());
    assert_eq!(encoder.encode(&decomposed).unwrap(), encoder.encode(&composed).unwrap());
    for alphabet in [model::Alphabet::Syllables, model::Alphabet::Jamo] {
        let ids = |texts: &[&str]| Tokenizer::train(texts, alphabet, 60, 16).unwrap().encode(&composed).unwrap();
        assert_eq!(ids(&decomposed), ids(&composed), "{alphabet:?}");
    }
}

#[test]
fn a_plain_directory_pools_as_it_is_told_and_says_where_nobody_did() {
    let load = |name: &str, pooling| SentenceEncoder::load(fixture(name), &Options { pooling, ..Options::default() });
    let assumed = load("roberta-tiny", None).unwrap();
    assert!(assumed.pooling_was_assumed() && assumed.pooling_beside_directory() == Some(Pooling::MEAN));
    let told = load("roberta-tiny", Some(Pooling::CLS)).unwrap();
    assert!(!told.pooling_was_assumed() && told.pooling_beside_directory() == Some(Pooling::CLS));
    let own = load("st-roberta-tiny-old", None).unwrap();
    assert!(!own.pooling_was_assumed() && own.pooling_beside_directory().is_none());
    assert_eq!(load("st-roberta-tiny-old", Some(Pooling::MEAN)).unwrap().pooling(), Pooling::MEAN);
    let message = load("st-roberta-tiny-old", Some(Pooling::CLS)).unwrap_err().to_string();
    assert!(message.contains("modules.json: its pooling is mean, and cls was asked for"), "{message}");
}

#[test]
fn training_keeps_the_whole_width_of_a_truncated_model() {
    let settings = json!({"config_sentence_transformers.json": {"truncate_dim": 8, "similarity_fn_name": "dot"}});
    let (folder, dir) = lay_out("st-roberta-tiny-old", &settings, &Value::Null);
    let encoder = TrainableEncoder::load(&dir, &Options::default()).unwrap();
    let ids = encoder.tokenizer().encode(&["비가 온다."]).unwrap();
    assert_eq!(encoder.forward(&ids, model::Precision::F32, false).size(), [1, 32]);
    assert_eq!(encoder.encoder().encode_ids(&ids).unwrap().width(), 8);
    let saved = folder.path().join("saved");
    encoder.save(&saved, "").unwrap();
    let written: Value =
        serde_json::from_str(&fs::read_to_string(saved.join("config_sentence_transformers.json")).unwrap()).unwrap();
    assert_eq!((&written["truncate_dim"], &written["similarity_fn_name"]), (&json!(8), &json!("dot")));
    assert_eq!(
        SentenceEncoder::load(&saved, &Options::default()).unwrap().similarity_function(),
        SimilarityFunction::Dot
    );
}
