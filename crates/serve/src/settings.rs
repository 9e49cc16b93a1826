//! The server's settings: flags over configuration file over defaults, validated once.

mod keys;
mod raw;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use embed::ScanFormat;
use model::{BUNDLED_MODEL, Pooling, PrecisionChoice, PromptChoice, runtime::DeviceChoice};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use keys::{ApiKeys, KEYS_VARIABLE};
pub use raw::Raw;
use raw::RawCorpus;

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// Least level of what is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // They are tracing's own.
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

/// What the score of two sentences is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ScoreBy {
    /// Their embeddings.
    #[default]
    Cosine,
    /// What the reranker gives them.
    Reranker,
}

/// Settings that hold.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Directory or hub id.
    pub model: PathBuf,
    /// Number format.
    pub precision: PrecisionChoice,
    /// Where to compute.
    pub device: DeviceChoice,
    /// Threads of the encoder; by default the cores.
    pub threads: Option<usize>,
    /// Tokens per sentence; by default the model's own.
    pub max_seq_length: Option<usize>,
    /// From token embeddings to a sentence's; by default the model's own, or the mean.
    pub pooling: Option<Pooling>,
    /// What is put before texts where a request names no prompt.
    pub prompt: PromptChoice,
    /// Directory or hub id of a model that reads two texts together, if any.
    pub reranker: Option<PathBuf>,
    /// Whether it stands alone: then it is the model.
    pub reranker_only: bool,
    /// What the score of two sentences is made of.
    pub score_by: ScoreBy,
    /// How many of an embedding's first numbers are kept; by default all.
    pub dimensions: Option<usize>,
    /// Whether fewer may be asked for also of a model that does not say that it was trained for it.
    pub allow_truncation: bool,
    /// File with the range of each dimension, for embeddings in int8 and uint8.
    pub ranges: Option<PathBuf>,
    /// Whether long sentences are cut where a request does not say.
    pub auto_truncate: bool,
    /// What is searched, if anything.
    pub corpus: Option<CorpusSettings>,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Threads of the HTTP server.
    pub workers: usize,
    /// Connections at a time.
    pub max_connections: usize,
    /// Keys of which one is needed; none lets everybody in.
    pub keys: ApiKeys,
    /// Host names that requests may be for where a corpus is open to everybody, beside this machine's own.
    pub allowed_hosts: Vec<String>,
    /// Origins whose pages may call.
    pub cors_origins: Vec<String>,
    /// Certificate and key, both PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// Tokens of a batch; by default what suits the device.
    pub max_batch_tokens: Option<usize>,
    /// Tokens that may wait; by default 64 batches.
    pub max_queue_tokens: Option<usize>,
    /// Mebibytes of the embedding cache.
    pub cache_mib: u32,
    /// How large things may be.
    pub limits: Limits,
    /// Form of the log.
    pub log_format: LogFormat,
    /// Least level of what is logged.
    pub log_level: LogLevel,
}

/// What is searched; see the flags.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // Named and described as the flags.
pub struct CorpusSettings {
    pub path: PathBuf,
    pub index: Option<PathBuf>,
    pub format: ScanFormat,
}

/// How long things may take; see the flags.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // Named and described as the flags.
pub struct Timeouts {
    pub header: Duration,
    pub keep_alive: Duration,
    pub body: Duration,
    pub upload: Duration,
    pub write: Duration,
    pub request: Duration,
    pub csv: Duration,
    pub stuck_after: Duration,
    pub grace: Duration,
}

/// How large things may be; see the flags.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // Named and described as the flags.
pub struct Limits {
    pub max_concurrent_requests: usize,
    pub max_memory_bytes: usize,
    pub max_body_bytes: usize,
    pub max_client_batch_size: usize,
    pub max_csv_bytes: u64,
    pub max_csv_rows: usize,
    pub max_csv_jobs: usize,
}

/// Why the settings do not hold.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        cause: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what was expected.
        what: String,
    },
    /// A value does not serve.
    #[error("{0}")]
    Value(String),
}

impl Settings {
    /// Lays flags over a configuration file, if there is one, and over the defaults.
    pub fn load(flags: &Raw, file: Option<&Path>) -> Result<Self, Error> {
        let mut table = Table::new();
        if let Some(path) = file {
            table = read(path)?;
        }
        let flags = Table::try_from(flags).map_err(|error| Error::Value(error.to_string()))?;
        overlay(&mut table, flags);
        let raw: Raw = Value::Table(table).try_into().map_err(|error| Error::Value(one_line(&error)))?;
        Self::validate(raw)
    }

