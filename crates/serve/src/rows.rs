//! The sentences of an uploaded table, row by row, as often as needed.

use arrow_array::{Array, LargeStringArray};
use tables::{Batches, Column, Error, Layout, Options, Source, Table};

/// Rows that are decoded at once.
const BATCH: usize = 1024;

/// What the client says of its file.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileOptions {
    /// The column of the sentences, by its name or by its number, from 0.
    pub(crate) column: Option<String>,
    /// Whether the first row names the columns.
    pub(crate) has_header: Option<bool>,
    /// The sheet of a workbook.
    pub(crate) sheet: Option<String>,
}

/// An item for each row of a file: its sentence without white space around it; empty where there is none.
pub(crate) struct Rows {
    table: Table,
    column: Column,
    batches: Batches,
    current: Option<LargeStringArray>,
    next: usize, // row of it
}

impl Rows {
    /// Finds out how the file is to be read; a workbook may have `max_bytes` when it is unpacked.
    pub(crate) fn open(source: Source, options: &FileOptions, max_bytes: u64) -> Result<Self, Error> {
        let reading = Options {
            names: options.column.iter().cloned().collect(),
            has_header: options.has_header,
            sheet: options.sheet.clone(),
            max_unpacked_bytes: Some(max_bytes),
        };
        let table = Table::open(source, &reading)?;
        let column = match &options.column {
            Some(asked) => table.column(asked)?,
            None => table.sentence_column()?,
        };
        let column = column.clone();
        let batches = table.batches(&[column.index], BATCH, None)?;
        Ok(Self { table, column, batches, current: None, next: 0 })
    }

    /// The same rows from the first on.
    pub(crate) fn rewind(self) -> Result<Self, Error> {
        let batches = self.table.batches(&[self.column.index], BATCH, None)?;
        Ok(Self { batches, current: None, next: 0, ..self })
    }

    /// How the file is read.
    pub(crate) fn layout(&self) -> &Layout {
        self.table.layout()
    }

    /// The sheet that is read of a workbook.
    pub(crate) fn sheet(&self) -> Option<&str> {
        self.table.sheet()
    }

    /// The column of the sentences.
    pub(crate) fn column(&self) -> &Column {
        &self.column
    }

    fn row(&mut self) -> Result<Option<String>, Error> {
        loop {
            if let Some(texts) = self.current.as_ref().filter(|texts| self.next < texts.len()) {
                let text = if texts.is_null(self.next) { "" } else { texts.value(self.next) };
                self.next += 1;
                // Whatever the system that the file comes from, an answer's line ends are one character.
                return Ok(Some(text.trim().replace("\r\n", "\n").replace('\r', "\n")));
            }
            let Some(batch) = self.batches.next().transpose()? else { return Ok(None) };
            (self.current, self.next) = (Some(tables::texts(batch.rows.column(0))?), 0);
        }
    }
}

impl Iterator for Rows {
    type Item = Result<String, Error>;

    /// After an error, what follows is not to be relied on.
    fn next(&mut self) -> Option<Self::Item> {
        self.row().transpose()
    }
}
