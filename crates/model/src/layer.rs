//! One transformer layer: self-attention, then a feed-forward network.

use tch::{TchError, Tensor, nn};

use crate::{
    attention::Attention,
    config::{Activation, EncoderConfig},
    linear::{LayerNorm, Linear},
    packed::PackedBatch,
};

/// A post-norm transformer layer. Source: transformers, `RobertaLayer`.
#[derive(Debug)]
pub(crate) struct Layer {
    attention: Attention,
    intermediate: Linear,
    activation: Activation,
    output: Linear,
    layer_norm: LayerNorm,
    dropout: f64,
}

impl Layer {
    pub(crate) fn new(path: nn::Path, config: &EncoderConfig) -> Result<Self, TchError> {
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        let output = &path / "output";
        Ok(Self {
            attention: Attention::new(&path / "attention", config)?,
            intermediate: Linear::new(&path / "intermediate" / "dense", hidden, intermediate)?,
            activation: config.hidden_act,
            output: Linear::new(&output / "dense", intermediate, hidden)?,
            layer_norm: LayerNorm::new(&output / "LayerNorm", hidden, config.layer_norm_eps)?,
            dropout: config.hidden_dropout_prob,
        })
    }

    /// (tokens, hidden) to (tokens, hidden).
    pub(crate) fn forward(&self, hidden: &Tensor, batch: &PackedBatch, train: bool) -> Tensor {
        let attended = self.attention.forward(hidden, batch, train);
        let intermediate = self.intermediate.forward(&attended); // (tokens, intermediate)
        let activated = match self.activation {
            Activation::Gelu => intermediate.gelu("none"),
            Activation::GeluTanh => intermediate.gelu("tanh"),
            Activation::Relu => intermediate.relu(),
        };
        let output = self.output.forward(&activated).dropout(self.dropout, train);
        self.layer_norm.forward(&(output + attended))
    }
}
