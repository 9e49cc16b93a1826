//! Where the records of a delimited text end, in a strict reading of its quotes or in one that takes them for text.
//!
//! The values are `csv-core`'s business. This scan exists because a lenient parser never says that it guessed: only where
//! every quote of the whole text closes as RFC 4180 has it do quotes enclose fields.

use crate::error::Problem;

/// The line of a record, with what is wrong with it.
pub(crate) type Found = (u64, Problem);

/// What a text is made of, in one reading of its quotes. Its lines end in `\n`, `\r\n` or `\r`.
#[derive(Debug)]
pub(crate) struct Scan {
    delimiter: Option<u8>,
    quoting: bool,
    state: State,
    skipped: u64,       // lines that are still to be skipped
    after_return: bool, // the last byte was `\r`
    line: u64,          // of the next byte
    start_line: u64,    // of the record
    quote_line: u64,    // of the quote that opened a field
    fields: usize,      // of the record that ended before this one
    is_blank: bool,     // the record so far is white space alone
    /// Fields of the first record that is not blank.
    pub(crate) expected: Option<usize>,
    /// Records that are not blank.
    pub(crate) records: u64,
    /// Those that have as many fields as the first.
    pub(crate) even: u64,
    /// The first that has not.
    pub(crate) uneven: Option<Found>,
    /// The first quote that does not enclose a field as it should; nothing after it is looked at.
    pub(crate) misquoted: Option<Found>,
    /// Whether a `"` stands within a field that is not enclosed, as no spreadsheet writes it.
    pub(crate) has_bare_quote: bool,
    /// Whether a `"` encloses a field.
    pub(crate) has_quoted: bool,
    /// Whether one of those spans lines.
    pub(crate) spans_lines: bool,
    /// Delimiters between fields.
    pub(crate) delimiters: u64,
    /// Those that a space follows, as a comma in prose.
    pub(crate) spaced: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    FieldStart,
    /// After a delimiter.
    NextField,
    Plain,
    Quoted,
    /// After a `"` within quotes: the first of two, or the one that closes the field.
    AfterQuote,
}

impl Scan {
    /// Without a delimiter, each record is one field. The first `skipped` lines belong to no record.
    pub(crate) fn new(delimiter: Option<u8>, quoting: bool, skipped: u64) -> Self {
        Self {
            delimiter,
            quoting,
            state: State::FieldStart,
            skipped,
            after_return: false,
            line: 1,
            start_line: 1,
            quote_line: 0,
            fields: 0,
            is_blank: true,
            expected: None,
            records: 0,
            even: 0,
            uneven: None,
            misquoted: None,
            has_bare_quote: false,
            has_quoted: false,
            spans_lines: false,
            delimiters: 0,
            spaced: 0,
        }
    }

    /// Looks at the next piece of the text, at no more than `most` records in all; returns whether there may be more.
    pub(crate) fn feed(&mut self, text: &[u8], most: u64) -> bool {
        for &byte in text {
            if self.misquoted.is_some() || self.records >= most {
                return false;
            }
            self.step(byte);
        }
        true
    }

    /// The end of the text, which closes the last record.
    pub(crate) fn finish(&mut self) {
        if self.misquoted.is_some() {
            return;
        }
        match self.state {
            State::Quoted => self.misquoted = Some((self.quote_line, Problem::OpenQuote)),
            State::FieldStart => {} // a line end was the last character
            _ => self.end_record(),
        }
    }

