//! One file from the hub into the cache, whole and verified.
//!
//! hf-hub does this too, but not as it should be: 1.0 cannot resume and stores an answer whatever its status, 0.5 shows
//! the token to the host that a file is stored on, and neither gives up a silent server nor checks what came.

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
};

use ground::hex;
use sha2::{Digest, Sha256};
use ureq::http::Method;

use super::{
    Event,
    listing::File,
    remote::{Commit, Remote},
};
use crate::{error::Error, manifest::Stamp};

impl Remote<'_> {
    /// The path in the cache of a file of a commit, if it is there.
    pub(super) fn cached_file(&self, name: &Path, commit: &Commit) -> Option<PathBuf> {
        Some(self.snapshot(commit).join(name)).filter(|pointer| commit.is_fixed() && pointer.exists())
    }

    /// Makes sure that the cache has a file of a commit; `None` if the hub lacks it after all.
    pub(super) fn fetch(
        &self,
        name: &str,
        file: &File,
        commit: &Commit,
        progress: &mut dyn FnMut(Event<'_>),
    ) -> Result<Option<PathBuf>, Error> {
        let pointer = self.snapshot(commit).join(name);
        // It may be there unchanged since another commit.
        let known = file.etag.clone().filter(|etag| self.blob(etag).exists());
        let Some(etag) = known.map_or_else(|| self.download(name, file, commit, progress), |etag| Ok(Some(etag)))?
        else {
            return Ok(None);
        };
        link(&pointer, name, &etag).map_err(|error| self.unwritable(name, &pointer, error))?;
        Ok(Some(pointer))
    }

    fn blob(&self, etag: &str) -> PathBuf {
        self.folder().join("blobs").join(etag)
    }

    /// Returns the name of the content in the cache.
    fn download(
        &self,
        name: &str,
        file: &File,
        commit: &Commit,
        progress: &mut dyn FnMut(Event<'_>),
    ) -> Result<Option<String>, Error> {
        // Content that has no name before it is here is kept under its sha256.
        let unnamed = || hex(Sha256::new().chain_update(self.address(commit, name)));
        let path = self.blob(&format!("{}.part", file.etag.clone().unwrap_or_else(unnamed)));
        let failed = |error| self.unwritable(name, &path, error);
        fs::create_dir_all(self.folder().join("blobs")).map_err(failed)?;
        let blob = file.etag.as_ref().map(|etag| self.blob(etag));
        let Some(mut part) = lock(&path, blob.as_deref()).map_err(failed)? else { return Ok(file.etag.clone()) };
        let mut size = file.size;
        let mut bytes = part.metadata().map_err(failed)?.len();
        // Whether a part belongs to the file as it is now, only its name and size can tell.
        if file.etag.is_none() || size.is_none() {
            part.set_len(0).map_err(failed)?;
            bytes = 0;
        }
        if size.is_none_or(|size| bytes < size) {
            let answer = self.send(&Method::GET, &self.address(commit, name), bytes);
            let answer = match answer {
                Ok(answer) if matches!(answer.status(), 200 | 206) => answer,
                refused => {
                    let _ = bytes == 0 && fs::remove_file(&path).is_ok(); // nothing to continue
                    return match refused {
                        Ok(answer) if answer.status() == 404 => Ok(None),
                        Ok(answer) => Err(self.refusal(answer.status(), "")),
                        Err(error) => Err(self.broken(name, &error)),
                    };
                }
            };
            if answer.status() != 206 {
                part.set_len(0).map_err(failed)?; // the whole file comes, whatever was asked for
                (bytes, size) = (0, size.or_else(|| answer.size()));
            }
            let (mut body, mut buffer) = (answer.response.into_body().into_reader(), vec![0; 1 << 16]);
            // What is longer than it should be need not be read to its end.
            while size.is_none_or(|size| bytes <= size) {
                let count = body.read(&mut buffer).map_err(|error| self.broken(name, &error.into()))?;
                if count == 0 {
                    break;
                }
                part.write_all(&buffer[..count]).map_err(failed)?;
                bytes += count as u64;
                progress(Event::Received { model: self.name, file: name, bytes, size: size.unwrap_or(bytes) });
            }
        }

        let found = Stamp::of(&path)?;
        let problem = match (size, &file.sha256) {
            (Some(size), _) if found.size != size => format!("{} bytes came, expected {size}", found.size),
            (_, Some(sha256)) if *sha256 != found.sha256 => "its sha256 is not the one that the hub lists".to_owned(),
            _ => {
                let etag = file.etag.clone().unwrap_or(found.sha256);
                part.sync_all().and_then(|()| fs::rename(&path, self.blob(&etag))).map_err(failed)?;
                return Ok(Some(etag));
            }
        };
        fs::remove_file(&path).map_err(failed)?;
        Err(self.failed(format!("{name}: {problem}; it was removed: run the command again")))
    }

    pub(super) fn broken(&self, file: &str, error: &ureq::Error) -> Error {
        let why = match error {
            ureq::Error::Timeout(_) => format!("no data came for {} seconds", self.hub.patience.as_secs_f64()),
            error => error.to_string(),
        };
        self.failed(format!("{file}: the download broke off ({why}): run the command again to continue it"))
    }

    fn unwritable(&self, file: &str, path: &Path, error: io::Error) -> Error {
        match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => self.failed(format!(
                "{file} is not in the cache {}, which cannot be written ({error}): set HF_HUB_CACHE to a folder that can be",
                self.hub.cache.display()
            )),
            _ => Error::io(path)(error),
        }
    }
}

/// Opens a part of a file for this process alone; of two at once the second waits. `None` if the whole file is there by
/// then. Where files cannot be locked, what comes is verified all the same.
fn lock(path: &Path, blob: Option<&Path>) -> io::Result<Option<fs::File>> {
    let is_whole = || blob.is_some_and(Path::exists);
    loop {
        let part = OpenOptions::new().create(true).append(true).open(path)?;
        let _ = part.lock();
        let (mine, there) = (part.metadata()?, fs::metadata(path));
        let is_mine = there.is_ok_and(|there| (there.dev(), there.ino()) == (mine.dev(), mine.ino()));
        if is_whole() {
            if is_mine {
                fs::remove_file(path)?; // made above, after the other process had finished
            }
            return Ok(None);
        }
        // Whoever had it before may have removed it as damaged: what is written to it now would be lost.
        if is_mine {
            return Ok(Some(part));
        }
    }
}

/// Links `snapshots/COMMIT/NAME` to `blobs/ETAG`, relative as `huggingface_hub` does, so that a cache can be moved.
fn link(pointer: &Path, name: &str, etag: &str) -> io::Result<()> {
    let target = PathBuf::from(format!("{}blobs/{etag}", "../".repeat(2 + name.matches('/').count())));
    if pointer.exists() && fs::read_link(pointer).is_ok_and(|current| current == target) {
        return Ok(());
    }
    fs::create_dir_all(pointer.parent().unwrap_or(pointer))?;
    let _ = fs::remove_file(pointer); // one that leads nowhere, or to what the file was before
    // Another command may have been faster.
    symlink(target, pointer).or_else(|error| if pointer.exists() { Ok(()) } else { Err(error) })
}
