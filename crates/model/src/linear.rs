//! The two parameterised maps of a transformer: linear layer and layer norm.
//!
//! Their weights are cast to the number format of their input, which costs nothing where they have it already. So
//! training in bf16 keeps f32 weights and casts each once per step, and inference casts once at load.

use tch::{TchError, Tensor, nn};

/// y = x Wᵀ + b.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Tensor, // (out, in)
    bias: Tensor,   // (out)
}

impl Linear {
    pub(crate) fn new(path: nn::Path, input: i64, output: i64) -> Result<Self, TchError> {
        Ok(Self { weight: path.f_zeros("weight", &[output, input])?, bias: path.f_zeros("bias", &[output])? })
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
    pub(crate) fn new(path: nn::Path, hidden: i64, eps: f64) -> Result<Self, TchError> {
        Ok(Self { weight: path.f_ones("weight", &[hidden])?, bias: path.f_zeros("bias", &[hidden])?, eps })
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
