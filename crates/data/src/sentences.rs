//! The sentences of datasets of any kind, without what is said of them.

use crate::{data_dir::DataDir, dataset::Dataset, error::Error, triplets::TripletSet};

/// The sentences of the set that `spec` names, in the order of its file: of scored pairs as [`Dataset::load`] finds them, or
/// of `klue-nli:{train,dev}` and `para-kqc:train`.
///
/// # Errors
/// Where there is no such set, or a row of it cannot be used.
pub fn sentences(spec: &str, dir: &DataDir) -> Result<Vec<String>, Error> {
    if TripletSet::is_named(spec) {
        let triplets = TripletSet::load(spec, dir, 0)?.triplets.into_iter();
        return Ok(triplets
            .flat_map(|triplet| [triplet.anchor, triplet.positive].into_iter().chain(triplet.negative))
            .collect());
    }
    let pairs = Dataset::load(spec, dir)?.pairs.into_iter();
    Ok(pairs.flat_map(|pair| [pair.sentence1, pair.sentence2]).collect())
}
