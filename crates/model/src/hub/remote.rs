//! One model on the hub: which of its files an encoder needs, and what a refusal means.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use hf_hub::Repo;
use ureq::{Agent, http::Method};

use super::{
    Event, Hub,
    listing::{File, Listing, is_commit},
    request::{self, Answer},
};
use crate::{
    error::Error,
    files::{self, Folder, refuse_adapter, stays_below},
    layout::{CrossEncoderLayout, Layout, is_cross_encoder},
    weights,
};

/// Bytes of the longest listing that is read: a repository with a hundred thousand files.
const MAX_LISTING: u64 = 32 << 20;

/// One model at one revision.
pub(super) struct Remote<'a> {
    pub(super) hub: &'a Hub,
    pub(super) name: &'a str, // as the user wrote it
    agent: Agent,
    repo: Repo,
}

impl<'a> Remote<'a> {
    pub(super) fn new(hub: &'a Hub, name: &'a str, repo: Repo) -> Self {
        Self { hub, agent: request::agent(hub.patience), name, repo }
    }

    pub(super) fn send(&self, method: &Method, address: &str, first: u64) -> Result<Answer, ureq::Error> {
        request::send(&self.agent, self.hub, method, address, first)
    }

    /// The model's folder in the cache.
    pub(super) fn folder(&self) -> PathBuf {
        self.hub.cache.join(self.repo.folder_name())
    }

    /// The folder with the files of a commit.
    pub(super) fn snapshot(&self, commit: &Commit) -> PathBuf {
        self.snapshot_in(&commit.folder)
    }

    fn snapshot_in(&self, folder: &str) -> PathBuf {
        self.folder().join("snapshots").join(folder)
    }

    pub(super) fn failed(&self, what: impl Into<String>) -> Error {
        Error::Hub { model: self.name.to_owned(), what: what.into() }
    }

