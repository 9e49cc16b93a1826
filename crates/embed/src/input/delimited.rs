//! CSV and TSV: every column as the text that it is.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufReader, Read},
    sync::Arc,
};

use anyhow::ensure;
use arrow_csv::{ReaderBuilder, reader::Format};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::{Batches, Counted};

/// Stands for a quote where there is none: no text holds it.
const NO_QUOTE: u8 = 0;

/// The columns that the header line names.
pub(super) fn schema(file: &File, delimiter: u8, quoting: bool) -> anyhow::Result<SchemaRef> {
    let mut format = Format::default().with_header(true).with_delimiter(delimiter);
    if !quoting {
        format = format.with_quote(NO_QUOTE);
    }
    let (header, _) = format.infer_schema(WithoutMark::new(BufReader::new(file)), Some(0))?;
    let names: Vec<&String> = header.fields().iter().map(|field| field.name()).collect();
    ensure!(!names.is_empty(), "the file is empty, expected a header line");
    let mut seen = BTreeSet::new();
    for name in &names {
        ensure!(seen.insert(name), "two columns are named {name:?}");
    }
    // As text: a later row may hold what a column's first thousand did not, and 007 is not 7.
    let fields: Vec<Field> = names.into_iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    Ok(Arc::new(Schema::new(fields)))
}

pub(super) fn batches(
    file: Counted,
    schema: SchemaRef,
    delimiter: u8,
    quoting: bool,
    rows: usize,
) -> anyhow::Result<Batches> {
    let mut reader = ReaderBuilder::new(schema).with_header(true).with_delimiter(delimiter).with_batch_size(rows);
    if !quoting {
        reader = reader.with_quote(NO_QUOTE);
    }
    Ok(Box::new(reader.build(WithoutMark::new(file))?))
}

/// A reader without the byte order mark that Excel puts before the first column's name.
struct WithoutMark<R> {
    rest: R,
    start: Option<Vec<u8>>, // what was read to look for the mark, and is to be given first
}

impl<R: Read> WithoutMark<R> {
    fn new(rest: R) -> Self {
        Self { rest, start: None }
    }
}

impl<R: Read> Read for WithoutMark<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        const MARK: &[u8] = "\u{feff}".as_bytes();
        let start = match &mut self.start {
            Some(start) => start,
            unread => {
                let mut first = Vec::new();
                (&mut self.rest).take(MARK.len() as u64).read_to_end(&mut first)?;
                if first == MARK {
                    first.clear();
                }
                unread.insert(first)
            }
        };
        if start.is_empty() {
            return self.rest.read(buffer);
        }
        let count = start.len().min(buffer.len());
        buffer[..count].copy_from_slice(&start[..count]);
        start.drain(..count);
        Ok(count)
    }
}
