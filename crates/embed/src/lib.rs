//! Batch embedding of tables: every row of a CSV, TSV, JSON lines or Parquet file with the embedding of its text, or the
//! score of its two texts, beside what it had.
//!
//! [`embed_table`] writes Parquet parts, each whole or not at all, so that a job that was cut off goes on where it stood and
//! many processes can share one; [`Corpus`] searches them. [`filter_stream`] is the same for other engines: an Arrow stream in, an Arrow stream out.

#![cfg_attr(test, allow(clippy::unwrap_used))] // A test may panic.

mod columns;
mod corpus;
mod fields;
mod filter;
mod input;
mod job;
mod model;
mod parts;
mod progress;
mod quantize;
mod settings;
mod shard;

pub use columns::{Added, Columns, Dtype};
pub use corpus::{Corpus, Filter, FilterError, Hit, Row, ScanFormat};
pub use filter::filter_stream;
pub use input::{Input, Table};
pub use job::{Job, Outcome, embed_table};
pub use model::Model;
pub use settings::Settings;
pub use shard::Shard;

/// Rows that are read, encoded and written at once: enough to sort by length, and no more memory however many there are.
pub const ROWS_AT_ONCE: usize = 4096;
