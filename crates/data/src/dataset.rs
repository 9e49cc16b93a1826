//! A dataset in memory: its pairs, with the name it was asked by.

use std::path::PathBuf;

use crate::data_dir::DataDir;
use crate::error::{Error, Problem};
use crate::pair::SentencePair;
use crate::{reader::Reader, spec};
use tables::Layout;

/// All pairs of one file; either every pair has a score or none has.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The spec as asked for.
    pub name: String,
    /// The file that was read.
    pub path: PathBuf,
    /// The pairs, in the order of the file; at least one.
    pub pairs: Vec<SentencePair>,
    /// How the file is read; none of KLUE's JSON, and of pairs that come from no file.
    pub layout: Option<Layout>,
}

impl Dataset {
    /// Reads the dataset that `spec` names: `klue-sts:{train,dev}`, `kor-sts:{train,dev,test}`,
    /// `sample:{train,dev,test}`, or the path of a table of any form that [`tables`] reads, with the columns `sentence1`,
    /// `sentence2` and optionally `score` or `label`, or those that `dir` has other names for.
    ///
    /// # Errors
    /// Where there is no such dataset or file, and where any row of it cannot be used: no row is ever skipped.
    pub fn load(spec: &str, dir: &DataDir) -> Result<Dataset, Error> {
        let path = spec::locate(spec, dir)?;
        let reader = Reader::open(&path, dir.reading(spec))?;
        Ok(Dataset { name: spec.to_owned(), pairs: reader.read()?, layout: reader.layout(), path })
    }

    /// Pairs that come from no file.
    pub fn made(name: impl Into<String>, pairs: Vec<SentencePair>) -> Dataset {
        Dataset { name: name.into(), path: PathBuf::new(), pairs, layout: None }
    }

    /// The file that [`Dataset::load`] would read.
    ///
    /// # Errors
    /// Where there is none.
    pub fn locate(spec: &str, dir: &DataDir) -> Result<PathBuf, Error> {
        spec::locate(spec, dir)
    }

    /// Whether the pairs have scores.
    pub fn is_labelled(&self) -> bool {
        self.pairs.iter().all(|pair| pair.score.is_some())
    }

    /// The scores, in the order of the pairs.
    ///
    /// # Errors
    /// Where the file has no score column; the error names the file.
    pub fn scores(&self) -> Result<Vec<f64>, Error> {
        let unlabelled = || Error::File { path: self.path.clone(), problem: Problem::Unlabelled };
        self.pairs.iter().map(|pair| pair.score.ok_or_else(unlabelled)).collect()
    }
}