    fn validate(raw: Raw) -> Result<Self, Error> {
        let reranker_only = raw.reranker_only.unwrap_or(false);
        if reranker_only {
            check_alone(&raw)?;
        } else if raw.score_by == Some(ScoreBy::Reranker) && raw.reranker.is_none() {
            return Err(Error::Value("score_by is reranker, and there is none: name one by --reranker".to_owned()));
        }
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let device = raw.device.as_deref().unwrap_or("auto");
        let device = device.parse().map_err(|expected| Error::Value(format!("device is {device:?}: {expected}")))?;
        let tls = match (raw.tls.certificate, raw.tls.key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => return Err(Error::Value("tls.certificate is set, and tls.key is not".to_owned())),
            (None, Some(_)) => return Err(Error::Value("tls.key is set, and tls.certificate is not".to_owned())),
        };
        let address = raw.http.address.unwrap_or([127, 0, 0, 1].into());
        let keys = ApiKeys::load(raw.access.api_key_file.as_deref())?;
        if keys.is_empty() && !address.to_canonical().is_loopback() && raw.access.allow_anonymous != Some(true) {
            return Err(Error::Value(format!(
                "{address} can be reached from other machines, and there are no API keys: name some (--api-key-file, \
                 {KEYS_VARIABLE}), or let everybody in by --allow-anonymous"
            )));
        }
        let model = if reranker_only { raw.reranker.clone() } else { raw.model };
        Ok(Self {
            model: model.unwrap_or_else(|| BUNDLED_MODEL.into()),
            reranker_only,
            precision: raw.precision.unwrap_or_default(),
            device,
            threads: positive("threads", raw.threads.map(usize::from))?,
            max_seq_length: positive("max_seq_length", raw.max_seq_length.map(|length| length as usize))?,
            pooling: raw.pooling,
            prompt: PromptChoice::of(raw.prompt_name, raw.prompt),
            score_by: raw.score_by.unwrap_or_default(),
            reranker: raw.reranker,
            dimensions: positive("dimensions", raw.dimensions.map(|dimensions| dimensions as usize))?,
            allow_truncation: raw.allow_truncation.unwrap_or(false),
            ranges: raw.ranges,
            auto_truncate: raw.auto_truncate.unwrap_or(true),
            corpus: corpus(raw.corpus)?,
            listen: SocketAddr::new(address, raw.http.port.unwrap_or(8080)),
            workers: positive("http.workers", raw.http.workers.map(usize::from))?.unwrap_or(cores.min(4)),
            max_connections: positive("http.max_connections", raw.http.max_connections.map(|most| most as usize))?
                .unwrap_or(20_000),
            keys,
            allowed_hosts: hosts(raw.access.allowed_hosts.unwrap_or_default())?,
            cors_origins: origins(raw.access.cors_origins.unwrap_or_default())?,
            tls,
            timeouts: Timeouts {
                header: seconds("header_timeout", raw.timeouts.header_timeout, 10.0)?,
                keep_alive: seconds("keep_alive", raw.timeouts.keep_alive, 30.0)?,
                body: seconds("body_timeout", raw.timeouts.body_timeout, 30.0)?,
                upload: seconds("upload_timeout", raw.timeouts.upload_timeout, 300.0)?,
                write: seconds("write_timeout", raw.timeouts.write_timeout, 30.0)?,
                request: seconds("request_timeout", raw.timeouts.request_timeout, 60.0)?,
                csv: seconds("csv_timeout", raw.timeouts.csv_timeout, 3600.0)?,
                stuck_after: seconds("stuck_after", raw.timeouts.stuck_after, 120.0)?,
                grace: seconds("grace", raw.timeouts.grace, 30.0)?,
            },
            max_batch_tokens: positive("engine.max_batch_tokens", raw.engine.max_batch_tokens)?,
            max_queue_tokens: positive("engine.max_queue_tokens", raw.engine.max_queue_tokens)?,
            cache_mib: raw.engine.cache_mib.unwrap_or(64),
            limits: Limits {
                max_concurrent_requests: positive(
                    "limits.max_concurrent_requests",
                    raw.limits.max_concurrent_requests,
                )?
                .unwrap_or(512),
                max_memory_bytes: positive("limits.max_memory_mib", raw.limits.max_memory_mib)?.unwrap_or(256) << 20,
                max_body_bytes: positive("limits.max_body_bytes", raw.limits.max_body_bytes)?.unwrap_or(4 << 20),
                max_client_batch_size: positive("limits.max_client_batch_size", raw.limits.max_client_batch_size)?
                    .unwrap_or(1024),
                max_csv_bytes: positive("limits.max_csv_bytes", raw.limits.max_csv_bytes)?.unwrap_or(64 << 20) as u64,
                max_csv_rows: positive("limits.max_csv_rows", raw.limits.max_csv_rows)?.unwrap_or(1_000_000),
                max_csv_jobs: positive("limits.max_csv_jobs", raw.limits.max_csv_jobs)?.unwrap_or(8),
            },
            log_format: raw.log.format.unwrap_or(LogFormat::Text),
            log_level: raw.log.level.unwrap_or(LogLevel::Info),
        })
    }
}

