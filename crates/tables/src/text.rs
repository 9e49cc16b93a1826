//! The text of a file in UTF-8, whatever its encoding is.

use encoding_rs::{Decoder, DecoderResult, EUC_KR, Encoding, UTF_8};

use crate::{
    error::{Error, Problem},
    source::{Progress, Source},
};

const CHUNK: usize = 64 << 10; // bytes read at once

/// How a file's bytes become text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Charset {
    encoding: &'static Encoding,
    mark: u64, // bytes of the byte order mark
}

impl Charset {
    /// What the byte order mark says, else UTF-8 if all of the file is that, else CP949. A file that is UTF-8 but for a few
    /// bytes is neither: as CP949 it would be another text.
    pub(crate) fn detect(source: &Source) -> Result<Self, Error> {
        let mut start = [0; 4];
        let length = source.read_at(0, &mut start)?;
        if length == 0 {
            return Err(Error::file("the file is empty"));
        }
        if let Some((encoding, mark)) = Encoding::for_bom(&start[..length]) {
            return Ok(Self { encoding, mark: mark as u64 });
        }
        let (mut decoder, mut raw) = (decoder(UTF_8), vec![0; CHUNK]);
        let mut text = vec![0; 3 * CHUNK + 16];
        let (mut place, mut line, mut wide, mut broken, mut first) = (0, 1, 0u64, 0u64, None);
        let mut after_return = false;
        loop {
            let length = source.read_at(place, &mut raw)?;
            place += length as u64;
            if raw[..length].contains(&0) {
                return Err(Error::file(
                    "the file is not text: it holds zero bytes; expected UTF-8, CP949, or UTF-16 with a byte order mark",
                ));
            }
            let (at_end, mut input) = (length < raw.len(), &raw[..length]);
            loop {
                let (result, read, written) = decoder.decode_to_utf8_without_replacement(input, &mut text, at_end);
                input = &input[read..];
                let told = &text[..written];
                // The second and later bytes of a character begin with the bits 10.
                wide += told.iter().filter(|&&byte| byte >= 0xC0).count() as u64;
                line += line_ends(told, &mut after_return);
                match result {
                    DecoderResult::InputEmpty => break,
                    DecoderResult::OutputFull => {}
                    DecoderResult::Malformed(..) => {
                        broken += 1;
                        first.get_or_insert(line);
                    }
                }
            }
            if at_end {
                break;
            }
        }
        match first {
            None => Ok(Self { encoding: UTF_8, mark: 0 }),
            // In text that is CP949, hardly any pair of bytes happens to be a character of UTF-8.
            Some(line) if wide > broken => Err(Error::Line { line, problem: Problem::Encoding("UTF-8") }),
            Some(_) => Ok(Self { encoding: EUC_KR, mark: 0 }),
        }
    }

    /// UTF-8 without a mark.
    pub(crate) const fn utf8() -> Self {
        Self { encoding: UTF_8, mark: 0 }
    }

    /// The name that users know the encoding by.
    pub(crate) fn name(self) -> &'static str {
        match self.encoding {
            encoding if encoding == EUC_KR => "CP949",
            encoding => encoding.name(),
        }
    }
}

/// A file that is decoded as it is read.
pub(crate) struct Text {
    source: Source,
    charset: Charset,
    place: u64,
    progress: Option<Progress>,
    decoder: Decoder,
    raw: Vec<u8>,
    at_end: bool,
    after_return: bool, // the last character was `\r`
    line: u64,          // of the next character
}

impl Text {
    pub(crate) fn new(source: &Source, charset: Charset, progress: Option<Progress>) -> Self {
        Self {
            source: source.clone(),
            charset,
            place: charset.mark,
            progress,
            decoder: decoder(charset.encoding),
            raw: vec![0; CHUNK],
            at_end: false,
            after_return: false,
            line: 1,
        }
    }

    /// The text for a reader that looks ahead.
    pub(crate) fn pieces(self) -> Pieces {
        Pieces { text: self, piece: Vec::new(), at: 0 }
    }

    /// Puts the next piece into `out`, which is empty; leaves it empty at the text's end.
    pub(crate) fn read(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        // A chunk may decode to nothing: the first byte of a character, say.
        while out.is_empty() && !self.at_end {
            let length = self.source.read_at(self.place, &mut self.raw)?;
            self.place += length as u64;
            if let Some(progress) = &self.progress {
                progress.fetch_add(length as u64, std::sync::atomic::Ordering::Relaxed);
            }
            self.at_end = length < self.raw.len();
            self.decode(length, out)?;
        }
        Ok(())
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
            if out[start..].contains(&0) {
                return Err(Error::file("the file is not text: it holds the character U+0000"));
            }
            self.line += line_ends(&out[start..], &mut self.after_return);
            match result {
                DecoderResult::InputEmpty => return Ok(()),
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    let is_guess = self.charset.encoding == EUC_KR;
                    let expected = if is_guess { "UTF-8, and not CP949 either" } else { self.charset.encoding.name() };
                    return Err(Error::Line { line: self.line, problem: Problem::Encoding(expected) });
                }
            }
        }
    }
}

/// A text whose next bytes can be looked at before they are taken.
pub(crate) struct Pieces {
    text: Text,
    piece: Vec<u8>,
    at: usize,
}

impl Pieces {
    /// The next byte; none at the text's end.
    pub(crate) fn peek(&mut self) -> Result<Option<u8>, Error> {
        if self.at == self.piece.len() {
            self.piece.clear();
            self.at = 0;
            self.text.read(&mut self.piece)?;
        }
        Ok(self.piece.get(self.at).copied())
    }

    /// What is decoded and not taken yet; after [`Pieces::peek`], empty at the text's end alone.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.piece[self.at..]
    }

    /// Takes some bytes of [`Pieces::rest`].
    pub(crate) fn take(&mut self, count: usize) {
        self.at += count;
    }
}

fn decoder(encoding: &'static Encoding) -> Decoder {
    encoding.new_decoder_without_bom_handling()
}

/// How many lines end in a piece of text: by `\n`, `\r\n` or `\r`. `after_return` is kept from one piece to the next.
pub(crate) fn line_ends(text: &[u8], after_return: &mut bool) -> u64 {
    let mut lines = 0;
    for &byte in text {
        let is_second = std::mem::replace(after_return, byte == b'\r') && byte == b'\n';
        lines += u64::from((byte == b'\n' || byte == b'\r') && !is_second);
    }
    lines
}

/// The same text with `\n` at every line end.
pub(crate) fn with_one_line_end(text: &[u8]) -> Vec<u8> {
    let second = |place: usize| place > 0 && text[place] == b'\n' && text[place - 1] == b'\r';
    let kept = (0..text.len()).filter(|&place| !second(place));
    kept.map(|place| if text[place] == b'\r' { b'\n' } else { text[place] }).collect()
}
