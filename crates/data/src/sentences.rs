//! The sentences of datasets of any kind, without what is said of them.

use std::path::Path;

use crate::{
    data_dir::DataDir,
    dataset::Dataset,
    error::Error,
    text::TextFile,
    triplets::{self, TripletSet},
};

/// The sentences of the set that `spec` names, in the order of its file, none of them blank: of scored pairs as
/// [`Dataset::load`] finds them, of `klue-nli:{train,dev}` and `para-kqc:train`, whatever their labels, or the lines of a
/// text (`.txt`, `.txt.zst`).
///
/// # Errors
/// Where there is no such set, or a row of it cannot be read.
pub fn sentences(spec: &str, dir: &DataDir) -> Result<Vec<String>, Error> {
    if TripletSet::is_named(spec) {
        return triplets::sentences(spec, dir);
    }
    if TextFile::is_text(Path::new(spec)) {
        return TextFile::locate(spec, dir)?.paragraphs()?.collect();
    }
    let pairs = Dataset::load(spec, dir)?.pairs.into_iter();
    Ok(pairs.flat_map(|pair| [pair.sentence1, pair.sentence2]).collect())
}