fn corpus(raw: RawCorpus) -> Result<Option<CorpusSettings>, Error> {
    let format = raw.format.unwrap_or_else(|| ScanFormat::default().to_string());
    let unknown = |expected| Error::Value(format!("corpus.format is {format:?}: {expected}"));
    let format = format.parse().map_err(unknown)?;
    if raw.path.is_none() && raw.index.is_some() {
        return Err(Error::Value("corpus.index is set, and corpus.path (--corpus) is not".to_owned()));
    }
    Ok(raw.path.map(|path| CorpusSettings { path, index: raw.index, format }))
}

/// The file's keys, none of them unknown.
fn read(path: &Path) -> Result<Table, Error> {
    let text = fs::read_to_string(path).map_err(|cause| Error::Io { path: path.to_owned(), cause })?;
    let invalid = |error: toml::de::Error| {
        let line = error.span().map(|span| 1 + text[..span.start].matches('\n').count());
        let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        Error::File { path: path.to_owned(), what: format!("{place}{}", one_line(&error)) }
    };
    toml::from_str::<Raw>(&text).map_err(invalid)?;
    toml::from_str(&text).map_err(invalid)
}

fn one_line(error: &toml::de::Error) -> String {
    error.message().replace('\n', " ")
}

/// Replaces the keys of `table` by those of `other`, section by section.
fn overlay(table: &mut Table, other: Table) {
    for (key, value) in other {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(own)), Value::Table(section)) => overlay(own, section),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

/// Fails where something is asked for beside a reranker that stands alone, which only a sentence encoder gives.
fn check_alone(raw: &Raw) -> Result<(), Error> {
    if raw.reranker.is_none() {
        return Err(Error::Value("reranker_only is true, and there is none: name one by --reranker".to_owned()));
    }
    let of_encoders = [
        ("model", raw.model.is_some()),
        ("corpus", raw.corpus.path.is_some()),
        ("score_by \"cosine\"", raw.score_by == Some(ScoreBy::Cosine)),
        ("dimensions", raw.dimensions.is_some()),
        ("allow_truncation", raw.allow_truncation == Some(true)),
        ("ranges", raw.ranges.is_some()),
        ("pooling", raw.pooling.is_some()),
        ("prompt_name", raw.prompt_name.is_some()),
        ("prompt", raw.prompt.is_some()),
    ];
    match of_encoders.into_iter().find(|(_, is_given)| *is_given) {
        Some((key, _)) => Err(Error::Value(format!("{key} is of a sentence encoder, and reranker_only leaves it out"))),
        None => Ok(()),
    }
}

/// Far beyond any machine, and so little that products of such numbers stay within 64 bits.
const MOST: usize = 1 << 40;

fn positive(key: &str, value: Option<usize>) -> Result<Option<usize>, Error> {
    match value {
        Some(value) if !(1..=MOST).contains(&value) => {
            Err(Error::Value(format!("{key} is {value}, expected 1 or more, and {MOST} at most")))
        }
        value => Ok(value),
    }
}

fn seconds(key: &str, value: Option<f64>, default: f64) -> Result<Duration, Error> {
    let value = value.unwrap_or(default);
    let within = (0.001..=1e7).contains(&value);
    let wrong = || Error::Value(format!("timeouts.{key} is {value}, expected seconds from 0.001 to 10000000"));
    within.then(|| Duration::from_secs_f64(value)).ok_or_else(wrong)
}

/// Names of hosts, without scheme and port; as requests are compared with them.
fn hosts(hosts: Vec<String>) -> Result<Vec<String>, Error> {
    let check = |host: String| match crate::host::name_of(&host) {
        Some(name) if name.len() == host.trim_end_matches('.').len() => Ok(name),
        _ => Err(Error::Value(format!("access.allowed_hosts has {host:?}, expected one like sts.example.org"))),
    };
    hosts.into_iter().map(check).collect()
}

/// An origin as browsers send it, which is compared letter by letter.
fn origins(origins: Vec<String>) -> Result<Vec<String>, Error> {
    let is_origin = |origin: &str| {
        origin == "*"
            || ["http://", "https://"].iter().any(|scheme| {
                origin.strip_prefix(scheme).is_some_and(|host| {
                    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@*".contains(&byte))
                })
            })
    };
    match origins.iter().find(|origin| !is_origin(origin)) {
        Some(origin) => {
            let what = format!("access.cors_origins has {origin:?}, expected one like https://example.org, or *");
            Err(Error::Value(what))
        }
        None => Ok(origins),
    }
}
