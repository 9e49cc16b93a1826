//! One file from the hub into the cache, whole and verified.
//!
//! hf-hub does this too, but not as it should be: 1.0 cannot resume and stores an answer whatever its status, 0.5 shows
//! the token to the host that a file is stored on, and neither gives up a silent server nor checks what came.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::symlink,
    path::Path,
    time::Duration,
};

use ureq::{Agent, config::RedirectAuthHeaders};

use super::{
    Event,
    remote::{File, Remote},
};
use crate::{error::Error, manifest::Stamp};

/// An agent that gives up after `patience` without a byte from the server.
pub(super) fn agent(patience: Duration) -> Agent {
    let config = Agent::config_builder()
        .user_agent(concat!("ko-sts/", env!("CARGO_PKG_VERSION")))
        .redirect_auth_headers(RedirectAuthHeaders::SameHost)
        .timeout_resolve(Some(patience))
        .timeout_connect(Some(patience))
        .timeout_recv_response(Some(patience))
        .timeout_per_read(Some(patience));
    config.build().into()
}

impl Remote<'_> {
    /// Makes sure that the cache has a file of a commit.
    pub(super) fn fetch(&self, file: &File, commit: &str, progress: &mut dyn FnMut(Event<'_>)) -> Result<(), Error> {
        let pointer = self.cache().pointer_path(commit).join(&file.rfilename);
        if pointer.exists() {
            return Ok(());
        }
        // It may be there unchanged since another commit.
        let blob = self.cache().blob_path(file.etag());
        if !blob.exists() {
            self.download(file, commit, &blob, progress)?;
        }
        link(&pointer, file).map_err(Error::io(&pointer))
    }

    fn download(
        &self,
        file: &File,
        commit: &str,
        blob: &Path,
        progress: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Error> {
        let name = file.rfilename.as_str();
        let path = blob.with_extension("part");
        let failed = |error| Error::io(&path)(error);
        fs::create_dir_all(blob.parent().unwrap_or(blob)).map_err(failed)?;
        let mut part = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
        // Of two commands at once the second waits, then finds the file; where files cannot be locked, it is verified.
        let _ = part.lock();
        if blob.exists() {
            return Ok(());
        }
        let mut bytes = part.metadata().map_err(failed)?.len();
        if bytes < file.size {
            let mut request = self.agent.get(self.address(commit, name)).header("Range", format!("bytes={bytes}-"));
            request = request.header("Accept-Encoding", "identity"); // a range counts bytes of the file itself
            if let Some(token) = &self.hub.token {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let answer = request.call().map_err(|error| {
                let _ = bytes == 0 && fs::remove_file(&path).is_ok(); // nothing to continue
                match error {
                    ureq::Error::StatusCode(status) => self.refusal(status, ""),
                    error => self.broken(name, &error),
                }
            })?;
            if answer.status() != 206 {
                part.set_len(0).map_err(failed)?; // the whole file comes, whatever was asked for
                bytes = 0;
            }
            let (mut body, mut buffer) = (answer.into_body().into_reader(), vec![0; 1 << 16]);
            // What is longer than it should be need not be read to its end.
            while bytes <= file.size {
                let count = body.read(&mut buffer).map_err(|error| self.broken(name, &error.into()))?;
                if count == 0 {
                    break;
                }
                part.write_all(&buffer[..count]).map_err(failed)?;
                bytes += count as u64;
                progress(Event::Received { model: self.name, file: name, bytes, size: file.size });
            }
        }

        let found = Stamp::of(&path)?;
        let problem = match &file.lfs {
            _ if found.size != file.size => format!("{} bytes came, expected {}", found.size, file.size),
            Some(lfs) if lfs.sha256 != found.sha256 => "its sha256 is not the one that the hub lists".to_owned(),
            _ => return part.sync_all().and_then(|()| fs::rename(&path, blob)).map_err(failed),
        };
        fs::remove_file(&path).map_err(failed)?;
        Err(self.failed(format!("{name}: {problem}; it was removed: run the command again")))
    }

    fn broken(&self, file: &str, error: &ureq::Error) -> Error {
        let why = match error {
            ureq::Error::Timeout(_) => format!("no data came for {} seconds", self.hub.patience.as_secs_f64()),
            error => error.to_string(),
        };
        self.failed(format!("{file}: the download broke off ({why}): run the command again to continue it"))
    }
}

/// Links `snapshots/COMMIT/NAME` to `blobs/ETAG`, relative as `huggingface_hub` does, so that a cache can be moved.
fn link(pointer: &Path, file: &File) -> io::Result<()> {
    fs::create_dir_all(pointer.parent().unwrap_or(pointer))?;
    if !pointer.exists() {
        let _ = fs::remove_file(pointer); // one that leads nowhere
    }
    let up = "../".repeat(2 + file.rfilename.matches('/').count());
    let linked = symlink(format!("{up}blobs/{}", file.etag()), pointer);
    // Another command may have been faster.
    linked.or_else(|error| if pointer.exists() { Ok(()) } else { Err(error) })
}
