//! A server with a reranker, beside the library's scores.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::{Server, assert_close, command, model};
use model::{CrossEncoder, Options, ScoreActivation};
use serde_json::{Value, json};
use tempfile::TempDir;

const QUERY: &str = "비가 온다.";
const TEXTS: [&str; 5] = ["비가 내린다.", "밥을 먹었다.", "비가 내린다.", "오늘은 날씨가 좋다.", "우산을 쓴다."];

/// The tiny cross-encoder of a family with a tokenizer.
fn reranker(folder: &Path, name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures");
    let dir = folder.join(name);
    fs::create_dir(&dir).unwrap();
    for (from, file) in [
        (format!("cross-encoders/{name}"), "config.json"),
        (format!("cross-encoders/{name}"), "model.safetensors"),
        ("roberta-tiny".to_owned(), "tokenizer.json"),
        ("roberta-tiny".to_owned(), "tokenizer_config.json"),
    ] {
        fs::copy(fixtures.join(from).join(file), dir.join(file)).unwrap();
    }
    dir
}

struct Stage {
    _folder: TempDir,
    server: Server,
    library: CrossEncoder,
}

fn stage(more: &[&str]) -> Stage {
    let folder = TempDir::new().unwrap();
    let dir = reranker(folder.path(), "roberta");
    let server = Server::start(&[&["--reranker", dir.to_str().unwrap()], more].concat());
    Stage { _folder: folder, server, library: CrossEncoder::load(&dir, &Options::default()).unwrap() }
}

impl Stage {
    /// The library's numbers of texts with the query.
    fn numbers(&self, texts: &[&str]) -> Vec<f32> {
        let pairs: Vec<[&str; 2]> = texts.iter().map(|text| [QUERY, text]).collect();
        self.library.logits(&pairs, &mut |_| {}).unwrap().0
    }
}

/// Places of numbers, the largest first.
fn order(numbers: &[f32]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..numbers.len()).collect();
    places.sort_by(|a, b| numbers[*b].total_cmp(&numbers[*a]));
    places
}

