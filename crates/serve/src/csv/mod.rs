//! The sentences of a CSV file, row by row, however the file was saved.
//!
//! UTF-8, UTF-16 with a byte order mark, or CP949; comma, tab or semicolon, or one column without any; with or without
//! a header. What a file does not say is detected from its beginning, and [`Rows::layout`] tells what was detected. The
//! rows are read in a stream, and memory does not grow with their number.

mod column;
mod dialect;
mod error;
mod records;
mod text;

use std::io::{Read, Seek};

pub use column::Column;
pub use dialect::Delimiter;
pub use error::{Error, Problem};

use dialect::Sample;
use records::Records;
use text::Text;

/// What the client says of the file.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The column of the sentences, by its name in the header or by its number, from 0.
    pub column: Option<String>,
    /// Whether the first row names the columns.
    pub has_header: Option<bool>,
}

/// How the file is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The name of its encoding: UTF-8, CP949, UTF-16LE or UTF-16BE.
    pub encoding: &'static str,
    /// What stands between fields.
    pub delimiter: Delimiter,
    /// Whether the first row names the columns.
    pub has_header: bool,
    /// The column of the sentences.
    pub column: Column,
}

/// The sentences of a file: an item for each row of data, without white space around it; empty where the row is.
pub struct Rows<R> {
    records: Records<Text<R>>,
    layout: Layout,
    fields: usize,
}

impl<R: Read + Seek> Rows<R> {
    /// Finds out how the file is to be read: its encoding from the whole of it, the rest from its beginning.
    pub fn open(source: R, options: &Options) -> Result<Self, Error> {
        let mut text = Text::open(source)?;
        let encoding = text.encoding();
        let sample = Sample::read(&mut text)?;
        let dialect = dialect::detect(&sample, options);
        let column = column::choose(&dialect, options)?;
        let layout = Layout { encoding, delimiter: dialect.delimiter, has_header: dialect.has_header, column };
        Self { records: Records::new(text, dialect.delimiter), layout, fields: dialect.fields }.rewind()
    }

    /// The same rows from the first on.
    pub fn rewind(self) -> Result<Self, Error> {
        let mut records = Records::new(self.records.into_source().rewind()?, self.layout.delimiter);
        while self.layout.has_header && records.advance()? && records.is_blank() {}
        Ok(Self { records, ..self })
    }

    /// How the file is read.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    fn row(&mut self) -> Result<Option<String>, Error> {
        if !self.records.advance()? {
            return Ok(None);
        }
        if self.records.is_blank() {
            return Ok(Some(String::new()));
        }
        let found = self.records.len();
        if found != self.fields {
            return Err(self.records.error(Problem::FieldCount { found, expected: self.fields }));
        }
        Ok(Some(self.records.field(self.layout.column.index).trim().to_owned()))
    }
}

impl<R: Read + Seek> Iterator for Rows<R> {
    type Item = Result<String, Error>;

    /// After an error, what follows is not to be relied on.
    fn next(&mut self) -> Option<Self::Item> {
        self.row().transpose()
    }
}

#[cfg(test)]
mod tests;
