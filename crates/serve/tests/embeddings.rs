//! The routes of text-embeddings-inference and OpenAI, beside the library's embeddings.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{fs, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use common::{Direct, Server, assert_close, command, model, sentences};
use model::{Quantization, Ranges};
use serde_json::{Value, json};

fn norm(embedding: &Value) -> f64 {
    embedding.as_array().unwrap().iter().map(|value| value.as_f64().unwrap().powi(2)).sum::<f64>().sqrt()
}

#[test]
fn embeddings_are_the_librarys_in_the_order_of_the_sentences() {
    let (server, direct) = (Server::start(&[]), Direct::load());
    let mut sentences = sentences(100);
    sentences.push(sentences[3].clone());
    let answer = server.post("/embed", &json!({"inputs": sentences, "normalize": false}));
    let embeddings = answer.json();
    assert_eq!(embeddings.as_array().unwrap().len(), 101);
    for (sentence, embedding) in sentences.iter().zip(embeddings.as_array().unwrap()) {
        for (value, expected) in embedding.as_array().unwrap().iter().zip(direct.embed(sentence)) {
            assert_close(value, expected);
        }
    }
    let alone = server.post("/embed", &json!({"inputs": sentences[0]})).json();
    assert!((norm(&alone[0]) - 1.0).abs() < 1e-6, "{}", norm(&alone[0]));
    assert!((norm(&embeddings[0]) - 1.0).abs() > 0.1, "{}", norm(&embeddings[0]));
}

#[test]
fn similarities_are_the_librarys() {
    let (server, direct) = (Server::start(&[]), Direct::load());
    let inputs = json!({"source_sentence": "비가 온다.", "sentences": ["비가 내린다.", "밥을 먹었다."]});
    for path in ["/similarity", "/"] {
        let answer = server.post(path, &json!({"inputs": inputs})).json();
        assert_close(&answer[0], direct.cosine("비가 온다.", "비가 내린다."));
        assert_close(&answer[1], direct.cosine("비가 온다.", "밥을 먹었다."));
    }
}

