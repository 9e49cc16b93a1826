//! The records of a delimited text, with their lines; the parsing itself is `csv-core`'s.

use std::ops::Range;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};

use crate::{
    error::{Error, Problem},
    text::{Pieces, Text, line_ends},
};

const MAX_RECORD_BYTES: usize = 1 << 20;
/// Fields that a row may have.
pub(crate) const MAX_FIELDS: usize = 16 << 10;
/// Stands for a delimiter where there is none: no byte of UTF-8.
const NO_DELIMITER: u8 = 0xFF;

/// How records and fields are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syntax {
    /// Between fields; without one, a record is one field.
    pub(crate) delimiter: Option<u8>,
    /// Whether `"` encloses fields; where not, it is text like any other.
    pub(crate) quoting: bool,
    /// Lines before the first record, which belong to none.
    pub(crate) skipped: u64,
}

/// One record at a time.
pub(crate) struct Records {
    text: Pieces,
    parser: Reader,
    output: Vec<u8>,
    ends: Vec<usize>,
    fields: usize,
    start_line: u64, // of the record
    line: u64,       // of the next byte
    number: u64,     // of the record, from 1
    skipped: u64,    // lines that are still to be skipped
    after_return: bool,
}

impl Records {
    pub(crate) fn new(text: Text, syntax: Syntax) -> Self {
        let parser = ReaderBuilder::new()
            .delimiter(syntax.delimiter.unwrap_or(NO_DELIMITER))
            .quoting(syntax.quoting)
            .terminator(Terminator::CRLF) // or one half of it
            .build();
        Self {
            text: text.pieces(),
            parser,
            output: vec![0; 1 << 10],
            ends: vec![0; 16],
            fields: 0,
            start_line: 1,
            line: 1,
            number: 0,
            skipped: syntax.skipped,
            after_return: false,
        }
    }

    /// Reads the next record; false at the text's end.
    pub(crate) fn advance(&mut self) -> Result<bool, Error> {
        while self.skipped > 0 {
            self.skipped -= 1;
            while let Some(byte) = self.text.peek()? {
                if matches!(byte, b'\n' | b'\r') {
                    self.end_line(byte)?;
                    break;
                }
                self.text.take(1);
            }
        }
        (self.fields, self.start_line) = (0, self.line);
        self.number += 1;
        let Some(first) = self.text.peek()? else { return Ok(false) };
        // csv-core would pass over a blank line, which is a row.
        if matches!(first, b'\n' | b'\r') {
            self.end_line(first)?;
            return Ok(true);
        }
        self.after_return = false;
        let mut written = 0;
        loop {
            let at_end = self.text.peek()?.is_none();
            // A line end closes the last record if it has none of its own, unless that is within quotes.
            let input = if at_end { b"\n".as_slice() } else { self.text.rest() };
            let (result, read, wrote, ended) =
                self.parser.read_record(input, &mut self.output[written..], &mut self.ends[self.fields..]);
            self.line += line_ends(&input[..read], &mut self.after_return);
            self.text.take(if at_end { 0 } else { read });
            written += wrote;
            self.fields += ended;
            match result {
                ReadRecordResult::Record => {
                    // The second half of the line end, which else were a blank line.
                    if self.after_return && self.text.peek()? == Some(b'\n') {
                        self.text.take(1);
                    }
                    return Ok(true);
                }
                ReadRecordResult::InputEmpty if at_end => return Err(self.error(Problem::OpenQuote)),
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.output.len() >= MAX_RECORD_BYTES => {
                    return Err(self.error(Problem::TooLong(MAX_RECORD_BYTES)));
                }
                ReadRecordResult::OutputFull => self.output.resize(2 * self.output.len(), 0),
                ReadRecordResult::OutputEndsFull if self.ends.len() >= MAX_FIELDS => {
                    return Err(self.error(Problem::TooManyFields(MAX_FIELDS)));
                }
                ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                ReadRecordResult::End => return Ok(false),
            }
        }
    }

    /// Takes a line end, of which `first` is the first byte.
    fn end_line(&mut self, first: u8) -> Result<(), Error> {
        self.text.take(1);
        if first == b'\r' && self.text.peek()? == Some(b'\n') {
            self.text.take(1);
        }
        self.line += 1;
        Ok(())
    }

    /// Whether the record is a line of white space alone, if of anything.
    pub(crate) fn is_blank(&self) -> bool {
        self.fields == 0 || self.fields == 1 && self.field(0).trim_ascii().is_empty()
    }

    /// Number of fields; 0 for a line with nothing on it.
    pub(crate) fn len(&self) -> usize {
        self.fields
    }

    /// The line on which the record begins, from 1.
    pub(crate) fn start_line(&self) -> u64 {
        self.start_line
    }

    /// The record's number, from 1, of those that were not skipped.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// A field of the record, without its quotes; empty where there is none. The text was decoded, so it is UTF-8.
    pub(crate) fn field(&self, index: usize) -> &[u8] {
        &self.output[self.range(index).unwrap_or_default()]
    }

    /// All fields as text, without white space around them.
    pub(crate) fn trimmed(&self) -> Vec<String> {
        (0..self.fields).map(|index| String::from_utf8_lossy(self.field(index)).trim().to_owned()).collect()
    }

    fn range(&self, index: usize) -> Option<Range<usize>> {
        let ends = &self.ends[..self.fields];
        Some(if index == 0 { 0 } else { *ends.get(index - 1)? }..*ends.get(index)?)
    }

    /// An error on the record's line.
    pub(crate) fn error(&self, problem: Problem) -> Error {
        Error::Line { line: self.start_line, problem }
    }
}
