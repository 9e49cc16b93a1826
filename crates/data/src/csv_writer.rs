//! Writing scored pairs, and the two parts of a split, as CSV.

use std::io::BufWriter;
use std::path::{Path, PathBuf};

use ground::Staged;
use polars::prelude::{Column, CsvWriter, DataFrame, PolarsResult, SerWriter};

use crate::dataset::Dataset;
use crate::error::Error;
use crate::pair::SentencePair;
use crate::split::Split;

/// Where the two parts of a split were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitFiles {
    /// The larger part.
    pub train: PathBuf,
    /// The part split off.
    pub dev: PathBuf,
}

/// Writes `train.csv` and `dev.csv` into `folder`, with the columns `sentence1`, `sentence2` and `score`.
///
/// Both files are written in full before either appears. Reading them back gives the same pairs to the last bit.
///
/// # Errors
/// Where one of the files is there already and `overwrite` is false, where the pairs have no scores, and where the
/// folder cannot be written to.
pub fn write_split(dataset: &Dataset, split: &Split, folder: &Path, overwrite: bool) -> Result<SplitFiles, Error> {
    let files = SplitFiles { train: folder.join("train.csv"), dev: folder.join("dev.csv") };
    if let Some(path) = [&files.train, &files.dev].into_iter().find(|path| !overwrite && path.exists()) {
        return Err(ground::Error::Exists { path: path.clone() }.into());
    }
    let scores = dataset.scores()?;
    let train = stage(&files.train, &dataset.pairs, &scores, &split.train)?;
    let dev = stage(&files.dev, &dataset.pairs, &scores, &split.dev)?;
    train.commit(overwrite)?;
    dev.commit(overwrite).inspect_err(|_| {
        if !overwrite {
            // Half a split is worse than none, and this half is ours.
            let _ = std::fs::remove_file(&files.train);
        }
    })?;
    Ok(files)
}

/// Writes all pairs of a dataset as CSV with the columns `sentence1`, `sentence2` and `score`, in the place of a file that is
/// there; it appears whole or not at all.
///
/// # Errors
/// Where the pairs have no scores, and where the file cannot be written.
pub fn write_pairs(dataset: &Dataset, path: &Path) -> Result<(), Error> {
    let rows: Vec<usize> = (0..dataset.pairs.len()).collect();
    stage(path, &dataset.pairs, &dataset.scores()?, &rows)?.commit(true)?;
    Ok(())
}

fn stage(path: &Path, pairs: &[SentencePair], scores: &[f64], rows: &[usize]) -> Result<Staged, Error> {
    let mut staged = Staged::create(path)?;
    let written = write(staged.file(), pairs, scores, rows);
    written.map_err(|error| staged.failed(std::io::Error::other(error.to_string())))?;
    Ok(staged)
}

fn write(file: impl std::io::Write, pairs: &[SentencePair], scores: &[f64], rows: &[usize]) -> PolarsResult<()> {
    let texts = |text: fn(&SentencePair) -> &str| rows.iter().map(|&row| text(&pairs[row])).collect::<Vec<_>>();
    let columns = vec![
        Column::new("sentence1".into(), texts(|pair| &pair.sentence1)),
        Column::new("sentence2".into(), texts(|pair| &pair.sentence2)),
        // The shortest decimal that reads back as the same number.
        Column::new("score".into(), rows.iter().map(|&row| scores[row].to_string()).collect::<Vec<_>>()),
    ];
    let mut buffered = BufWriter::new(file);
    CsvWriter::new(&mut buffered).finish(&mut DataFrame::new(rows.len(), columns)?)?;
    Ok(std::io::Write::flush(&mut buffered)?)
}
