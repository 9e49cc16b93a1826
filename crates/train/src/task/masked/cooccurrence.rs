//! Token embeddings from what stands beside what: positive pointwise mutual information, factorized.
//!
//! A language model spends most of its first hours on learning which tokens are alike. Counting gives that in minutes.
//! Sources: Levy, Goldberg, Dagan 2015, «Improving distributional similarity with lessons learned from word embeddings»
//! (weights by distance, smoothed contexts, the root of the singular values); Halko, Martinsson, Tropp 2011 for the truncated
//! singular value decomposition.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, ensure};
use data::{BlockPlace, TextBlocks};
use model::{Tokenizer, slices};
use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

/// Tokens to either side that count as beside.
const WINDOW: usize = 5;
/// A neighbour at distance d counts 1/d, in units that keep counts whole: sums of whole numbers depend on no order.
const UNIT: u32 = 60;
/// Exponent on the frequencies of contexts.
const SMOOTHING: f32 = 0.75;
/// Beyond this, the matrix of counts outgrows a workstation.
const MAX_VOCAB: usize = 40_000;
/// A count beyond this may be near its end; a text that reaches it has told enough.
const FULL: u32 = u32::MAX / 2;
/// Root mean square of the embeddings. Source: those of trained encoders, BERT's among them, are about as large.
const SCALE: f64 = 0.04;

/// Embeddings of the tokens of one pass over a text: (vocab, width). Rows of tokens that the text lacks, and of special ones,
/// are zero. Takes 8 bytes times the square of the vocabulary.
pub(super) fn token_embeddings(blocks: TextBlocks, tokenizer: &Tokenizer, width: usize) -> anyhow::Result<Tensor> {
    let vocab = tokenizer.vocab_size();
    ensure!(
        vocab <= MAX_VOCAB,
        "model.scratch.token_embeddings: co-occurrence is for vocabularies of up to {MAX_VOCAB} entries, not {vocab}"
    );
    ensure!(width <= vocab, "model.scratch: hidden_size {width} is beyond the vocabulary of {vocab}");
    eprintln!("counting which of {vocab} tokens stand beside which");
    let counts = count(blocks, tokenizer, vocab)?;
    eprintln!("factorizing the counts into {width} dimensions");
    let information = mutual_information(counts, vocab);
    // Rounding gives a token without neighbours an embedding that is not quite zero.
    let is_known = information.amax([1], true).gt(0.0); // (vocab, 1)
    Ok(factorize(&information, width as i64) * is_known)
}

/// Weighted counts of neighbours, in units: (vocab, vocab), symmetric.
fn count(mut blocks: TextBlocks, tokenizer: &Tokenizer, vocab: usize) -> anyhow::Result<Vec<AtomicU32>> {
    let mut counts = Vec::new();
    counts.try_reserve_exact(vocab * vocab).context("model.scratch.token_embeddings: not enough memory to count in")?;
    counts.resize_with(vocab * vocab, || AtomicU32::new(0));
    let special = tokenizer.special_token_ids();
    loop {
        let (BlockPlace { pass, .. }, paragraphs) = blocks.next_block()?;
        if pass > 0 {
            return Ok(counts);
        }
        let windows = tokenizer.encode_windows(&paragraphs)?;
        let is_full = windows.par_iter().flatten().map(|ids| {
            let mut is_full = false;
            for (place, &id) in ids.iter().enumerate().filter(|(_, id)| !special.contains(id)) {
                for (distance, &other) in ids[place + 1..].iter().enumerate().take(WINDOW) {
                    if special.contains(&other) {
                        continue;
                    }
                    let weight = UNIT / (distance as u32 + 1);
                    for (row, column) in [(id, other), (other, id)] {
                        let before =
                            counts[row as usize * vocab + column as usize].fetch_add(weight, Ordering::Relaxed);
                        is_full |= before > FULL;
                    }
                }
            }
            is_full
        });
        // Not `any`, which would leave the rest of the block out.
        if is_full.reduce(|| false, |a, b| a | b) {
            return Ok(counts);
        }
    }
}

/// max(0, ln p(w, c) / p(w) p(c)), with the contexts' frequencies smoothed: (vocab, vocab).
fn mutual_information(counts: Vec<AtomicU32>, vocab: usize) -> Tensor {
    let frequencies: Vec<f32> = counts
        .par_chunks_exact(vocab)
        .map(|row| row.iter().map(|count| f64::from(count.load(Ordering::Relaxed))).sum::<f64>() as f32)
        .collect();
    let smoothed: Vec<f32> = frequencies.iter().map(|frequency| frequency.powf(SMOOTHING)).collect();
    let total = smoothed.iter().map(|&x| f64::from(x)).sum::<f64>() as f32;
    let mut information = Tensor::zeros([vocab as i64, vocab as i64], (Kind::Float, Device::Cpu));
    slices::values_mut(&mut information).par_chunks_exact_mut(vocab).enumerate().for_each(|(word, row)| {
        for ((value, count), context) in row.iter_mut().zip(&counts[word * vocab..]).zip(&smoothed) {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                *value = (count as f32 * total / (frequencies[word] * context)).ln().max(0.0);
            }
        }
    });
    information
}

