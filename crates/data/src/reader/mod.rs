//! Reading a file of sentence pairs, by the format that its extension names.

mod delimited;
mod json;
mod records;

use std::fs;
use std::path::Path;

use crate::error::{Error, Problem};
use crate::pair::SentencePair;

/// The formats that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Tsv,
    Csv,
}

impl Format {
    /// The format that the extension of `path` names.
    pub(crate) fn of(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "json" => Some(Format::Json),
            "tsv" => Some(Format::Tsv),
            "csv" => Some(Format::Csv),
            _ => None,
        }
    }
}

/// A problem with the line it was found on; `None` where it concerns the whole file.
type Located = (Option<usize>, Problem);

/// Reads every pair of the file, or says why that cannot be done.
pub(crate) fn read(path: &Path) -> Result<Vec<SentencePair>, Error> {
    parse(path).map_err(|failure| match failure {
        Failure::Io(cause) => Error::Io { path: path.to_owned(), action: "read the file", cause },
        Failure::At((Some(line), problem)) => Error::Record { path: path.to_owned(), line, problem },
        Failure::At((None, problem)) => Error::File { path: path.to_owned(), problem },
    })
}

/// A failure that does not know its file's path yet.
enum Failure {
    Io(std::io::Error),
    At(Located),
}

impl From<Located> for Failure {
    fn from(located: Located) -> Failure {
        Failure::At(located)
    }
}

fn parse(path: &Path) -> Result<Vec<SentencePair>, Failure> {
    if path.is_dir() {
        return Err((None, Problem::Directory).into());
    }
    let format = Format::of(path).ok_or((None, Problem::Extension))?;
    let bytes = fs::read(path).map_err(Failure::Io)?;
    let text = decode(&bytes)?;
    if text.trim().is_empty() {
        return Err((None, Problem::Empty).into());
    }
    Ok(match format {
        Format::Json => json::parse(text)?,
        Format::Tsv => delimited::parse(text, records::Dialect::TSV)?,
        Format::Csv => delimited::parse(text, records::Dialect::CSV)?,
    })
}

/// The text of a file, without the byte order mark that some programs put before it.
fn decode(bytes: &[u8]) -> Result<&str, Located> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let (valid, rest) = bytes.split_at(error.valid_up_to());
        let line = 1 + newlines(valid);
        (Some(line), Problem::InvalidUtf8 { byte: rest.first().copied().unwrap_or_default() })
    })?;
    Ok(text.strip_prefix('\u{FEFF}').unwrap_or(text))
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}
