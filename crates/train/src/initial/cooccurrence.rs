//! Token vectors from what stands beside what: positive pointwise mutual information, factorized.
//!
//! A language model spends most of its first hours on learning which tokens are alike. Counting gives that in minutes.
//! Sources: Levy, Goldberg, Dagan 2015, «Improving distributional similarity with lessons learned from word embeddings»
//! (weights by distance, smoothed contexts, singular vectors without their values); Halko, Martinsson, Tropp 2011 for the
//! truncated singular value decomposition.

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
/// A squared singular value of this part of the largest is rounding.
const NOTHING: f64 = 1e-6;
/// Beyond this, the matrix of counts outgrows a workstation.
const MAX_VOCAB: usize = 40_000;
/// A count beyond this may be near its end; a text that reaches it has told enough.
const FULL: u32 = u32::MAX / 2;

/// What one pass over a text tells of its tokens.
pub(super) struct TokenVectors {
    /// (vocab, width): rows of length 1, and of 0 for tokens that the text lacks and special ones.
    pub(super) vectors: Tensor,
    /// (vocab): shares of all that stands beside something, which sum to 1.
    pub(super) frequencies: Tensor,
}

/// Counts a text, which takes 8 bytes times the square of the vocabulary, and factorizes the counts.
pub(super) fn token_vectors(blocks: TextBlocks, tokenizer: &Tokenizer, width: usize) -> anyhow::Result<TokenVectors> {
    let vocab = tokenizer.vocab_size();
    ensure!(
        vocab <= MAX_VOCAB,
        "model.scratch.token_embeddings: co-occurrence is for vocabularies of up to {MAX_VOCAB} entries, not {vocab}"
    );
    ground::say!("counting which of {vocab} tokens stand beside which");
    let counts = count(blocks, tokenizer, vocab)?;
    ground::say!("factorizing the counts into {width} dimensions");
    let (information, frequencies) = mutual_information(counts, vocab);
    let frequencies = Tensor::from_slice(&frequencies);
    let total = frequencies.sum(Kind::Float);
    ensure!(
        total.double_value(&[]) > 0.0,
        "model.scratch.token_embeddings: no token of the text stands beside another"
    );
    // Rounding gives a token without neighbours a vector that is not quite zero.
    let is_known = information.amax([1], true).gt(0.0); // (vocab, 1)
    let vectors = factorize(&information, width as i64);
    let lengths = vectors.square().sum_dim_intlist([1].as_slice(), true, Kind::Float).sqrt().clamp_min(1e-12);
    Ok(TokenVectors { vectors: vectors / lengths * is_known, frequencies: frequencies / total })
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

/// max(0, ln p(w, c) / p(w) p(c)), with the contexts' frequencies smoothed: (vocab, vocab); and how often each token counts.
fn mutual_information(counts: Vec<AtomicU32>, vocab: usize) -> (Tensor, Vec<f32>) {
    let frequencies: Vec<f32> = counts
        .par_chunks_exact(vocab)
        .map(|row| row.iter().map(|count| f64::from(count.load(Ordering::Relaxed))).sum::<f64>() as f32)
        .collect();
    let smoothed: Vec<f32> = frequencies.iter().map(|frequency| frequency.powf(SMOOTHING)).collect();
    let total = smoothed.iter().map(|&x| f64::from(x)).sum::<f64>() as f32;
    let mut information = Tensor::zeros([vocab as i64, vocab as i64], (Kind::Float, Device::Cpu));
    // SAFETY: a tensor of zeros that nobody else has a handle to. A vector that becomes one would be there twice.
    #[allow(unsafe_code)]
    let rows = unsafe { slices::values_mut(&mut information) };
    rows.par_chunks_exact_mut(vocab).enumerate().for_each(|(word, row)| {
        for ((value, count), context) in row.iter_mut().zip(&counts[word * vocab..]).zip(&smoothed) {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                *value = (count as f32 * total / (frequencies[word] * context)).ln().max(0.0);
            }
        }
    });
    (information, frequencies)
}

/// The left singular vectors of the largest singular values: (rows, width).
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
        let (squares, vectors) = small.matmul(&small.tr()).linalg_eigh("L"); // of the singular values, ascending
        // Directions beyond the matrix's rank are any, and would tell tokens apart that are alike.
        let is_within = squares.gt_tensor(&(squares.max() * NOTHING)); // (rank)
        (basis.matmul(&vectors) * is_within).narrow(1, rank - width, width)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use data::{DataDir, Exclusion, TextFile};
    use model::{Alphabet, similarity};
    use std::sync::Arc;

    #[test]
    fn factors_are_the_first_singular_vectors() {
        tch::manual_seed(1);
        let matrix = Tensor::randn([40, 8], (Kind::Float, Device::Cpu))
            .matmul(&Tensor::randn([8, 40], (Kind::Float, Device::Cpu)));
        let vectors = factorize(&matrix, 3);
        let expected = matrix.svd(true, true).0.narrow(1, 0, 3);
        // Each is determined but for its sign.
        let cosines = (vectors.flip([1]) * expected).sum_dim_intlist([0].as_slice(), false, Kind::Float).abs();
        let least = cosines.min().double_value(&[]);
        assert!(least > 0.9999, "{least}");
        // The matrix has rank 8.
        let beyond = factorize(&matrix, 12).square().sum_dim_intlist([0].as_slice(), false, Kind::Float);
        let expected = Tensor::cat(
            &[Tensor::zeros([4], (Kind::Float, Device::Cpu)), Tensor::ones([8], (Kind::Float, Device::Cpu))],
            0,
        );
        assert!((beyond - expected).abs().max().double_value(&[]) < 1e-3);
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
        let tokenizer = Tokenizer::train(&text.lines().collect::<Vec<_>>(), Alphabet::Syllables, 120, 16).unwrap();
        let nothing = Arc::new(Exclusion::load(&[], &DataDir::new(None)).unwrap());
        let blocks = TextBlocks::new(vec![file], 0, nothing, 0, BlockPlace::default()).unwrap();
        let TokenVectors { vectors, frequencies } = token_vectors(blocks, &tokenizer, 8).unwrap();
        for special in tokenizer.special_token_ids() {
            assert_eq!(vectors.get(special).abs().max().double_value(&[]), 0.0, "{special}");
            assert_eq!(frequencies.double_value(&[special]), 0.0, "{special}");
        }
        assert!((frequencies.sum(Kind::Float).double_value(&[]) - 1.0).abs() < 1e-5);
        let row = |word: &str| {
            let ids = tokenizer.encode(&[word]).unwrap().remove(0);
            assert_eq!(ids.len(), 3, "{word} is one token");
            vectors.get(ids[1])
        };
        let alike = |a: &str, b: &str| similarity(&row(a), &row(b)).double_value(&[]);
        for (a, b, other) in [("개", "고양이", "비"), ("비", "눈", "고양이")] {
            assert!(alike(a, b) > 0.9 && alike(a, other).abs() < 0.3, "{} {}", alike(a, b), alike(a, other));
        }
    }
}
