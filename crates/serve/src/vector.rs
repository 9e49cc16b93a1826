//! Cosine similarity and normalization of embeddings on plain slices.

/// Cosine similarity, within -1..=1. Source: `torch.nn.functional.cosine_similarity`, with its `eps` of 1e-8.
pub(crate) fn similarity(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let norms = dot(a, a).sqrt().max(1e-8) * dot(b, b).sqrt().max(1e-8);
    (dot(a, b) / norms).clamp(-1.0, 1.0)
}

/// The embedding divided by its norm. Source: `torch.nn.functional.normalize`, with its `eps` of 1e-12.
pub(crate) fn normalized(embedding: &[f32]) -> Vec<f32> {
    let norm = embedding.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt().max(1e-12);
    embedding.iter().map(|x| (f64::from(*x) / norm) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similarities_and_norms_equal_torchs() {
        // a, b = torch.tensor([1., 2., -3.]), torch.tensor([0.5, -1., 4.])
        // torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=0) → -0.8687107603
        let (a, b) = ([1.0, 2.0, -3.0], [0.5, -1.0, 4.0]);
        assert!((similarity(&a, &b) + 0.868_710_760_318_512_2).abs() < 1e-12, "{}", similarity(&a, &b));
        assert_eq!(similarity(&a, &a), 1.0);
        assert_eq!(similarity(&a, &[0.0; 3]), 0.0);
        // torch.nn.functional.normalize(a, dim=0) → [0.2673, 0.5345, -0.8018]
        for (value, expected) in normalized(&a).iter().zip([0.267_261_24, 0.534_522_5, -0.801_783_74]) {
            assert!((value - expected).abs() < 1e-7, "{value}");
        }
    }
}
