//! Parquet files, a few rows at a time.

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow_schema::SchemaRef;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::Batches;

pub(super) fn schema(file: &File) -> anyhow::Result<SchemaRef> {
    Ok(ParquetRecordBatchReaderBuilder::try_new(file.try_clone()?)?.schema().clone())
}

/// `position` goes to `bytes` with the share of rows that were read.
pub(super) fn batches(file: File, rows: usize, bytes: u64, position: Arc<AtomicU64>) -> anyhow::Result<Batches> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let all = builder.metadata().file_metadata().num_rows().max(1) as u64;
    let per_row = bytes as f64 / all as f64;
    let mut read = 0;
    let batches = builder.with_batch_size(rows).build()?.inspect(move |batch| {
        let rows = batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
        let before = (read as f64 * per_row) as u64;
        read += rows;
        position.fetch_add((read as f64 * per_row) as u64 - before, Ordering::Relaxed);
    });
    Ok(Box::new(batches))
}
