//! The encoders whose gradient is written out.

use crate::{
    architecture::{self, Affine, Architecture, Centre, Norm, NormOrder, Table},
    config::Activation,
};

/// BERT and its like: embeddings of positions, norms after, all tokens seen by all, and no gates. What else there is,
/// libtorch differentiates.
#[derive(Clone, Debug)]
pub(crate) struct PostNorm {
    pub(super) hidden: usize,
    pub(super) embeddings: architecture::Embeddings,
    pub(super) positions: Table,
    pub(super) embedding_norm: Norm,
    pub(super) layers: Vec<PostNormLayer>,
}

#[derive(Clone, Debug)]
pub(crate) struct PostNormLayer {
    pub(super) projections: [Affine; 3], // to queries, keys and values
    pub(super) heads: usize,
    pub(super) weights_dropout: f64,
    pub(super) attention_output: Affine,
    pub(super) attention_dropout: f64,
    pub(super) attention_norm: Norm,
    pub(super) up: Affine,
    pub(super) activation: Activation,
    pub(super) down: Affine,
    pub(super) output_dropout: f64,
    pub(super) output_norm: Norm,
}

impl PostNorm {
    /// An architecture as one of them, if it is.
    pub(crate) fn of(architecture: &Architecture) -> Option<Self> {
        let Architecture { embeddings, relative, layers, norm_order, convolution, final_norm, .. } = architecture;
        if relative.is_some() || convolution.is_some() || final_norm.is_some() || *norm_order != NormOrder::After {
            return None;
        }
        let is_plain = embeddings.projection.iter().all(|affine| affine.bias);
        let norm = embeddings.norm.as_ref().filter(|norm| is_plain && has_centre_and_bias(norm))?;
        Some(Self {
            hidden: architecture.hidden as usize,
            embeddings: embeddings.clone(),
            positions: embeddings.positions.clone()?,
            embedding_norm: norm.clone(),
            layers: layers.iter().map(PostNormLayer::of).collect::<Option<_>>()?,
        })
    }
}

fn has_centre_and_bias(norm: &Norm) -> bool {
    norm.centre == Centre::Mean && norm.bias
}

impl PostNormLayer {
    fn of(layer: &architecture::Layer) -> Option<Self> {
        let architecture::Layer { attention, attention_norm, feed_forward, feed_forward_norm } = layer;
        let [up] = &feed_forward.up[..] else { return None };
        let attention_norm = attention_norm.as_ref()?;
        let is_plain = attention.kv_heads == attention.heads
            && attention.head_norms.is_none()
            && attention.rotary.is_none()
            && !attention.causal
            && attention.window.is_none()
            && attention.relative.is_none()
            && !feed_forward.gated
            && feed_forward.inner_dropout == 0.0;
        let products = attention.projections.iter().chain([&attention.output, up, &feed_forward.down]);
        let norms = [attention_norm, feed_forward_norm];
        if !is_plain || !products.into_iter().all(|affine| affine.bias) || !norms.into_iter().all(has_centre_and_bias) {
            return None;
        }
        Some(Self {
            projections: attention.projections.clone().try_into().ok()?,
            heads: attention.heads as usize,
            weights_dropout: attention.weights_dropout,
            attention_output: attention.output.clone(),
            attention_dropout: attention.output_dropout,
            attention_norm: attention_norm.clone(),
            up: up.clone(),
            activation: feed_forward.activation,
            down: feed_forward.down.clone(),
            output_dropout: feed_forward.output_dropout,
            output_norm: feed_forward_norm.clone(),
        })
    }
}
