//! What a file's beginning tells of its form: the delimiter, and whether there is a header.

use std::fmt;

use super::{
    Options, column,
    error::Error,
    records::{Records, Source},
};

const MAX_RECORDS: usize = 200; // that are looked at
const MAX_CELLS: usize = 4096; // that are kept of them

/// What stands between the fields of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delimiter {
    /// `,`
    Comma,
    /// A tab.
    Tab,
    /// `;`
    Semicolon,
    /// Nothing: a row is one field.
    None,
}

impl Delimiter {
    /// In the order in which they are tried: the rarer a character is in sentences, the more it tells.
    const CANDIDATES: [Delimiter; 3] = [Delimiter::Tab, Delimiter::Semicolon, Delimiter::Comma];

    pub(super) fn byte(self) -> u8 {
        match self {
            Delimiter::Comma => b',',
            Delimiter::Tab => b'\t',
            Delimiter::Semicolon => b';',
            Delimiter::None => 0xFF, // no byte of UTF-8
        }
    }
}

impl fmt::Display for Delimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Delimiter::Comma => "comma",
            Delimiter::Tab => "tab",
            Delimiter::Semicolon => "semicolon",
            Delimiter::None => "none",
        })
    }
}

/// The form of a file, and the rows that told it.
pub(super) struct Dialect {
    pub(super) delimiter: Delimiter,
    pub(super) has_header: bool,
    /// Fields of each row.
    pub(super) fields: usize,
    /// The first rows that are not blank, the header among them.
    pub(super) rows: Vec<Vec<String>>,
}

/// The beginning of a file.
pub(super) struct Sample {
    text: Vec<u8>,
    is_whole: bool,
}

impl Sample {
    pub(super) fn read(text: &mut impl Source) -> Result<Self, Error> {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        text.read(&mut first)?;
        text.read(&mut second)?;
        Ok(Self { text: first, is_whole: second.is_empty() })
    }

    /// The first rows, read with a delimiter.
    fn rows(&self, delimiter: Delimiter) -> Vec<Vec<String>> {
        let mut records = Records::new(Piece(&self.text), delimiter);
        let (mut rows, mut cells) = (Vec::new(), 0);
        while rows.len() < MAX_RECORDS && cells < MAX_CELLS {
            match records.advance() {
                Ok(true) if records.is_blank() => {}
                Ok(true) => {
                    cells += records.len();
                    rows.push((0..records.len()).map(|index| records.field(index).trim().to_owned()).collect());
                }
                Ok(false) => {
                    if !self.is_whole {
                        rows.pop(); // cut off
                    }
                    break;
                }
                Err(_) => break, // which the reader of the rows meets again
            }
        }
        rows
    }
}

struct Piece<'a>(&'a [u8]);

impl Source for Piece<'_> {
    fn read(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        out.extend_from_slice(std::mem::take(&mut self.0));
        Ok(())
    }
}

/// Detects the form of a file from its first rows.
pub(super) fn detect(sample: &Sample, options: &Options) -> Dialect {
    let read = |delimiter| (delimiter, sample.rows(delimiter));
    let splits = |(_, rows): &(_, Vec<Vec<String>>)| {
        let fields = rows.first().map_or(0, Vec::len);
        fields > 1 && rows.iter().all(|row| row.len() == fields)
    };
    // Where no delimiter gives rows of equal length, a header that is known under one tells which rows are wrong.
    let names = |(_, rows): &(_, Vec<Vec<String>>)| {
        let is_known =
            |first: &Vec<String>| column::names_one(first, options.column.as_deref()) || column::are_names(first);
        rows.first().is_some_and(|first| first.len() > 1 && is_known(first))
    };
    let found = Delimiter::CANDIDATES.into_iter().map(read).find(splits);
    let found = found.or_else(|| Delimiter::CANDIDATES.into_iter().map(read).find(names));
    let (delimiter, rows) = found.unwrap_or_else(|| read(Delimiter::None));
    let first = rows.first();
    let is_header = || first.is_some_and(|first| column::is_header(first, &rows[1..], options.column.as_deref()));
    let has_header = options.has_header.unwrap_or_else(is_header);
    Dialect { delimiter, has_header, fields: first.map_or(1, Vec::len), rows }
}
