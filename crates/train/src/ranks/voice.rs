//! Who speaks: of several ranks the first alone, unless it is another that fails.

use std::{fs::File, io, os::fd::OwnedFd, thread, time::Duration};

use ground::command_line::{self, Interrupted};

use super::Ranks;

/// How long another rank waits before it tells of its error: when all have the same, the first one's is enough.
const FIRST_SPEAKS: Duration = Duration::from_millis(500);

/// Standard error, for the last words of a rank that is silent else.
#[derive(Debug)]
pub struct Voice(Option<OwnedFd>);

impl Voice {
    /// Silences this process from here on, unless it is the first.
    ///
    /// # Errors
    /// Where standard output and error cannot be replaced.
    pub fn new(ranks: &Ranks) -> io::Result<Self> {
        if ranks.is_first() {
            return Ok(Self(None));
        }
        let kept = rustix::io::dup(rustix::stdio::stderr())?;
        let nowhere = File::options().write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdout(&nowhere)?;
        rustix::stdio::dup2_stderr(&nowhere)?;
        Ok(Self(Some(kept)))
    }

    /// Of several ranks, tells of an error or a signal that only this one may have, and ends all of them: the others would
    /// wait for this one for ever.
    pub fn last_words(&self, error: &anyhow::Error, ranks: &Ranks) {
        if ranks.count() == 1 {
            return;
        }
        let line = format!("{error:#}").replace(['\n', '\r'], " ");
        let (kind, status) = match error.downcast_ref() {
            Some(Interrupted { signal, .. }) => ("", 128 + i32::from(*signal)),
            None => ("error: ", 1),
        };
        match self.0 {
            None => ground::say!("{kind}{line}"),
            Some(_) => self.tell_late(kind, &line, ranks),
        }
        ranks.abort(status);
    }

    /// The same after a panic, of which the first rank has told already.
    pub fn last_words_of_panic(&self, ranks: &Ranks) {
        if ranks.count() > 1 {
            self.tell_late("error: ", &command_line::last_panic().unwrap_or_default(), ranks);
            ranks.abort(1);
        }
    }

    fn tell_late(&self, kind: &str, line: &str, ranks: &Ranks) {
        let Some(kept) = &self.0 else { return };
        thread::sleep(FIRST_SPEAKS);
        if rustix::stdio::dup2_stderr(kept).is_ok() {
            ground::say!("{kind}rank {}: {line}", ranks.index());
        }
    }
}
