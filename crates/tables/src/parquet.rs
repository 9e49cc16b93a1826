//! Parquet files, a few rows at a time.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::Ordering,
};

use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    },
    errors::ParquetError,
    file::reader::{ChunkReader, Length},
};

use crate::{
    batch::Batch,
    error::Error,
    records::MAX_FIELDS,
    source::{Progress, Reader, Source},
};

pub(crate) fn schema(source: &Source) -> Result<SchemaRef, Error> {
    guarded(|| {
        let builder = ParquetRecordBatchReaderBuilder::try_new(Chunks(source.clone())).map_err(refused)?;
        match builder.schema().fields().len() {
            fields if fields > MAX_FIELDS => Err(Error::file(format!("more than {MAX_FIELDS} columns"))),
            _ => Ok(builder.schema().clone()),
        }
    })
}

/// Batches of some columns of a file.
pub(crate) struct Batches {
    batches: ParquetRecordBatchReader,
    next_row: u64, // from 1
    bytes_per_row: f64,
    progress: Option<Progress>,
}

impl Batches {
    pub(crate) fn new(
        source: &Source,
        wanted: &[usize],
        rows: usize,
        progress: Option<Progress>,
    ) -> Result<Self, Error> {
        guarded(|| {
            let builder = ParquetRecordBatchReaderBuilder::try_new(Chunks(source.clone())).map_err(refused)?;
            let mask = ProjectionMask::roots(builder.parquet_schema(), wanted.iter().copied());
            let all = builder.metadata().file_metadata().num_rows().max(1);
            let batches = builder.with_projection(mask).with_batch_size(rows).build().map_err(refused)?;
            Ok(Self { batches, next_row: 1, bytes_per_row: source.bytes() as f64 / all as f64, progress })
        })
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = guarded(|| self.batches.next().transpose().map_err(refused)).transpose()?;
        Some(batch.map(|rows| {
            let (first, end) = (self.next_row, self.next_row + rows.num_rows() as u64);
            self.next_row = end;
            if let Some(progress) = &self.progress {
                let bytes = |row: u64| ((row - 1) as f64 * self.bytes_per_row) as u64;
                progress.fetch_add(bytes(end) - bytes(first), Ordering::Relaxed);
            }
            Batch { rows, lines: (first..end).collect(), blank: Vec::new() }
        }))
    }
}

fn refused(error: impl std::fmt::Display) -> Error {
    Error::file(format!("not a whole Parquet file: {}", error.to_string().lines().next().unwrap_or_default()))
}

/// A source as the library reads it.
struct Chunks(Source);

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.0.bytes()
    }
}

impl ChunkReader for Chunks {
    type T = Reader;

    fn get_read(&self, start: u64) -> Result<Reader, ParquetError> {
        Ok(self.0.reader(start))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let missing = || ParquetError::EOF(format!("{length} bytes at {start} of a file of {}", self.0.bytes()));
        self.0.slice(start, length)?.ok_or_else(missing)
    }
}

/// The library asserts what a damaged file may break.
fn guarded<T>(read: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(refused("its pages are not what its footer says")))
}
