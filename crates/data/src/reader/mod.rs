//! Reading a file of sentence pairs, by the format that its extension names.

mod delimited;
mod json;
mod parts;
mod records;

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Problem};
use crate::pair::SentencePair;
use parts::Parts;
use records::Dialect;

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
    read_parts(path, usize::MAX)?.collect::<Result<Vec<_>, _>>().map(|parts| parts.concat())
}

/// Reads the file in parts of `rows` pairs, of which a delimited file holds one in memory at a time.
pub(crate) fn read_parts(
    path: &Path,
    rows: usize,
) -> Result<impl Iterator<Item = Result<Vec<SentencePair>, Error>> + use<>, Error> {
    let path = path.to_owned();
    let mut parts = open(&path, rows).map_err(|failure| failure.of(&path))?;
    let mut failed = false;
    Ok(std::iter::from_fn(move || {
        let part = if failed { None } else { parts.next() };
        part.map(|part| part.map_err(|failure| failure.of(&path))).inspect(|part| failed = part.is_err())
    }))
}

/// A failure that does not know its file's path yet.
enum Failure {
    Io(std::io::Error),
    At(Located),
}

impl Failure {
    fn of(self, path: &Path) -> Error {
        let path = path.to_owned();
        match self {
            Failure::Io(cause) => Error::Io { path, action: "read the file", cause },
            Failure::At((Some(line), problem)) => Error::Record { path, line, problem },
            Failure::At((None, problem)) => Error::File { path, problem },
        }
    }
}

impl From<Located> for Failure {
    fn from(located: Located) -> Failure {
        Failure::At(located)
    }
}

type PartIterator = Box<dyn Iterator<Item = Result<Vec<SentencePair>, Failure>>>;

fn open(path: &PathBuf, rows: usize) -> Result<PartIterator, Failure> {
    if path.is_dir() {
        return Err((None, Problem::Directory).into());
    }
    let dialect = match Format::of(path).ok_or((None, Problem::Extension))? {
        Format::Json => {
            let bytes = fs::read(path).map_err(Failure::Io)?;
            let text = without_mark(utf8(&bytes)?);
            if text.trim().is_empty() {
                return Err((None, Problem::Empty).into());
            }
            return Ok(Box::new(std::iter::once(Ok(json::parse(text)?))));
        }
        Format::Tsv => Dialect::TSV,
        Format::Csv => Dialect::CSV,
    };
    let file = fs::File::open(path).map_err(Failure::Io)?;
    Ok(Box::new(Parts::new(file, dialect, rows)))
}

fn utf8(bytes: &[u8]) -> Result<&str, Located> {
    std::str::from_utf8(bytes).map_err(|error| {
        let (valid, rest) = bytes.split_at(error.valid_up_to());
        let line = 1 + newlines(valid);
        (Some(line), Problem::InvalidUtf8 { byte: rest.first().copied().unwrap_or_default() })
    })
}

/// The text of a file without the byte order mark that some programs put before it.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{FEFF}').unwrap_or(text)
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}
