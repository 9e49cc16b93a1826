//! The keys of `[data.hard_negatives]`: who finds them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Hard negatives for every example of contrastive training.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HardNegatives {
    /// Model directory, hub id or name of an earlier stage; without one, the model as the run begins with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,
    /// A cross-encoder, likewise named: what it finds as near to an anchor as the positive is no hard negative.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cross_encoder: Option<PathBuf>,
}
