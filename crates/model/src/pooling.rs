//! From token embeddings to one embedding per sentence.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::packed::{PackedBatch, Run};

/// How a sentence's token embeddings become one. Source: sentence-transformers, `Pooling`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// Mean over all tokens, special tokens included.
    #[default]
    Mean,
    /// The first token.
    Cls,
    /// Maximum over all tokens, per dimension.
    Max,
}

impl Pooling {
    /// (tokens, hidden) in any number format to (sentences, hidden) in f32, in the caller's order.
    pub fn forward(self, hidden: &Tensor, batch: &PackedBatch) -> Tensor {
        let pool = |run: &Run| {
            let tokens = run.view(hidden); // (sentences, length, hidden)
            match self {
                Pooling::Mean => tokens.mean_dim(1, false, Kind::Float),
                Pooling::Cls => tokens.select(1, 0).to_kind(Kind::Float),
                Pooling::Max => tokens.amax(1, false).to_kind(Kind::Float),
            }
        };
        let pooled = Tensor::cat(&batch.runs().iter().map(pool).collect::<Vec<_>>(), 0);
        batch.restore_order(&pooled)
    }
}
