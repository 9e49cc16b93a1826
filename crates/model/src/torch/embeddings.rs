//! The sum of token, position and token type embeddings.

use tch::{Kind, Tensor};

use super::{
    linear::{LayerNorm, Linear},
    packed::PackedBatch,
    variables::Variables,
};
use crate::architecture::Architecture;

/// First block of the encoder. Source: transformers, `RobertaEmbeddings`, and `ElectraModel` for the projection.
#[derive(Debug)]
pub(crate) struct Embeddings {
    words: Tensor,               // (vocab, width)
    positions: Tensor,           // (positions, width)
    token_types: Option<Tensor>, // (types, width)
    norm: LayerNorm,
    projection: Option<Linear>,
    dropout: f64,
    padding: i64,
}

impl Embeddings {
    pub(crate) fn new(variables: &Variables, architecture: &Architecture) -> Self {
        let described = &architecture.embeddings;
        Self {
            words: variables.get(&described.words.path, "weight"),
            positions: variables.get(&described.positions.path, "weight"),
            token_types: described.token_types.as_ref().map(|table| variables.get(&table.path, "weight")),
            norm: LayerNorm::new(variables, &described.norm),
            projection: described.projection.as_ref().map(|affine| Linear::new(variables, affine)),
            dropout: architecture.embeddings_dropout,
            padding: described.padding,
        }
    }

    /// A packed batch to (tokens, hidden) in a number format.
    pub(crate) fn forward(&self, batch: &PackedBatch, kind: Kind, train: bool) -> Tensor {
        let words = Tensor::embedding(&self.words, &batch.input_ids, self.padding, false, false);
        let positions = Tensor::embedding(&self.positions, &batch.position_ids, -1, false, false);
        let sum = match &self.token_types {
            Some(types) => words + types.get(0) + positions, // a single sentence is all type 0
            None => words + positions,
        };
        let embedded = self.norm.forward(&sum).dropout(self.dropout, train).to_kind(kind);
        match &self.projection {
            Some(projection) => projection.forward(&embedded),
            None => embedded,
        }
    }
}
