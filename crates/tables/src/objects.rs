//! The objects of a JSON text, one a line or in one array, as they stand.

use crate::{
    error::{Error, Problem},
    text::{Pieces, Text, line_ends},
};

/// Bytes that an object may have.
const MAX_OBJECT_BYTES: usize = 16 << 20;

/// Gives the objects of a text one by one; memory does not grow with their number.
pub(crate) struct Objects {
    text: Pieces,
    object: Vec<u8>,
    line: u64, // of the next byte
    after_return: bool,
    form: Option<Form>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Lines,
    Array { is_closed: bool },
}

impl Objects {
    pub(crate) fn new(text: Text) -> Self {
        Self { text: text.pieces(), object: Vec::new(), line: 1, after_return: false, form: None }
    }

    /// The next object with the line on which it begins; in lines, whatever stands on the next that is not blank.
    pub(crate) fn next_object(&mut self) -> Result<Option<(u64, &[u8])>, Error> {
        let Some(first) = self.skip_blank()? else { return self.at_end() };
        let form = match self.form {
            Some(form) => form,
            None if first == b'[' => {
                self.text.take(1);
                Form::Array { is_closed: false }
            }
            None => Form::Lines,
        };
        self.form = Some(form);
        let found = match form {
            Form::Lines => Some(self.line()?),
            Form::Array { .. } => self.element()?,
        };
        Ok(found.map(|line| (line, self.object.as_slice())))
    }

    fn at_end(&self) -> Result<Option<(u64, &[u8])>, Error> {
        match self.form {
            Some(Form::Array { is_closed: false }) => Err(self.failed("the array is cut off, expected `]`")),
            _ => Ok(None),
        }
    }

    fn failed(&self, what: &str) -> Error {
        Error::Line { line: self.line, problem: Problem::Json(what.to_owned()) }
    }

    /// The rest of the line.
    fn line(&mut self) -> Result<u64, Error> {
        let line = self.line;
        self.object.clear();
        while self.text.peek()?.is_some() {
            let rest = self.text.rest();
            let end = rest.iter().position(|&byte| matches!(byte, b'\n' | b'\r'));
            let length = end.unwrap_or(rest.len());
            self.object.extend_from_slice(&rest[..length]);
            self.text.take(length);
            if self.object.len() > MAX_OBJECT_BYTES {
                return Err(Error::Line { line, problem: Problem::TooLong(MAX_OBJECT_BYTES) });
            }
            if end.is_some() {
                break; // the line end is blank for the next
            }
        }
        Ok(line)
    }

    /// The next element of the array; none at its end.
    fn element(&mut self) -> Result<Option<u64>, Error> {
        let mut next = self.skip_blank()?;
        if next == Some(b',') {
            self.text.take(1);
            next = self.skip_blank()?;
        }
        match next {
            Some(b']') => {
                self.text.take(1);
                self.form = Some(Form::Array { is_closed: true });
                match self.skip_blank()? {
                    None => Ok(None),
                    Some(_) => Err(self.failed("text after the array's `]`")),
                }
            }
            Some(b'{') => self.braced().map(Some),
            Some(_) => Err(self.failed("expected an object")),
            None => Err(self.failed("the array is cut off, expected `]`")),
        }
    }

    /// From one brace to the one that closes it; what stands between is the parser's business.
    fn braced(&mut self) -> Result<u64, Error> {
        let line = self.line;
        let (mut depth, mut in_text, mut is_escaped) = (0usize, false, false);
        self.object.clear();
        while let Some(byte) = self.text.peek()? {
            self.text.take(1);
            self.line += line_ends(&[byte], &mut self.after_return);
            self.object.push(byte);
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if in_text => is_escaped = true,
                b'"' => in_text = !in_text,
                b'{' if !in_text => depth += 1,
                b'}' if !in_text => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(line);
            }
            if self.object.len() > MAX_OBJECT_BYTES {
                return Err(Error::Line { line, problem: Problem::TooLong(MAX_OBJECT_BYTES) });
            }
        }
        Err(Error::Line { line, problem: Problem::Json("the object is cut off, expected `}`".to_owned()) })
    }

    /// The next byte that is no white space, which is not taken.
    fn skip_blank(&mut self) -> Result<Option<u8>, Error> {
        while let Some(byte) = self.text.peek()? {
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
            self.text.take(1);
            self.line += line_ends(&[byte], &mut self.after_return);
        }
        Ok(None)
    }
}
