//! `POST /predict`: the rows of a table against one sentence.

use std::{collections::BTreeMap, future::ready, sync::Arc};

use actix_multipart::Multipart;
use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    http::header::{HeaderName, HeaderValue},
    web::{self, Bytes},
};
use futures_util::{Stream, StreamExt, stream};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use tables::{Column, Layout, Source};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::check_sentence;
use crate::{
    answer::respond,
    cache::Holder,
    engine::Admission,
    error::ApiError,
    headers,
    json::Sentence,
    ranking::{Best, Checked, Ranked, Scores, Written},
    responses::AskErrors,
    rows::Rows,
    state::State,
    upload::Upload,
};

/// All but RFC 3986's unreserved characters.
const NOT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Scores of a table's rows
///
/// Each row's sentence against `base_sentence`. Without `top_k`, every row's score by its index; with it, the best rows,
/// best first. The file may be CSV (UTF-8, UTF-16 or CP949; commas, tabs, semicolons or pipes; with a header or without),
/// lines of text, JSON lines, Parquet, or an .xlsx workbook; what was detected is in the answer's headers. Where two
/// columns could hold the sentences, the error lists all of them: name one by `column`.
#[utoipa::path(
    post, path = "/predict", tag = "ko-sts",
    request_body(content = RankForm, content_type = "multipart/form-data"),
    responses((status = 200, description = "Scores, 5 · cosine", body = RankResponse), AskErrors)
)]
pub(crate) async fn rank(
    state: web::Data<State>,
    holder: Holder,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    if !request.content_type().eq_ignore_ascii_case("multipart/form-data") {
        return Err(ApiError::MediaType("multipart/form-data"));
    }
    let embedder = state.embedder()?;
    let uploading = state.upload_place()?;
    let multipart = Multipart::new(request.headers(), body);
    let upload = Upload::receive(multipart, &state.limits, state.timeouts.upload).await?;
    let place = Arc::new(state.csv_place()?);
    drop(uploading);
    check_sentence("base_sentence", &upload.base_sentence)?;
    let Upload { base_sentence, file, options, top_k, rerank } = upload;
    let reranker = match (rerank, state.reranker.clone()) {
        (None, _) => None,
        (Some(count), Some(reranker)) => Some((count, reranker)),
        (Some(_), None) => return Err(ApiError::NoReranker),
    };
    if let Some((count, _)) = reranker.as_ref().filter(|(count, _)| *count > state.limits.max_client_batch_size) {
        let most = state.limits.max_client_batch_size;
        return Err(ApiError::TooLarge(format!(
            "`rerank` is {count}, and the server's max_client_batch_size is {most}"
        )));
    }
    let max_rows = state.limits.max_csv_rows;
    let max_bytes = state.limits.max_csv_bytes;
    let kept = place.clone(); // while the file is read, even if nobody waits for it
    let open = move || {
        let _place = kept;
        let kept = |error: std::io::Error| ApiError::Backend(format!("cannot keep the upload: {error}"));
        Checked::new(Rows::open(Source::spooled(file).map_err(kept)?, &options, max_bytes)?, max_rows)
    };
    let checked = web::block(open).await??;
    let (layout, column) = (*checked.rows().layout(), checked.rows().column().clone());
    let sheet = checked.rows().sheet().map(str::to_owned);
    let truncate = state.info.auto_truncate;
    let (checked, scores, mut cost) = checked.score(embedder, holder, base_sentence.clone(), truncate).await?;
    let made = match reranker {
        None => Made::Counted(Box::new(checked), scores, top_k),
        Some((count, reranker)) => {
            let kept = place.clone();
            let best = move || -> Result<_, ApiError> {
                let _place = kept;
                let mut best = checked.best(scores, count)?;
                let texts =
                    best.texts().map_err(|error| ApiError::Backend(format!("cannot read the rows: {error}")))?;
                Ok((best, texts))
            };
            let (mut best, texts) = web::block(best).await??;
            // A part of work that was admitted as a whole. A row that is too long is nothing that the client could shorten.
            let (scores, own) = reranker.scores(holder, &base_sentence, &texts, true, Admission::Part).await?;
            cost.add(own);
            best.rerank(scores, top_k);
            Made::Best(Box::new(best))
        }
    };
    let answer = web::block(move || -> Result<_, ApiError> {
        let mut written = match made {
            Made::Best(best) => Written::best(*best),
            Made::Counted(checked, scores, Some(count)) => Written::best(checked.best(scores, count)?),
            Made::Counted(_, scores, None) => Written::scores(scores),
        };
        let first = written.piece().map_err(|error| ApiError::Backend(format!("cannot write the answer: {error}")))?;
        Ok((written, first, place))
    });
    let (written, (first, is_all), place) = answer.await??;
    let mut response = respond(cost);
    let mut response = match is_all {
        true => response.content_type("application/json").body(first),
        false => response.content_type("application/json").streaming(pieces(written, first, place)),
    };
    describe(&layout, &column, sheet.as_deref(), &mut response);
    Ok(response)
}

