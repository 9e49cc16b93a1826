//! `POST /search` over a corpus that `embed` wrote.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{fs, path::Path};

use common::{Direct, Server, assert_close, command, model, sentences};
use embed::{Added, Columns, Dtype, Job, Settings, Shard, Table, embed_table};
use model::{Options, SentenceEncoder, fingerprint};
use serde_json::{Value, json};
use tempfile::TempDir;

const KINDS: [&str; 2] = ["뉴스", "리뷰"];

/// 300 sentences with a number and a kind, embedded by the tiny model; every tenth is blank.
fn corpus(folder: &Path) -> Vec<String> {
    let sentences = sentences(300);
    let row = |(number, sentence): (usize, &String)| {
        let text = if number % 10 == 9 { "" } else { sentence };
        json!({"number": number, "text": text, "kind": KINDS[number % 2], "score": "own"}).to_string() + "\n"
    };
    fs::write(folder.join("rows.jsonl"), sentences.iter().enumerate().map(row).collect::<String>()).unwrap();
    let encoder = SentenceEncoder::load(model(), &Options::default()).unwrap();
    let table = Table::open(&[folder.join("rows.jsonl").display().to_string()], &tables::Options::default()).unwrap();
    let columns = Columns::Embedding { text: "text".into(), name: "embedding".into(), dtype: Dtype::F32 };
    let added = Added::new(columns.clone(), &table.schema, 32).unwrap();
    let settings = Settings::new(&model(), fingerprint(&model()).unwrap(), &encoder, columns, 100, &table);
    let output = folder.join("corpus");
    embed_table(&Job { table, added, output, settings, shard: Shard::WHOLE }, &encoder).unwrap();
    sentences
}

fn start(folder: &Path, more: &[&str]) -> Server {
    let corpus = folder.join("corpus");
    Server::start(&[&["--corpus", corpus.to_str().unwrap()], more].concat())
}

#[test]
fn the_nearest_rows_come_with_their_columns_in_every_format() {
    let folder = TempDir::new().unwrap();
    let (sentences, direct) = (corpus(folder.path()), Direct::load());
    let query = "17번째 문장은 눈이 온다.";
    let mut expected: Vec<(usize, f64)> =
        (0..300).filter(|row| row % 10 != 9).map(|row| (row, direct.cosine(query, &sentences[row]))).collect();
    expected.sort_by(|a, b| b.1.total_cmp(&a.1));
    for format in ["f32", "bf16", "int8"] {
        let server = start(folder.path(), &["--corpus-format", format]);
        let answer = server.post("/search", &json!({"query": query, "top_k": 7})).json();
        let results = answer["results"].as_array().unwrap();
        assert_eq!(results.len(), 7);
        for (result, (row, cosine)) in results.iter().zip(&expected) {
            assert_eq!(result["index"], json!(row), "{format}");
            assert_eq!(result["sentence"], json!(sentences[*row]));
            assert_eq!((&result["number"], &result["kind"]), (&json!(row), &json!(KINDS[row % 2])));
            // A column of that name gives way.
            assert_close(&result["score"], 5.0 * cosine);
            assert!(
                result.get("text").is_none() && result.get("embedding").is_none() && result.get("#index").is_none()
            );
        }
        assert_eq!(server.get("/info").json()["corpus_rows"], 270);
    }
}

#[test]
fn a_filter_is_kept_and_what_does_not_serve_is_named() {
    let folder = TempDir::new().unwrap();
    corpus(folder.path());
    let server = start(folder.path(), &[]);
    let search = |body: Value| server.post("/search", &body);
    let found = search(json!({"query": "비가 온다.", "filter": {"kind": "리뷰"}})).json();
    let rows = found["results"].as_array().unwrap();
    assert!(rows.len() == 10 && rows.iter().all(|row| row["kind"] == "리뷰"), "{found}");
    let found = search(json!({"query": "비가 온다.", "filter": {"number": 9}})).json();
    assert_eq!(found, json!({"results": []}), "a row without a text is not to be found");
    for (body, status, error) in [
        (json!({"query": " "}), 400, "`query` is empty"),
        (json!({"query": "비", "top_k": 0}), 422, "`top_k` is 0, expected 1 to 1000"),
        (json!({"query": "비", "top_k": 1001}), 422, "`top_k` is 1001, expected 1 to 1000"),
        (json!({"query": "비", "filter": {"x": 1}}), 422, "`filter`: no column is named \"x\"; there are "),
        (
            json!({"query": "비", "filter": {"number": "9"}}),
            422,
            "`filter`: column \"number\" holds whole numbers (Int64), which \"9\" is not",
        ),
    ] {
        let answer = search(body);
        let body: Value = serde_json::from_str(&answer.text).unwrap();
        let text = body["error"].as_str().unwrap();
        assert_eq!(answer.status, status, "{text}");
        assert!(text.starts_with(error), "{text}");
    }
    assert_eq!(search(json!({"query": "비", "topk": 3})).status, 422);
}

#[test]
fn without_a_corpus_there_is_nothing_to_search() {
    let server = Server::start(&[]);
    let answer = server.post("/search", &json!({"query": "비가 온다."}));
    assert_eq!(answer.status, 404);
    assert!(answer.text.contains("it is started with one by --corpus DIR"), "{}", answer.text);
    assert_eq!(server.get("/info").json()["corpus_rows"], Value::Null);
    let paths = server.get("/openapi.json").json()["paths"].clone();
    assert!(paths.get("/search").is_none() && paths.get("/embed").is_some());
}

#[test]
fn a_corpus_of_another_model_is_refused() {
    let folder = TempDir::new().unwrap();
    corpus(folder.path());
    let settings = folder.path().join("corpus/_embed.json");
    let text = fs::read_to_string(&settings).unwrap().replace("\"model_sha256\": \"", "\"model_sha256\": \"0");
    fs::write(&settings, text).unwrap();
    let corpus = folder.path().join("corpus");
    let mut server = command(&["--port", "0", "--corpus", corpus.to_str().unwrap(), "--model"]);
    let output = server.arg(model()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let last = stderr.lines().last().unwrap();
    assert!(last.starts_with("error: ") && last.contains("was embedded by another model"), "{stderr}");
}
