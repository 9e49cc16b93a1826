//! One transformer layer: self-attention, then a feed-forward network.

use tch::Tensor;

use super::{
    attention::{Attention, Relative},
    linear::{Linear, Norm, activate},
    packed::PackedBatch,
    variables::Variables,
};
use crate::{
    architecture::{self, NormOrder},
    config::Activation,
};

/// A transformer layer. Source: transformers, `RobertaLayer` with norms after, `ModernBertEncoderLayer` with norms before.
#[derive(Debug)]
pub(crate) struct Layer {
    attention: Attention,
    attention_norm: Option<Norm>,
    feed_forward: FeedForward,
    feed_forward_norm: Norm,
    order: NormOrder,
}

impl Layer {
    pub(crate) fn new(variables: &Variables, layer: &architecture::Layer, order: NormOrder) -> Self {
        Self {
            attention: Attention::new(variables, &layer.attention),
            attention_norm: layer.attention_norm.as_ref().map(|norm| Norm::new(variables, norm)),
            feed_forward: FeedForward::new(variables, &layer.feed_forward),
            feed_forward_norm: Norm::new(variables, &layer.feed_forward_norm),
            order,
        }
    }

    /// (tokens, hidden) to (tokens, hidden).
    pub(crate) fn forward(
        &self,
        hidden: &Tensor,
        batch: &PackedBatch,
        relative: Option<&Relative>,
        train: bool,
    ) -> Tensor {
        let attention_norm = |xs: Tensor| match &self.attention_norm {
            Some(norm) => norm.forward(&xs),
            None => xs,
        };
        match self.order {
            NormOrder::After => {
                let attended = attention_norm(self.attention.forward(hidden, batch, relative, train) + hidden);
                self.feed_forward_norm.forward(&(self.feed_forward.forward(&attended, train) + attended))
            }
            NormOrder::Before => {
                let normed = attention_norm(hidden.shallow_clone());
                let attended = self.attention.forward(&normed, batch, relative, train) + hidden;
                self.feed_forward.forward(&self.feed_forward_norm.forward(&attended), train) + attended
            }
        }
    }
}

/// Two products with an activation between them.
#[derive(Debug)]
struct FeedForward {
    up: Vec<Linear>,
    is_gated: bool,
    activation: Activation,
    inner_dropout: f64,
    down: Linear,
    output_dropout: f64,
}

impl FeedForward {
    fn new(variables: &Variables, described: &architecture::FeedForward) -> Self {
        Self {
            up: described.up.iter().map(|affine| Linear::new(variables, affine)).collect(),
            is_gated: described.gated,
            activation: described.activation,
            inner_dropout: described.inner_dropout,
            down: Linear::new(variables, &described.down),
            output_dropout: described.output_dropout,
        }
    }

    /// (tokens, hidden) to (tokens, hidden).
    fn forward(&self, xs: &Tensor, train: bool) -> Tensor {
        let parts: Vec<Tensor> = self.up.iter().map(|up| up.forward(xs)).collect();
        let inner = match (self.is_gated, &parts[..]) {
            (false, [all]) => activate(self.activation, all),
            (true, [all]) => match &all.chunk(2, -1)[..] {
                [values, gates] => activate(self.activation, values) * gates,
                _ => unreachable!("two halves"),
            },
            (true, [values, gates]) => activate(self.activation, values) * gates,
            _ => unreachable!("a family describes one product, or two of which the second is a gate"),
        };
        self.down.forward(&inner.dropout(self.inner_dropout, train)).dropout(self.output_dropout, train)
    }
}
