//! What the tests of this crate share: fixtures and comparisons.
#![allow(dead_code, unreachable_pub)] // each test binary uses a part

use std::{
    ffi::OsString,
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tch::Tensor;

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Copies a directory and all below it to a place where nothing is.
pub fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

pub fn json(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(fixture(name)).unwrap()).unwrap()
}

pub fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

pub fn matrix(tensor: &Tensor) -> Vec<Vec<f64>> {
    Vec::try_from(tensor.to_kind(tch::Kind::Double)).unwrap()
}

/// The Python of `scripts/reference`, where `$REFERENCE_PYTHON` names it; without it, a loud `None`.
pub fn reference_python(claim: &str) -> Option<OsString> {
    let python = std::env::var_os("REFERENCE_PYTHON");
    if python.is_none() {
        // Standard error as such: the test harness hides what `eprintln!` writes when a test passes.
        let notice = format!("\n*** SKIPPED: no $REFERENCE_PYTHON: that {claim} is NOT tested ***\n");
        let _ = std::io::stderr().write_all(notice.as_bytes());
    }
    python
}

/// Fails unless every row equals the reference's to the tolerances of an f32 encoder: 1e-5 in cosine, and 1e-4 per
/// element relative to the reference's norm.
pub fn assert_embeddings(found: &Tensor, expected: &Value, what: &str) {
    let expected = expected.as_array().unwrap();
    let found = matrix(found);
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (row, reference)) in found.iter().zip(expected).enumerate() {
        let reference: Vec<f64> = reference.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
        assert_eq!(row.len(), reference.len(), "{what}");
        let norm = |row: &[f64]| row.iter().map(|x| x * x).sum::<f64>().sqrt();
        let dot: f64 = row.iter().zip(&reference).map(|(a, b)| a * b).sum();
        let cosine = dot / (norm(row) * norm(&reference));
        // That of two zeros is none; their numbers are compared below.
        let are_zero = norm(row) == 0.0 && norm(&reference) == 0.0;
        assert!(are_zero || (1.0 - cosine).abs() < 1e-5, "{what}, sentence {index}: cosine {cosine}");
        let worst = row.iter().zip(&reference).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let worst = worst / norm(&reference).max(f64::MIN_POSITIVE);
        assert!(worst < 1e-4, "{what}, sentence {index}: element off by {worst} of the norm");
    }
}