    pub(super) fn resolve(&self, progress: &mut dyn FnMut(Event<'_>)) -> Result<PathBuf, Error> {
        if self.hub.offline {
            let cache = self.hub.cache.display();
            return self.cached().ok_or_else(|| {
                self.failed(format!(
                    "no such directory, and no whole copy in the cache {cache}: unset HF_HUB_OFFLINE to download it"
                ))
            });
        }
        match self.ask() {
            Ok(listing) => self.assemble(listing?, progress),
            Err(reason) => {
                let dir = self.cached().ok_or_else(|| {
                    let endpoint = &self.hub.endpoint;
                    self.failed(format!(
                        "no such directory, and the hub at {endpoint} cannot be reached ({reason}): check the network \
                         and HTTPS_PROXY, or name a directory that holds the model"
                    ))
                })?;
                progress(Event::Unreachable { model: self.name, reason: &reason });
                Ok(dir)
            }
        }
    }

    /// The directory in the cache, if all that an encoder needs is there.
    fn cached(&self) -> Option<PathBuf> {
        let revision = self.repo.revision();
        let commit =
            if is_commit(revision) { revision.to_owned() } else { fs::read_to_string(self.reference()).ok()? };
        let dir = self.snapshot_in(commit.trim());
        let found = Folders::read(&dir).ok()?;
        let has = |name: &str| found.encoder.join(name).exists();
        let is_whole = (found.is_static || has("config.json")) && files::TOKENIZERS.into_iter().any(has);
        let mut folders = found.modules.iter().chain([&found.encoder]);
        (is_whole && folders.all(|folder| weights::are_whole(folder))).then_some(dir)
    }

    /// The file that names the commit of a branch.
    fn reference(&self) -> PathBuf {
        self.folder().join("refs").join(self.repo.revision())
    }

    /// Asks for the listing. The outer error is a hub that cannot be reached, the inner one its answer.
    fn ask(&self) -> Result<Result<Listing, Error>, String> {
        let address = format!("{}/api/{}?blobs=true", self.hub.endpoint, self.repo.api_url());
        let mut answer = self.send(&Method::GET, &address, 0).map_err(|error| error.to_string())?;
        let status = answer.status();
        if status == 429 || (status >= 500 && status != 501) {
            return Err(format!("HTTP status {status}"));
        }
        if status != 200 {
            let code = answer.header("x-error-code").unwrap_or_default().to_owned();
            // A mirror that has only files says nothing of its reason.
            let has_files = code.is_empty()
                && matches!(status, 404 | 405 | 501)
                && self.question(self.repo.revision(), "config.json").is_ok_and(|answer| answer.status() < 400);
            return Ok(if has_files { Ok(Listing::silent()) } else { Err(self.refusal(status, &code)) });
        }
        let body = answer.response.body_mut().with_config().limit(MAX_LISTING);
        let text = body.read_to_string().map_err(|error| error.to_string())?;
        Ok(serde_json::from_str(&text)
            .map_err(|error| self.failed(format!("the hub's answer lists no files ({error}): check HF_ENDPOINT"))))
    }

    /// Asks what a file is, without its content.
    fn question(&self, revision: &str, file: &str) -> Result<Answer, ureq::Error> {
        self.send(&Method::HEAD, &self.address_at(revision, file), 0)
    }

    /// The address of a file of a commit, so that all files are of one state even if the branch moves meanwhile.
    pub(super) fn address(&self, commit: &Commit, file: &str) -> String {
        self.address_at(&commit.asked, file)
    }

    fn address_at(&self, revision: &str, file: &str) -> String {
        let revision = revision.replace('/', "%2F");
        format!("{}/{}/resolve/{revision}/{file}", self.hub.endpoint, self.repo.url()) // a model's path is its id
    }

    /// What a status means and what to do. Source of the codes: `hf_raise_for_status` of `huggingface_hub`.
    pub(super) fn refusal(&self, status: u16, code: &str) -> Error {
        let (endpoint, id, revision) = (&self.hub.endpoint, self.repo.url(), self.repo.revision());
        self.failed(match (status, code) {
            (404, "RevisionNotFound") => {
                format!("the hub has no revision `{revision}` of this model (404): see {endpoint}/{id}/commits")
            }
            (404, _) => "no such directory, and not found on the hub (404): check the spelling; \
                         a private model needs HF_TOKEN"
                .to_owned(),
            (401, _) if self.hub.token.is_some() => {
                "the hub does not accept the token (401): check HF_TOKEN, or the file `token` in HF_HOME".to_owned()
            }
            // This is the hub's answer to whoever asks without a token for what does not exist.
            (401, _) => "no such directory, and on the hub not public or not there (401): check the spelling; \
                         a private model needs HF_TOKEN"
                .to_owned(),
            (403, _) => format!(
                "the hub denies access (403): accept the model's terms at {endpoint}/{id}, and set HF_TOKEN to a token \
                 that may read it"
            ),
            _ => format!("the hub answered with HTTP status {status}: try again later"),
        })
    }

    /// Fetches the files that an encoder needs, and returns the directory in the cache that holds them.
    fn assemble(&self, listing: Listing, progress: &mut dyn FnMut(Event<'_>)) -> Result<PathBuf, Error> {
        let commit = self.commit(&listing)?;
        let dir = self.snapshot(&commit);
        let mut snapshot = Snapshot { remote: self, listing, commit: &commit, progress };
        let files::Configs { transformer, modules, .. } = files::configs(&mut snapshot)?;
        snapshot.find(files::CARD.as_ref())?; // it tells how far embeddings may be truncated
        if snapshot.find(&transformer.join("adapter_config.json"))?.is_some() {
            refuse_adapter(&dir.join(&transformer))?;
        }
        // A module that is not supported is refused here, before the weights are downloaded.
        let is_static = dir.join(files::MODULES).exists() && Folders::read(&dir)?.is_static;
        if !is_static && !dir.join(&transformer).join("config.json").exists() {
            return Err(self.failed("no config.json on the hub: expected a model for transformers"));
        }
        Folders::read(&dir)?;
        for folder in modules.iter().chain([&transformer]) {
            files::weights(&mut snapshot, folder)?.ok_or_else(|| {
                self.failed(
                    "no weights on the hub: expected model.safetensors or pytorch_model.bin, whole or in shards",
                )
            })?;
        }
        // Last, so that a branch in the cache leads to a whole model.
        if !is_commit(self.repo.revision()) {
            self.refer(&commit.folder)?;
        }
        Ok(dir)
    }

    /// The state of the model that a hub has at the revision.
    fn commit(&self, listing: &Listing) -> Result<Commit, Error> {
        let (listed, revision) = (listing.commit(), self.repo.revision());
        if let Some(commit) = listed.filter(|commit| is_commit(commit)) {
            return Ok(Commit { folder: commit.to_owned(), asked: commit.to_owned() });
        }
        // A mirror may call its state by another name, or by none that it understands; its files may tell.
        let folder = listed.unwrap_or(revision).replace('/', "-");
        for asked in listed.into_iter().chain([revision]) {
            let answer = self.question(asked, "config.json").map_err(|error| self.broken("config.json", &error))?;
            if answer.status() < 400 {
                let told = answer.commit.filter(|commit| is_commit(commit));
                let asked = told.clone().unwrap_or_else(|| asked.to_owned());
                return Ok(Commit { folder: told.unwrap_or(folder), asked });
            }
        }
        Ok(Commit { folder, asked: revision.to_owned() })
    }

    /// Notes in the cache which commit a branch is at.
    fn refer(&self, commit: &str) -> Result<(), Error> {
        let path = self.reference();
        if fs::read_to_string(&path).is_ok_and(|current| current.trim() == commit) {
            return Ok(());
        }
        let written = fs::create_dir_all(path.parent().unwrap_or(&path)).and_then(|()| fs::write(&path, commit));
        match written {
            // All files are there; that the note is missing, only a run without a network will see.
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => Ok(()),
            written => written.map_err(Error::io(&path)),
        }
    }
}

/// The state of a model whose files are fetched.
pub(super) struct Commit {
    /// Its folder in the cache.
    folder: String,
    /// What the hub is asked for.
    asked: String,
}

impl Commit {
    /// Whether its files are what they were when they were fetched.
    pub(super) fn is_fixed(&self) -> bool {
        is_commit(&self.folder)
    }
}

/// The files of a model at one commit: in the cache, or fetched into it.
struct Snapshot<'a> {
    remote: &'a Remote<'a>,
    listing: Listing,
    commit: &'a Commit,
    progress: &'a mut dyn FnMut(Event<'_>),
}

