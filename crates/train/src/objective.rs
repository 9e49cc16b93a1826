//! What a run teaches its encoder.

use serde::{Deserialize, Serialize};

/// What a run teaches its encoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// Semantic textual similarity: the scores of labelled pairs.
    #[default]
    Sts,
    /// Which sentence belongs to which, among all of a batch and hard negatives.
    Contrastive,
    /// How alike other models find sentences.
    Distillation,
    /// The scores of labelled pairs, of which both sentences are read together.
    #[serde(rename = "cross-encoder")]
    CrossEncoder,
    /// Masked language modelling: the tokens that were hidden in a text.
    Mlm,
}

impl Objective {
    /// Left out of a configuration that is written, as in those of before there was a choice.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