#[test]
fn a_prompt_that_is_named_stands_before_every_text() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("prompted");
    copy(&model(), &dir);
    let path = dir.join("config_sentence_transformers.json");
    let mut settings: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    settings["prompts"] = json!({"query": "질문: ", "passage": ""});
    fs::write(&path, settings.to_string()).unwrap();
    let start = |arguments: &[&str]| {
        Server::spawn(command(arguments).args(["--port", "0", "--precision", "f32", "--model"]).arg(&dir))
    };
    let server = start(&[]);
    let expected = server.post("/embed", &json!({"inputs": "질문: 비가 온다."})).json();
    let ask = |server: &Server, prompt: Value| {
        server.post("/embed", &json!({"inputs": "비가 온다.", "prompt_name": prompt})).json()
    };
    assert_eq!(ask(&server, json!("query")), expected);
    let plain = ask(&server, json!("passage"));
    assert_ne!(plain, expected);
    assert_eq!(ask(&server, Value::Null), plain);
    let openai = server.post("/v1/embeddings", &json!({"input": "비가 온다.", "prompt_name": "query"})).json();
    assert_eq!(openai["data"][0]["embedding"], expected[0]);
    let refused = server.post("/embed", &json!({"inputs": "a", "prompt_name": "document"})).error(422);
    assert!(
        refused.contains("`prompt_name` is \"document\", and the model has the prompts passage, query"),
        "{refused}"
    );
    let info = server.get("/info").json();
    assert_eq!((&info["prompts"]["query"], &info["prompt"]), (&json!("질문: "), &json!("")));
    // Of the server itself, in every route.
    for arguments in [["--prompt-name", "query"], ["--prompt", "질문: "]] {
        let server = start(&arguments);
        assert_eq!(ask(&server, Value::Null), expected, "{arguments:?}");
        assert_eq!(ask(&server, json!("passage")), plain, "{arguments:?}");
        assert_eq!(server.get("/info").json()["prompt"], "질문: ");
        let pair = server.predict("비가 온다.", "밥을 먹었다.").json()["score"].as_f64().unwrap();
        let others = json!({"source_sentence": "비가 온다.", "sentences": ["밥을 먹었다."]});
        let similarity = server.post("/similarity", &json!({"inputs": others})).json()[0].as_f64().unwrap();
        assert!((pair / 5.0 - similarity).abs() < 1e-5, "{pair} {similarity}");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn an_address_alone_serves_both_of_hugging_faces_tasks() {
    let server = Server::start(&[]);
    let embed = json!({"inputs": ["비가 온다."]});
    assert_eq!(server.post("/", &embed).json(), server.post("/embed", &embed).json());
    assert!(server.post("/", &json!({"input": "a"})).error(422).contains("missing field `inputs`"));
}

#[test]
fn openais_two_formats_hold_the_same_numbers() {
    let server = Server::start(&[]);
    let ask = |format: &str| {
        let body = json!({"input": ["비가 온다.", "밥을 먹었다."], "model": "any", "encoding_format": format});
        server.post("/v1/embeddings", &body).json()
    };
    let (float, base64) = (ask("float"), ask("base64"));
    for index in 0..2 {
        assert_eq!(float["data"][index]["index"], index);
        let numbers = float["data"][index]["embedding"].as_array().unwrap();
        let bytes = BASE64_STANDARD.decode(base64["data"][index]["embedding"].as_str().unwrap()).unwrap();
        let decoded: Vec<f32> = bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
        assert_eq!(numbers.len(), 32);
        assert!(numbers.iter().zip(&decoded).all(|(number, value)| number.as_f64().unwrap() as f32 == *value));
    }
    assert_eq!(float["usage"], base64["usage"]);
    assert!(float["usage"]["prompt_tokens"].as_u64().unwrap() >= 8, "{}", float["usage"]);
}

#[test]
fn fewer_numbers_and_smaller_ones_are_the_librarys() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ranges.json");
    let embedding: Vec<f32> = Direct::load().embed("비가 온다.").iter().map(|x| *x as f32).collect();
    let unit = |kept: usize| {
        let mut kept = embedding[..kept].to_vec();
        model::normalize(&mut kept);
        kept
    };
    let ranges = Ranges { min: vec![-0.5; 32], max: vec![0.25; 32] };
    fs::write(&path, serde_json::to_string(&ranges).unwrap()).unwrap();
    let server = Server::start(&["--allow-truncation", "--ranges", path.to_str().unwrap()]);
    let info = server.get("/info").json();
    assert_eq!((&info["truncatable"], &info["matryoshka_dims"]), (&json!(true), &json!([])));
    let ask = |more: Value| {
        let mut body = json!({"inputs": "비가 온다.", "input": "비가 온다."});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let tei = server.post("/embed", &body).json()[0].clone();
        let openai = server.post("/v1/embeddings", &body).json()["data"][0]["embedding"].clone();
        assert_eq!(tei, openai, "{body}");
        tei
    };
    let kept = ask(json!({"dimensions": 8}));
    assert_eq!(kept.as_array().unwrap().len(), 8);
    kept.as_array().unwrap().iter().zip(unit(8)).for_each(|(found, expected)| assert_close(found, expected.into()));
    for name in ["int8", "uint8", "binary", "ubinary"] {
        let quantization: Quantization = name.parse().unwrap();
        let expected = quantization.quantize(&unit(32), &ranges);
        assert_eq!(ask(json!({"output_dtype": name})), serde_json::to_value(&expected).unwrap(), "{name}");
        let body = json!({"input": "비가 온다.", "output_dtype": name, "encoding_format": "base64"});
        let base64 = server.post("/v1/embeddings", &body).json()["data"][0]["embedding"].clone();
        assert_eq!(BASE64_STANDARD.decode(base64.as_str().unwrap()).unwrap(), expected.bytes(), "{name}");
    }
    let bits = serde_json::to_value(Quantization::Ubinary.quantize(&unit(9), &ranges)).unwrap();
    assert_eq!(ask(json!({"output_dtype": "ubinary", "dimensions": 9})), bits);
    for (body, expected) in [
        (json!({"inputs": "a", "dimensions": 33}), "`dimensions` is 33, expected 1..=32"),
        (json!({"inputs": "a", "dimensions": 0}), "`dimensions` is 0, expected 1..=32"),
        (json!({"inputs": "a", "dimensions": 9, "output_dtype": "int8"}), "--ranges are of 32 numbers"),
        (json!({"inputs": "a", "output_dtype": "bit"}), "unknown variant"),
    ] {
        let refused = server.post("/embed", &body);
        assert!(refused.text.contains(expected) && (400..500).contains(&refused.status), "{}", refused.text);
    }
    let plain = Server::start(&[]);
    let refused = plain.post("/embed", &json!({"inputs": "a", "output_dtype": "uint8"})).error(422);
    assert!(refused.contains("it is started with them by --ranges"), "{refused}");
    assert_eq!(plain.get("/info").json()["truncatable"], false);
    // Of the server itself, for every route.
    let narrow = Server::start(&["--allow-truncation", "--dimensions", "8"]);
    assert_eq!(narrow.post("/embed", &json!({"inputs": "비가 온다."})).json()[0].as_array().unwrap().len(), 8);
    assert_eq!(narrow.get("/info").json()["hidden_size"], 8);
}

