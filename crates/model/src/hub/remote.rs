//! One model on the hub: what it consists of, which of it an encoder needs, and what a refusal means.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hf_hub::{
    Cache, CacheRepo, Repo,
    api::sync::{ApiBuilder, ApiRepo},
};
use serde::Deserialize;
use ureq::Agent;

use super::{Event, Hub, transfer};
use crate::{
    error::{Error, read_json},
    layout::{Layout, Module},
    manifest::stays_below,
    weights::{self, Weights},
};

/// The small files that a model directory or a folder of one of its modules may hold.
const CONFIGS: [&str; 4] =
    ["config.json", "tokenizer_config.json", "sentence_bert_config.json", "config_sentence_transformers.json"];

/// What the hub says of a model at a revision: its commit and its files.
/// Source: `ModelInfo` and `RepoSibling` of `huggingface_hub`.
#[derive(Deserialize)]
struct Listing {
    sha: String,
    siblings: Vec<File>,
}

#[derive(Deserialize)]
pub(super) struct File {
    pub(super) rfilename: String,
    pub(super) size: u64,
    #[serde(rename = "blobId")]
    blob_id: String,
    pub(super) lfs: Option<Lfs>,
}

#[derive(Deserialize)]
pub(super) struct Lfs {
    pub(super) sha256: String,
}

impl File {
    /// The name of its content in the cache.
    pub(super) fn etag(&self) -> &str {
        self.lfs.as_ref().map_or(&self.blob_id, |lfs| &lfs.sha256)
    }
}

fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// One model at one revision.
pub(super) struct Remote<'a> {
    pub(super) hub: &'a Hub,
    pub(super) agent: Agent,
    pub(super) name: &'a str, // as the user wrote it
    api: ApiRepo,
    repo: Repo,
}

impl<'a> Remote<'a> {
    pub(super) fn new(hub: &'a Hub, name: &'a str, repo: Repo) -> Result<Self, Error> {
        let builder = ApiBuilder::from_cache(Cache::new(hub.cache.clone()));
        let api = builder.with_endpoint(hub.endpoint.clone()).with_token(hub.token.clone()).build();
        let api = api.map_err(|error| Error::Hub { model: name.to_owned(), what: error.to_string() })?;
        Ok(Self { hub, agent: transfer::agent(hub.patience), name, api: api.repo(repo.clone()), repo })
    }

    pub(super) fn failed(&self, what: impl Into<String>) -> Error {
        Error::Hub { model: self.name.to_owned(), what: what.into() }
    }

    pub(super) fn cache(&self) -> CacheRepo {
        Cache::new(self.hub.cache.clone()).repo(self.repo.clone())
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
            Ok(listing) => self.assemble(&listing?, progress),
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
        let commit = if is_commit(revision) {
            revision.to_owned()
        } else {
            fs::read_to_string(self.hub.cache.join(self.repo.folder_name()).join("refs").join(revision)).ok()?
        };
        let dir = self.cache().pointer_path(commit.trim());
        let transformer = Layout::read(&dir).ok()?.transformer;
        let has = |name: &str| transformer.join(name).exists();
        let is_whole = has("config.json") && (has("tokenizer.json") || has("vocab.txt"));
        (is_whole && Weights::open(&transformer).is_ok()).then_some(dir)
    }

    /// Asks for the listing. The outer error is a hub that cannot be reached, the inner one its answer.
    fn ask(&self) -> Result<Result<Listing, Error>, String> {
        let request = self.api.info_request().query("blobs", "true").config();
        let request = request.http_status_as_error(false).timeout_global(Some(self.hub.patience)).build();
        let mut answer = request.call().map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        if status == 429 || status >= 500 {
            return Err(format!("HTTP status {status}"));
        }
        if status != 200 {
            let code = answer.headers().get("x-error-code").and_then(|code| code.to_str().ok());
            return Ok(Err(self.refusal(status, code.unwrap_or_default())));
        }
        let text = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
        let unfit = |what: String| self.failed(format!("the hub's answer lists no files ({what}): check HF_ENDPOINT"));
        Ok(match serde_json::from_str::<Listing>(&text) {
            Ok(listing) if is_commit(&listing.sha) => Ok(listing),
            Ok(listing) => Err(unfit(format!("`{}` is no commit", listing.sha))),
            Err(error) => Err(unfit(error.to_string())),
        })
    }

    /// The address of a file of a commit, so that all files are of one state even if the branch moves meanwhile.
    pub(super) fn address(&self, commit: &str, file: &str) -> String {
        format!("{}/{}/resolve/{commit}/{file}", self.hub.endpoint, self.repo.url()) // a model's path is its id
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
    fn assemble(&self, listing: &Listing, progress: &mut dyn FnMut(Event<'_>)) -> Result<PathBuf, Error> {
        let dir = self.cache().pointer_path(&listing.sha);
        let listed = |path: &Path| {
            let mut files = listing.siblings.iter().filter(|file| Path::new(&file.rfilename) == path);
            // Both names become paths in the cache.
            files.find(|file| [&file.rfilename, file.etag()].iter().all(|name| stays_below(Path::new(name))))
        };
        // Whether the hub has the file, which then is in the cache.
        let mut get = |path: PathBuf| match listed(&path) {
            Some(file) => self.fetch(file, &listing.sha, progress).map(|()| true),
            None => Ok(false),
        };
        let mut folders = vec![PathBuf::new()];
        if get("modules.json".into())? {
            let modules: Vec<Module> = read_json(&dir.join("modules.json"))?;
            folders.extend(modules.into_iter().map(|module| PathBuf::from(module.path)));
        }
        for folder in folders {
            for name in CONFIGS {
                get(folder.join(name))?;
            }
        }
        // A module that is not supported is refused here, before the weights are downloaded.
        let transformer = if dir.is_dir() { Layout::read(&dir)?.transformer } else { dir.clone() };
        if !transformer.join("config.json").exists() {
            return Err(self.failed("no config.json on the hub: expected a model for transformers"));
        }
        let folder = transformer.strip_prefix(&dir).expect("a module lies in the directory");
        let _ = get(folder.join("tokenizer.json"))? || get(folder.join("vocab.txt"))?;
        let weights = weights::FILES.into_iter().find(|(name, _)| listed(&folder.join(name)).is_some());
        let (name, sharded) = weights.ok_or_else(|| {
            self.failed("no weights on the hub: expected model.safetensors or pytorch_model.bin, whole or in shards")
        })?;
        get(folder.join(name))?;
        if sharded {
            for shard in weights::shards(&transformer.join(name))? {
                get(folder.join(shard))?;
            }
        }
        // Last, so that a branch in the cache leads to a whole model.
        if !is_commit(self.repo.revision()) {
            self.cache().create_ref(&listing.sha).map_err(Error::io(&self.hub.cache))?;
        }
        Ok(dir)
    }
}
