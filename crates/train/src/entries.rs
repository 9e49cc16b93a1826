//! Names of what a run has in its directory.

use ground::Lock;

/// Pairs that models scored for the run.
pub(crate) const SILVER: &str = "silver.csv";
/// Anchors with the hard negatives that were found for them.
pub(crate) const HARD_NEGATIVES: &str = "hard_negatives.csv";
/// What the teachers of a distillation make of its sentences.
pub(crate) const TEACHERS: &str = "teachers.safetensors";
/// Embeddings and neighbours that those are made from, until the run has saved its first state.
pub(crate) const PREPARED: &str = "prepared";

/// What a run owns in its directory; other files there are never touched.
pub(crate) const FILES: [&str; 8] =
    ["config.toml", "metrics.jsonl", "report.json", "report.md", "curves.svg", SILVER, HARD_NEGATIVES, TEACHERS];
pub(crate) const CHECKPOINTS: [&str; 2] = ["best", "last"];
pub(crate) const EVENTS: &str = "tensorboard";
pub(crate) const STATE: &str = "trainer_state.json";

/// Whether a name is that of something that a run, or several of them, has in its directory.
pub(crate) fn is_owned(name: &str) -> bool {
    FILES.into_iter().chain(CHECKPOINTS).chain([EVENTS, PREPARED, Lock::NAME]).any(|owned| owned == name)
        || is_rest(name)
}

/// Whether a name is that of something that a killed process did not finish.
pub(crate) fn is_rest(name: &str) -> bool {
    let temporary = CHECKPOINTS
        .into_iter()
        .any(|checkpoint| name.strip_prefix(checkpoint).is_some_and(|rest| rest.starts_with(".tmp")));
    temporary || name.starts_with(".incomplete-")
}
