//! The sum of token, position and token type embeddings.

use tch::{Kind, Tensor};

use super::{
    linear::{Linear, Norm},
    packed::PackedBatch,
    variables::Variables,
};
use crate::architecture;

/// First block of the encoder. Source: transformers, `RobertaEmbeddings`, and `ElectraModel` for the projection.
#[derive(Debug)]
pub(crate) struct Embeddings {
    words: Tensor,               // (vocab, width)
    positions: Option<Tensor>,   // (positions, width)
    token_types: Option<Tensor>, // (types, width)
    norm: Option<Norm>,
    projection: Option<Linear>,
    dropout: f64,
    padding: i64,
}

impl Embeddings {
    pub(crate) fn new(variables: &Variables, described: &architecture::Embeddings) -> Self {
        let table = |table: &architecture::Table| variables.get(&table.path, "weight");
        Self {
            words: table(&described.words),
            positions: described.positions.as_ref().map(table),
            token_types: described.token_types.as_ref().map(table),
            norm: described.norm.as_ref().map(|norm| Norm::new(variables, norm)),
            projection: described.projection.as_ref().map(|affine| Linear::new(variables, affine)),
            dropout: described.dropout,
            padding: described.padding.unwrap_or(-1), // none
        }
    }

    /// A packed batch to (tokens, hidden) in a number format.
    pub(crate) fn forward(&self, batch: &PackedBatch, kind: Kind, train: bool) -> Tensor {
        let words = Tensor::embedding(&self.words, &batch.input_ids, self.padding, false, false);
        let of_types = |table: &Tensor| match &batch.token_types {
            Some(types) => Tensor::embedding(table, types, -1, false, false),
            None => table.get(0),
        };
        let types = self.token_types.as_ref().map(of_types);
        let positions = self.positions.as_ref();
        let positions = positions.map(|table| Tensor::embedding(table, &batch.position_ids, -1, false, false));
        let sum = [types, positions].into_iter().flatten().fold(words, |sum, other| sum + other);
        let sum = self.norm.as_ref().map_or_else(|| sum.shallow_clone(), |norm| norm.forward(&sum));
        let embedded = sum.dropout(self.dropout, train).to_kind(kind);
        match &self.projection {
            Some(projection) => projection.forward(&embedded),
            None => embedded,
        }
    }
}
