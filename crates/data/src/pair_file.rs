//! A dataset that stays in its file: checked once, then read a part at a time.

use std::path::PathBuf;

use crate::data_dir::DataDir;
use crate::error::Error;
use crate::pair::SentencePair;
use crate::{reader::Reader, spec};
use tables::Layout;

/// Pairs of a part.
const PART: usize = 2048;

/// All pairs of one file, as [`Dataset`](crate::Dataset) has them, of which a delimited file has only a part in memory.
#[derive(Debug, Clone)]
pub struct PairFile {
    /// The spec as asked for.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Number of pairs; at least one.
    pub pairs: usize,
    /// The score of each pair, where the file has them.
    pub scores: Option<Vec<f64>>,
    reader: Reader,
}

impl PairFile {
    /// Finds the dataset that `spec` names, and reads it to its end.
    ///
    /// # Errors
    /// As [`Dataset::load`](crate::Dataset::load).
    pub fn open(spec: &str, dir: &DataDir) -> Result<PairFile, Error> {
        let path = spec::locate(spec, dir)?;
        let (mut pairs, mut scores) = (0, Some(Vec::new()));
        let reader = Reader::open(&path, dir.reading(spec))?;
        for part in reader.parts(PART)? {
            let part = part?;
            pairs += part.len();
            match (&mut scores, part.iter().map(|pair| pair.score).collect::<Option<Vec<f64>>>()) {
                (Some(scores), Some(more)) => scores.extend(more),
                _ => scores = None,
            }
        }
        Ok(PairFile { name: spec.to_owned(), path, pairs, scores, reader })
    }

    /// How the file is read; none of KLUE's JSON.
    pub fn layout(&self) -> Option<Layout> {
        self.reader.layout()
    }

    /// The pairs in parts, in the order of the file.
    ///
    /// # Errors
    /// Where the file was changed meanwhile, and can no longer be read.
    pub fn parts(&self) -> Result<impl Iterator<Item = Result<Vec<SentencePair>, Error>> + use<>, Error> {
        self.reader.parts(PART)
    }
}
