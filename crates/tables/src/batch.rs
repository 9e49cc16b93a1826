//! Rows of a table.

use arrow_array::RecordBatch;

use crate::error::Error;

/// Some rows of a table.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Their columns. A blank cell of a text is null.
    pub rows: RecordBatch,
    /// The line on which each begins, from 1; of a workbook and of Parquet, the row.
    pub lines: Vec<u64>,
    /// Those that are blank lines of a delimited file, by their places here; their columns are null.
    pub blank: Vec<usize>,
}

/// The rows of a table, in the file's order. After an error, what follows is not to be relied on.
pub type Batches = Box<dyn Iterator<Item = Result<Batch, Error>> + Send>;
