//! The log on stderr: lines for people or JSON, panics among them.

use std::{io, panic};

use tracing::Level;

use crate::settings::{LogFormat, LogLevel};

/// Starts the log of the process.
pub fn init(format: LogFormat, level: LogLevel) {
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
    };
    let log = tracing_subscriber::fmt().with_writer(io::stderr).with_max_level(level).with_target(false);
    // Else a line that nobody reads is complained of by `eprintln!`, which then panics.
    let log = log.log_internal_errors(false);
    match format {
        LogFormat::Text => log.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    panic::set_hook(Box::new(|panic| {
        // libtorch reports a failed operation with its own call stack.
        let what = panic.payload_as_str().and_then(|text| text.lines().next()).unwrap_or("unknown cause");
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panic: {what}");
    }));
}
