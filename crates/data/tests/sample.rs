//! The sample that comes with the project.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::path::Path;

use common::{data, stderr, stdout};
use data::{DataDir, Dataset};

#[test]
fn both_formats_of_the_sample_hold_the_same_pairs() {
    let dir = DataDir::new(Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data")));
    let mut pairs = 0;
    for part in ["train", "dev", "test"] {
        let json = Dataset::load(&format!("sample:{part}"), &dir).unwrap();
        let tsv = Dataset::load(&format!("data:sample/sample-{part}.tsv"), &dir).unwrap();
        assert!(json.is_labelled());
        assert_eq!(json.pairs, tsv.pairs, "{part}");
        pairs += json.pairs.len();
    }
    assert!(pairs >= 400, "{pairs}");
}

#[test]
fn the_sample_is_found_in_the_checkout_when_the_data_lie_elsewhere() {
    let elsewhere = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = data(&root, &["stats", "sample:dev", "--data-dir", elsewhere.path().to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("data/sample/sample-dev.json\n"), "{}", stdout(&output));
}
