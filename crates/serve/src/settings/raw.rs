//! Every key of the configuration file and its flag, as they are written: nothing has a default yet.

use std::{net::IpAddr, path::PathBuf};

use model::{Pooling, PrecisionChoice};
use serde::{Deserialize, Serialize};

use super::{LogFormat, LogLevel, ScoreBy};

/// The keys of a configuration file, each of them a flag too.
#[derive(Clone, Debug, Default, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Raw {
    /// Model directory, in sentence-transformers' or Hugging Face's layout, or a model's id on the Hugging Face hub, as
    /// owner/name or owner/name@revision [default: checkpoints/ko-sts-small].
    #[arg(long, value_name = "DIR_OR_HUB_ID")]
    pub(super) model: Option<PathBuf>,
    /// Number format of the encoder's layers: f32, bf16, int8 on a processor, or auto for the fastest that ranks like f32:
    /// bf16 on a GPU, int8 on a processor that has AVX2 or better [default: auto].
    #[arg(long)]
    pub(super) precision: Option<PrecisionChoice>,
    /// Device: auto (CUDA if usable), cpu or cuda:N [default: auto].
    #[arg(long)]
    pub(super) device: Option<String>,
    /// Threads of the encoder [default: the processor's cores].
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<u16>,
    /// Tokens per sentence, special tokens included [default: the model's own].
    #[arg(long, value_name = "N")]
    pub(super) max_seq_length: Option<u32>,
    /// From token embeddings to a sentence's, of a model directory that has none of its own (no modules.json): mean, cls, max,
    /// mean_sqrt_len, weightedmean, lasttoken, or several joined by + [default: mean].
    #[arg(long)]
    pub(super) pooling: Option<Pooling>,
    /// Name of the model's prompt to put before texts where a request names none [default: the model's default, if it has
    /// one].
    #[arg(long, value_name = "NAME", conflicts_with = "prompt")]
    pub(super) prompt_name: Option<String>,
    /// Text to put before texts where a request names no prompt, whatever the model has; nothing where it is empty.
    #[arg(long, value_name = "TEXT")]
    pub(super) prompt: Option<String>,
    /// Cross-encoder that reads a query and a text together, for /rerank: a directory, or a hub id as owner/name or
    /// owner/name@revision.
    #[arg(long, value_name = "DIR_OR_HUB_ID")]
    pub(super) reranker: Option<PathBuf>,
    /// Whether the reranker stands alone, without a sentence encoder: /rerank, and GET /predict by it [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) reranker_only: Option<bool>,
    /// What the score of two sentences at GET /predict is five times of [default: cosine].
    #[arg(long, value_name = "WHAT")]
    pub(super) score_by: Option<ScoreBy>,
    /// How many of an embedding's first numbers are kept [default: all].
    #[arg(long, value_name = "N")]
    pub(super) dimensions: Option<u32>,
    /// Whether fewer numbers may be kept or asked for also of a model that does not say that it was trained for it
    /// (Matryoshka) [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) allow_truncation: Option<bool>,
    /// JSON file with the range of each dimension ("min" and "max"), for embeddings in int8 and uint8: the _ranges.json that
    /// `embed --quantize` writes.
    #[arg(long, value_name = "FILE")]
    pub(super) ranges: Option<PathBuf>,
    /// Whether sentences that are too long are cut (and counted) where a request does not say [default: true].
    #[arg(long, value_name = "BOOL")]
    pub(super) auto_truncate: Option<bool>,
    #[command(flatten)]
    pub(super) corpus: RawCorpus,
    #[command(flatten)]
    pub(super) http: RawHttp,
    #[command(flatten)]
    pub(super) access: RawAccess,
    #[command(flatten)]
    pub(super) tls: RawTls,
    #[command(flatten)]
    pub(super) timeouts: RawTimeouts,
    #[command(flatten)]
    pub(super) engine: RawEngine,
    #[command(flatten)]
    pub(super) limits: RawLimits,
    #[command(flatten)]
    pub(super) log: RawLog,
}

/// What `POST /search` searches.
#[derive(Clone, Debug, Default, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Search")]
pub(super) struct RawCorpus {
    /// Folder of embeddings that `embed` wrote with this model.
    #[arg(id = "corpus_path", long = "corpus", value_name = "DIR")]
    pub(super) path: Option<PathBuf>,
    /// Where the corpus's indexes lie, each of which is made once [default: _index within the corpus].
    #[arg(id = "corpus_index", long = "corpus-index", value_name = "DIR")]
    pub(super) index: Option<PathBuf>,
    /// Number format that is scanned: f32, bf16 or int8; the best are the same in all, scored in f32 [default: int8].
    #[arg(id = "corpus_format", long = "corpus-format", value_name = "FORMAT")]
    pub(super) format: Option<String>,
}

/// Where to listen.
#[derive(Clone, Debug, Default, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Listening")]
pub(super) struct RawHttp {
    /// Address to listen on; 0.0.0.0 is every IPv4 address of the machine [default: 127.0.0.1].
    #[arg(long)]
    pub(super) address: Option<IpAddr>,
    /// Port to listen on; 0 is any that is free [default: 8080].
    #[arg(long)]
    pub(super) port: Option<u16>,
    /// Threads that read requests and write answers [default: the cores, 4 at most].
    #[arg(long, value_name = "N")]
    pub(super) workers: Option<u16>,
    /// Connections at a time; more wait to be accepted [default: 20000].
    #[arg(long, value_name = "N")]
    pub(super) max_connections: Option<u32>,
}

