//! What can go wrong with a dataset; each message is one line that says where, what, and what was expected.

use std::io;
use std::path::PathBuf;

use crate::catalogue::{KNOWN_NAMES, KNOWN_TRIPLETS};
use crate::scale::Scale;

/// Everything that this crate can refuse.
///
/// `Display` tells the whole story, causes included; there is no `source()`, so a chain of errors prints it once.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// One record of a file cannot be used.
    #[error("{}:{line}: {problem}", path.display())]
    Record {
        /// The file, as it was given.
        path: PathBuf,
        /// The line on which the record starts, counted from 1; for invalid bytes, the line that holds them.
        line: usize,
        /// What is wrong with it.
        problem: Problem,
    },

    /// A file as a whole cannot be used.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file, as it was given.
        path: PathBuf,
        /// What is wrong with it.
        problem: Problem,
    },

    /// The operating system refused to read or write.
    #[error("{}: cannot {action}: {cause}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried, such as `read the file`.
        action: &'static str,
        /// The system's reason.
        cause: io::Error,
    },

    /// The spec names no dataset and looks like no file.
    #[error(
        "unknown dataset {spec:?}: the known names are {KNOWN_NAMES}, or give the path of a .json, .jsonl, .tsv, .csv, .xlsx or .parquet file"
    )]
    UnknownDataset {
        /// The spec as asked for.
        spec: String,
    },

    /// The spec is understood, but its file is not there.
    #[error(
        "no file for dataset {spec:?}: looked at {}; {remedy} (known names: {KNOWN_NAMES})",
        looked_at.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    MissingDataset {
        /// The spec as asked for.
        spec: String,
        /// Every place that was tried.
        looked_at: Vec<PathBuf>,
        /// How to get the file.
        remedy: String,
    },

    /// A list names a file twice.
    #[error("{key} names one file twice: {first:?} and {second:?}")]
    Repeated {
        /// Where the list is given, such as `data.train`.
        key: String,
        /// How it was named first.
        first: String,
        /// And how again.
        second: String,
    },

    /// The spec names data of another kind than is asked for.
    #[error("{spec} holds {kind}: train on it with objective = {objective:?}")]
    OtherKind {
        /// The spec as asked for.
        spec: String,
        /// What its file holds.
        kind: &'static str,
        /// The objective of a training that reads it.
        objective: &'static str,
    },

    /// The spec names no set of examples and looks like no file.
    #[error(
        "unknown set of examples {spec:?}: the known names are {KNOWN_TRIPLETS}, {KNOWN_NAMES}, or give the path of a .json, .tsv, .csv, .txt or .txt.zst file"
    )]
    UnknownTriplets {
        /// The spec as asked for.
        spec: String,
    },

    /// The spec of a set of examples is understood, but its file is not there.
    #[error("no file for the examples {spec:?}: {} is missing; put it there (data/README.md says where it is published) or check the path", path.display())]
    MissingTriplets {
        /// The spec as asked for.
        spec: String,
        /// Where it was looked for.
        path: PathBuf,
    },

    /// Sentences that cannot be searched for.
    #[error("{specs}: cannot search for these sentences: {reason}")]
    Exclusion {
        /// The datasets that hold them.
        specs: String,
        /// The search's reason.
        reason: String,
    },

    /// The fraction of a split is not strictly between 0 and 1.
    #[error("fraction {fraction} cannot be split off: expected a number above 0 and below 1")]
    Fraction {
        /// The fraction as asked for.
        fraction: f64,
    },

    /// A stratified split needs a score for every pair.
    #[error("pair {} has no score: a stratified split needs labelled pairs", row + 1)]
    SplitUnlabelled {
        /// The pair's row, counted from 0.
        row: usize,
    },

    /// The split would leave one of its parts without a row.
    #[error("a fraction of {fraction} of {rows} pairs leaves one part empty: use more pairs or another fraction")]
    EmptySplit {
        /// The fraction as asked for.
        fraction: f64,
        /// The number of pairs.
        rows: usize,
    },

    /// A download failed; nothing was written.
    #[error("cannot fetch {url}: {problem}; {remedy}")]
    Fetch {
        /// The address.
        url: String,
        /// What happened.
        problem: String,
        /// What the user can do.
        remedy: String,
    },

    /// A file that was to be written.
    #[error(transparent)]
    Written(#[from] ground::Error),

    /// A chart that was to be drawn.
    #[error(transparent)]
    Chart(#[from] picture::Error),
}

/// What is wrong with a file or with one of its records.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // Each message says what its variant and fields are.
pub enum Problem {
    #[error("is a directory, expected a .json, .jsonl, .tsv, .csv, .xlsx or .parquet file")]
    Directory,
    #[error("the file is empty, expected sentence pairs")]
    Empty,
    #[error("no rows after the header, expected at least one sentence pair")]
    NoRows,
    #[error("the array is empty, expected at least one sentence pair")]
    EmptyArray,
    #[error("expected a text file, .txt or .txt.zst, one paragraph a line")]
    TextExtension,
    #[error("is a directory, expected a text file, .txt or .txt.zst")]
    TextDirectory,
    #[error("a line of more than 1048576 bytes, expected one paragraph a line")]
    LongLine,
    #[error(
        "no paragraph beside the first {skipped}, which are held out, and those with an excluded sentence: set a smaller data.held_out, or give more text"
    )]
    NoText { skipped: usize },
    #[error(
        "expected examples as .json (premise, hypothesis, gold_label), .tsv (group, sentence), .csv (sentence1, sentence2, score), .txt or .txt.zst"
    )]
    TripletExtension,
    #[error(
        "no example: expected an entailment, a group of two sentences, a pair that is scored 3 or more, or a paragraph of two sentences"
    )]
    NoTriplets,
    #[error(
        "{reason}: expected an array of records with premise, hypothesis and gold_label; scored pairs go in a .csv here"
    )]
    Nli { reason: String },
    #[error("expected a group and a sentence with one tab between them; scored pairs go in a .csv here")]
    GroupLine,
    #[error(
        "byte 0x{byte:02X} is not valid UTF-8, expected a file saved as UTF-8 (`iconv -f CP949 -t UTF-8` converts what Korean Windows saves)"
    )]
    InvalidUtf8 { byte: u8 },

    #[error("{0}")]
    Table(String),
    #[error("{0}")]
    Row(tables::Problem),
    #[error(
        "no column {missing:?} among {found}; expected sentence1, sentence2 and score or label, or name yours (data.columns, --columns)"
    )]
    MissingColumn { missing: String, found: String },
    #[error("column {name:?} occurs more than once, expected it once")]
    RepeatedColumn { name: String },
    #[error("both sentences of a pair would be column {name:?}, expected two columns")]
    SameColumn { name: String },
    #[error("both {first:?} and {second:?} are present, expected only one of them")]
    AmbiguousScore { first: String, second: String },

    #[error("{reason}")]
    Json { reason: String },
    #[error("no field {name:?}, expected sentence1, sentence2 and labels.real-label, score or label")]
    MissingField { name: &'static str },
    #[error("no score, although the first record has one")]
    ScoreVanishes,
    #[error("a score, although the first record has none")]
    ScoreAppears,

    #[error("{column} is empty, expected a sentence")]
    EmptySentence { column: String },
    #[error("{column} is empty, expected a number in {scale}")]
    EmptyScore { column: String, scale: Scale },
    #[error("{column} {text} is not a number, expected one in {scale}")]
    ScoreNotANumber { column: String, text: String, scale: Scale },
    #[error("{column} {text} is outside {scale}")]
    ScoreOutside { column: String, text: String, scale: Scale },
    #[error("no scores: the file has no column score or label, and this needs one")]
    Unlabelled,
}

impl Error {
    /// True where the request itself is wrong (an unknown name, an impossible fraction), not the data.
    pub fn is_wrong_use(&self) -> bool {
        matches!(
            self,
            Error::UnknownDataset { .. }
                | Error::UnknownTriplets { .. }
                | Error::OtherKind { .. }
                | Error::Repeated { .. }
                | Error::Fraction { .. }
        )
    }
}

/// Whether an error of a command is this crate's and the request's fault; `ground::command_line::run` asks.
pub fn is_wrong_use(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Error>().is_some_and(Error::is_wrong_use)
}
