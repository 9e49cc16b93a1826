//! ELECTRA: BERT, whose embeddings may be narrower than its layers.
//!
//! Source: transformers, `ElectraModel`, `ElectraForMaskedLM` and `ElectraConfig`.

use serde::{Deserialize, Serialize};

use super::{
    Config, Family,
    bert::{BertConfig, DROPOUTS},
    check_sizes, read,
};
use crate::{
    architecture::{Architecture, MaskedHead, Positions},
    config::Activation,
};

pub(super) const ELECTRA: Family = Family { model_type: "electra", read: read::<ElectraConfig>, dropouts: &DROPOUTS };

#[derive(Debug, Serialize, Deserialize)]
struct ElectraConfig {
    #[serde(default = "default_embedding_size")]
    embedding_size: i64,
    #[serde(flatten)]
    bert: BertConfig,
}

fn default_embedding_size() -> i64 {
    128
}

impl Config for ElectraConfig {
    fn architecture(&self) -> Result<Architecture, String> {
        let Self { embedding_size: width, bert } = self;
        let width = *width;
        check_sizes([("embedding_size", width)])?;
        let mut described = bert.described("ElectraModel", "electra.", Positions::FromZero, width)?;
        let projection = || bert.affine("embeddings_project", width, bert.hidden_size);
        described.embeddings.projection = (width != bert.hidden_size).then(projection);
        described.masked_head = Some(MaskedHead {
            class: "ElectraForMaskedLM",
            dense: bert.affine("generator_predictions.dense", bert.hidden_size, width),
            activation: Activation::Gelu,
            norm: bert.norm("generator_predictions.LayerNorm", width),
            bias: Some("generator_lm_head.bias".to_owned()),
        });
        described.classifier = Some(bert.classifier("ElectraForSequenceClassification", Activation::Gelu));
        Ok(described)
    }
}
