//! Similarities of sentence embeddings.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// How alike two embeddings are: the larger, the more. Source: sentence-transformers, `SimilarityFunction`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SimilarityFunction {
    /// Σ a·b by both norms, from -1 to 1.
    #[default]
    Cosine,
    /// Σ a·b.
    Dot,
    /// −√Σ (a − b)²: the distance, negated.
    Euclidean,
    /// −Σ |a − b|: the same.
    Manhattan,
}

impl SimilarityFunction {
    /// Every function, in the order that messages name them.
    pub const ALL: [SimilarityFunction; 4] = [Self::Cosine, Self::Dot, Self::Euclidean, Self::Manhattan];

    /// Along the last dimension: two (hidden) vectors give a scalar, two (sentences, hidden) matrices one value per row.
    pub fn pairwise(self, a: &Tensor, b: &Tensor) -> Tensor {
        match self {
            Self::Cosine => similarity(a, b),
            Self::Dot => (a * b).sum_dim_intlist(-1, false, None::<Kind>),
            Self::Euclidean => -(a - b).norm_scalaropt_dim(2, [-1], false),
            Self::Manhattan => -(a - b).abs().sum_dim_intlist(-1, false, None::<Kind>),
        }
    }

    /// Of two embeddings of one width. A cosine is within -1..=1; its source is `torch.nn.functional.cosine_similarity`, with
    /// its `eps` of 1e-8.
    pub fn of(self, a: &[f32], b: &[f32]) -> f64 {
        let sum = |a: &[f32], b: &[f32], term: fn(f64, f64) -> f64| {
            a.iter().zip(b).map(|(x, y)| term(f64::from(*x), f64::from(*y))).sum::<f64>()
        };
        let product = |x, y| x * y;
        match self {
            Self::Cosine => {
                let norms = sum(a, a, product).sqrt().max(1e-8) * sum(b, b, product).sqrt().max(1e-8);
                (sum(a, b, product) / norms).clamp(-1.0, 1.0)
            }
            Self::Dot => sum(a, b, product),
            Self::Euclidean => -sum(a, b, |x, y| (x - y).powi(2)).sqrt(),
            Self::Manhattan => -sum(a, b, |x, y| (x - y).abs()),
        }
    }
}

impl fmt::Display for SimilarityFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cosine => "cosine",
            Self::Dot => "dot",
            Self::Euclidean => "euclidean",
            Self::Manhattan => "manhattan",
        })
    }
}

impl FromStr for SimilarityFunction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|function| function.to_string() == text)
            .ok_or_else(|| format!("expected one of {}", Self::ALL.map(|function| function.to_string()).join(", ")))
    }
}

/// Cosine similarity along the last dimension, from -1 to 1 up to rounding: two (hidden) vectors give a scalar, two
/// (sentences, hidden) matrices one value per row. Source: `torch.nn.functional.cosine_similarity`, with its `eps` of 1e-8.
pub fn similarity(a: &Tensor, b: &Tensor) -> Tensor {
    Tensor::cosine_similarity(a, b, -1, 1e-8)
}

/// Cosine similarity of each of some embeddings, (n, hidden), with each of others, (m, hidden): (n, m).
pub fn similarity_matrix(a: &Tensor, b: &Tensor) -> Tensor {
    normalized(a).matmul(&normalized(b).tr())
}

/// Rows divided by their norms. Source: `torch.nn.functional.normalize`, with its `eps` of 1e-12.
pub fn normalized(rows: &Tensor) -> Tensor {
    let norms = rows.norm_scalaropt_dim(2, [-1], true); // (rows, 1)
    rows / norms.clamp_min(1e-12)
}

/// Divides an embedding by its norm, in place. Source: `torch.nn.functional.normalize`, with its `eps` of 1e-12.
pub fn normalize(embedding: &mut [f32]) {
    let norm = embedding.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt().max(1e-12);
    embedding.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_norm_equals_torchs() {
        // torch.nn.functional.normalize(torch.tensor([1., 2., -3.]), dim=0) → [0.2673, 0.5345, -0.8018]
        let mut embedding = [1.0, 2.0, -3.0];
        normalize(&mut embedding);
        for (value, expected) in embedding.iter().zip([0.267_261_24, 0.534_522_5, -0.801_783_74]) {
            assert!((value - expected).abs() < 1e-7, "{value}");
        }
    }

    #[test]
    fn every_similarity_equals_sentence_transformers() {
        // a, b = torch.tensor([1., 2., -3.]).double(), torch.tensor([0.5, -1., 4.]).double()
        // SimilarityFunction.to_similarity_pairwise_fn(name)(a, b).item()
        let (a, b) = ([1.0, 2.0, -3.0], [0.5, -1.0, 4.0]);
        for (function, expected) in [
            (SimilarityFunction::Cosine, -0.868_710_760_318_512_2),
            (SimilarityFunction::Dot, -13.5),
            (SimilarityFunction::Euclidean, -7.632_168_761_236_874),
            (SimilarityFunction::Manhattan, -10.5),
        ] {
            let found = function.of(&a, &b);
            assert!((found - expected).abs() < 1e-12, "{function}: {found}");
            let of_rows = function.pairwise(&Tensor::from_slice2(&[a, a]), &Tensor::from_slice2(&[b, b]));
            assert_eq!(of_rows.size(), [2], "{function}");
            assert!((of_rows.double_value(&[1]) - expected).abs() < 1e-5, "{function}: {of_rows}");
        }
        assert_eq!(SimilarityFunction::Cosine.of(&a, &a), 1.0);
        assert_eq!(SimilarityFunction::Cosine.of(&a, &[0.0; 3]), 0.0);
    }
}