impl Folder for Snapshot<'_> {
    fn find(&mut self, file: &Path) -> Result<Option<PathBuf>, Error> {
        let (remote, commit) = (self.remote, self.commit);
        // The name becomes a path in the cache.
        let Some(name) = file.to_str().filter(|_| stays_below(file) && self.listing.may_have(file)) else {
            return Ok(None);
        };
        if let Some(path) = remote.cached_file(file, commit) {
            return Ok(Some(path));
        }
        let known = match self.listing.file(file) {
            Some(known) => known,
            None => {
                let answer = remote.question(&commit.asked, name).map_err(|error| remote.broken(name, &error))?;
                match answer.status() {
                    404 => return Ok(None),
                    // A question that a server does not take, or that ends at a host which only gives.
                    405 | 501 => File::default(),
                    status if status >= 400 && answer.is_hubs => {
                        return Err(remote.refusal(status, answer.header("x-error-code").unwrap_or_default()));
                    }
                    status if status >= 400 => File::default(),
                    _ => File::by_headers(&answer),
                }
            }
        };
        remote.fetch(name, &known, commit, self.progress)
    }
}

/// Where the files of a model lie within its directory.
struct Folders {
    encoder: PathBuf,
    /// Whether there is no `config.json`.
    is_static: bool,
    /// Of modules that have weights of their own.
    modules: Vec<PathBuf>,
}

impl Folders {
    /// Of a sentence encoder, or of a cross-encoder.
    fn read(dir: &Path) -> Result<Self, Error> {
        if is_cross_encoder(dir) {
            let encoder = CrossEncoderLayout::read(dir)?.encoder;
            return Ok(Self { encoder, is_static: false, modules: Vec::new() });
        }
        let Layout { encoder, is_static, modules, .. } = Layout::read(dir)?;
        let modules = modules.into_iter().filter(|(_, module)| !module.variables().is_empty());
        Ok(Self { encoder, is_static, modules: modules.map(|(folder, _)| folder).collect() })
    }
}
