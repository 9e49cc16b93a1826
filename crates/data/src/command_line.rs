//! How every command of the workspace ends: exit status and the one line that an error is worth.

use std::io;
use std::process::ExitCode;

use crate::Error;

/// The exit status of a command: 0 good, 1 failed, 2 wrong use. An error goes to stderr as one line.
pub fn exit_code(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of a pipe, such as `head`, has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // A path or a system's message may hold newlines; one error is one line.
            // One of a file names its file, as context or in its own type; a bare one is standard output's.
            let is_bare = error.is::<io::Error>() && error.chain().count() == 1;
            let place = if is_bare { "cannot write to standard output: " } else { "" };
            eprintln!("error: {place}{}", format!("{error:#}").replace(['\n', '\r'], " "));
            let wrong_use = error.downcast_ref::<Error>().is_some_and(Error::is_wrong_use);
            ExitCode::from(if wrong_use { 2 } else { 1 })
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
