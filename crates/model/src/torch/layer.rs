//! One transformer layer: self-attention, then a feed-forward network.

use tch::Tensor;

use super::{
    attention::Attention,
    linear::{LayerNorm, Linear, activate},
    packed::PackedBatch,
    variables::Variables,
};
use crate::{architecture, config::Activation};

/// A post-norm transformer layer. Source: transformers, `RobertaLayer`.
#[derive(Debug)]
pub(crate) struct Layer {
    attention: Attention,
    up: Linear,
    activation: Activation,
    down: Linear,
    norm: LayerNorm,
    dropout: f64,
}

impl Layer {
    pub(crate) fn new(variables: &Variables, layer: &architecture::Layer) -> Self {
        let feed_forward = &layer.feed_forward;
        Self {
            attention: Attention::new(variables, &layer.attention),
            up: Linear::new(variables, &feed_forward.up),
            activation: feed_forward.activation,
            down: Linear::new(variables, &feed_forward.down),
            norm: LayerNorm::new(variables, &feed_forward.norm),
            dropout: feed_forward.dropout,
        }
    }

    /// (tokens, hidden) to (tokens, hidden).
    pub(crate) fn forward(&self, hidden: &Tensor, batch: &PackedBatch, train: bool) -> Tensor {
        let attended = self.attention.forward(hidden, batch, train);
        let activated = activate(self.activation, &self.up.forward(&attended)); // (tokens, intermediate)
        let output = self.down.forward(&activated).dropout(self.dropout, train);
        self.norm.forward(&(output + attended))
    }
}
