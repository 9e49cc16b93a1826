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
        let what = panic.payload_as_str().map_or("unknown cause", without_values);
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panic: {what}");
    }));
}

/// The first line of a panic's message up to what it quotes, which may be a client's text. libtorch reports a failed operation
/// with its own call stack.
fn without_values(message: &str) -> &str {
    message.split(['\n', '"', '`']).next().unwrap_or_default().trim_end()
}

#[cfg(test)]
mod tests {
    use super::without_values;

    #[test]
    fn a_panic_is_logged_without_the_text_that_it_is_about() {
        let text = "비밀";
        let panic = std::panic::catch_unwind(|| text[1..].to_owned()).unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.contains(text), "{message}");
        let logged = without_values(message);
        assert!(!logged.contains(text) && logged.len() > 20, "{logged}");
        assert_eq!(without_values("not enough memory\nframe #0: …"), "not enough memory");
    }
}
