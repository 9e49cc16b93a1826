//! The records of a delimited text, with their lines; the parsing itself is `csv-core`'s.

use std::ops::Range;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};

use super::{
    dialect::Delimiter,
    error::{Error, Problem},
};

const MAX_RECORD_BYTES: usize = 1 << 20;
const MAX_FIELDS: usize = 16 << 10;

/// A text in pieces.
pub(super) trait Source {
    /// Puts the next piece into `out`, which is empty; leaves it empty at the text's end.
    fn read(&mut self, out: &mut Vec<u8>) -> Result<(), Error>;
}

/// One record at a time of a text whose lines end in `\n`.
pub(super) struct Records<S> {
    source: S,
    parser: Reader,
    input: Vec<u8>,
    at: usize,
    output: Vec<u8>,
    ends: Vec<usize>,
    fields: usize,
    is_blank: bool,
    start_line: u64, // of the record
    line: u64,       // of the next byte
}

impl<S: Source> Records<S> {
    pub(super) fn new(source: S, delimiter: Delimiter) -> Self {
        // `\r` is gone already; a blank line, which csv-core would skip, is a row.
        let parser = ReaderBuilder::new().delimiter(delimiter.byte()).terminator(Terminator::Any(b'\n')).build();
        Self {
            source,
            parser,
            input: Vec::new(),
            at: 0,
            output: vec![0; 1 << 10],
            ends: vec![0; 16],
            fields: 0,
            is_blank: false,
            start_line: 1,
            line: 1,
        }
    }

    pub(super) fn into_source(self) -> S {
        self.source
    }

    /// Reads the next record; false at the text's end.
    pub(super) fn advance(&mut self) -> Result<bool, Error> {
        (self.fields, self.start_line) = (0, self.line);
        let Some(first) = self.peek()? else { return Ok(false) };
        self.is_blank = first == b'\n';
        if self.is_blank {
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

    /// Whether the record is a line with nothing on it.
    pub(super) fn is_blank(&self) -> bool {
        self.is_blank
    }

    /// Number of fields; 0 for a blank line.
    pub(super) fn len(&self) -> usize {
        self.fields
    }

    /// A field of the record, without its quotes; empty where there is none.
    pub(super) fn field(&self, index: usize) -> String {
        let range = self.range(index).unwrap_or_default();
        String::from_utf8_lossy(&self.output[range]).into_owned()
    }

    fn range(&self, index: usize) -> Option<Range<usize>> {
        let ends = &self.ends[..self.fields];
        Some(if index == 0 { 0 } else { *ends.get(index - 1)? }..*ends.get(index)?)
    }

    /// An error on the record's line.
    pub(super) fn error(&self, problem: Problem) -> Error {
        Error::Line { line: self.start_line, problem }
    }

    fn peek(&mut self) -> Result<Option<u8>, Error> {
        if self.at == self.input.len() {
            self.input.clear();
            self.at = 0;
            self.source.read(&mut self.input)?;
        }
        Ok(self.input.get(self.at).copied())
    }
}
