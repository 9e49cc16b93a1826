//! The transformer encoder: embeddings and a stack of layers.

use tch::Tensor;

use super::{embeddings::Embeddings, layer::Layer, packed::PackedBatch, variables::Variables};
use crate::{architecture::Architecture, precision::Precision};

/// An encoder without its heads.
#[derive(Debug)]
pub struct Encoder {
    embeddings: Embeddings,
    layers: Vec<Layer>,
}

impl Encoder {
    /// Computes with these variables, which are those of this architecture.
    pub(crate) fn new(variables: &Variables, architecture: &Architecture) -> Self {
        Self {
            embeddings: Embeddings::new(variables, architecture),
            layers: architecture.layers.iter().map(|layer| Layer::new(variables, layer)).collect(),
        }
    }

    /// Token embeddings of a packed batch: (tokens, hidden), in the number format of `precision`, which is f32 or bf16.
    pub fn forward(&self, batch: &PackedBatch, precision: Precision, train: bool) -> Tensor {
        let kind = precision.kind().expect("libtorch computes in f32 or bf16");
        let embedded = self.embeddings.forward(batch, kind, train);
        self.layers.iter().fold(embedded, |hidden, layer| layer.forward(&hidden, batch, train))
    }
}
