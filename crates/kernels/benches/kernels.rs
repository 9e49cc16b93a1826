//! The hot paths of encoding and training, one by one, in the shapes of klue/roberta-base:
//! `cargo bench -p kernels`.
#![allow(missing_docs)] // criterion's macros document nothing

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kernels::{
    Activation, AdamWStep, Attention, Factor, Format, Linear, Rows, Sentences, adamw, attention, attention_backward,
};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const TOKENS: usize = 512;
const HIDDEN: usize = 768;
const INTERMEDIATE: usize = 3072;
const HEADS: usize = 12;

fn random(rng: &mut impl Rng, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(0)
}

/// Elements are multiplications with addition: twice as many floating point operations.
fn linear(criterion: &mut Criterion) {
    let (weight, bias) = (random(&mut rng(), INTERMEDIATE * HIDDEN), vec![0.0; INTERMEDIATE]);
    for tokens in [26, TOKENS] {
        let mut group = criterion.benchmark_group(format!("linear {tokens}×{HIDDEN}×{INTERMEDIATE}"));
        group.throughput(Throughput::Elements((tokens * HIDDEN * INTERMEDIATE) as u64));
        for format in [Format::F32, Format::Bf16, Format::Int8] {
            let mut rows = Rows::new(format, HIDDEN);
            rows.encode(&random(&mut rng(), tokens * HIDDEN));
            let linear = Linear::new(format, &weight, &bias);
            let mut out = Vec::new();
            group.bench_function(format!("{format:?}"), |bencher| {
                bencher.iter(|| linear.forward(&rows, None, &mut out))
            });
        }
    }
}

fn rows(criterion: &mut Criterion) {
    let mut matrix = random(&mut rng(), TOKENS * INTERMEDIATE);
    let mut group = criterion.benchmark_group(format!("gelu and encode {TOKENS}×{INTERMEDIATE}"));
    group.throughput(Throughput::Elements(matrix.len() as u64));
    for format in [Format::F32, Format::Bf16, Format::Int8] {
        let mut rows = Rows::new(format, INTERMEDIATE);
        group.bench_function(format!("{format:?}"), |bencher| {
            bencher.iter(|| Activation::Gelu.apply(&mut matrix, &mut rows));
        });
    }
}

fn attentions(criterion: &mut Criterion) {
    for length in [13, 128, 2048] {
        let sentences = Sentences::new(std::iter::repeat_n(length, TOKENS.div_ceil(length)));
        let qkv = random(&mut rng(), sentences.tokens() * 3 * HIDDEN);
        let grad = random(&mut rng(), sentences.tokens() * HIDDEN);
        let mut group = criterion.benchmark_group(format!("attention, sentences of {length}"));
        group.throughput(Throughput::Elements(sentences.tokens() as u64));
        let (mut context, mut grad_qkv) = (Vec::new(), Vec::new());
        group.bench_function("forward", |bencher| {
            bencher.iter(|| {
                attention(Format::F32, &qkv, &sentences, &Attention::plain(HEADS, HIDDEN / HEADS), None, &mut context)
            });
        });
        group.bench_function("backward", |bencher| {
            bencher.iter(|| attention_backward(Format::F32, &qkv, &sentences, HEADS, None, &grad, &mut grad_qkv));
        });
    }
}

fn pack(criterion: &mut Criterion) {
    let weight = random(&mut rng(), INTERMEDIATE * HIDDEN);
    let mut group = criterion.benchmark_group(format!("pack {INTERMEDIATE}×{HIDDEN}"));
    group.throughput(Throughput::Elements(weight.len() as u64));
    for format in [Format::F32, Format::Bf16] {
        let mut factor = Factor::new(format);
        group.bench_function(format!("{format:?}, transposed"), |bencher| {
            bencher.iter(|| factor.pack_transposed(&[&weight], HIDDEN));
        });
        group.bench_function(format!("{format:?}"), |bencher| bencher.iter(|| factor.pack(&[&weight], HIDDEN)));
        let mut rows = Rows::new(format, 0);
        group.bench_function(format!("{format:?}, rows transposed"), |bencher| {
            bencher.iter(|| rows.encode_transposed(&weight, HIDDEN));
        });
    }
}

fn optimizer(criterion: &mut Criterion) {
    let len = 32_000 * HIDDEN; // the word embeddings
    let step =
        AdamWStep { betas: (0.9, 0.999), eps: 1e-8, decay: 1e-7, step_size: 1e-5, correction2: 1.0, grad_scale: 1.0 };
    let (mut value, mut exp_avg, mut exp_avg_sq) = (random(&mut rng(), len), vec![0.0; len], vec![0.0; len]);
    let mut group = criterion.benchmark_group("AdamW");
    group.throughput(Throughput::Bytes(8 * 4 * len as u64)); // four vectors, read and written
    group.bench_function("word embeddings", |bencher| {
        let grad = || vec![1e-3; len];
        let step = |mut grad: Vec<f32>| adamw(&step, &mut value, &mut grad, &mut exp_avg, &mut exp_avg_sq);
        bencher.iter_batched(grad, step, BatchSize::LargeInput);
    });
}

criterion_group!(benches, linear, rows, attentions, pack, optimizer);
criterion_main!(benches);
