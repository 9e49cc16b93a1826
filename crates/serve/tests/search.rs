//! `POST /search` over a corpus that `embed` wrote.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{fs, path::Path};

use arrow_array::{cast::AsArray, types::Float64Type};
use common::{Direct, Server, assert_close, command, model, sentences};
use embed::{Added, Columns, Dtype, Job, Model, Settings, Shard, Table, embed_table};
use model::{Options, SentenceEncoder, fingerprint};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
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
    let columns = Columns::Embedding { text: "text".into(), name: "embedding".into(), dtype: Dtype::F32 };
    embed(folder, "rows.jsonl", columns);
    sentences
}

/// Embeds a table by the tiny model.
fn embed(folder: &Path, table: &str, columns: Columns) {
    let encoder = Model::from(SentenceEncoder::load(model(), &Options::default()).unwrap());
    let names = match &columns {
        Columns::Embedding { text, .. } => vec![text.clone()],
        Columns::Score { texts, .. } => texts.to_vec(),
    };
    let reading = tables::Options { names, ..tables::Options::default() };
    let table = Table::open(&[folder.join(table).display().to_string()], &reading).unwrap();
    let added = Added::new(columns.clone(), &table.schema, 32, Default::default()).unwrap();
    let settings = Settings::new(&model(), fingerprint(&model()).unwrap(), &encoder, columns, 100, &table);
    let output = folder.join("corpus");
    embed_table(&Job { table, added, output, settings, shard: Shard::WHOLE }, &encoder).unwrap();
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
            assert_close(&result["score"], 5.0 * cosine);
            // The table's own columns, also those that are named as one of the answer's.
            let own = json!({"kind": KINDS[row % 2], "number": row, "score": "own", "text": sentences[*row]});
            assert_eq!(result["row"], own);
            assert_eq!(result.as_object().unwrap().len(), 4, "{result}");
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
    assert!(rows.len() == 10 && rows.iter().all(|row| row["row"]["kind"] == "리뷰"), "{found}");
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
            "`filter`: column \"number\" holds whole numbers: expected one such as 4, a list of them, or bounds, not \"9\"",
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
fn a_csv_files_columns_come_in_its_order_as_the_text_that_they_are_and_are_filtered_as_meant() {
    let folder = TempDir::new().unwrap();
    let header = "score,#index,2024,row,sentence,index,text,id,별점";
    let rows: String = (0..30)
        .map(|row| format!("s{row},#{row},y,r,own,i{row},{row}번 버스가 온다.,{row:03},{}\n", row % 6))
        .collect();
    fs::write(folder.path().join("rows.csv"), format!("{header}\n{rows}")).unwrap();
    embed(
        folder.path(),
        "rows.csv",
        Columns::Embedding { text: "text".into(), name: "embedding".into(), dtype: Dtype::Int8 },
    );
    let server = start(folder.path(), &[]);
    let search =
        |filter: Value| server.post("/search", &json!({"query": "7번 버스가 온다.", "filter": filter, "top_k": 30}));
    let answer = search(json!({"id": "007"}));
    let row = r##""row":{"score":"s7","#index":"#7","2024":"y","row":"r","sentence":"own","index":"i7","text":"7번 버스가 온다.","id":"007","별점":"1"}"##;
    assert!(answer.text.contains(row), "{}", answer.text);
    let found = |filter: Value| {
        let answer = search(filter).json();
        let mut rows: Vec<u64> =
            answer["results"].as_array().unwrap().iter().map(|row| row["index"].as_u64().unwrap()).collect();
        rows.sort_unstable();
        rows
    };
    assert_eq!(found(json!({"별점": {"gte": 5}})), [5, 11, 17, 23, 29]);
    assert_eq!(found(json!({"별점": ["5", 4], "id": {"lt": "011"}})), [4, 5, 10]);
    // As macOS writes the name.
    assert_eq!(found(json!({"\u{1107}\u{1167}\u{11af}\u{110c}\u{1165}\u{11b7}": "5", "id": 11})), [11]);
    assert_eq!(found(json!({"id": []})), Vec::<u64>::new());
    let answer = search(json!({"별점": {"min": 4}}));
    assert_eq!(answer.status, 422);
    assert!(answer.text.contains("expected bounds by gte, gt, lte or lt"), "{}", answer.text);
}

#[test]
fn a_pair_has_the_score_that_batch_embedding_writes() {
    let folder = TempDir::new().unwrap();
    let pairs =
        [["비가 온다.", "눈이 온다."], ["비가 온다.", "비가 온다."], ["17번 버스가 온다.", "회의는 3시에 시작합니다."]];
    let rows: String = pairs.iter().map(|pair| pair.join("\t") + "\n").collect();
    fs::write(folder.path().join("rows.tsv"), format!("a\tb\n{rows}")).unwrap();
    embed(folder.path(), "rows.tsv", Columns::Score { texts: ["a".into(), "b".into()], name: "score".into() });
    let part = fs::File::open(folder.path().join("corpus/part-00000-00000.parquet")).unwrap();
    let batch = ParquetRecordBatchReaderBuilder::try_new(part).unwrap().build().unwrap().next().unwrap().unwrap();
    let scores = batch.column_by_name("score").unwrap().as_primitive::<Float64Type>();
    let server = Server::start(&[]);
    for (row, [a, b]) in pairs.into_iter().enumerate() {
        assert_close(&server.predict(a, b).json()["score"], scores.value(row));
    }
    assert!((5.0 - scores.value(1)).abs() < 1e-9 && scores.value(1) <= 5.0);
}

#[test]
fn the_filter_is_described_with_examples() {
    let folder = TempDir::new().unwrap();
    corpus(folder.path());
    let server = start(folder.path(), &[]);
    let api = server.get("/openapi.json").json();
    let schemas = &api["components"]["schemas"];
    let filter =
        serde_json::to_string(&[&schemas["SearchRequest"], &schemas["Filter"], &schemas["Condition"]]).unwrap();
    for word in ["gte", "gt", "lte", "lt", "부산", "column of text", "whole day", "null", "NFC"] {
        assert!(filter.contains(word), "{word}: {filter}");
    }
    assert!(schemas["Found"]["properties"]["row"].is_object());
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

/// A request for a host, over its own connection; the answer's status.
fn status_for(server: &Server, path: &str, hosts: &[&str]) -> u16 {
    let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
    let body = r#"{"query": "가"}"#;
    let request = match path {
        "/search" => format!(
            "POST {path} HTTP/1.1\r\n{hosts}Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ),
        _ => format!("GET {path} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n"),
    };
    let answer = server.raw(request.as_bytes());
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("{answer:?}")).parse().unwrap()
}

#[test]
fn an_open_corpus_answers_for_no_strange_host() {
    let folder = tempfile::tempdir().unwrap();
    corpus(folder.path());
    let server = start(folder.path(), &["--allowed-host", "STS.example.org", "--allowed-host", "10.1.2.3"]);
    for host in
        ["localhost", "localhost:1", "127.0.0.1:9", "[::1]", "sts.example.org:80", "sts.Example.org.", "10.1.2.3"]
    {
        assert_eq!(status_for(&server, "/search", &[host]), 200, "{host}");
    }
    for hosts in
        [&["evil.example"][..], &["127.0.0.1.evil.example"], &["10.1.2.4"], &[], &["localhost", "evil.example"], &[""]]
    {
        let status = status_for(&server, "/search", hosts);
        assert!(status == 421 || status == 400 && hosts.len() != 1, "{hosts:?}: {status}");
        assert!([421, 400].contains(&status_for(&server, "/", hosts)), "{hosts:?}: the page too");
        if hosts == ["evil.example"] {
            assert_eq!(status_for(&server, "/health", hosts), 200);
            assert_eq!(status_for(&server, "/metrics", hosts), 200);
        }
    }
    let absolute = "GET http://evil.example/info HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert!(server.raw(absolute.as_bytes()).contains("421"));
    // Without a corpus, or with keys, there is nothing that a page could read.
    assert_eq!(status_for(&Server::start(&[]), "/info", &["evil.example"]), 200);
}

#[test]
fn a_host_that_is_none_is_refused_at_the_start() {
    for host in ["http://a.example", "a.example:80", "a b", ""] {
        let mut command = command(&["--allowed-host", host, "--model"]);
        let output = command.arg(common::model()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{host}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("access.allowed_hosts has") && text.lines().count() == 1, "{host}: {text}");
    }
}

#[test]
fn the_nearest_rows_are_sorted_by_the_reranker() {
    let folder = TempDir::new().unwrap();
    let sentences = corpus(folder.path());
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures");
    let dir = folder.path().join("reranker");
    fs::create_dir(&dir).unwrap();
    for (from, file) in [
        ("cross-encoders/roberta", "config.json"),
        ("cross-encoders/roberta", "model.safetensors"),
        ("roberta-tiny", "tokenizer.json"),
        ("roberta-tiny", "tokenizer_config.json"),
    ] {
        fs::copy(fixtures.join(from).join(file), dir.join(file)).unwrap();
    }
    let server = start(folder.path(), &["--reranker", dir.to_str().unwrap()]);
    let query = "17번째 문장은 눈이 온다.";
    let ask = |more: Value| {
        let mut body = json!({"query": query});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.post("/search", &body)
    };
    let nearest = ask(json!({"top_k": 20})).json();
    let rows: Vec<usize> =
        nearest["results"].as_array().unwrap().iter().map(|row| row["index"].as_u64().unwrap() as usize).collect();
    let library = model::CrossEncoder::load(&dir, &Options::default()).unwrap();
    let pairs: Vec<[&str; 2]> = rows.iter().map(|&row| [query, sentences[row].as_str()]).collect();
    let scores = library.scores(&pairs).unwrap();
    let mut expected: Vec<usize> = (0..rows.len()).collect();
    expected.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let found = ask(json!({"top_k": 5, "rerank": 20})).json();
    let found = found["results"].as_array().unwrap();
    assert_eq!(found.len(), 5);
    for (result, &place) in found.iter().zip(&expected) {
        assert_eq!(result["index"], json!(rows[place]));
        assert_close(&result["rerank_score"], scores[place].into());
    }
    assert!(ask(json!({"rerank": 0})).error(422).contains("`rerank` is 0, expected 1 to 1000"));
    let plain = start(folder.path(), &[]);
    assert!(plain.post("/search", &json!({"query": query, "rerank": 3})).error(404).contains("no reranker"));
}