/// The left singular vectors of the largest singular values, times the roots of these, scaled: (rows, width).
fn factorize(matrix: &Tensor, width: i64) -> Tensor {
    tch::no_grad(|| {
        let rank = (width + 16).min(matrix.size()[0]); // a few more than asked for make the last ones exact
        let orthonormal = |columns: &Tensor| Tensor::linalg_qr(columns, "reduced").0;
        let mut basis =
            orthonormal(&matrix.matmul(&Tensor::randn([matrix.size()[1], rank], (Kind::Float, Device::Cpu))));
        for _ in 0..3 {
            basis = orthonormal(&matrix.tr().matmul(&basis));
            basis = orthonormal(&matrix.matmul(&basis));
        }
        let small = basis.tr().matmul(matrix); // (rank, columns)
        let (squares, vectors) = small.matmul(&small.tr()).linalg_eigh("L"); // ascending
        let (squares, vectors) = (squares.narrow(0, rank - width, width), vectors.narrow(1, rank - width, width));
        let embeddings = basis.matmul(&vectors) * squares.clamp_min(0.0).pow_tensor_scalar(0.25);
        let size = embeddings.square().mean(Kind::Float).sqrt().clamp_min(1e-12);
        embeddings * SCALE / size
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use data::{DataDir, Exclusion, TextFile};
    use model::similarity;
    use std::sync::Arc;

    #[test]
    fn factors_are_those_of_a_singular_value_decomposition() {
        tch::manual_seed(1);
        let matrix = Tensor::randn([40, 8], (Kind::Float, Device::Cpu))
            .matmul(&Tensor::randn([8, 40], (Kind::Float, Device::Cpu)));
        let factors = factorize(&matrix, 8);
        // U S Uᵀ is had from U √S, and is M Mᵀ's root; scaled by the square of one factor.
        let (u, s, _) = matrix.svd(true, true);
        let expected = (&u.narrow(1, 0, 8) * &s.narrow(0, 0, 8)).matmul(&u.narrow(1, 0, 8).tr());
        let found = factors.matmul(&factors.tr());
        let ratio = (found.trace() / expected.trace()).double_value(&[]);
        let difference = ((found / ratio - &expected).norm() / expected.norm()).double_value(&[]);
        assert!(difference < 1e-4, "{difference}");
        let size = factors.square().mean(Kind::Float).sqrt().double_value(&[]);
        assert!((size - SCALE).abs() < 1e-5, "{size}");
    }

    #[test]
    fn tokens_that_stand_beside_the_same_are_alike() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        // 개 and 고양이 have the same neighbours, 비 and 눈 have others.
        let lines = |subjects: [&str; 2], rest: [&str; 3]| {
            let mut text = String::new();
            for (subject, rest) in subjects.into_iter().flat_map(|subject| rest.map(|rest| (subject, rest))) {
                text += &format!("{subject} {rest}\n").repeat(20);
            }
            text
        };
        let text = lines(["개", "고양이"], ["밥 먹는다", "집 간다", "잠 잔다"])
            + &lines(["비", "눈"], ["하늘 내린다", "산 덮는다", "종일 쏟아진다"]);
        std::fs::write(&path, &text).unwrap();
        let file = TextFile::locate(path.to_str().unwrap(), &DataDir::new(None)).unwrap();
        let tokenizer = Tokenizer::train(&text.lines().collect::<Vec<_>>(), 120, 16).unwrap();
        let nothing = Arc::new(Exclusion::load(&[], &DataDir::new(None)).unwrap());
        let blocks = TextBlocks::new(vec![file], 0, nothing, 0, BlockPlace::default()).unwrap();
        let embeddings = token_embeddings(blocks, &tokenizer, 8).unwrap();
        for special in tokenizer.special_token_ids() {
            assert_eq!(embeddings.get(special).abs().max().double_value(&[]), 0.0, "{special}");
        }
        let row = |word: &str| {
            let ids = tokenizer.encode(&[word]).unwrap().remove(0);
            assert_eq!(ids.len(), 3, "{word} is one token");
            embeddings.get(ids[1])
        };
        let alike = |a: &str, b: &str| similarity(&row(a), &row(b)).double_value(&[]);
        for (a, b, other) in [("개", "고양이", "비"), ("비", "눈", "고양이")] {
            assert!(alike(a, b) > 0.9 && alike(a, other).abs() < 0.3, "{} {}", alike(a, b), alike(a, other));
        }
    }
}
