//! Signals that ask a run to end: the first lets it finish its step and save, the second stops it at once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use data::command_line::Interrupted;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

/// Whether a signal came.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    signal: Arc<AtomicUsize>, // 0: none
}

impl Interrupt {
    /// Listens for SIGINT and SIGTERM.
    pub fn listen() -> std::io::Result<Self> {
        let interrupt = Self::default();
        let second = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order, so that the first signal does not count as the second.
            flag::register_conditional_shutdown(signal, 128 + signal, second.clone())?;
            flag::register(signal, second.clone())?;
            flag::register_usize(signal, interrupt.signal.clone(), signal as usize)?;
        }
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
}
