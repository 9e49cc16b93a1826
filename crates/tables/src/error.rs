//! What is wrong with a table, and on which line.

use serde::Serialize;

use crate::words::list;

/// An error of a table's content or of its source. It names no file: whoever opened it knows its name.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A row is not as it should be.
    #[error("line {line}: {problem}")]
    Line {
        /// The line on which the row begins, from 1; in a workbook or a Parquet file, the row.
        line: u64,
        /// What is wrong with it.
        problem: Problem,
    },
    /// The file as a whole cannot be read.
    #[error("{0}")]
    File(String),
    /// The column that was asked for is not there.
    #[error("column {asked:?} is not in the file; it has {found}")]
    NoColumn {
        /// As it was asked for.
        asked: String,
        /// The columns that there are.
        found: String,
    },
    /// Several columns could hold the sentences, or none looks like it.
    #[error("{problem}: name the column; the file has {}", list(columns.iter().map(|column| column.name.as_str())))]
    Unclear {
        /// Why no column was chosen.
        problem: String,
        /// All columns, in the file's order.
        columns: Vec<Candidate>,
    },
    /// The source could not be read.
    #[error("cannot read the file: {0}")]
    Io(#[from] std::io::Error),
}

/// A column that may be chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Its name, or its number (from 0) where there is no header.
    pub name: String,
    /// The beginning of its first value that is not blank.
    pub first: String,
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Bytes that are no text.
    #[error("not {0}")]
    Encoding(&'static str),
    /// A quote that opens and does not close.
    #[error("a quote opens a field and no quote closes it (a quote within a quoted field is doubled)")]
    OpenQuote,
    /// A quote that closes before the end of its field.
    #[error("text after the quote that closes a field (a quote within a quoted field is doubled)")]
    TextAfterQuote,
    /// A row that differs from the first.
    #[error("{found} fields, expected {expected} as in the first row")]
    FieldCount {
        /// Fields of this row.
        found: usize,
        /// Fields of the first.
        expected: usize,
    },
    /// A row beyond what is kept of one.
    #[error("a row of more than {0} bytes")]
    TooLong(usize),
    /// A row with more fields than are kept.
    #[error("a row of more than {0} fields")]
    TooManyFields(usize),
    /// A line of JSON lines that is no object.
    #[error("{0}")]
    Json(String),
}

impl Error {
    /// An error of the file as a whole.
    pub(crate) fn file(what: impl Into<String>) -> Self {
        Self::File(what.into())
    }
}