#[test]
fn openais_errors_have_openais_form() {
    let server = Server::start(&[]);
    for body in [json!({"input": "a", "dimensions": 7}), json!({}), json!({"input": []})] {
        let answer = server.post("/v1/embeddings", &body);
        assert_eq!(answer.status, 400, "{}", answer.text);
        let error: Value = serde_json::from_str(&answer.text).unwrap();
        assert_eq!(error["error"]["type"], "invalid_request_error");
        assert!(error["error"]["message"].is_string());
        assert!(!answer.header("x-request-id").is_empty());
    }
    assert_eq!(server.post("/v1/embeddings", &json!({"input": "a", "dimensions": 32})).status, 200);
}

#[test]
fn truncation_is_counted_and_can_be_refused() {
    let server = Server::start(&[]);
    let long = "비가 온다. ".repeat(100);
    let ask = |truncate: Value| server.post("/embed", &json!({"inputs": ["짧다.", long, long], "truncate": truncate}));
    for _ in 0..2 {
        assert_eq!(ask(Value::Null).header("x-truncated"), "2"); // the second time from the cache
        assert!(ask(json!(false)).error(422).contains("more than 24 tokens"));
    }
    assert_eq!(server.predict("짧다.", "길다.").header("x-truncated"), "0");
    assert_eq!(server.metric("te_truncated_count"), 4.0);
    let rank = server.rank(format!("{long}\n짧다.\n").as_bytes(), &[("base_sentence", "짧다.")]);
    assert_eq!(rank.header("x-truncated"), "1");

    let strict = Server::start(&["--auto-truncate", "false"]);
    assert_eq!(strict.post("/embed", &json!({"inputs": long})).status, 422);
    assert_eq!(strict.post("/embed", &json!({"inputs": long, "truncate": true})).status, 200);
}

#[test]
fn a_sentence_asked_for_again_comes_from_the_cache() {
    let server = Server::start(&[]);
    let (first, second) = (server.predict("가", "나"), server.predict("가", "나"));
    assert_eq!(first.json(), second.json());
    assert_eq!((server.metric("te_cache_hits"), server.metric("te_cache_misses")), (2.0, 2.0));
    assert_eq!(first.header("x-compute-tokens"), second.header("x-compute-tokens"));
}

#[test]
fn what_does_not_serve_is_named() {
    let server = Server::start(&["--max-client-batch-size", "3", "--max-body-bytes", "1000"]);
    for (path, body, status, expected) in [
        ("/embed", json!({"inputs": []}), 400, "`inputs` is empty"),
        ("/embed", json!({"inputs": ["a", ""]}), 400, "`inputs[1]` is empty"),
        (
            "/embed",
            json!({"inputs": ["a", "b", "c", "d"]}),
            413,
            "`inputs` has 4 sentences, and the server's max_client_batch_size is 3",
        ),
        (
            "/embed",
            json!({"inputs": "a", "prompt_name": "title"}),
            422,
            "`prompt_name` is \"title\", and the model has the prompts document, query",
        ),
        (
            "/embed",
            json!({"inputs": "a", "dimensions": 8}),
            422,
            "`dimensions` is 8, expected 32: the model does not say that the first numbers of its embeddings stand for the \
             whole (Matryoshka); the server's --allow-truncation truncates all the same",
        ),
        (
            "/embed",
            json!({"inputs": "a".repeat(1000)}),
            413,
            "the body has more than 1000 bytes, the server's max_body_bytes",
        ),
        (
            "/similarity",
            json!({"inputs": {"source_sentence": "", "sentences": ["a"]}}),
            400,
            "`source_sentence` is empty",
        ),
    ] {
        assert_eq!(server.post(path, &body).error(status), expected);
    }
    assert!(server.post("/embed", &json!({"inputs": 1})).error(422).contains("expected a string or a list of strings"));
    assert!(server.post("/embed", &json!({"inputs": "a", "truncation_direction": "left"})).error(422).contains("left"));
}

#[test]
fn info_tells_the_model_and_the_limits() {
    let info = Server::start(&[]).get("/info").json();
    assert_eq!(info["model_type"]["embedding"]["pooling"], "mean");
    assert_eq!((info["max_input_length"].as_u64(), info["hidden_size"].as_u64()), (Some(24), Some(32)));
    assert_eq!(info["model_dtype"], "float32");
    assert_eq!(info["max_client_batch_size"], 1024);
}
