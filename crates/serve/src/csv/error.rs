//! What is wrong with a CSV file, and on which line.

/// An error of a file's content or of its source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A line of the file is not as it should be.
    #[error("line {line}: {problem}")]
    Line {
        /// The line, from 1, on which the row begins.
        line: u64,
        /// What is wrong with it.
        problem: Problem,
    },
    /// The file as a whole cannot be read as CSV.
    #[error("{0}")]
    File(&'static str),
    /// The column that was asked for is not there.
    #[error("column {asked:?} is not in the file; it has {found}")]
    NoColumn {
        /// As the client named it.
        asked: String,
        /// The columns that there are.
        found: String,
    },
    /// The source could not be read.
    #[error("cannot read the upload: {0}")]
    Io(#[from] std::io::Error),
}

/// What is wrong with a row.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Bytes that are no text.
    #[error("not {0}")]
    Encoding(&'static str),
    /// A quote that opens and does not close.
    #[error("a quote opens a field and no quote closes it")]
    OpenQuote,
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
}
