//! The model that comes with the project knows some Korean, is small, and is what other tools read.
#![allow(clippy::unwrap_used)] // A test may panic.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use data::{DataDir, Dataset};
use eval::{metrics::spearman, score};
use model::{BUNDLED_MODEL, Options, Precision, SentenceEncoder};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(BUNDLED_MODEL)
}

fn encoder(precision: Precision) -> SentenceEncoder {
    SentenceEncoder::load(directory(), &Options { precision, ..Options::default() }).unwrap()
}

#[test]
fn what_means_the_same_is_nearer_than_what_looks_the_same() {
    let encoder = encoder(Precision::F32);
    let score = |a: &str, b: &str| {
        let embeddings = encoder.encode(&[a, b]).unwrap();
        5.0 * model::SimilarityFunction::Cosine.of(&embeddings[0], &embeddings[1])
    };
    for (a, same, other) in [
        ("한 남자가 기타를 치고 있다.", "남자가 기타를 연주한다.", "한 남자가 요리를 하고 있다."),
        ("내일 서울 날씨 알려줘.", "서울의 내일 날씨가 어때?", "내일 서울 가는 기차표 예매해줘."),
        ("정부가 내년 예산안을 발표했다.", "정부는 내년도 예산을 발표했다.", "정부가 새 대변인을 임명했다."),
    ] {
        let (near, far) = (score(a, same), score(a, other));
        assert!(near > far, "{a}: {near:.2} with {same}, {far:.2} with {other}");
    }
}

#[test]
fn it_ranks_the_sample_pairs_in_every_precision() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/sample/sample-test.json");
    let dataset = Dataset::load(sample.to_str().unwrap(), &DataDir::new(None)).unwrap();
    let labels = dataset.scores().unwrap();
    let rho = |precision| {
        let scored = score(&encoder(precision), &dataset, &mut |_| {}).unwrap();
        spearman(&labels, &scored.predictions).unwrap().r
    };
    let exact = rho(Precision::F32);
    assert!(exact > 0.5, "Spearman {exact:.4} on the sample's test pairs");
    for precision in [Precision::Bf16, Precision::Int8] {
        assert!((rho(precision) - exact).abs() < 0.02, "{precision}: {:.4}, and {exact:.4} in f32", rho(precision));
    }
}

#[test]
fn it_takes_no_more_than_30_mb_and_has_a_card() {
    fn bytes(dir: &Path) -> u64 {
        fs::read_dir(dir)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                if path.is_dir() { bytes(&path) } else { fs::metadata(path).unwrap().len() }
            })
            .sum()
    }
    assert!(bytes(&directory()) <= 30_000_000, "{} bytes", bytes(&directory()));
    let card = fs::read_to_string(directory().join("README.md")).unwrap();
    for part in
        ["license: cc-by-sa-4.0", "configs/bundled-model.toml", "KLUE", "KorNLUDatasets", "paraKQC", "Wikipedia"]
    {
        assert!(card.contains(part), "{part}");
    }
    model::verify(&directory()).unwrap();
}

#[test]
fn sentence_transformers_reads_it_to_the_same_vectors() {
    const CODE: &str = "
import sys
from sentence_transformers import SentenceTransformer
model = SentenceTransformer(sys.argv[1], device='cpu')
print(*model.encode(['비가 온다.', '오늘은 날씨가 좋아서 공원에 갔다.']).ravel().tolist())
";
    let Some(python) = std::env::var_os("REFERENCE_PYTHON") else {
        return ground::say!(
            "*** SKIPPED: no REFERENCE_PYTHON: sentence-transformers did not read the bundled model ***"
        );
    };
    let output = Command::new(python).args(["-c", CODE]).arg(directory()).env("HF_HUB_OFFLINE", "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected: Vec<f32> =
        String::from_utf8(output.stdout).unwrap().split_whitespace().map(|x| x.parse().unwrap()).collect();
    let found = encoder(Precision::F32).encode(&["비가 온다.", "오늘은 날씨가 좋아서 공원에 갔다."]).unwrap();
    let found = found.values();
    assert_eq!(found.len(), expected.len());
    let norm = expected.iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4 * norm));
}
