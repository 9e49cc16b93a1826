//! The rows of a delimited file as batches of text columns.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, builder::StringBuilder};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::{
    batch::Batch,
    column::{self, Column},
    dialect::{Dialect, Rows},
    error::{Error, Problem},
    records::Records,
    source::{Progress, Source},
    text::Text,
};

impl Dialect {
    pub(crate) fn columns(&self) -> Vec<Column> {
        let name = |index: usize| if self.has_header { self.header.get(index).cloned() } else { None };
        (0..self.fields).map(|index| Column { index, name: name(index) }).collect()
    }

    /// Every column as the text that it is: a later row may hold what a column's first thousand did not, and 007 is not 7.
    pub(crate) fn schema(&self) -> SchemaRef {
        let names = column::field_names(&self.columns());
        Arc::new(Schema::new(names.into_iter().map(|name| Field::new(name, DataType::Utf8, true)).collect::<Vec<_>>()))
    }
}

/// Batches of some columns of a file. A blank line is a row of nulls, and so is a field without a character a null.
pub(crate) struct Batches {
    records: Records,
    dialect: Dialect,
    wanted: Vec<usize>,
    schema: SchemaRef, // of those that are wanted
    rows: usize,
}

impl Batches {
    pub(crate) fn new(
        source: &Source,
        dialect: &Dialect,
        wanted: &[usize],
        schema: SchemaRef,
        rows: usize,
        progress: Option<Progress>,
    ) -> Result<Self, Error> {
        let mut records = Records::new(Text::new(source, dialect.charset, progress), dialect.syntax);
        // The header is the first row that is not blank.
        while dialect.has_header && records.advance()? && records.is_blank() {}
        Ok(Self { records, dialect: dialect.clone(), wanted: wanted.to_owned(), schema, rows })
    }

    fn batch(&mut self) -> Result<Option<Batch>, Error> {
        let mut columns: Vec<StringBuilder> = self.wanted.iter().map(|_| StringBuilder::new()).collect();
        let (mut lines, mut blank) = (Vec::new(), Vec::new());
        while lines.len() < self.rows && self.records.advance()? {
            let (line, may_be_short) = match self.dialect.rows {
                Rows::Even => (self.records.start_line(), false),
                Rows::OfSheet { skipped, .. } => (skipped + self.records.number(), true),
            };
            lines.push(line);
            let is_blank = self.records.is_blank();
            if is_blank {
                blank.push(lines.len() - 1);
            }
            let (found, expected) = (self.records.len(), self.dialect.fields);
            if !is_blank && (found > expected || found < expected && !may_be_short) {
                return Err(self.records.error(Problem::FieldCount { found, expected }));
            }
            for (column, &index) in columns.iter_mut().zip(&self.wanted) {
                match std::str::from_utf8(self.records.field(index)) {
                    Ok(text) if !is_blank && !text.is_empty() => column.append_value(text),
                    _ => column.append_null(), // the text was decoded, so it is UTF-8
                }
            }
        }
        if lines.is_empty() {
            return Ok(None);
        }
        let columns = columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(lines.len()));
        let rows = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options);
        Ok(Some(Batch { rows: rows.map_err(|error| Error::file(error.to_string()))?, lines, blank }))
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().transpose()
    }
}
