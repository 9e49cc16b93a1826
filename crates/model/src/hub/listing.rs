//! What a hub says of a model at a revision: its commit and its files.
//!
//! Source: `ModelInfo` and `RepoSibling` of `huggingface_hub`. The hub tells of every file its size and the name of its
//! content; a mirror may tell less, down to nothing.

use std::path::Path;

use serde::Deserialize;

use super::request::Answer;

#[derive(Deserialize)]
pub(super) struct Listing {
    #[serde(default)]
    sha: Option<String>,
    #[serde(default)]
    siblings: Option<Vec<Sibling>>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
}

/// What is known of a file before it is downloaded.
#[derive(Default)]
pub(super) struct File {
    pub(super) size: Option<u64>,
    /// The name of its content in the cache.
    pub(super) etag: Option<String>,
    pub(super) sha256: Option<String>,
}

impl Listing {
    /// A listing that says nothing: each file is asked for by its name.
    pub(super) fn silent() -> Self {
        Self { sha: None, siblings: None }
    }

    /// The commit, if its name can be that of a folder in the cache.
    pub(super) fn commit(&self) -> Option<&str> {
        self.sha.as_deref().filter(|sha| is_file_name(sha))
    }

    /// Whether the model may have the file: a hub that lists none may have any.
    pub(super) fn may_have(&self, name: &Path) -> bool {
        self.sibling(name).is_some() || self.siblings.as_ref().is_none_or(Vec::is_empty)
    }

    /// What the listing tells of a file, if that is enough to name it in the cache.
    pub(super) fn file(&self, name: &Path) -> Option<File> {
        let sibling = self.sibling(name)?;
        let sha256 = sibling.lfs.as_ref().and_then(|lfs| lfs.sha256.as_deref()).filter(|sha256| is_sha256(sha256));
        let etag = sha256.or(sibling.blob_id.as_deref()).filter(|etag| is_file_name(etag))?;
        Some(File { size: Some(sibling.size?), etag: Some(etag.to_owned()), sha256: sha256.map(str::to_owned) })
    }

    fn sibling(&self, name: &Path) -> Option<&Sibling> {
        self.siblings.iter().flatten().find(|sibling| Path::new(&sibling.rfilename) == name)
    }
}

impl File {
    /// What the headers of an answer tell of a file.
    pub(super) fn by_headers(answer: &Answer) -> Self {
        let linked = answer.linked_etag.as_deref().filter(|etag| is_file_name(etag));
        let etag = linked.or_else(|| answer.etag().filter(|etag| is_file_name(etag)));
        Self {
            size: answer.linked_size.or_else(|| answer.size()),
            etag: etag.map(str::to_owned),
            // The tag of any other server may have as many digits, of something else.
            sha256: linked.filter(|etag| is_sha256(etag)).map(str::to_owned),
        }
    }
}

/// Whether a name that came from a server can be that of a file in the cache.
pub(super) fn is_file_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/' && byte != b'\\';
    (1..=128).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(is_plain)
}

/// Whether a revision is the name of a state that does not change.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_sha256(digits: &str) -> bool {
    digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}
