//! Fresh weights for an encoder that is trained from scratch.

use tch::nn::VarStore;

use crate::config::EncoderConfig;

/// Draws every weight matrix from N(0, `initializer_range`²) with libtorch's random state, and sets biases to 0, layer
/// norms to 1 and the padding token's embedding to 0.
///
/// Source: transformers, `RobertaPreTrainedModel._init_weights`.
pub(crate) fn initialize(vs: &VarStore, config: &EncoderConfig) {
    let mut variables: Vec<_> = vs.variables().into_iter().collect();
    variables.sort_by(|a, b| a.0.cmp(&b.0)); // a fixed order: each draw moves the random state
    tch::no_grad(|| {
        for (name, mut variable) in variables {
            if variable.dim() == 2 {
                let _ = variable.normal_(0.0, config.initializer_range);
            }
            if name == "embeddings.word_embeddings.weight" {
                let _ = variable.get(config.pad_token_id()).zero_();
            }
        }
    });
}
