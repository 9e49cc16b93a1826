//! The parameterised maps of a transformer: linear layer and norm.
//!
//! Their weights are cast to the number format of their input, which costs nothing where they have it already. So
//! training in bf16 keeps f32 weights and casts each once per step, and inference casts once at load.

use tch::{Kind, Tensor};

use super::variables::Variables;
use crate::{
    architecture::{self, Centre},
    config::Activation,
};

/// y = x Wᵀ + b.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Tensor,       // (out, in)
    bias: Option<Tensor>, // (out)
}

impl Linear {
    pub(crate) fn new(variables: &Variables, affine: &architecture::Affine) -> Self {
        let bias = affine.bias.then(|| variables.get(&affine.path, "bias"));
        Self { weight: variables.get(&affine.path, "weight"), bias }
    }

    /// (tokens, in) to (tokens, out).
    pub(crate) fn forward(&self, xs: &Tensor) -> Tensor {
        let kind = xs.kind();
        xs.linear(&self.weight.to_kind(kind), self.bias.as_ref().map(|bias| bias.to_kind(kind)))
    }
}

/// Divides the last dimension by its deviation or its root mean square, then scales and shifts.
#[derive(Debug)]
pub(crate) struct Norm {
    weight: Tensor,       // (width)
    bias: Option<Tensor>, // (width)
    eps: f64,
    centre: Centre,
}

impl Norm {
    pub(crate) fn new(variables: &Variables, norm: &architecture::Norm) -> Self {
        let bias = norm.bias.then(|| variables.get(&norm.path, "bias"));
        Self { weight: variables.get(&norm.path, "weight"), bias, eps: norm.eps, centre: norm.centre }
    }

    /// (…, width) to (…, width).
    pub(crate) fn forward(&self, xs: &Tensor) -> Tensor {
        let kind = xs.kind();
        match self.centre {
            Centre::Mean => {
                let bias = self.bias.as_ref().map(|bias| bias.to_kind(kind));
                xs.layer_norm(self.weight.size(), Some(&self.weight.to_kind(kind)), bias.as_ref(), self.eps, true)
            }
            // In f32, and rounded before it is scaled. Source: transformers, `Qwen3RMSNorm`.
            Centre::Zero => {
                let xs = xs.to_kind(Kind::Float);
                let scale = (xs.square().mean_dim([-1].as_slice(), true, Kind::Float) + self.eps).rsqrt();
                (xs * scale).to_kind(kind) * self.weight.to_kind(kind)
            }
        }
    }
}

/// A function of each number.
pub(crate) fn activate(activation: Activation, xs: &Tensor) -> Tensor {
    match activation {
        Activation::Gelu => xs.gelu("none"),
        Activation::GeluTanh => xs.gelu("tanh"),
        Activation::Relu => xs.relu(),
        Activation::Silu => xs.silu(),
        Activation::Tanh => xs.tanh(),
    }
}
