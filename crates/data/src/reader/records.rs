//! Where the records of a delimited file lie: their lines, their field counts, and how many there are.
//!
//! The values are polars' business. This scan exists because polars neither tells the line of a record nor minds a
//! record with missing fields, and because a reader that disagrees with it about the number of records has lost some.
//! It accepts only text whose quotes leave no doubt about where a record ends.

use std::ops::Range;

use super::{Located, newlines};
use crate::error::Problem;

/// How fields are separated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    pub(super) separator: u8,
    /// Whether `"` encloses fields; where not, it is text like any other.
    pub(super) quoting: bool,
}

impl Dialect {
    /// As spreadsheets write it: a field with a comma, quote or newline stands in quotes.
    pub(super) const CSV: Dialect = Dialect { separator: b',', quoting: true };
    /// As KorSTS has it: a `"` is text.
    pub(super) const TSV: Dialect = Dialect { separator: b'\t', quoting: false };
}

/// The records of a file.
#[derive(Debug, PartialEq)]
pub(super) struct Records {
    /// The names in the header, unquoted and trimmed.
    pub(super) header: Vec<String>,
    pub(super) header_line: usize,
    /// The byte at which the rows start.
    pub(super) body: usize,
    /// The line of each record after the header, counted from 1; `None` for a blank line, which holds no row.
    pub(super) lines: Vec<Option<usize>>,
}

/// Scans the whole text; every row has as many fields as the header.
pub(super) fn scan(text: &str, dialect: Dialect) -> Result<Records, Located> {
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0, line: 1, dialect };
    let mut fields = Vec::new();
    let mut header_line = 1;
    while fields.is_empty() {
        header_line = scanner.next(&mut fields)?.ok_or((None, Problem::Empty))?;
    }
    let header: Vec<String> = fields.iter().map(|field| name(&text[field.clone()], dialect)).collect();

    let body = scanner.at;
    let mut lines = Vec::new();
    while let Some(line) = scanner.next(&mut fields)? {
        if !fields.is_empty() && fields.len() != header.len() {
            let problem = Problem::FieldCount { found: fields.len(), expected: header.len() };
            return Err((Some(line), problem));
        }
        lines.push((!fields.is_empty()).then_some(line));
    }
    Ok(Records { header, header_line, body, lines })
}

/// A column's name as written in the header.
fn name(field: &str, dialect: Dialect) -> String {
    let quoted = field.trim().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match quoted.filter(|_| dialect.quoting) {
        Some(inner) => inner.replace("\"\"", "\"").trim().to_owned(),
        None => field.trim().to_owned(),
    }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    dialect: Dialect,
}

