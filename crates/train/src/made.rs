//! Names of the files of a run that hold data made for it.

/// Pairs that models scored for the run.
pub(crate) const SILVER: &str = "silver.csv";
/// Anchors with the hard negatives that were found for them.
pub(crate) const HARD_NEGATIVES: &str = "hard_negatives.csv";
/// What the teachers of a distillation make of its sentences.
pub(crate) const TEACHERS: &str = "teachers.safetensors";
