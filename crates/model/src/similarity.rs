//! Cosine similarity of sentence embeddings.

use tch::Tensor;

/// Cosine similarity along the last dimension, from -1 to 1 up to rounding: two (hidden) vectors give a scalar, two (sentences, hidden)
/// matrices one value per row. Source: `torch.nn.functional.cosine_similarity`, with its `eps` of 1e-8.
pub fn similarity(a: &Tensor, b: &Tensor) -> Tensor {
    Tensor::cosine_similarity(a, b, -1, 1e-8)
}