/// Who may ask.
#[derive(Clone, Debug, Default, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Access")]
pub(super) struct RawAccess {
    /// File with API keys, one a line; those in $KO_STS_API_KEYS (separated by commas) count too. With a key in either,
    /// every request but for /health, the page and the documentation needs `Authorization: Bearer KEY`. A file or a
    /// variable that is there and holds no key ends the start.
    #[arg(long, value_name = "FILE")]
    pub(super) api_key_file: Option<PathBuf>,
    /// Lets everybody in who reaches an address beyond this machine, where there are no API keys; without it, such an
    /// address needs keys [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) allow_anonymous: Option<bool>,
    /// Host name by which clients call a server that has a corpus and no API keys, beside those of this machine; may be
    /// given several times. Requests that name another are answered 421, lest a page of a stranger's reads the corpus
    /// through a browser [default: none].
    #[arg(long = "allowed-host", value_name = "HOST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) allowed_hosts: Option<Vec<String>>,
    /// Origin whose pages may call the server, such as https://example.org; may be given several times, `*` is any
    /// [default: none but the server's own].
    #[arg(long = "cors-origin", value_name = "ORIGIN")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cors_origins: Option<Vec<String>>,
}

/// Encryption.
#[derive(Clone, Debug, Default, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "TLS")]
pub(super) struct RawTls {
    /// Certificate chain (PEM); with it and its key, the server speaks HTTPS alone.
    #[arg(long = "tls-certificate", value_name = "FILE")]
    pub(super) certificate: Option<PathBuf>,
    /// Private key of the certificate (PEM).
    #[arg(long = "tls-key", value_name = "FILE")]
    pub(super) key: Option<PathBuf>,
}

/// How long things may take, in seconds.
#[derive(Clone, Debug, Default, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Timeouts, in seconds")]
pub(super) struct RawTimeouts {
    /// From a connection's start to the end of its request's head [default: 10].
    #[arg(long, value_name = "S")]
    pub(super) header_timeout: Option<f64>,
    /// Idle time between two requests of a connection [default: 30].
    #[arg(long, value_name = "S")]
    pub(super) keep_alive: Option<f64>,
    /// For a request's body to arrive [default: 30].
    #[arg(long, value_name = "S")]
    pub(super) body_timeout: Option<f64>,
    /// For an uploaded file to arrive [default: 300].
    #[arg(long, value_name = "S")]
    pub(super) upload_timeout: Option<f64>,
    /// For a client to take what it was sent; the connection of one that takes nothing for so long is closed [default:
    /// 30].
    #[arg(long, value_name = "S")]
    pub(super) write_timeout: Option<f64>,
    /// For a request to be answered [default: 60].
    #[arg(long, value_name = "S")]
    pub(super) request_timeout: Option<f64>,
    /// For a CSV file to be scored [default: 3600].
    #[arg(long, value_name = "S")]
    pub(super) csv_timeout: Option<f64>,
    /// For a batch to be computed; beyond it /health is 503, and an orchestrator restarts the server [default: 120].
    #[arg(long, value_name = "S")]
    pub(super) stuck_after: Option<f64>,
    /// For work in hand to end after SIGTERM or SIGINT; a second one ends it at once [default: 30].
    #[arg(long, value_name = "S")]
    pub(super) grace: Option<f64>,
}

/// Batches, queue and cache.
#[derive(Clone, Debug, Default, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Engine")]
pub(super) struct RawEngine {
    /// Tokens of a batch [default: 256 on a processor, 16384 on a GPU].
    #[arg(long, value_name = "N")]
    pub(super) max_batch_tokens: Option<usize>,
    /// Tokens that may wait, of requests that fit into a batch and of longer ones each; what comes beyond is answered
    /// 429 [default: 64 batches].
    #[arg(long, value_name = "N")]
    pub(super) max_queue_tokens: Option<usize>,
    /// Mebibytes of the embedding cache; 0 switches it off [default: 64].
    #[arg(long, value_name = "MIB")]
    pub(super) cache_mib: Option<u32>,
}

/// How large things may be.
#[derive(Clone, Debug, Default, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Limits")]
pub(super) struct RawLimits {
    /// Requests at a time, from the first byte of a body to the last of its answer; more are answered 429. /health, /info
    /// and /metrics do not count [default: 512].
    #[arg(long, value_name = "N")]
    pub(super) max_concurrent_requests: Option<usize>,
    /// Mebibytes of the bodies that are in work and of the answers that are not yet taken, all together; what comes beyond
    /// is answered 429 [default: 256].
    #[arg(long, value_name = "MIB")]
    pub(super) max_memory_mib: Option<usize>,
    /// Bytes of a JSON body [default: 4194304].
    #[arg(long, value_name = "BYTES")]
    pub(super) max_body_bytes: Option<usize>,
    /// Sentences of a request, CSV files apart [default: 1024].
    #[arg(long, value_name = "N")]
    pub(super) max_client_batch_size: Option<usize>,
    /// Bytes of a CSV file [default: 67108864].
    #[arg(long, value_name = "BYTES")]
    pub(super) max_csv_bytes: Option<usize>,
    /// Rows of a CSV file [default: 1000000].
    #[arg(long, value_name = "N")]
    pub(super) max_csv_rows: Option<usize>,
    /// CSV files in work at a time; more are answered 429 [default: 8].
    #[arg(long, value_name = "N")]
    pub(super) max_csv_jobs: Option<usize>,
}

/// What is logged, and how.
#[derive(Clone, Debug, Default, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Log")]
pub(super) struct RawLog {
    /// Form of the log lines on stderr [default: text].
    #[arg(long = "log-format", value_name = "FORMAT")]
    pub(super) format: Option<LogFormat>,
    /// Least level that is logged [default: info].
    #[arg(long = "log-level", value_name = "LEVEL")]
    pub(super) level: Option<LogLevel>,
}