fn refusal(arguments: &[&str]) -> String {
    let output = command(arguments).args(["--port", "0"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    stderr.lines().last().unwrap().to_owned()
}

#[test]
fn scores_are_the_librarys_best_first_in_both_forms() {
    let stage = stage(&[]);
    let (numbers, sigmoid) = (stage.numbers(&TEXTS), |x: f32| f64::from(ScoreActivation::Sigmoid.apply(x)));
    let order = order(&numbers);
    let body = json!({"query": QUERY, "texts": TEXTS});
    let results = stage.server.post("/rerank", &body).json();
    assert_eq!(results.as_array().unwrap().len(), 5);
    for (result, &place) in results.as_array().unwrap().iter().zip(&order) {
        assert_eq!((&result["index"], result.get("text")), (&json!(place), None));
        assert_close(&result["score"], sigmoid(numbers[place]));
    }
    let raw = json!({"query": QUERY, "texts": TEXTS, "raw_scores": true, "return_text": true});
    for (result, &place) in stage.server.post("/rerank", &raw).json().as_array().unwrap().iter().zip(&order) {
        assert_close(&result["score"], numbers[place].into());
        assert_eq!(result["text"], TEXTS[place]);
    }
    let documents =
        json!(["비가 내린다.", {"text": "밥을 먹었다."}, "비가 내린다.", "오늘은 날씨가 좋다.", "우산을 쓴다."]);
    let body = json!({"model": "any", "query": QUERY, "documents": documents, "top_n": 3, "return_documents": true});
    for (path, version) in [("/v1/rerank", "1"), ("/v2/rerank", "2"), ("/rerank", "1")] {
        let answer = stage.server.post(path, &body).json();
        assert_eq!((&answer["meta"]["api_version"]["version"], answer["id"].is_string()), (&json!(version), true));
        let results = answer["results"].as_array().unwrap();
        assert_eq!(results.len(), 3);
        for (result, &place) in results.iter().zip(&order) {
            assert_eq!(result["index"], json!(place), "{path}");
            assert_close(&result["relevance_score"], sigmoid(numbers[place]));
            assert_eq!(result["document"], json!({"text": TEXTS[place]}));
        }
    }
    let info = stage.server.get("/info").json();
    assert_eq!((&info["max_rerank_length"], &info["score_by"]), (&json!(64), &json!("cosine")));
    assert!(info["reranker"].as_str().unwrap().ends_with("roberta"));
}

#[test]
fn pairs_share_cache_limits_and_queue_with_sentences() {
    let stage = stage(&["--max-client-batch-size", "5"]);
    let body = json!({"query": QUERY, "texts": TEXTS});
    let (first, second) = (stage.server.post("/rerank", &body), stage.server.post("/rerank", &body));
    assert_eq!(first.json(), second.json());
    assert_eq!((stage.server.metric("te_cache_hits"), stage.server.metric("te_cache_misses")), (4.0, 4.0));
    assert_eq!(first.header("x-compute-tokens"), second.header("x-compute-tokens"));
    // A pair is no sentence, and neither is it the pair the other way round.
    let turned = json!({"query": TEXTS[0], "texts": [QUERY]});
    assert_ne!(stage.server.post("/rerank", &turned).json()[0]["score"], first.json()[0]["score"]);
    let long = "비가 온다. ".repeat(100);
    let cut = stage.server.post("/rerank", &json!({"query": QUERY, "texts": [long]}));
    assert_eq!(cut.header("x-truncated"), "1");
    let strict = stage.server.post("/rerank", &json!({"query": QUERY, "texts": [long], "truncate": false}));
    assert!(strict.error(422).contains("have more than 64 tokens"), "{}", strict.text);
    for (path, body, status, expected) in [
        ("/rerank", json!({"query": QUERY, "texts": []}), 400, "`texts` is empty"),
        ("/rerank", json!({"query": " ", "texts": ["a"]}), 400, "`query` is empty"),
        (
            "/rerank",
            json!({"query": QUERY, "texts": ["a", "b", "c", "d", "e", "f"]}),
            413,
            "max_client_batch_size is 5",
        ),
        ("/rerank", json!({"query": QUERY, "texts": ["a", ""]}), 400, "`texts[1]` is empty"),
        ("/rerank", json!({"texts": ["a"]}), 422, "missing field `query`"),
        (
            "/v2/rerank",
            json!({"query": QUERY, "documents": [1]}),
            422,
            "expected a text, or an object with a text `text`",
        ),
        ("/v2/rerank", json!({"query": QUERY, "documents": ["a"], "top_n": 0}), 422, "`top_n` is 0"),
    ] {
        let refused = stage.server.post(path, &body);
        assert_eq!(refused.status, status, "{}", refused.text);
        assert!(refused.text.contains(expected), "{}", refused.text);
    }
    let refused = stage.server.post("/v1/rerank", &json!({"query": QUERY, "documents": []}));
    let error: Value = serde_json::from_str(&refused.text).unwrap();
    assert_eq!((refused.status, &error["error"]["type"]), (400, &json!("invalid_request_error")));
    // Sentences are what they were.
    let embedding = stage.server.post("/embed", &json!({"inputs": QUERY})).json();
    assert_eq!(embedding[0].as_array().unwrap().len(), 32);
}

#[test]
fn a_files_best_rows_are_sorted_by_the_reranker() {
    let stage = stage(&[]);
    let csv = format!("문장\n{}\n\n", TEXTS.join("\n"));
    let rank =
        |fields: &[(&str, &str)]| stage.server.rank(csv.as_bytes(), &[&[("base_sentence", QUERY)], fields].concat());
    let by_cosine = rank(&[("top_k", "4")]).json();
    let best: Vec<usize> =
        by_cosine["results"].as_array().unwrap().iter().map(|row| row["index"].as_u64().unwrap() as usize).collect();
    let numbers = stage.numbers(&best.iter().map(|&row| TEXTS[row]).collect::<Vec<_>>());
    let answer = rank(&[("rerank", "4"), ("top_k", "2")]).json();
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    for (result, place) in results.iter().zip(order(&numbers)) {
        assert_eq!(result["index"], json!(best[place]));
        assert_close(&result["rerank_score"], ScoreActivation::Sigmoid.apply(numbers[place]).into());
        assert_eq!(result["sentence"], TEXTS[best[place]]);
    }
    assert_eq!(rank(&[("rerank", "3")]).json()["results"].as_array().unwrap().len(), 3);
    assert!(by_cosine["results"][0].get("rerank_score").is_none());
    assert!(rank(&[("rerank", "0")]).error(422).contains("`rerank` is 0"));
    assert!(rank(&[("rerank", "1025")]).error(413).contains("max_client_batch_size is 1024"));
    let plain = Server::start(&[]);
    let refused = plain.rank(csv.as_bytes(), &[("base_sentence", QUERY), ("rerank", "3")]);
    assert!(refused.error(404).contains("no reranker"), "{}", refused.text);
}

#[test]
fn the_score_of_two_sentences_can_be_the_rerankers() {
    let stage = stage(&["--score-by", "reranker"]);
    let expected = 5.0 * ScoreActivation::Sigmoid.apply(stage.numbers(&TEXTS[..1])[0]);
    let answer = stage.server.predict(QUERY, TEXTS[0]).json();
    assert_close(&answer["score"], expected.into());
    let cosine = Server::start(&[]).predict(QUERY, TEXTS[0]).json();
    assert_eq!(answer["cosine"], cosine["cosine"]);
    assert_ne!(answer["score"], cosine["score"]);
}

#[test]
fn a_server_without_a_reranker_says_so_and_another_kind_of_model_does_not_start() {
    let server = Server::start(&[]);
    for path in ["/rerank", "/v2/rerank"] {
        let body = json!({"query": QUERY, "texts": TEXTS, "documents": TEXTS});
        assert!(server.post(path, &body).error(404).contains("it is started with one by --reranker"));
    }
    let api = server.get("/openapi.json").json();
    assert!(api["paths"].get("/rerank").is_none() && server.get("/info").json()["reranker"].is_null());
    let with = stage(&[]).server.get("/openapi.json").json();
    assert!(with["paths"].get("/rerank").is_some() && with["paths"].get("/v2/rerank").is_some());
    let folder = TempDir::new().unwrap();
    let own = model();
    let model = own.to_str().unwrap();
    let line = refusal(&["--model", model, "--reranker", model]);
    assert!(line.contains("a sentence encoder (model_type: SentenceTransformer), expected a cross-encoder"), "{line}");
    let cross = reranker(folder.path(), "roberta");
    let cross = cross.to_str().unwrap();
    let line = refusal(&["--model", cross]);
    assert!(line.contains("config.json: a classifier or reranker"), "{line}");
    assert!(line.ends_with("; a reranker is named by --reranker"), "{line}");
    let line = refusal(&["--reranker-only", "--reranker", cross, "--dimensions", "8"]);
    assert!(line.contains("dimensions is of a sentence encoder, and reranker_only leaves it out"), "{line}");
    let line = refusal(&["--reranker-only", "--reranker", model]);
    assert!(line.contains("expected a cross-encoder"), "{line}");
    assert!(refusal(&["--reranker-only"]).contains("name one by --reranker"));
    let labelled = reranker(folder.path(), "distilbert");
    let line = refusal(&["--model", model, "--reranker", labelled.to_str().unwrap()]);
    assert!(line.contains("the cross-encoder has 3 labels"), "{line}");
    let line = refusal(&["--model", model, "--score-by", "reranker"]);
    assert!(line.contains("score_by is reranker, and there is none"), "{line}");
}

#[test]
fn a_reranker_alone_is_a_server_without_embeddings() {
    let folder = TempDir::new().unwrap();
    let dir = reranker(folder.path(), "roberta");
    let with = stage(&["--score-by", "reranker"]);
    let arguments = ["--reranker-only", "--reranker", dir.to_str().unwrap(), "--port", "0", "--precision", "f32"];
    let server = Server::spawn(&mut command(&arguments));
    let body = json!({"query": QUERY, "texts": TEXTS});
    assert_eq!(server.post("/rerank", &body).json(), with.server.post("/rerank", &body).json());
    let score = server.predict(QUERY, TEXTS[0]).json();
    assert_eq!(score["score"], with.server.predict(QUERY, TEXTS[0]).json()["score"]);
    assert!(score.get("cosine").is_none(), "{score}");
    for (path, body) in [
        ("/embed", json!({"inputs": QUERY})),
        ("/similarity", json!({"inputs": {"source_sentence": QUERY, "sentences": TEXTS}})),
        ("/", json!({"inputs": QUERY})),
        ("/v1/embeddings", json!({"input": QUERY})),
    ] {
        let refused = server.post(path, &body);
        assert_eq!(refused.status, 404, "{path}");
        assert!(refused.text.contains("a reranker alone, and no embeddings"), "{path}: {}", refused.text);
    }
    let info = server.get("/info").json();
    assert_eq!(info["model_type"], json!({"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}}));
    assert!(info["hidden_size"].is_null() && info["similarity"].is_null());
    assert_eq!(info["score_by"], "reranker");
    let paths = server.get("/openapi.json").json();
    assert!(paths["paths"].get("/rerank").is_some() && paths["paths"].get("/embed").is_none());
}
