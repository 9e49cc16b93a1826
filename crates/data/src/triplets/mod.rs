//! Examples of contrastive training: an anchor, a sentence that means the same, and one that does not.

mod example;
mod groups;
mod neighbours;
mod nli;
mod scored;

use std::{
    fs,
    path::{Path, PathBuf},
};

pub use example::{Triplet, UnmatchedPair};
pub use scored::POSITIVE_SCORE;

use example::Parsed;

use crate::{
    catalogue::{self, EXAMPLES, Format},
    data_dir::DataDir,
    dataset::Dataset,
    error::{Error, Problem},
    spec,
    text::TextFile,
};

/// All examples of a file.
#[derive(Debug, Clone)]
pub struct TripletSet {
    /// The spec as asked for.
    pub name: String,
    /// The examples, in the order of the file; at least one.
    pub triplets: Vec<Triplet>,
    /// The pairs of the file that are no example.
    pub unmatched: Vec<UnmatchedPair>,
}

/// Reads a text; a problem has the line that it was found on.
type Parse = fn(&str) -> Result<Parsed, (usize, Problem)>;

impl TripletSet {
    /// Whether a spec is a name, not a path.
    pub fn is_named(spec: &str) -> bool {
        catalogue::is_examples(spec)
    }

    /// The file that [`TripletSet::load`] would read.
    ///
    /// # Errors
    /// Where there is none.
    pub fn locate(spec: &str, dir: &DataDir) -> Result<PathBuf, Error> {
        let named = EXAMPLES.iter().find(|(name, _)| *name == spec);
        let path = match named {
            Some((_, file)) => dir.path().join(file),
            None if catalogue::is_pairs(spec) => spec::locate(spec, dir)?,
            None => dir.resolve(spec),
        };
        if !path.is_file() {
            return Err(match named.is_some() || catalogue::is_text(&path) || Format::of(&path).is_some() {
                true => Error::MissingTriplets { spec: spec.to_owned(), path },
                false => Error::UnknownTriplets { spec: spec.to_owned() },
            });
        }
        Ok(path)
    }

    /// Reads the set that `spec` names: `klue-nli:{train,dev}`, `para-kqc:train`, a name of scored pairs as
    /// [`Dataset::load`] knows them, or a file. A `.json` holds records with `premise`, `hypothesis` and `gold_label`, as
    /// KLUE-NLI has them: an entailment is a premise's positive, a contradiction its negative. A `.tsv` holds lines of
    /// `group<TAB>sentence`: sentences of a group mean the same. Any other table holds scored pairs: those that are scored
    /// [`POSITIVE_SCORE`] or more are examples, as they are of a name. Of a text (`.txt`, `.txt.zst`) neighbouring sentences
    /// of a paragraph are taken, one pair of each of the first `text_pairs` paragraphs that have two.
    ///
    /// # Errors
    /// Where there is no such file, a record cannot be used, or there is no example.
    pub fn load(spec: &str, dir: &DataDir, text_pairs: usize) -> Result<TripletSet, Error> {
        let path = Self::locate(spec, dir)?;
        let failed = |problem| Error::File { path: path.clone(), problem };
        let parse = |parse: Parse| {
            parse(&read_text(&path)?).map_err(|(line, problem)| Error::Record { path: path.clone(), line, problem })
        };
        let parsed = match Format::of(&path) {
            _ if catalogue::is_pairs(spec) => scored::read(&Dataset::load(spec, dir)?)?,
            _ if catalogue::is_text(&path) => {
                let triplets = neighbours::read(&TextFile::locate(&path.to_string_lossy(), dir)?, text_pairs)?;
                Parsed { triplets, ..Parsed::default() }
            }
            Some(Format::Table) => scored::read(&Dataset::load(spec, dir)?)?,
            Some(Format::Json) => parse(nli::parse)?,
            Some(Format::Tsv) => parse(groups::parse)?,
            None => return Err(failed(Problem::TripletExtension)),
        };
        if parsed.triplets.is_empty() {
            return Err(failed(Problem::NoTriplets));
        }
        Ok(TripletSet { name: spec.to_owned(), triplets: parsed.triplets, unmatched: parsed.unmatched })
    }
}

