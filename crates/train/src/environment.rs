//! What a run needs beside its configuration.

use std::path::Path;

use data::DataDir;
use ground::{Lock, command_line::Interrupted};
use tch::Device;

use crate::{interrupt::Interrupt, ranks::Ranks};

/// What to do with a run that the directory holds already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Leave it alone and fail.
    #[default]
    Refuse,
    /// Put the new run in its place.
    Overwrite,
    /// Go on with it from its last saved state.
    Resume,
}

/// What a run needs beside its configuration.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Where to compute.
    pub device: Device,
    /// Where named datasets lie.
    pub data_dir: DataDir,
    /// What to do with a run that the output directory holds.
    pub existing: Existing,
    /// Asks the run to end.
    pub interrupt: Interrupt,
    /// The processes that share the run.
    pub ranks: Ranks,
}

impl Environment {
    /// Takes a directory for this process, or for all of its ranks, until what is returned is dropped.
    ///
    /// # Errors
    /// Where another process works there, or nothing can be written.
    pub(crate) fn lock(&self, dir: &Path) -> anyhow::Result<Option<Lock>> {
        self.ranks.in_turn(|| Ok(if self.ranks.is_first() { Some(Lock::take(dir)?) } else { None }))
    }

    /// Fails if any rank got a signal; `what` says what was saved and how to go on.
    pub(crate) fn check(&self, what: &str) -> anyhow::Result<()> {
        match self.ranks.signal(self.interrupt.signal()) {
            Some(signal) => Err(Interrupted { signal, what: what.to_owned() }.into()),
            None => Ok(()),
        }
    }
}
