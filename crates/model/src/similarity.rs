//! Cosine similarity and norm of sentence embeddings.

use tch::Tensor;

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
}
