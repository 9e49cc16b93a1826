//! The text of a file in UTF-8 with `\n` at line ends, whatever its encoding and line ends are.

use std::io::{Read, Seek, SeekFrom};

use encoding_rs::{Decoder, DecoderResult, EUC_KR, Encoding, UTF_8};

use super::{
    error::{Error, Problem},
    records::Source,
};

const CHUNK: usize = 64 << 10; // bytes read at once

/// A file that is decoded as it is read.
pub(super) struct Text<R> {
    source: R,
    encoding: &'static Encoding,
    mark: u64, // bytes of the byte order mark
    decoder: Decoder,
    raw: Vec<u8>,
    at_end: bool,
    after_return: bool, // the last character was `\r`
    line: u64,          // of the next character
}

impl<R: Read + Seek> Text<R> {
    /// Detects the encoding: what the byte order mark says, else UTF-8 if all of the file is that, else CP949.
    pub(super) fn open(mut source: R) -> Result<Self, Error> {
        source.seek(SeekFrom::Start(0))?;
        let mut start = [0; 4];
        let length = read_full(&mut source, &mut start)?;
        let start = &start[..length];
        if start.is_empty() {
            return Err(Error::File("the file is empty"));
        }
        if start == b"PK\x03\x04" || start == b"\xD0\xCF\x11\xE0" {
            return Err(Error::File("the file is a workbook or a ZIP archive: save it as CSV"));
        }
        let (encoding, mark) = match Encoding::for_bom(start) {
            Some((encoding, mark)) => (encoding, mark as u64),
            None => (detect(&mut source)?, 0),
        };
        Self {
            source,
            encoding,
            mark,
            decoder: decoder(encoding),
            raw: vec![0; CHUNK],
            at_end: false,
            after_return: false,
            line: 1,
        }
        .rewind()
    }

    /// The text from its beginning.
    pub(super) fn rewind(mut self) -> Result<Self, Error> {
        self.source.seek(SeekFrom::Start(self.mark))?;
        self.decoder = decoder(self.encoding);
        (self.at_end, self.after_return, self.line) = (false, false, 1);
        Ok(self)
    }

    /// The name that users know the encoding by.
    pub(super) fn encoding(&self) -> &'static str {
        match self.encoding {
            encoding if encoding == EUC_KR => "CP949",
            encoding => encoding.name(),
        }
    }

    fn decode(&mut self, length: usize, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut input = &self.raw[..length];
        loop {
            let start = out.len();
            let room = self.decoder.max_utf8_buffer_length_without_replacement(input.len());
            out.resize(start + room.unwrap_or(4 * input.len() + 16), 0);
            let (result, read, written) =
                self.decoder.decode_to_utf8_without_replacement(input, &mut out[start..], self.at_end);
            out.truncate(start + written);
            input = &input[read..];
            self.line += unify_line_ends(out, start, &mut self.after_return);
            match result {
                DecoderResult::InputEmpty => return Ok(()),
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    let expected =
                        if self.encoding == EUC_KR { "UTF-8, and not CP949 either" } else { self.encoding.name() };
                    return Err(Error::Line { line: self.line, problem: Problem::Encoding(expected) });
                }
            }
        }
    }
}

impl<R: Read + Seek> Source for Text<R> {
    fn read(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        // A chunk may decode to nothing: the first byte of a character, say.
        while out.is_empty() && !self.at_end {
            let length = read_full(&mut self.source, &mut self.raw)?;
            self.at_end = length < self.raw.len();
            self.decode(length, out)?;
        }
        Ok(())
    }
}

/// The encoding of a file without a byte order mark.
fn detect(source: &mut (impl Read + Seek)) -> Result<&'static Encoding, Error> {
    source.seek(SeekFrom::Start(0))?;
    let (mut decoder, mut raw) = (decoder(UTF_8), vec![0; CHUNK]);
    let mut ignored = vec![0; 3 * CHUNK + 16];
    let mut encoding = UTF_8;
    loop {
        let length = read_full(source, &mut raw)?;
        if raw[..length].contains(&0) {
            return Err(Error::File("the file is not text: it holds zero bytes; expected UTF-8 or CP949"));
        }
        let at_end = length < raw.len();
        if encoding == UTF_8 {
            let (result, ..) = decoder.decode_to_utf8_without_replacement(&raw[..length], &mut ignored, at_end);
            if result != DecoderResult::InputEmpty {
                encoding = EUC_KR; // and on, for a zero byte
            }
        }
        if at_end {
            return Ok(encoding);
        }
    }
}

fn decoder(encoding: &'static Encoding) -> Decoder {
    encoding.new_decoder_without_bom_handling()
}

/// Turns `\r\n` and `\r` into `\n` from `start` on; returns how many lines end there.
fn unify_line_ends(text: &mut Vec<u8>, start: usize, after_return: &mut bool) -> u64 {
    let (mut kept, mut lines) = (start, 0);
    for at in start..text.len() {
        let byte = text[at];
        if std::mem::replace(after_return, byte == b'\r') && byte == b'\n' {
            continue; // the second half of a line end
        }
        text[kept] = if byte == b'\r' { b'\n' } else { byte };
        lines += u64::from(text[kept] == b'\n');
        kept += 1;
    }
    text.truncate(kept);
    lines
}

/// Fills the buffer, or as much of it as the source has.
fn read_full(source: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match source.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
