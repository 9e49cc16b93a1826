//! JSON lines: an object a line.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    sync::Arc,
};

use anyhow::ensure;
use arrow_json::{ReaderBuilder, reader::infer_json_schema_from_iterator};
use arrow_schema::{ArrowError, SchemaRef};
use serde_json::Value;

use super::{Batches, Counted};

/// The fields of all lines: the whole file is read for them, since the last may have one that no other has. A line that is no
/// object is found here, with its number.
pub(super) fn schema(file: &File) -> anyhow::Result<SchemaRef> {
    let lines = BufReader::new(file).lines().zip(1..);
    let lines = lines.filter(|(line, _)| !line.as_ref().is_ok_and(|line| line.trim().is_empty()));
    let schema = infer_json_schema_from_iterator(lines.map(|(line, number)| object(line, number)))?;
    ensure!(!schema.fields().is_empty(), "the file is empty, expected an object a line");
    Ok(Arc::new(schema))
}

fn object(line: io::Result<String>, number: usize) -> Result<Value, ArrowError> {
    let failed = |problem: String| ArrowError::JsonError(format!("line {number}: {problem}"));
    let line = line.map_err(|cause| failed(cause.to_string()))?;
    match serde_json::from_str(&line) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(failed("expected an object".to_owned())),
        Err(cause) => {
            // serde_json counts lines within the text that it was given, which is this one alone, and columns in bytes.
            let (told, bytes) = (cause.to_string(), cause.column());
            let told = told.strip_suffix(&format!(" at line 1 column {bytes}")).unwrap_or(&told);
            let column = line.get(..bytes).map_or(bytes, |before| before.chars().count());
            Err(failed(format!("column {column}: {told}")))
        }
    }
}

pub(super) fn batches(file: Counted, schema: SchemaRef, rows: usize) -> anyhow::Result<Batches> {
    let reader = ReaderBuilder::new(schema).with_batch_size(rows).with_strict_mode(true);
    Ok(Box::new(reader.build(BufReader::new(file))?))
}
