//! The published klue/roberta tokenizer gives the ids that transformers gives.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::path::Path;

use common::json;
use model::Tokenizer;

#[test]
fn klue_roberta_ids_equal_transformers() {
    let Some(data) = std::env::var_os("STS_DATA_DIR") else {
        eprintln!(
            "SKIPPED klue_roberta_ids_equal_transformers: STS_DATA_DIR is not set, so the klue/roberta tokenizer is not at hand"
        );
        return;
    };
    let path = Path::new(&data).join("klue-roberta/tokenizer.json");
    if !path.exists() {
        eprintln!("SKIPPED klue_roberta_ids_equal_transformers: {} is missing", path.display());
        return;
    }
    let expected = json("klue-tokenizer-ids.json");
    let cases = expected["sentences"].as_array().unwrap();
    assert_eq!(cases.len(), 200);
    let tokenizer = Tokenizer::from_file(&path, 128).unwrap();
    let sentences: Vec<&str> = cases.iter().map(|case| case["text"].as_str().unwrap()).collect();
    for (case, ids) in cases.iter().zip(tokenizer.encode(&sentences).unwrap()) {
        let expected: Vec<i64> = case["ids"].as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect();
        assert_eq!(ids, expected, "{:?}", case["text"]);
    }
}
