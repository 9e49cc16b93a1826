//! The records of a delimited text, with their lines; the parsing itself is `csv-core`'s.

use std::ops::Range;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};

use crate::{
    error::{Error, Problem},
    text::Text,
};

const MAX_RECORD_BYTES: usize = 1 << 20;
const MAX_FIELDS: usize = 16 << 10;
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
    text: Text,
    parser: Reader,
    input: Vec<u8>,
    at: usize,
    output: Vec<u8>,
    ends: Vec<usize>,
    fields: usize,
    start_line: u64, // of the record
    line: u64,       // of the next byte
    number: u64,     // of the record, from 1, skipped lines counted
    skipped: u64,    // lines that are still to be skipped
}

impl Records {
    pub(crate) fn new(text: Text, syntax: Syntax) -> Self {
        // `\r` is gone already; a blank line, which csv-core would skip, is a row.
        let parser = ReaderBuilder::new()
            .delimiter(syntax.delimiter.unwrap_or(NO_DELIMITER))
            .quoting(syntax.quoting)
            .terminator(Terminator::Any(b'\n'))
            .build();
        Self {
            text,
            parser,
            input: Vec::new(),
            at: 0,
            output: vec![0; 1 << 10],
            ends: vec![0; 16],
            fields: 0,
            start_line: 1,
            line: 1,
            number: syntax.skipped,
            skipped: syntax.skipped,
        }
    }

    /// Reads the next record; false at the text's end.
    pub(crate) fn advance(&mut self) -> Result<bool, Error> {
        while self.skipped > 0 {
            self.skipped -= 1;
            while let Some(byte) = self.peek()? {
                self.at += 1;
                if byte == b'\n' {
                    self.line += 1;
                    break;
                }
            }
        }
        (self.fields, self.start_line) = (0, self.line);
        self.number += 1;
        let Some(first) = self.peek()? else { return Ok(false) };
        if first == b'\n' {
            self.at += 1;
            self.line += 1;
            return Ok(true);
        }
        let mut written = 0;
        loop {
            let at_end = self.peek()?.is_none();
            // A line end closes the last record if it has none of its own, unless that is within quotes.
            let input = if at_end { b"\n".as_slice() } else { &self.input[self.at..] };
            let (result, read, wrote, ended) =
                self.parser.read_record(input, &mut self.output[written..], &mut self.ends[self.fields..]);
            self.line += input[..read].iter().filter(|&&byte| byte == b'\n').count() as u64;
            self.at += if at_end { 0 } else { read };
            written += wrote;
            self.fields += ended;
            match result {
                ReadRecordResult::Record => return Ok(true),
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

    /// Whether the record is a line of white space alone, if of anything.
    pub(crate) fn is_blank(&self) -> bool {
        self.fields == 0 || self.fields == 1 && self.field(0).trim_ascii().is_empty()
    }

    /// Number of fields; 0 for a line with nothing on it.
    pub(crate) fn len(&self) -> usize {
        self.fields
    }

    /// The line on which the record begins, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.start_line
    }

    /// The record's number, from 1; what was skipped is counted by its lines.
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

    fn peek(&mut self) -> Result<Option<u8>, Error> {
        if self.at == self.input.len() {
            self.input.clear();
            self.at = 0;
            self.text.read(&mut self.input)?;
        }
        Ok(self.input.get(self.at).copied())
    }
}
