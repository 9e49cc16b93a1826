//! Cosine similarity of two vectors.

/// Cosine similarity, within -1..=1. Source: `torch.nn.functional.cosine_similarity`, with its `eps` of 1e-8.
pub fn similarity(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let norms = dot(a, a).sqrt().max(1e-8) * dot(b, b).sqrt().max(1e-8);
    (dot(a, b) / norms).clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similarities_equal_torchs() {
        // a, b = torch.tensor([1., 2., -3.]), torch.tensor([0.5, -1., 4.])
        // torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=0) → -0.8687107603
        let (a, b) = ([1.0, 2.0, -3.0], [0.5, -1.0, 4.0]);
        assert!((similarity(&a, &b) + 0.868_710_760_318_512_2).abs() < 1e-12, "{}", similarity(&a, &b));
        assert_eq!(similarity(&a, &a), 1.0);
        assert_eq!(similarity(&a, &[0.0; 3]), 0.0);
    }
}
