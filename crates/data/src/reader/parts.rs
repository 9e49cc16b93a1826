//! A delimited file a part at a time, so that what it takes of memory does not grow with it.

use std::io::{BufRead, BufReader, Read};

use super::records::Dialect;
use super::{Failure, Located, SentencePair, delimited, newlines, utf8, without_mark};
use crate::error::Problem;

/// The parts of a file, each of at most `rows` pairs.
pub(super) struct Parts<R> {
    reader: BufReader<R>,
    dialect: Dialect,
    rows: usize,
    /// What precedes the rows, and its place before each part makes a file of it.
    header: String,
    /// Lines before the next part.
    line: usize,
    is_empty: bool,
}

impl<R: Read> Parts<R> {
    pub(super) fn new(file: R, dialect: Dialect, rows: usize) -> Parts<R> {
        let reader = BufReader::with_capacity(1 << 16, file);
        Parts { reader, dialect, rows, header: String::new(), line: 0, is_empty: true }
    }

    /// The bytes of the next records, blank lines included; nothing at the end of the file.
    fn bytes(&mut self) -> std::io::Result<Vec<u8>> {
        let header = usize::from(self.header.is_empty()); // the first part has it beside the rows
        let (mut bytes, mut records, mut in_quotes) = (Vec::new(), 0, false);
        while records < self.rows.saturating_add(header) {
            let start = bytes.len();
            if self.reader.read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
            let line = &bytes[start..];
            // A record ends where its quotes are closed; a quote inside of one is written as two.
            in_quotes ^= self.dialect.quoting && line.iter().filter(|&&byte| byte == b'"').count() % 2 == 1;
            records += usize::from(!in_quotes && !line.trim_ascii().is_empty());
        }
        Ok(bytes)
    }

    fn part(&mut self) -> Result<Option<Vec<SentencePair>>, Failure> {
        let bytes = self.bytes().map_err(Failure::Io)?;
        if bytes.is_empty() {
            return match (self.header.is_empty(), self.is_empty) {
                (true, _) => Err((None, Problem::Empty).into()),
                (_, true) => Err((None, Problem::NoRows).into()),
                _ => Ok(None),
            };
        }
        let before = self.line;
        self.line += newlines(&bytes);
        let pairs = self.pairs(&bytes, before).map_err(Failure::At)?;
        self.is_empty &= pairs.is_empty();
        Ok(Some(pairs))
    }

    /// The pairs of a part that begins after `before` lines.
    fn pairs(&mut self, bytes: &[u8], before: usize) -> Result<Vec<SentencePair>, Located> {
        let below = |lines: usize| move |(line, problem): Located| (line.map(|line| line + lines), problem);
        let text = utf8(bytes).map_err(below(before))?;
        if self.header.is_empty() {
            let text = without_mark(text);
            if text.trim().is_empty() {
                return Err((None, Problem::Empty));
            }
            let (pairs, header) = delimited::parse(text, self.dialect)?;
            self.header = text[..header].to_owned();
            if !self.header.ends_with('\n') {
                self.header.push('\n');
            }
            return Ok(pairs);
        }
        let lines = before - newlines(self.header.as_bytes());
        let (pairs, _) = delimited::parse(&format!("{}{text}", self.header), self.dialect).map_err(below(lines))?;
        Ok(pairs)
    }
}

impl<R: Read> Iterator for Parts<R> {
    type Item = Result<Vec<SentencePair>, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        self.part().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str, rows: usize) -> Result<Vec<Vec<String>>, Located> {
        let first = |pairs: Vec<SentencePair>| pairs.into_iter().map(|pair| pair.sentence1).collect();
        let parts = Parts::new(text.as_bytes(), Dialect::CSV, rows).map(|part| match part {
            Ok(pairs) => Ok(first(pairs)),
            Err(Failure::At(located)) => Err(located),
            Err(Failure::Io(cause)) => panic!("{cause}"),
        });
        parts.collect()
    }

    const TEXT: &str = "\u{FEFF}\nsentence1,sentence2\n\"가\n\n나\",x\n\n다,x\n\"라 \"\"말\"\"\",x\n마,x";

    #[test]
    fn parts_of_any_size_hold_the_rows_of_the_whole() {
        let whole = ["가\n\n나", "다", "라 \"말\"", "마"];
        for rows in [1, 2, 3, 4, 100, usize::MAX] {
            let parts = parts(TEXT, rows).unwrap();
            assert!(parts.iter().all(|part| part.len() <= rows), "{rows}: {parts:?}");
            assert_eq!(parts.concat(), whole, "{rows}");
        }
        assert_eq!(parts(TEXT, 3).unwrap().len(), 2);
    }

    #[test]
    fn an_error_has_its_line_in_the_file() {
        for rows in [1, 2, usize::MAX] {
            let found = parts(&format!("{TEXT}\n\n바\n"), rows);
            assert_eq!(found, Err((Some(11), Problem::FieldCount { found: 1, expected: 2 })), "{rows}");
        }
    }

    #[test]
    fn a_file_without_rows_is_refused_in_parts_too() {
        for rows in [1, usize::MAX] {
            assert_eq!(parts("", rows), Err((None, Problem::Empty)));
            assert_eq!(parts("\n \n", rows), Err((None, Problem::Empty)));
            assert_eq!(parts("sentence1,sentence2\n\n\r\n", rows), Err((None, Problem::NoRows)));
        }
    }
}
