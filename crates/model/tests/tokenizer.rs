//! The published klue/roberta tokenizer gives the ids that transformers gives, of decomposed text those of its NFC form.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{io::Write, path::Path};

use common::json;
use model::Tokenizer;

#[test]
fn klue_roberta_ids_equal_transformers() {
    let path = std::env::var_os("STS_DATA_DIR").map(|data| Path::new(&data).join("klue-roberta/tokenizer.json"));
    let Some(path) = path.filter(|path| path.exists()) else {
        // Standard error as such: the test harness hides what `eprintln!` writes when a test passes.
        let notice = "\n*** SKIPPED: no klue-roberta/tokenizer.json in $STS_DATA_DIR: its ids are NOT tested ***\n";
        let _ = std::io::stderr().write_all(notice.as_bytes());
        return;
    };
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
