//! Pooling and modules on libtorch: also where the kernels train, whose gradient they hand on.

use tch::Tensor;

use super::{
    linear::{Linear, Norm, activate},
    packed::PackedBatch,
    variables::Variables,
};
use crate::{
    config::Activation,
    head::{self, Module},
    pooling::Pooling,
    similarity::normalized,
};

/// What makes a sentence's embedding of its tokens'.
#[derive(Debug)]
pub(crate) struct Head {
    pooling: Pooling,
    skipped: usize,
    modules: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Dense(Linear, Option<Activation>),
    Norm(Norm),
    Dropout(f64),
    Normalize,
}

impl Head {
    /// Computes with these variables, which include those of the head.
    pub(crate) fn new(variables: &Variables, described: &head::Head) -> Self {
        let step = |module: &Module| match module {
            Module::Dense { affine, activation } => Step::Dense(Linear::new(variables, affine), *activation),
            Module::LayerNorm(norm) => Step::Norm(Norm::new(variables, norm)),
            Module::Dropout(p) => Step::Dropout(*p),
            Module::Normalize => Step::Normalize,
        };
        let modules = described.modules.iter().map(step).collect();
        Self { pooling: described.pooling, skipped: described.skipped, modules }
    }

    /// (tokens, hidden) in any number format to (sentences, width) in f32, in the caller's order.
    pub(crate) fn forward(&self, hidden: &Tensor, batch: &PackedBatch, train: bool) -> Tensor {
        self.modules(self.pooling.forward(hidden, batch, self.skipped), train)
    }

    /// What the modules make of pooled embeddings, (sentences, width of the pooling).
    pub(crate) fn modules(&self, pooled: Tensor, train: bool) -> Tensor {
        self.modules.iter().fold(pooled, |xs, step| match step {
            Step::Dense(linear, activation) => {
                let ys = linear.forward(&xs);
                activation.map_or_else(|| ys.shallow_clone(), |activation| activate(activation, &ys))
            }
            Step::Norm(norm) => norm.forward(&xs),
            Step::Dropout(p) => xs.dropout(*p, train),
            Step::Normalize => normalized(&xs),
        })
    }
}
