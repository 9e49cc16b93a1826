//! The two parameterised maps of a transformer: linear layer and layer norm.
//!
//! Their weights are cast to the number format of their input, which costs nothing where they have it already. So
//! training in bf16 keeps f32 weights and casts each once per step, and inference casts once at load.

use tch::Tensor;

use super::variables::Variables;
use crate::architecture;

/// y = x Wᵀ + b.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Tensor, // (out, in)
    bias: Tensor,   // (out)
}

impl Linear {
    pub(crate) fn new(variables: &Variables, affine: &architecture::Affine) -> Self {
        Self { weight: variables.get(&affine.path, "weight"), bias: variables.get(&affine.path, "bias") }
    }

    /// (tokens, in) to (tokens, out).
    pub(crate) fn forward(&self, xs: &Tensor) -> Tensor {
        let kind = xs.kind();
        xs.linear(&self.weight.to_kind(kind), Some(&self.bias.to_kind(kind)))
    }
}

/// Normalizes the last dimension to mean 0 and variance 1, then scales and shifts.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    weight: Tensor, // (hidden)
    bias: Tensor,   // (hidden)
    eps: f64,
}

impl LayerNorm {
    pub(crate) fn new(variables: &Variables, norm: &architecture::Norm) -> Self {
        let get = |what: &str| variables.get(&norm.path, what);
        Self { weight: get("weight"), bias: get("bias"), eps: norm.eps }
    }

    /// (tokens, hidden) to (tokens, hidden).
    pub(crate) fn forward(&self, xs: &Tensor) -> Tensor {
        let kind = xs.kind();
        xs.layer_norm(
            self.weight.size(),
            Some(&self.weight.to_kind(kind)),
            Some(&self.bias.to_kind(kind)),
            self.eps,
            true,
        )
    }
}

/// A function of each number.
pub(crate) fn activate(activation: crate::config::Activation, xs: &Tensor) -> Tensor {
    use crate::config::Activation;
    match activation {
        Activation::Gelu => xs.gelu("none"),
        Activation::GeluTanh => xs.gelu("tanh"),
        Activation::Relu => xs.relu(),
    }
}
