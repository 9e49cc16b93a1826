//! Tables as people have them: CSV, TSV and lines of text however they were saved, JSON lines, Parquet, workbooks.
//!
//! What a file does not say is detected, and [`Layout`] tells what was detected: UTF-8, UTF-16 with a byte order mark or CP949;
//! what stands between fields; whether quotes enclose them; whether the first row names the columns; which column holds the
//! sentences. Rows are read in a stream, and memory does not grow with their number.
//!
//! ```
//! use tables::{Options, Source, Table};
//!
//! let file = "번호;리뷰\n1;배송이 빨라요\n2;색이 예뻐요\n";
//! let table = Table::open(Source::memory(file), &Options::default())?;
//! assert_eq!(table.layout().to_string(), "semicolon-separated, UTF-8, with a header");
//! let column = table.sentence_column()?.clone();
//! assert_eq!(column.name.as_deref(), Some("리뷰"));
//! for batch in table.batches(&[column.index], 1000, None)? {
//!     let batch = batch?;
//!     let sentences = tables::texts(batch.rows.column(0))?;
//!     assert_eq!((sentences.value(1), batch.lines[1]), ("색이 예뻐요", 3));
//! }
//! # Ok::<(), tables::Error>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))] // A test may panic.

mod batch;
mod column;
mod delimited;
mod dialect;
mod error;
mod json_lines;
mod json_types;
mod kinds;
mod merge;
mod names;
mod objects;
mod options;
mod parquet;
mod records;
mod scan;
mod source;
mod table;
mod text;
mod values;
mod words;
mod workbook;

/// Ends of names of files that may hold a table; what a file is, its content says.
pub const EXTENSIONS: [&str; 6] = ["csv", "tsv", "jsonl", "ndjson", "parquet", "xlsx"];

pub use batch::{Batch, Batches};
pub use column::Column;
pub use dialect::Delimiter;
pub use error::{Candidate, Error, Problem};
pub use merge::{conform, merge};
pub use names::find as find_name;
pub use options::Options;
pub use source::{Progress, Source};
pub use table::{Format, Layout, Table};
pub use values::{in_words, is_text, texts};
