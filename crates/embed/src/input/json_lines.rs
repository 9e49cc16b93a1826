//! JSON lines: an object a line.

use std::{fs::File, io::BufReader, sync::Arc};

use anyhow::ensure;
use arrow_json::{ReaderBuilder, reader::infer_json_schema};
use arrow_schema::SchemaRef;

use super::{Batches, Counted};

/// The fields of all lines: the whole file is read for them, since the last may have one that no other has.
pub(super) fn schema(file: &File) -> anyhow::Result<SchemaRef> {
    let (schema, _) = infer_json_schema(BufReader::new(file), None)?;
    ensure!(!schema.fields().is_empty(), "the file is empty, expected an object a line");
    Ok(Arc::new(schema))
}

pub(super) fn batches(file: Counted, schema: SchemaRef, rows: usize) -> anyhow::Result<Batches> {
    let reader = ReaderBuilder::new(schema).with_batch_size(rows).with_strict_mode(true);
    Ok(Box::new(reader.build(BufReader::new(file))?))
}
