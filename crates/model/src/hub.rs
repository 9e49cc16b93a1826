//! Models of the Hugging Face hub by their ids, kept in the cache that Python's `huggingface_hub` keeps too.

mod environment;
mod listing;
mod progress;
mod remote;
mod request;
mod transfer;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use hf_hub::{Repo, RepoType};

use crate::error::Error;
use remote::Remote;

pub use progress::on_stderr;

/// The hub, and the cache of what came from it.
#[derive(Clone)] // No Debug: a token is not to be printed.
pub struct Hub {
    /// Address, without a slash at its end.
    pub endpoint: String,
    /// Folder of the cache.
    pub cache: PathBuf,
    /// Sent to the hub with every request.
    pub token: Option<String>,
    /// Whether to use the cache alone.
    pub offline: bool,
    /// How long to wait for a sign of life.
    pub patience: Duration,
}

/// What [`Hub::resolve`] tells while it works.
#[derive(Debug)]
pub enum Event<'a> {
    /// A part of a file has come.
    Received {
        /// The model's id.
        model: &'a str,
        /// The file, as a path in the model's directory.
        file: &'a str,
        /// Bytes of it so far.
        bytes: u64,
        /// Bytes of it in all.
        size: u64,
    },
    /// The hub did not answer, and the copy in the cache is used.
    Unreachable {
        /// The model's id.
        model: &'a str,
        /// Why.
        reason: &'a str,
    },
}

impl Hub {
    /// The directory of a model: `model` itself if that is one, else its files in the cache, of which those that are
    /// missing are downloaded. An id is `owner/name` or `owner/name@revision`.
    ///
    /// Where the hub cannot be reached, what the cache holds is used.
    pub fn resolve(&self, model: &Path, progress: &mut dyn FnMut(Event<'_>)) -> Result<PathBuf, Error> {
        if model.is_dir() {
            return Ok(model.to_owned());
        }
        let name = model.display().to_string();
        match parse_id(&name) {
            Some(repo) if !model.exists() => Remote::new(self, &name, repo).resolve(progress),
            _ => {
                let problem = if model.exists() { "not a directory" } else { "no such directory" };
                let what = format!("{problem}; expected one, or a model's id on the Hugging Face hub (owner/name)");
                Err(Error::Hub { model: name, what })
            }
        }
    }
}

/// Splits `owner/name@revision`; `None` where the text cannot be an id.
fn parse_id(text: &str) -> Option<Repo> {
    let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
    let valid = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
            && part.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
            && !part.contains("..")
    };
    let is_id = id.split('/').count() <= 2 && id.split('/').chain(revision.split('/')).all(valid);
    is_id.then(|| Repo::with_revision(id.to_owned(), RepoType::Model, revision.to_owned()))
}
