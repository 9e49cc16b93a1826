//! Signals that ask a run to end: the first lets it finish its step and save, or ends it at once where there is nothing to
//! save; a second SIGINT or SIGTERM always ends it at once. Of a terminal that closes SIGHUP comes twice, from the shell and
//! from the system, and is no impatience.

use std::{
    fs,
    io::{self, Read},
    os::unix::net::UnixStream,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use ground::command_line::Interrupted;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
    low_level::{exit, pipe},
};

/// Whether a signal came, and what it does.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    signal: Arc<AtomicUsize>,            // 0: none
    at_once: Arc<Mutex<Option<String>>>, // `None` while there is something to save
}

impl Interrupt {
    /// Listens for SIGINT, SIGTERM and, unless this process ignores it, SIGHUP.
    pub fn listen() -> io::Result<Self> {
        let interrupt = Self::default();
        let second = Arc::new(AtomicBool::new(false));
        let (mut awaited, wake) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM] {
            // In this order, so that the first signal does not count as the second, and is known when the thread wakes.
            flag::register_conditional_shutdown(signal, 128 + signal, second.clone())?;
            flag::register(signal, second.clone())?;
        }
        let hangup = Some(SIGHUP).filter(|_| !ignores_hangup());
        for signal in [SIGINT, SIGTERM].into_iter().chain(hangup) {
            flag::register_usize(signal, interrupt.signal.clone(), signal as usize)?;
            pipe::register(signal, wake.try_clone()?)?;
        }
        let waiting = interrupt.clone();
        // A thread, because a download or a library's loading of weights looks at no flag.
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if awaited.read_exact(&mut [0]).is_ok() {
                waiting.received();
            }
        })?;
        Ok(interrupt)
    }

    /// The signal that came, if one did.
    pub fn signal(&self) -> Option<u8> {
        u8::try_from(self.signal.load(Ordering::Relaxed)).ok().filter(|&signal| signal != 0)
    }

    /// Fails if a signal came; `what` says what was saved and how to go on.
    pub(crate) fn check(&self, what: &str) -> anyhow::Result<()> {
        match self.signal() {
            Some(signal) => Err(Interrupted { signal, what: what.to_owned() }.into()),
            None => Ok(()),
        }
    }

    /// From here on a signal ends the program at once, with these words; fails if one came before.
    pub(crate) fn end_at_once(&self, what: &str) -> anyhow::Result<()> {
        let mut at_once = self.at_once();
        self.check(what)?;
        *at_once = Some(what.to_owned());
        Ok(())
    }

    /// From here on a signal waits for [`Interrupt::check`].
    pub(crate) fn wait_for_check(&self) {
        *self.at_once() = None;
    }

    fn received(&self) {
        let at_once = self.at_once(); // held to the end, so that nothing is begun meanwhile that has to be saved
        if let (Some(what), Some(signal)) = (&*at_once, self.signal()) {
            ground::say!("{}", Interrupted { signal, what: what.clone() });
            exit(128 + i32::from(signal));
        }
    }

    fn at_once(&self) -> MutexGuard<'_, Option<String>> {
        self.at_once.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this process is to outlive its terminal, as under `nohup`; taken for granted where the system does not tell.
fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_none_or(|mask| mask & (1 << (SIGHUP - 1)) != 0)
}