/// Every sentence of a named set, in the order of its file.
pub(crate) fn sentences(spec: &str, dir: &DataDir) -> Result<Vec<String>, Error> {
    let (_, file) = EXAMPLES.iter().find(|(name, _)| *name == spec).expect("the caller's spec is a name");
    let path = dir.path().join(file);
    if !path.is_file() {
        return Err(Error::MissingTriplets { spec: spec.to_owned(), path });
    }
    let parse = if Format::of(&path) == Some(Format::Json) { nli::sentences } else { groups::sentences };
    parse(&read_text(&path)?).map_err(|(line, problem)| Error::Record { path, line, problem })
}

fn read_text(path: &Path) -> Result<String, Error> {
    let bytes = fs::read(path).map_err(|cause| Error::Io { path: path.to_owned(), action: "read the file", cause })?;
    String::from_utf8(bytes).map_err(|error| {
        let (bytes, valid) = (error.as_bytes(), error.utf8_error().valid_up_to());
        let line = 1 + bytes[..valid].iter().filter(|&&byte| byte == b'\n').count();
        let problem = Problem::InvalidUtf8 { byte: bytes.get(valid).copied().unwrap_or_default() };
        Error::Record { path: path.to_owned(), line, problem }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_that_is_missing_or_unknown_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::new(Some(folder.path().to_owned()));
        let message = |spec: &str| TripletSet::load(spec, &dir, 10).unwrap_err().to_string();
        assert!(message("klue-nli:train").contains("klue-nli/klue-nli-v1.1_train.json is missing"));
        assert!(message("nowhere/x.tsv").contains("nowhere/x.tsv is missing"));
        assert!(message("kor-sts:train").contains("kor-sts/sts-train.tsv"));
        assert!(message("nothing").contains("klue-nli:{train,dev}"));
        fs::write(folder.path().join("x.md"), "a,b\n").unwrap();
        assert!(message("data:x.md").contains("x.md: expected"), "{}", message("data:x.md"));
        fs::write(folder.path().join("x.csv"), "sentence1,sentence2,score\n하나,둘,2.9\n").unwrap();
        assert!(message("data:x.csv").contains("x.csv: no example"), "{}", message("data:x.csv"));
        fs::write(folder.path().join("x.tsv"), "1\t하나뿐이다.\n").unwrap();
        assert!(message("data:x.tsv").contains("x.tsv: no example"), "{}", message("data:x.tsv"));
    }

    #[test]
    fn the_real_sets_have_the_examples_that_their_files_hold() {
        let Some(dir) = std::env::var_os("STS_DATA_DIR") else {
            return ground::say!("*** SKIPPED: no STS_DATA_DIR: the real sets were not read ***");
        };
        let dir = DataDir::new(Some(dir.into()));
        let kqc = TripletSet::load("para-kqc:train", &dir, 10).unwrap().triplets;
        assert_eq!((kqc.len(), kqc.last().map(|last| last.group)), (8_360, Some(835)));
        let nli = TripletSet::load("klue-nli:train", &dir, 10).unwrap().triplets;
        // Python: json.load, group by premise; entailments counted, and those of premises that have a contradiction.
        assert_eq!(nli.len(), 8_561);
        assert!(nli.iter().filter(|triplet| !triplet.negatives.is_empty()).count() > 8_000);
        // Python: csv.DictReader, labels of 3 and more, and the rest.
        let klue = TripletSet::load("klue-sts:train", &dir, 10).unwrap();
        assert_eq!((klue.triplets.len(), klue.unmatched.len()), (5_602, 6_066));
    }
}