/// What an answer is made of.
enum Made {
    /// Rows that a reranker sorted.
    Best(Box<Best>),
    /// All rows, or the best so many.
    Counted(Box<Checked>, Scores, Option<usize>),
}

/// The rest of an answer, written as the client takes it; the file's place is taken until then.
fn pieces(
    written: Written,
    first: Vec<u8>,
    place: Arc<OwnedSemaphorePermit>,
) -> impl Stream<Item = Result<Bytes, actix_web::Error>> {
    let rest = stream::try_unfold(Some((written, place)), |rest| async move {
        let Some((mut written, place)) = rest else { return Ok(None) };
        let (written, place, piece) = web::block(move || {
            let piece = written.piece();
            (written, place, piece)
        })
        .await?;
        let (piece, is_last) = piece?;
        Ok(Some((Bytes::from(piece), (!is_last).then_some((written, place)))))
    });
    stream::once(ready(Ok(Bytes::from(first)))).chain(rest)
}

/// Says in headers how the file was read; a header holds ASCII alone, so names are percent-encoded.
fn describe(layout: &Layout, column: &Column, sheet: Option<&str>, response: &mut HttpResponse) {
    let column = utf8_percent_encode(&column.label(), NOT_UNRESERVED).to_string();
    let sheet = sheet.map(|sheet| utf8_percent_encode(sheet, NOT_UNRESERVED).to_string());
    let delimiter = layout.delimiter.to_string();
    let always = [
        (headers::CSV_ENCODING, layout.encoding),
        (headers::CSV_DELIMITER, delimiter.as_str()),
        (headers::CSV_HEADER, if layout.has_header { "true" } else { "false" }),
        (headers::CSV_COLUMN, column.as_str()),
    ];
    for (name, value) in always.into_iter().chain(sheet.as_deref().map(|sheet| (headers::CSV_SHEET, sheet))) {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
}

/// Body of `POST /predict`, for the documentation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
pub(crate) struct RankForm {
    /// The sentence to compare with.
    #[schema(value_type = Sentence)]
    base_sentence: String,
    /// A table: CSV, TSV, lines of text, JSON lines, Parquet, .xlsx.
    #[schema(value_type = String, format = Binary, content_media_type = "text/csv")]
    file: Vec<u8>,
    /// Name or number (from 0) of the column with the sentences. By default, a column that is called as they are (`sentence`,
    /// `text`, `문장`, `리뷰`, `내용`, …), else the one whose values are longest and most varied, if there is one such.
    #[schema(value_type = String, required = false)]
    column: Option<String>,
    /// Answer the best rows alone, this many.
    #[schema(value_type = usize, minimum = 1, required = false)]
    top_k: Option<usize>,
    /// Have the server's reranker read so many of the best rows together with `base_sentence` and sort them; the best `top_k` of
    /// these, or all, are answered.
    #[schema(value_type = usize, minimum = 1, required = false)]
    rerank: Option<usize>,
    /// Whether the first row names the columns; by default, this is detected.
    #[schema(value_type = bool, required = false)]
    has_header: Option<bool>,
    /// The sheet of a workbook; by default, the first.
    #[schema(value_type = String, required = false)]
    sheet: Option<String>,
}

/// Answer of `POST /predict`, for the documentation.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code)]
pub(crate) enum RankResponse {
    /// With `top_k`.
    Best(BestRows),
    /// Without: 5 · cosine by the row's index, from 0; null where a row is empty.
    #[schema(example = json!({"0": 4.1, "1": 0.3, "2": null}))]
    Scores(BTreeMap<String, Option<f32>>),
}

/// The best rows.
#[derive(Serialize, ToSchema)]
pub(crate) struct BestRows {
    /// Best first.
    results: Vec<Ranked>,
}
