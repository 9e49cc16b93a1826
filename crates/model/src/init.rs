//! Fresh weights for a model that is trained from scratch.

use crate::{
    architecture::{Embeddings, Role, Variable},
    torch::Variables,
};

/// Draws every table and every product's weight from N(0, `range`²) with libtorch's random state; biases are 0 and norms'
/// gains 1 already.
///
/// Source: transformers, `RobertaPreTrainedModel._init_weights`, which the other families share.
pub(crate) fn initialize(variables: &Variables, described: &[Variable], range: f64) {
    let mut drawn: Vec<&Variable> =
        described.iter().filter(|variable| matches!(variable.role, Role::Table | Role::Weight)).collect();
    drawn.sort_by(|a, b| a.name.cmp(&b.name)); // a fixed order: each draw moves the random state
    let by_name = variables.by_name();
    tch::no_grad(|| {
        for Variable { name, .. } in drawn {
            let _ = by_name[name].shallow_clone().normal_(0.0, range);
        }
    });
}

/// Sets the padding token's embedding to 0.
pub(crate) fn clear_padding(variables: &Variables, embeddings: &Embeddings) {
    tch::no_grad(|| {
        if let Some(padding) = embeddings.padding {
            let _ = variables.get(&embeddings.words.path, "weight").get(padding).zero_();
        }
    });
}