impl Scanner<'_> {
    /// Puts the next record's fields into `fields` (none for a blank line) and returns the line it starts on.
    fn next(&mut self, fields: &mut Vec<Range<usize>>) -> Result<Option<usize>, Located> {
        fields.clear();
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let first_line = self.line;
        loop {
            let field = self.field()?;
            fields.push(field);
            let end = self.bytes.get(self.at).copied();
            self.at = (self.at + 1).min(self.bytes.len());
            if end != Some(self.dialect.separator) {
                self.line += usize::from(end == Some(b'\n'));
                break;
            }
        }
        if fields.len() == 1 && fields[0].is_empty() {
            fields.clear();
        }
        Ok(Some(first_line))
    }

    /// Steps over one field, up to its separator, newline or the end, and returns where it lies.
    fn field(&mut self) -> Result<Range<usize>, Located> {
        let start = self.at;
        if self.dialect.quoting && self.bytes.get(start) == Some(&b'"') {
            self.quoted()?;
            return Ok(start..self.at - usize::from(self.at > start && self.bytes[self.at - 1] == b'\r'));
        }
        let is_end = |&byte: &u8| byte == self.dialect.separator || byte == b'\n';
        let length = self.bytes[start..].iter().position(is_end).unwrap_or(self.bytes.len() - start);
        self.at = start + length;
        let closes_row = self.bytes.get(self.at) != Some(&self.dialect.separator);
        let mut field = &self.bytes[start..self.at];
        if closes_row {
            field = field.strip_suffix(b"\r").unwrap_or(field);
        }
        if field.contains(&b'\r') {
            return Err((Some(self.line), Problem::CarriageReturn));
        }
        // Readers disagree on where a record with a lone quote ends; with pairs of them, every one agrees.
        if self.dialect.quoting && field.iter().filter(|&&byte| byte == b'"').count() % 2 == 1 {
            return Err((Some(self.line), Problem::StrayQuote));
        }
        Ok(start..start + field.len())
    }

    /// Steps over a field in quotes and over the carriage return that may end its row.
    fn quoted(&mut self) -> Result<(), Located> {
        let opened = self.line;
        self.at += 1;
        loop {
            let rest = &self.bytes[self.at..];
            let quote = rest.iter().position(|&byte| byte == b'"').ok_or((Some(opened), Problem::UnclosedQuote))?;
            self.line += newlines(&rest[..quote]);
            self.at += quote + 1;
            match self.bytes[self.at..] {
                [b'"', ..] => self.at += 1,
                [] | [b'\n', ..] => return Ok(()),
                [byte, ..] if byte == self.dialect.separator => return Ok(()),
                [b'\r'] | [b'\r', b'\n', ..] => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err((Some(self.line), Problem::TextAfterQuote)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_with_newlines_in_quotes_spans_lines_and_the_next_one_keeps_its_line() {
        let records = scan("a,b\n\"x\ny\n\",1\nz,2\n", Dialect::CSV).unwrap();
        assert_eq!(records.lines, [Some(2), Some(5)]);
    }

    #[test]
    fn the_same_quotes_in_a_tsv_are_text() {
        let records = scan("a\tb\n\"x\t1\ny\"\t2\n", Dialect::TSV).unwrap();
        assert_eq!(records.lines, [Some(2), Some(3)]);
    }

    #[test]
    fn blank_lines_hold_no_row_but_count_as_lines() {
        let records = scan("\n\r\na,b\r\n\r\nx,1\r\n\n\ny,2", Dialect::CSV).unwrap();
        assert_eq!(records.header_line, 3);
        assert_eq!(records.lines, [None, Some(5), None, None, Some(8)]);
    }

    #[test]
    fn header_names_are_unquoted_and_trimmed() {
        let records = scan("\" a \", b ,\"c\"\"d\"\r\n1,2,3", Dialect::CSV).unwrap();
        assert_eq!(records.header, ["a", "b", "c\"d"]);
        assert_eq!(scan("\"a\"\tb\n", Dialect::TSV).unwrap().header, ["\"a\"", "b"]);
    }

    #[test]
    fn doubtful_quotes_are_refused_with_their_line() {
        for (text, line, problem) in [
            ("a,b\nx,1\n\"y,2\nz,3\n", 3, Problem::UnclosedQuote),
            ("a,b\n\"x\"y,1\n", 2, Problem::TextAfterQuote),
            ("a,b\n\"x\n\" ,1\n", 3, Problem::TextAfterQuote),
            ("a,b\n6\" pizza,1\n", 2, Problem::StrayQuote),
            ("a,b\nx\ry,1\n", 2, Problem::CarriageReturn),
            ("a,b\nx,1,2\n", 2, Problem::FieldCount { found: 3, expected: 2 }),
            ("a,b\nx\n", 2, Problem::FieldCount { found: 1, expected: 2 }),
        ] {
            assert_eq!(scan(text, Dialect::CSV), Err((Some(line), problem)), "{text:?}");
        }
    }

    #[test]
    fn a_pair_of_quotes_inside_an_unquoted_field_is_text() {
        assert_eq!(scan("a,b\nhe said \"hi\",1\n", Dialect::CSV).unwrap().lines, [Some(2)]);
    }
}
