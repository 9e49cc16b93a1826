//! Models whose directories ask for a similarity, a width or a pooling of their own.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::{Server, assert_close, command, model};
use embed::{Added, Columns, Dtype, Job, Settings, Shard, Table, embed_table};
use model::{Options, Pooling, SentenceEncoder, SimilarityFunction, fingerprint};
use serde_json::{Value, json};
use tempfile::TempDir;

const SENTENCES: [&str; 3] = ["비가 온다.", "비가 많이 온다.", "방이 깔끔했고 직원분들도 친절하셨습니다."];

/// A copy of the tiny model with these settings, or as a directory of transformers alone.
fn copy(folder: &Path, settings: Option<Value>) -> PathBuf {
    let dir = folder.join("model");
    fs::create_dir(&dir).unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        fs::copy(model().join(name), dir.join(name)).unwrap();
    }
    if let Some(settings) = settings {
        for name in ["modules.json", "sentence_bert_config.json", "1_Pooling/config.json"] {
            fs::create_dir_all(dir.join("1_Pooling")).unwrap();
            fs::copy(model().join(name), dir.join(name)).unwrap();
        }
        fs::write(dir.join("config_sentence_transformers.json"), settings.to_string()).unwrap();
    }
    dir
}

fn start(dir: &Path, arguments: &[&str]) -> Server {
    Server::spawn(command(arguments).args(["--port", "0", "--precision", "f32", "--model"]).arg(dir))
}

/// The last line of a server that does not start.
fn refusal(dir: &Path, arguments: &[&str]) -> String {
    let output = command(arguments).args(["--port", "0", "--model"]).arg(dir).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    stderr.lines().last().unwrap().to_owned()
}

fn embeddings(dir: &Path, pooling: Option<Pooling>) -> Vec<Vec<f32>> {
    let encoder = SentenceEncoder::load(dir, &Options { pooling, ..Options::default() }).unwrap();
    encoder.encode(&SENTENCES).unwrap().rows().map(<[f32]>::to_vec).collect()
}

#[test]
fn the_similarity_that_a_model_asks_for_is_given_by_its_route_and_told_and_scores_stay_cosines() {
    for name in ["dot", "euclidean", "manhattan", "cosine"] {
        let folder = TempDir::new().unwrap();
        let dir = copy(folder.path(), Some(json!({"similarity_fn_name": name, "truncate_dim": 8})));
        let (server, expected) = (start(&dir, &[]), embeddings(&dir, None));
        let function: SimilarityFunction = name.parse().unwrap();
        let inputs = json!({"inputs": {"source_sentence": SENTENCES[0], "sentences": SENTENCES}});
        for path in ["/similarity", "/"] {
            let answer = server.post(path, &inputs).json();
            for (found, other) in answer.as_array().unwrap().iter().zip(&expected) {
                assert_close(found, function.of(&expected[0], other));
            }
        }
        let cosine = SimilarityFunction::Cosine.of(&expected[0], &expected[2]);
        let score = server.predict(SENTENCES[0], SENTENCES[2]).json();
        assert_close(&score["score"], 5.0 * cosine);
        assert_close(&score["cosine"], cosine);
        let info = server.get("/info").json();
        let told = json!({"model": name, "/similarity": name, "/predict": "cosine", "/search": "cosine"});
        assert_eq!((&info["similarity"], &info["hidden_size"]), (&told, &json!(8)));
    }
}

#[test]
fn every_route_gives_the_first_numbers_of_a_truncated_model() {
    let folder = TempDir::new().unwrap();
    let dir = copy(folder.path(), Some(json!({"truncate_dim": 8})));
    let (server, expected) = (start(&dir, &[]), embeddings(&dir, None));
    let whole = embeddings(&model(), None);
    assert_eq!(expected[0], whole[0][..8]);
    let found = server.post("/embed", &json!({"inputs": SENTENCES, "normalize": false, "dimensions": 8})).json();
    for (found, expected) in found.as_array().unwrap().iter().zip(&expected) {
        assert_eq!(found.as_array().unwrap().len(), 8);
        found.as_array().unwrap().iter().zip(expected).for_each(|(x, y)| assert_close(x, f64::from(*y)));
    }
    let found = server.post("/v1/embeddings", &json!({"input": SENTENCES[0]})).json();
    let found: Vec<f64> = serde_json::from_value(found["data"][0]["embedding"].clone()).unwrap();
    assert_eq!(found.len(), 8);
    assert!((found.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-5, "{found:?}");
}

#[test]
fn a_plain_directory_pools_as_it_is_told_and_the_log_says_what_was_assumed() {
    let folder = TempDir::new().unwrap();
    let dir = copy(folder.path(), None);
    let assumed = "pooling of its own: this one is assumed";
    for (arguments, pooling, is_assumed) in
        [(&[][..], Pooling::MEAN, true), (&["--pooling", "cls"], Pooling::CLS, false)]
    {
        let server = start(&dir, arguments);
        let found = server.post("/embed", &json!({"inputs": SENTENCES[0], "normalize": false})).json();
        let expected = &embeddings(&dir, Some(pooling))[0];
        found[0].as_array().unwrap().iter().zip(expected).for_each(|(x, y)| assert_close(x, f64::from(*y)));
        assert_eq!(server.get("/info").json()["model_type"]["embedding"]["pooling"], pooling.to_string());
        assert_eq!(server.log().iter().any(|line| line.contains(assumed)), is_assumed, "{:?}", server.log());
    }
    fs::write(folder.path().join("serve.toml"), "pooling = \"max\"\n").unwrap();
    let server = start(&dir, &["--config", folder.path().join("serve.toml").to_str().unwrap()]);
    assert_eq!(server.get("/info").json()["model_type"]["embedding"]["pooling"], "max");
    let line = refusal(&model(), &["--pooling", "cls"]);
    assert!(line.contains("its pooling is mean, and cls was asked for"), "{line}");
    assert!(start(&model(), &["--pooling", "mean"]).get("/health").status == 200);
}

#[test]
fn a_corpus_of_another_pooling_is_refused() {
    let folder = TempDir::new().unwrap();
    let dir = copy(folder.path(), None);
    let encoder = SentenceEncoder::load(&dir, &Options { pooling: Some(Pooling::CLS), ..Options::default() }).unwrap();
    fs::write(folder.path().join("rows.jsonl"), json!({"text": SENTENCES[0]}).to_string() + "\n").unwrap();
    let table =
        Table::open(&[folder.path().join("rows.jsonl").display().to_string()], &tables::Options::default()).unwrap();
    let columns = Columns::Embedding { text: "text".into(), name: "embedding".into(), dtype: Dtype::F32 };
    let added = Added::new(columns.clone(), &table.schema, encoder.dimensions(), Default::default()).unwrap();
    let encoder = embed::Model::from(encoder);
    let settings = Settings::new(&dir, fingerprint(&dir).unwrap(), &encoder, columns, 100, &table);
    let output = folder.path().join("corpus");
    embed_table(&Job { table, added, output: output.clone(), settings, shard: Shard::WHOLE }, &encoder).unwrap();
    let corpus = ["--corpus", output.to_str().unwrap()];
    let line = refusal(&dir, &corpus);
    assert!(
        line.contains("was embedded with pooling cls, and the model is served with mean: give --pooling cls"),
        "{line}"
    );
    let server = start(&dir, &[&corpus[..], &["--pooling", "cls"]].concat());
    assert_close(&server.post("/search", &json!({"query": SENTENCES[0]})).json()["results"][0]["score"], 5.0);
}
