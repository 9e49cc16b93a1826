//! Pooling and modules on a processor, in f32 whatever the format of the layers.

use kernels::{Format, Linear, Norm, Rows, Sentences};

use super::weights::{Read, Weights};
use crate::{
    error::Error,
    head::{self, Module},
    pooling::Pooling,
    similarity::normalize,
};

/// What makes a sentence's embedding of its tokens'.
#[derive(Debug)]
pub(crate) struct NativeHead {
    pooling: Pooling,
    skipped: usize,
    modules: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Dense(Linear, Option<kernels::Activation>, usize), // and the width of its input
    Norm(Norm),
    Normalize,
}

impl NativeHead {
    pub(crate) fn new(read: &Read, described: &head::Head) -> Result<Self, Error> {
        let weights = Weights::new(read, Format::F32);
        let step = |module: &Module| -> Option<Result<Step, Error>> {
            Some(match module {
                Module::Dense { affine, activation } => {
                    let linear = weights.linear(std::slice::from_ref(affine));
                    linear.map(|linear| Step::Dense(linear, activation.map(Into::into), affine.input as usize))
                }
                Module::LayerNorm(norm) => weights.norm(norm).map(Step::Norm),
                Module::Dropout(_) => return None, // of training
                Module::Normalize => Ok(Step::Normalize),
            })
        };
        let modules = described.modules.iter().filter_map(step).collect::<Result<_, _>>()?;
        Ok(Self { pooling: described.pooling, skipped: described.skipped, modules })
    }

    /// (tokens, `hidden`) to (sentences, width).
    pub(super) fn forward(&self, tokens: &[f32], sentences: &Sentences, hidden: usize, embeddings: &mut Vec<f32>) {
        let width = self.pooling.width(hidden);
        embeddings.resize(sentences.ranges().len() * width, 0.0);
        for (range, pooled) in sentences.ranges().zip(embeddings.chunks_exact_mut(width)) {
            let tokens = &tokens[range.start * hidden..range.end * hidden];
            self.pooling.pool(tokens, hidden, self.skipped, pooled);
        }
        let mut width = width;
        for step in &self.modules {
            match step {
                Step::Dense(linear, activation, input) => {
                    let mut rows = Rows::new(Format::F32, *input);
                    rows.encode(embeddings);
                    linear.forward(&rows, *activation, embeddings);
                    width = embeddings.len() / rows.tokens().max(1);
                }
                Step::Norm(norm) => norm.apply(embeddings),
                Step::Normalize => embeddings.chunks_exact_mut(width).for_each(normalize),
            }
        }
    }
}
