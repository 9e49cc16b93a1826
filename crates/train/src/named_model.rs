//! A model that a run reads and does not train.

use std::path::{Path, PathBuf};

use anyhow::Context;
use model::{
    CrossEncoder, Options, SentenceEncoder, fingerprint, holds_cross_encoder,
    hub::{self, Hub},
};

use crate::environment::Environment;

/// A model by the name that the configuration gives it.
pub(crate) struct NamedModel<'a> {
    key: &'static str,
    pub(crate) model: &'a Path,
    dir: PathBuf,
}

impl<'a> NamedModel<'a> {
    /// Finds its directory; `key` is where the configuration names it.
    pub(crate) fn find(key: &'static str, model: &'a PathBuf) -> anyhow::Result<Self> {
        let mut named = Self { key, model, dir: PathBuf::new() };
        named.dir = Hub::from_env().resolve(model, &mut hub::on_stderr()).with_context(|| named.place())?;
        Ok(named)
    }

    /// What tells it from others.
    pub(crate) fn origin(&self) -> anyhow::Result<String> {
        fingerprint(&self.dir).with_context(|| self.place())
    }

    /// Whether it reads two sentences together.
    pub(crate) fn is_cross_encoder(&self) -> bool {
        holds_cross_encoder(&self.dir)
    }

    /// Loads one that reads two sentences together, and gives them one number. An error is the caller's to give its [`place`](Self::place).
    pub(crate) fn load_cross_encoder(&self, environment: &Environment) -> anyhow::Result<CrossEncoder> {
        let options = Options { device: environment.device, ..Options::default() };
        let encoder = CrossEncoder::load(&self.dir, &options)?;
        encoder.check_single_label()?;
        Ok(encoder)
    }

    /// Loads one that gives embeddings, as above.
    pub(crate) fn load(&self, environment: &Environment) -> anyhow::Result<SentenceEncoder> {
        let options = Options { device: environment.device, ..Options::default() };
        let encoder = SentenceEncoder::load(&self.dir, &options)?;
        if encoder.pooling_was_assumed() {
            ground::say!("{}: the directory has no pooling of its own, {} is assumed", self.place(), encoder.pooling());
        }
        Ok(encoder)
    }

    /// What an error line begins with.
    pub(crate) fn place(&self) -> String {
        format!("{} {}", self.key, self.model.display())
    }
}
