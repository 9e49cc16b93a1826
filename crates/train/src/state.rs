//! Where a run stands, beside weights and moments: all that going on with it takes.

use data::BlockPlace;
use serde::{Deserialize, Serialize};

use crate::{
    epoch::{Best, Epoch},
    meter::Meter,
};

/// The state of a run after some steps. Data order, dropout and masks are functions of seed, epoch and step, so they need no
/// state of their own; a text is too long to be read again from its start.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TrainerState {
    /// Digest of the data that the run is on.
    pub(crate) data_sha256: String,
    /// Digest of its dev sets; states of older versions do not say.
    #[serde(default)]
    pub(crate) dev_sha256: Option<String>,
    /// Optimizer steps taken.
    pub(crate) step: u64,
    /// The epochs that are complete, with their dev figures.
    pub(crate) epochs: Vec<Epoch>,
    pub(crate) best: Best,
    /// Over the epoch that is under way.
    pub(crate) whole: Meter,
    /// Over the steps since the last entry of the log.
    pub(crate) window: Meter,
    /// Length of `metrics.jsonl` at this point; what stands beyond is of steps that will be taken again.
    pub(crate) log_bytes: u64,
    /// Time that the run has taken.
    pub(crate) seconds: f64,
    /// Where the reading of a text stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stream_place: Option<StreamPlace>,
    /// Where the last steps were computed; states of older versions do not say.
    pub(crate) device: Option<String>,
    /// Threads of each process that computed them.
    pub(crate) threads: Option<usize>,
    /// Such processes.
    pub(crate) processes: Option<usize>,
}

/// Where the reading of a text stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamPlace {
    /// The block in work.
    pub(crate) block: BlockPlace,
    /// Sequences of it that were taken.
    pub(crate) taken: usize,
}
