//! The transformer encoder: embeddings and a stack of layers.

use tch::Tensor;

use super::{
    attention::RelativeEmbeddings, convolution::Convolution, embeddings::Embeddings, layer::Layer, linear::Norm,
    packed::PackedBatch, variables::Variables,
};
use crate::{architecture::Architecture, precision::Precision};

/// An encoder without its heads.
#[derive(Debug)]
pub struct Encoder {
    embeddings: Embeddings,
    relative: Option<RelativeEmbeddings>,
    layers: Vec<Layer>,
    convolution: Option<Convolution>,
    final_norm: Option<Norm>,
}

impl Encoder {
    /// Computes with these variables, which are those of this architecture.
    pub(crate) fn new(variables: &Variables, architecture: &Architecture) -> Self {
        let Architecture { embeddings, relative, layers, norm_order, convolution, final_norm, .. } = architecture;
        Self {
            embeddings: Embeddings::new(variables, embeddings),
            relative: relative.as_ref().map(|relative| RelativeEmbeddings::new(variables, relative)),
            layers: layers.iter().map(|layer| Layer::new(variables, layer, *norm_order)).collect(),
            convolution: convolution.as_ref().map(|convolution| Convolution::new(variables, convolution)),
            final_norm: final_norm.as_ref().map(|norm| Norm::new(variables, norm)),
        }
    }

    /// Token embeddings of a packed batch: (tokens, hidden), in the number format of `precision`, which is f32 or bf16.
    pub fn forward(&self, batch: &PackedBatch, precision: Precision, train: bool) -> Tensor {
        let kind = precision.kind().expect("libtorch computes in f32 or bf16");
        let embedded = self.embeddings.forward(batch, kind, train);
        let relative = self.relative.as_ref().map(|embeddings| embeddings.forward(batch, kind));
        let mut hidden = embedded.shallow_clone();
        for (index, layer) in self.layers.iter().enumerate() {
            hidden = layer.forward(&hidden, batch, relative.as_ref(), train);
            if let (0, Some(convolution)) = (index, &self.convolution) {
                hidden = convolution.forward(&embedded, &hidden, batch, train);
            }
        }
        match &self.final_norm {
            Some(norm) => norm.forward(&hidden),
            None => hidden,
        }
    }
}
