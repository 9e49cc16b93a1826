//! What can go wrong with a file whose path is not known yet.

use std::path::Path;

use crate::error::{Error, Problem};

/// A problem with the line it was found on; `None` where it concerns the whole file.
pub(super) type Located = (Option<usize>, Problem);

/// A failure that does not know its file's path yet.
pub(super) enum Failure {
    Io(std::io::Error),
    At(Located),
}

impl Failure {
    pub(super) fn of(self, path: &Path) -> Error {
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

/// Lines that end within some bytes.
pub(super) fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}
