//! Tokenization: `cargo bench -p model`.
#![allow(missing_docs, clippy::unwrap_used)] // criterion's macros document nothing; a benchmark may panic

use std::{fs, path::Path};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use model::{Alphabet, Tokenizer};

fn tokenize(criterion: &mut Criterion) {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/sample/sample-train.tsv");
    let text = fs::read_to_string(sample).unwrap();
    let sentences: Vec<&str> =
        text.lines().skip(1).flat_map(|line| line.split('\t')).filter(|cell| cell.len() > 9).collect();
    let tokenizer = Tokenizer::train(&sentences, Alphabet::Syllables, 2_000, 128).unwrap();
    let mut group = criterion.benchmark_group("tokenize");
    group.throughput(Throughput::Elements(sentences.len() as u64));
    group.bench_function("sample sentences", |bencher| bencher.iter(|| tokenizer.encode(&sentences).unwrap()));
}

criterion_group!(benches, tokenize);
criterion_main!(benches);
