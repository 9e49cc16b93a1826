//! The transformer encoder: embeddings and a stack of layers.

use tch::{TchError, Tensor, nn};

use crate::{config::EncoderConfig, embeddings::Embeddings, layer::Layer, packed::PackedBatch, precision::Precision};

/// A BERT or RoBERTa encoder without its heads. The names of its variables are those of transformers' `BertModel` and
/// `RobertaModel`.
#[derive(Debug)]
pub struct Encoder {
    embeddings: Embeddings,
    layers: Vec<Layer>,
}

impl Encoder {
    /// Declares the variables of the encoder below `path`: zero, and layer norms one. Fails if memory does not suffice.
    pub fn new(path: &nn::Path, config: &EncoderConfig) -> Result<Self, TchError> {
        let layers = path / "encoder" / "layer";
        Ok(Self {
            embeddings: Embeddings::new(path / "embeddings", config)?,
            layers: (0..config.num_hidden_layers)
                .map(|index| Layer::new(&layers / index, config))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Token embeddings of a packed batch: (tokens, hidden), in the number format of `precision`, which is f32 or bf16.
    pub fn forward(&self, batch: &PackedBatch, precision: Precision, train: bool) -> Tensor {
        let kind = precision.kind().expect("libtorch computes in f32 or bf16");
        let embedded = self.embeddings.forward(batch, train).to_kind(kind);
        self.layers.iter().fold(embedded, |hidden, layer| layer.forward(&hidden, batch, train))
    }
}