    fn step(&mut self, byte: u8) {
        let is_second = std::mem::replace(&mut self.after_return, byte == b'\r') && byte == b'\n';
        if is_second && self.state != State::Quoted {
            return; // the second half of a line end
        }
        let is_line_end = (byte == b'\n' || byte == b'\r') && !is_second;
        self.line += u64::from(is_line_end);
        if self.skipped > 0 {
            self.skipped -= u64::from(is_line_end);
            self.start_line = self.line;
            return;
        }
        let is_delimiter = self.delimiter == Some(byte);
        match self.state {
            State::Quoted => match byte {
                b'"' => self.state = State::AfterQuote,
                _ => self.spans_lines |= is_line_end,
            },
            State::AfterQuote if byte == b'"' => self.state = State::Quoted,
            State::FieldStart | State::NextField if byte == b'"' && self.quoting => {
                (self.state, self.quote_line) = (State::Quoted, self.line);
                (self.is_blank, self.has_quoted) = (false, true);
            }
            _ if is_delimiter => {
                self.fields += 1;
                self.delimiters += 1;
                (self.state, self.is_blank) = (State::NextField, false);
            }
            _ if is_line_end => self.end_record(),
            State::AfterQuote => self.misquoted = Some((self.line, Problem::TextAfterQuote)),
            State::FieldStart | State::NextField | State::Plain => {
                self.spaced += u64::from(self.state == State::NextField && byte == b' ');
                self.state = State::Plain;
                self.has_bare_quote |= byte == b'"';
                self.is_blank &= byte.is_ascii_whitespace();
            }
        }
    }

    fn end_record(&mut self) {
        let (line, found) = (self.start_line, self.fields + 1);
        if !self.is_blank {
            let expected = *self.expected.get_or_insert(found);
            self.records += 1;
            self.even += u64::from(found == expected);
            if found != expected && self.uneven.is_none() {
                self.uneven = Some((line, Problem::FieldCount { found, expected }));
            }
        }
        (self.state, self.fields, self.is_blank, self.start_line) = (State::FieldStart, 0, true, self.line);
    }

    /// Whether all of the text is as a spreadsheet writes it.
    pub(crate) fn is_strict(&self) -> bool {
        self.misquoted.is_none() && self.uneven.is_none() && !self.has_bare_quote
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str, delimiter: u8) -> Scan {
        let mut scan = Scan::new(Some(delimiter), true, 0);
        // Byte by byte: no state may be lost between pieces.
        text.bytes().for_each(|byte| assert!(scan.feed(&[byte], u64::MAX) || scan.misquoted.is_some()));
        scan.finish();
        scan
    }

    #[test]
    fn quotes_that_close_before_a_delimiter_or_a_line_end_are_strict() {
        let texts = ["a,b\n\"x,\ny\",\"\"\n\"\"\"z\"\"\",1", "\"a\",b\n1,\"2\"", "a,b\n\n1,2\n \n"];
        for (text, end) in texts.iter().flat_map(|text| ["\n", "\r\n", "\r"].map(|end| (text, end))) {
            let scan = scan(&text.replace('\n', end), b',');
            assert!(scan.is_strict(), "{text:?}: {scan:?}");
            assert_eq!(scan.records, scan.even);
        }
    }

    #[test]
    fn what_is_not_strict_is_found_on_its_line() {
        use Problem::{FieldCount, OpenQuote, TextAfterQuote};
        for (text, misquoted, uneven) in [
            ("a,b\nx,1\n\"y,2\nz,3\n", Some((3, OpenQuote)), None),
            ("a,b\n\"x\"y,1\n", Some((2, TextAfterQuote)), None),
            ("a,b\n\"x\n\" ,1\n", Some((3, TextAfterQuote)), None),
            ("a,b\n\"x\n\",1\nx\n", None, Some((4, FieldCount { found: 1, expected: 2 }))),
            ("a,b\nx,1,\n", None, Some((2, FieldCount { found: 3, expected: 2 }))),
        ] {
            let scan = scan(text, b',');
            assert_eq!((scan.misquoted, scan.uneven), (misquoted, uneven), "{text:?}");
        }
        assert!(scan("a\tb\n6\" pizza\t1\n", b'\t').has_bare_quote);
    }

    #[test]
    fn where_quotes_are_text_a_record_is_a_line() {
        let mut scan = Scan::new(Some(b'\t'), false, 0);
        scan.feed(b"a\tb\n\"x\t1\ny\"\t2\n", u64::MAX);
        scan.finish();
        assert_eq!((scan.records, scan.even, scan.uneven), (3, 3, None));
    }
}
