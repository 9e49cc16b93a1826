//! The sentences of datasets of any kind, without what is said of them.

use std::path::{Path, PathBuf};

use crate::{
    data_dir::DataDir,
    dataset::Dataset,
    error::Error,
    spec, splitting,
    text::TextFile,
    triplets::{self, TripletSet},
};

/// The file of a set of any kind, as [`sentences`] knows them; it is not read.
///
/// # Errors
/// Where there is no such set.
pub fn locate(spec: &str, dir: &DataDir) -> Result<PathBuf, Error> {
    if TripletSet::is_named(spec) {
        return TripletSet::locate(spec, dir);
    }
    if TextFile::is_text(Path::new(spec)) {
        return Ok(TextFile::locate(spec, dir)?.path().to_owned());
    }
    spec::locate(spec, dir)
}

/// The sentences of the set that `spec` names, in the order of its file, none of them blank: of scored pairs as
/// [`Dataset::load`] finds them, of `klue-nli:{train,dev}` and `para-kqc:train`, whatever their labels, or the first
/// `text_sentences` of a text (`.txt`, `.txt.zst`).
///
/// # Errors
/// Where there is no such set, or a row of it cannot be read.
pub fn sentences(spec: &str, dir: &DataDir, text_sentences: usize) -> Result<Vec<String>, Error> {
    if TripletSet::is_named(spec) {
        return triplets::sentences(spec, dir);
    }
    if TextFile::is_text(Path::new(spec)) {
        let mut sentences = Vec::new();
        for paragraph in TextFile::locate(spec, dir)?.paragraphs()? {
            sentences.extend(splitting::sentences(&paragraph?).into_iter().map(str::to_owned));
            if sentences.len() >= text_sentences {
                break;
            }
        }
        sentences.truncate(text_sentences);
        return Ok(sentences);
    }
    let pairs = Dataset::load(spec, dir)?.pairs.into_iter();
    Ok(pairs.flat_map(|pair| [pair.sentence1, pair.sentence2]).collect())
}
