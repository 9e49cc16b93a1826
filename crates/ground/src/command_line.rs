//! How every command of the workspace ends: exit status and the one line that an error is worth.

use std::io;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

/// An error of the user's command line, not of the data: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUse(pub String);

/// Fails where one of these flags, which are of models that give embeddings, is given beside a cross-encoder.
///
/// # Errors
/// As it says.
pub fn refuse_beside_cross_encoder(flags: &[(&str, bool)]) -> Result<(), WrongUse> {
    match flags.iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(WrongUse(format!("{flag} is for sentence encoders, and the model is a cross-encoder"))),
        None => Ok(()),
    }
}

/// A command that a signal ended before its time: exit status 128 + signal, as shells have it.
#[derive(Debug, thiserror::Error)]
#[error("interrupted: {what}")]
pub struct Interrupted {
    /// The signal's number.
    pub signal: u8,
    /// What was saved, and how to go on.
    pub what: String,
}

/// Writes a line to standard error, as `eprintln!` does, which panics where nobody reads any more: that would end a run or a
/// server for want of a reader of its words.
#[macro_export]
macro_rules! say {
    ($($words:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{}\n", format_args!($($words)*)));
    }};
}

static LAST_PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Runs a command and gives its exit status: 0 good, 1 failed, 2 wrong use. An error goes to stderr as one line. Wrong use is
/// [`WrongUse`], and whatever else `is_wrong_use` knows of the libraries below the command.
///
/// A panic is a defect, or memory that ran out within libtorch; it is one line too, with its place.
pub fn run(is_wrong_use: fn(&anyhow::Error) -> bool, command: impl FnOnce() -> anyhow::Result<()>) -> ExitCode {
    panic::set_hook(Box::new(|panic| {
        let line = panic_line(panic);
        crate::say!("error: {line}");
        *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
    }));
    // Nothing that the command could leave half-changed outlives it.
    match panic::catch_unwind(AssertUnwindSafe(command)) {
        Err(_) => ExitCode::from(1),
        Ok(Ok(())) => ExitCode::SUCCESS,
        // The reader of a pipe, such as `head`, has seen enough.
        Ok(Err(error)) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            // An error of a file names it, as context or in its own type; a bare one is standard output's.
            let is_bare = error.is::<io::Error>() && error.chain().count() == 1;
            let place = if is_bare { "cannot write to standard output: " } else { "" };
            // A path or a system's message may hold newlines; one error is one line.
            let line = format!("{error:#}").replace(['\n', '\r'], " ");
            if let Some(Interrupted { signal, .. }) = error.downcast_ref() {
                crate::say!("{line}"); // what the user asked for is no error
                return ExitCode::from(128 + signal);
            }
            crate::say!("error: {place}{line}");
            ExitCode::from(if error.is::<WrongUse>() || is_wrong_use(&error) { 2 } else { 1 })
        }
    }
}

/// What the last panic said, for a process whose standard error went elsewhere.
pub fn last_panic() -> Option<String> {
    LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn panic_line(panic: &PanicHookInfo) -> String {
    let message = panic.payload_as_str().unwrap_or("unknown cause");
    // libtorch reports a failed operation with its own call stack, which Rust prints with escaped newlines.
    let first = message.lines().next().unwrap_or_default().split("\\n").next().unwrap_or_default();
    if first.contains("can't allocate memory") || first.contains("out of memory") {
        return format!("out of memory: {first}; use smaller batches or a smaller model");
    }
    let place = panic.location().map(|location| format!(" ({}:{})", location.file(), location.line()));
    format!("internal error: {first}{}", place.unwrap_or_default())
}
