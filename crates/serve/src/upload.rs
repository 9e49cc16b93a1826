//! The multipart body of `POST /predict`: its fields, and its file in a temporary file.

use std::{
    io::{Seek, Write},
    time::{Duration, Instant},
};

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::web;
use futures_util::TryStreamExt;
use tempfile::SpooledTempFile;

use crate::{body::in_time, error::ApiError, rows::FileOptions, settings::Limits};

const FIELDS: &str = "base_sentence, file, column, top_k, rerank, has_header and sheet";
const IN_MEMORY: usize = 1 << 20; // bytes of a file that is not written to disk

/// What `POST /predict` is sent.
pub(crate) struct Upload {
    /// The sentence to compare with.
    pub(crate) base_sentence: String,
    /// The file, as it came.
    pub(crate) file: SpooledTempFile,
    /// What the client says of the file.
    pub(crate) options: FileOptions,
    /// How many of the best rows to answer; without it, every row's score.
    pub(crate) top_k: Option<usize>,
    /// How many of the best rows the reranker sorts.
    pub(crate) rerank: Option<usize>,
}

impl Upload {
    /// Receives the whole body, whatever the order of its fields.
    pub(crate) async fn receive(multipart: Multipart, limits: &Limits, time: Duration) -> Result<Self, ApiError> {
        in_time("the upload", time, Self::read(multipart, limits)).await?
    }

    async fn read(mut multipart: Multipart, limits: &Limits) -> Result<Self, ApiError> {
        let (mut file, mut base_sentence, mut top_k, mut rerank) = (None, None, None, None);
        let mut options = FileOptions::default();
        let pace = Pace::new();
        while let Some(mut field) = multipart.try_next().await.map_err(malformed)? {
            let name = field.name().unwrap_or_default().to_owned();
            let is_repeated = match name.as_str() {
                "file" => file.replace(spool(&mut field, limits.max_csv_bytes, &pace).await?).is_some(),
                "base_sentence" => base_sentence.replace(text(&mut field, &name, limits).await?).is_some(),
                "column" => options.column.replace(text(&mut field, &name, limits).await?).is_some(),
                "sheet" => options.sheet.replace(text(&mut field, &name, limits).await?).is_some(),
                "top_k" => {
                    top_k.replace(parse(&text(&mut field, &name, limits).await?, &name, "a number from 1")?).is_some()
                }
                "rerank" => {
                    rerank.replace(parse(&text(&mut field, &name, limits).await?, &name, "a number from 1")?).is_some()
                }
                "has_header" => options
                    .has_header
                    .replace(parse(&text(&mut field, &name, limits).await?, &name, "true or false")?)
                    .is_some(),
                _ => return Err(ApiError::Invalid(format!("unknown field {name:?}, expected {FIELDS}"))),
            };
            if is_repeated {
                return Err(ApiError::Invalid(format!("field `{name}` is there twice")));
            }
        }
        let missing = |name| ApiError::Invalid(format!("field `{name}` is missing, expected {FIELDS}"));
        for (name, count) in [("top_k", top_k), ("rerank", rerank)] {
            if count == Some(0) {
                return Err(ApiError::Invalid(format!("`{name}` is 0, expected a number from 1")));
            }
        }
        // An empty text is what a form sends for an input that was left empty.
        options.column = options.column.filter(|column| !column.trim().is_empty());
        options.sheet = options.sheet.filter(|sheet| !sheet.trim().is_empty());
        Ok(Self {
            base_sentence: base_sentence.ok_or_else(|| missing("base_sentence"))?,
            file: file.ok_or_else(|| missing("file"))?,
            options,
            top_k,
            rerank,
        })
    }
}

/// Receives a file into memory, or onto disk where it is large.
async fn spool(field: &mut Field, limit: u64, pace: &Pace) -> Result<SpooledTempFile, ApiError> {
    let failed = |error: std::io::Error| ApiError::Backend(format!("cannot keep the upload: {error}"));
    let mut file = SpooledTempFile::new(IN_MEMORY);
    let mut length = 0;
    while let Some(chunk) = pace.next(field, length).await? {
        length += chunk.len() as u64;
        if length > limit {
            return Err(ApiError::TooLarge(format!(
                "the file has more than {limit} bytes, the server's max_csv_bytes"
            )));
        }
        match length > IN_MEMORY as u64 {
            true => file = web::block(move || file.write_all(&chunk).map(|()| file)).await?.map_err(failed)?,
            false => file.write_all(&chunk).map_err(failed)?,
        }
    }
    file.rewind().map_err(failed)?;
    Ok(file)
}

/// Whether a file comes at a pace at which it will be there: a client that sends a byte now and then keeps another's place.
struct Pace {
    started: Instant,
}

impl Pace {
    /// How long a client may take to come to its pace.
    const PATIENCE: Duration = Duration::from_secs(10);
    /// Bytes a second, far below what any line carries.
    const LEAST: u64 = 4 << 10;

    fn new() -> Self {
        Self { started: Instant::now() }
    }

    /// The next part of a file of which so many bytes are there.
    async fn next(&self, field: &mut Field, length: u64) -> Result<Option<web::Bytes>, ApiError> {
        let chunk = in_time("a part of the file", Self::PATIENCE, field.try_next()).await?.map_err(malformed)?;
        let time = self.started.elapsed();
        if chunk.is_some() && time > Self::PATIENCE && length < Self::LEAST * time.as_secs() {
            return Err(ApiError::TooSlow("4 KiB of the file a second", time.as_secs_f64().round()));
        }
        Ok(chunk)
    }
}

async fn text(field: &mut Field, name: &str, limits: &Limits) -> Result<String, ApiError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.try_next().await.map_err(malformed)? {
        if bytes.len() + chunk.len() > limits.max_body_bytes {
            let limit = limits.max_body_bytes;
            return Err(ApiError::TooLarge(format!(
                "`{name}` has more than {limit} bytes, the server's max_body_bytes"
            )));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| ApiError::Malformed(format!("field `{name}` is not UTF-8")))
}

fn parse<T: std::str::FromStr>(text: &str, name: &str, expected: &str) -> Result<T, ApiError> {
    let shown: String = text.chars().take(40).collect();
    text.trim().parse().map_err(|_| ApiError::Invalid(format!("`{name}` is {shown:?}, expected {expected}")))
}

fn malformed(error: MultipartError) -> ApiError {
    ApiError::Malformed(format!("the multipart body: {error}"))
}
