//! What can go wrong between a checkpoint on disk and an embedding: each error is one line that names its file.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// An error of this crate. Its text is one line: where, what, and what was expected, the cause included; there is no
/// `source()`, so that a chain of errors prints it once.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        cause: std::io::Error,
    },
    /// A directory could not be put in its place.
    #[error(transparent)]
    Written(#[from] ground::Error),
    /// A file is there and is not what it should be.
    #[error("{}: {what}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what was expected.
        what: String,
    },
    /// A value that came from no file (a flag, a configuration key) does not serve.
    #[error("{0}")]
    Unusable(String),
    /// A model of the hub could not be had.
    #[error("{model}: {what}")]
    Hub {
        /// Its id.
        model: String,
        /// What is in the way, and what to do.
        what: String,
    },
    /// The tokenizer library refused an input.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// libtorch refused an operation.
    #[error("libtorch: {0}")]
    Torch(String),
}

impl Error {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        move |cause| Error::Io { path: path.to_owned(), cause }
    }

    pub(crate) fn invalid(path: &Path, what: impl Into<String>) -> Error {
        Error::Invalid { path: path.to_owned(), what: what.into() }
    }
}

impl From<tch::TchError> for Error {
    /// Keeps the first line: libtorch appends its own call stack.
    fn from(error: tch::TchError) -> Self {
        let text = error.to_string();
        Error::Torch(text.lines().next().unwrap_or_default().to_owned())
    }
}

/// Bytes of the largest text that is read: several times the largest published tokenizer.
const MAX_TEXT: u64 = 128 << 20;

/// Bytes of the largest JSON that is read as values, which take many times as much: a configuration has a few thousand, an
/// index of shards a hundred for each tensor.
const MAX_JSON: u64 = 4 << 20;

/// Reads a text file, naming it and the line where it is not UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<String, Error> {
    read_text_up_to(path, MAX_TEXT)
}

fn read_text_up_to(path: &Path, limit: u64) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    if read.map_err(Error::io(path))? as u64 > limit {
        return Err(Error::invalid(path, format!("larger than {} MiB, expected a file of a model", limit >> 20)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..valid].iter().filter(|&&byte| byte == b'\n').count();
        Error::invalid(path, format!("line {line} is not UTF-8"))
    })
}

/// Reads a JSON file into `T`, naming it with line and column where it does not fit.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    serde_json::from_str(&read_text_up_to(path, MAX_JSON)?).map_err(|error| Error::invalid(path, error.to_string()))
}
