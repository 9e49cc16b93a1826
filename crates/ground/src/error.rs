//! What can go wrong between a program and its files.

use std::io;
use std::path::{Path, PathBuf};

/// A file or directory that could not be read or written. One line that names it and the system's reason; there is no
/// `source()`, so that a chain of errors prints it once.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("{}: cannot {action}: {cause}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried, such as `write the file`.
        action: &'static str,
        /// The system's reason.
        cause: io::Error,
    },
    /// A file that must not be replaced is already there.
    #[error("{}: the file exists already; pass --overwrite to replace it", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Another process works on the folder.
    #[error("{}: another process works on it{}: wait for it, or stop it", path.display(), if owner.is_empty() { String::new() } else { format!(" ({owner})") })]
    Busy {
        /// The folder.
        path: PathBuf,
        /// Which one, as it says.
        owner: String,
    },
    /// A file stands where a directory is to be.
    #[error("{}: is a file, expected a directory or nothing", path.display())]
    NotADirectory {
        /// The file.
        path: PathBuf,
    },
}

impl Error {
    /// Names the file and what was tried with it.
    pub fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |cause| Error::Io { path: path.to_owned(), action, cause }
    }
}
