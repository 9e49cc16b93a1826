//! Downloading a dataset's files, each whole and verified or not at all.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use ground::{Staged, hex, sha256_of};
use sha2::{Digest, Sha256};
use ureq::Agent;

use crate::error::Error;
use crate::sources::{Source, UPSTREAM};

/// Downloads sources into a data directory.
pub struct Fetcher {
    directory: PathBuf,
    host: String,
    overwrite: bool,
    stall: Duration,
    agent: Agent,
}

/// What became of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was there already, with the right content.
    Kept,
    /// It was downloaded.
    Fetched,
}

impl Fetcher {
    /// A fetcher that writes into `directory` and downloads from `mirror`, or else from the upstream host.
    ///
    /// With `overwrite`, a file that is there with other content is replaced; without, it is an error.
    pub fn new(directory: impl Into<PathBuf>, mirror: Option<&str>, overwrite: bool) -> Fetcher {
        Fetcher::with_stall(directory, mirror, overwrite, Duration::from_secs(30))
    }

    /// As `new`, but gives up after `stall` without a byte from the server.
    pub fn with_stall(
        directory: impl Into<PathBuf>,
        mirror: Option<&str>,
        overwrite: bool,
        stall: Duration,
    ) -> Fetcher {
        let agent = Agent::config_builder()
            .user_agent(concat!("ko-sts/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(Duration::from_secs(10)))
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(stall))
            .timeout_per_read(Some(stall))
            .build()
            .into();
        let host = mirror.unwrap_or(UPSTREAM).trim_end_matches('/').to_owned();
        Fetcher { directory: directory.into(), host, overwrite, stall, agent }
    }

    /// Where a source's file belongs.
    pub fn path(&self, source: &Source) -> PathBuf {
        self.directory.join(source.file)
    }

    /// The address a source is downloaded from.
    pub fn url(&self, source: &Source) -> String {
        format!("{}/{}", self.host, source.address)
    }

    /// Makes sure that one file is there; `progress` is told the number of bytes received so far.
    ///
    /// # Errors
    /// Where it cannot be downloaded, is not what it should be, or cannot be written; then nothing is left behind.
    pub fn fetch(&self, source: &Source, mut progress: impl FnMut(u64)) -> Result<Outcome, Error> {
        let path = self.path(source);
        if path.exists() {
            if sha256_of(&path)?.0 == source.sha256 {
                return Ok(Outcome::Kept);
            }
            if !self.overwrite {
                let problem = format!("{} is there with other content (its sha256 differs)", path.display());
                return Err(self.failure(source, problem, "move it away, or pass --overwrite to replace it"));
            }
        }
        // The connection first: a host that cannot be reached leaves not even a folder.
        let mut body = self.open(source)?;
        let mut staged = Staged::create(&path)?;
        let mut digest = Sha256::new();
        let mut received = 0;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = body.read(&mut buffer).map_err(|error| self.interrupted(source, received, &error))?;
            if count == 0 {
                break;
            }
            digest.update(&buffer[..count]);
            staged.file().write_all(&buffer[..count]).map_err(|cause| staged.failed(cause))?;
            received += count as u64;
            if received > source.bytes {
                break; // Whatever this is, it need not be read to its end.
            }
            progress(received);
        }
        self.verify(source, received, &hex(digest))?;
        staged.commit(self.overwrite)?;
        Ok(Outcome::Fetched)
    }

    fn open(&self, source: &Source) -> Result<impl Read, Error> {
        let response = self.agent.get(self.url(source)).call().map_err(|error| match error {
            ureq::Error::StatusCode(status) => self.failure(
                source,
                format!("the server answered with HTTP status {status}"),
                "try again later, or name another server with --mirror URL",
            ),
            ureq::Error::Timeout(_) => self.failure(
                source,
                "the server did not answer in time".to_owned(),
                "check the network, or name another server with --mirror URL",
            ),
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => self.failure(
                source,
                "this is not an address".to_owned(),
                "expected --mirror with something like https://mirror.example",
            ),
            other => self.failure(
                source,
                format!("no connection ({other})"),
                "check the network and the HTTPS_PROXY variable, or name another server with --mirror URL",
            ),
        })?;
        // One byte more than expected tells a file that is too long.
        Ok(response.into_body().into_with_config().limit(u64::MAX).reader())
    }

    fn interrupted(&self, source: &Source, received: u64, error: &io::Error) -> Error {
        let expected = source.bytes;
        let problem = if is_timeout(error) {
            let seconds = self.stall.as_secs_f64();
            format!("no data came for {seconds} seconds after {received} of {expected} bytes")
        } else {
            format!("the connection broke after {received} of {expected} bytes ({error})")
        };
        self.failure(source, problem, "run the command again")
    }

    fn verify(&self, source: &Source, received: u64, sha256: &str) -> Result<(), Error> {
        let problem = match received.cmp(&source.bytes) {
            std::cmp::Ordering::Less => format!("the file ended after {received} of {} bytes", source.bytes),
            std::cmp::Ordering::Greater => format!("the file is longer than the {} bytes expected", source.bytes),
            std::cmp::Ordering::Equal if sha256 != source.sha256 => {
                format!("its sha256 is {sha256}, expected {}", source.sha256)
            }
            std::cmp::Ordering::Equal => return Ok(()),
        };
        Err(self.failure(
            source,
            problem,
            "the file was changed on its way: try again, or name another server with --mirror URL",
        ))
    }

    fn failure(&self, source: &Source, problem: String, remedy: &str) -> Error {
        Error::Fetch { url: self.url(source), problem, remedy: remedy.to_owned() }
    }
}

/// Whether ureq gave up waiting; it hides its own error in an `io::Error`.
fn is_timeout(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    matches!(inner, Some(ureq::Error::Timeout(_))) || error.kind() == io::ErrorKind::TimedOut
}
