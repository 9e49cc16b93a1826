//! Reading a file of sentence pairs: KLUE's JSON, or a table of any form.

mod failure;
mod json;
mod pairs;

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use tables::{Layout, Source};

use crate::{
    catalogue::Format,
    error::{Error, Problem},
    pair::SentencePair,
    reading::Reading,
};
use failure::{Failure, Located, newlines};
use pairs::{PairTable, PartIterator};

/// A file of pairs whose form is known.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    path: PathBuf,
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    /// KLUE's own, an array of records, which is read as a whole.
    Array,
    Table(Box<PairTable>),
}

impl Reader {
    /// Finds out how a file is to be read.
    pub(crate) fn open(path: &Path, reading: &Reading) -> Result<Self, Error> {
        let open = || -> Result<Form, Failure> {
            if path.is_dir() {
                return Err((None, Problem::Directory).into());
            }
            let source = Source::open(path).map_err(Failure::Io)?;
            // Beside a workbook there may be files without sheets.
            let is_workbook = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xlsx"));
            let sheet = reading.sheet.clone().filter(|_| is_workbook);
            // With columns or a scale of one's own it is an array like any other.
            let is_plain = reading.columns.is_default() && reading.scale == Default::default();
            if Format::of(path) == Some(Format::Json) && is_plain && begins_an_array(path).map_err(Failure::Io)? {
                return Ok(Form::Array);
            }
            PairTable::open(source, reading, sheet).map(|table| Form::Table(Box::new(table)))
        };
        let form = open().map_err(|failure| failure.of(path))?;
        Ok(Self { path: path.to_owned(), form })
    }

    /// How the file is read; none of KLUE's JSON.
    pub(crate) fn layout(&self) -> Option<Layout> {
        match &self.form {
            Form::Array => None,
            Form::Table(table) => Some(table.layout()),
        }
    }

    /// Every pair of the file.
    pub(crate) fn read(&self) -> Result<Vec<SentencePair>, Error> {
        self.parts(1 << 14)?.collect::<Result<Vec<_>, _>>().map(|parts| parts.concat())
    }

    /// The pairs in parts of at most `rows`, of which a table holds one in memory at a time.
    pub(crate) fn parts(
        &self,
        rows: usize,
    ) -> Result<impl Iterator<Item = Result<Vec<SentencePair>, Error>> + use<>, Error> {
        let path = self.path.clone();
        let open = || -> Result<PartIterator, Failure> {
            Ok(match &self.form {
                Form::Array => Box::new(std::iter::once(Ok(read_array(&path)?))),
                Form::Table(table) => table.parts(rows)?,
            })
        };
        let mut parts = open().map_err(|failure| failure.of(&path))?;
        let mut failed = false;
        Ok(std::iter::from_fn(move || {
            let part = if failed { None } else { parts.next() };
            part.map(|part| part.map_err(|failure| failure.of(&path))).inspect(|part| failed = part.is_err())
        }))
    }
}

/// Whether a file's first character, but for white space and a byte order mark, is `[` or nothing else is there.
fn begins_an_array(path: &Path) -> std::io::Result<bool> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(4096).read_to_end(&mut bytes)?;
    let text = bytes.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(&bytes).trim_ascii_start();
    Ok(text.first().is_none_or(|&first| first == b'['))
}

fn read_array(path: &Path) -> Result<Vec<SentencePair>, Failure> {
    let bytes = fs::read(path).map_err(Failure::Io)?;
    let text = utf8(&bytes)?;
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err((None, Problem::Empty).into());
    }
    Ok(json::parse(text)?)
}

fn utf8(bytes: &[u8]) -> Result<&str, Located> {
    std::str::from_utf8(bytes).map_err(|error| {
        let (valid, rest) = bytes.split_at(error.valid_up_to());
        let line = 1 + newlines(valid);
        (Some(line), Problem::InvalidUtf8 { byte: rest.first().copied().unwrap_or_default() })
    })
}
