//! `POST /search`: the rows of the corpus that are nearest to a sentence.

use actix_web::web;
use data::score_of;
use embed::{Hit, Row};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use utoipa::ToSchema;

use super::check_sentence;
use crate::{
    answer::Answer,
    body::Json,
    cache::Holder,
    engine::Admission,
    error::ApiError,
    filter::Filter,
    json::{Sentence, whole},
    responses::SearchErrors,
    state::State,
};

const DEFAULT: usize = 10;
const MOST: usize = 1000;

/// Body of `POST /search`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchRequest {
    /// The sentence to search with.
    #[schema(value_type = Sentence)]
    query: String,
    /// How many rows to answer.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 1000, default = 10)]
    top_k: Option<usize>,
    #[serde(default)]
    #[schema(value_type = Option<Filter>)]
    filter: Option<Map<String, Value>>,
    /// Whether a sentence that is too long is cut; else it is an error. The default is the server's `auto_truncate`.
    #[serde(default)]
    truncate: Option<bool>,
    /// How many of the nearest rows are read together with the query by the server's reranker, which then sorts them: the best
    /// `top_k` of these are answered.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 1000)]
    rerank: Option<usize>,
    /// Name of the model's prompt to put before the query; the default is the server's. `GET /info` names them.
    #[serde(default)]
    prompt_name: Option<String>,
}

/// Answer of `POST /search`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SearchResponse {
    /// Best first.
    results: Vec<Found>,
}

/// A row of the corpus.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Found {
    /// The row's number in the corpus, from 0.
    index: u64,
    /// Its text.
    sentence: String,
    /// 5 · cosine with the query.
    #[schema(minimum = -5, maximum = 5)]
    score: f32,
    /// The reranker's score of query and text, where it sorts the rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    rerank_score: Option<f32>,
    /// All of its columns but the embedding, in the table's order, under their own names. Dates and times are text in ISO
    /// 8601, bytes base64, numbers that are not finite null.
    #[schema(value_type = std::collections::BTreeMap<String, Value>, example = json!({"city": "부산", "text": "…"}))]
    row: Box<RawValue>,
}

/// The nearest rows of the corpus
///
/// Exactly the nearest by cosine, among all rows or those that pass `filter`. The route is there where the server was
/// started with a corpus.
#[utoipa::path(
    post, path = "/search", tag = "ko-sts", request_body = SearchRequest,
    responses((status = 200, description = "The nearest rows, best first", body = SearchResponse), SearchErrors)
)]
pub(crate) async fn search(
    state: web::Data<State>,
    holder: Holder,
    Json(request): Json<SearchRequest>,
) -> Result<Answer<SearchResponse>, ApiError> {
    let SearchRequest { query, top_k, filter, truncate, rerank, prompt_name } = request;
    let Some(corpus) = state.corpus.clone() else { return Err(ApiError::NoCorpus) };
    check_sentence("query", &query)?;
    let top_k = top_k.unwrap_or(DEFAULT);
    if !(1..=MOST).contains(&top_k) {
        return Err(ApiError::Invalid(format!("`top_k` is {top_k}, expected 1 to {MOST}")));
    }
    let most_reranked = MOST.min(state.limits.max_client_batch_size);
    let reranker = match rerank {
        None => None,
        Some(count) if !(1..=most_reranked).contains(&count) => {
            return Err(ApiError::Invalid(format!("`rerank` is {count}, expected 1 to {most_reranked}")));
        }
        Some(_) => Some(state.reranker.as_ref().ok_or(ApiError::NoReranker)?),
    };
    let filter = corpus.filter(&filter.unwrap_or_default());
    let filter = filter.map_err(|error| ApiError::Invalid(format!("`filter`: {error}")))?;
    let truncate = truncate.unwrap_or(state.info.auto_truncate);
    let queries = vec![query.clone()];
    let (embeddings, mut cost) =
        state.embedder()?.embed(holder, prompt_name.as_deref(), queries, truncate, Admission::Bounded).await?;
    let count = rerank.unwrap_or(top_k);
    let (place, pool) = (state.search_place()?, state.search_pool.clone());
    let results = web::block(move || {
        let _place = place; // until the scan ends, even if nobody waits for it
        let hits = pool.install(|| corpus.search(&embeddings[0], count, &filter));
        let found = |hit: &Hit| -> anyhow::Result<Found> {
            let Row { index, text, columns } = corpus.row(hit)?;
            Ok(Found {
                index,
                sentence: text,
                score: score_of(hit.cosine.into()) as f32,
                rerank_score: None,
                row: columns,
            })
        };
        hits.iter().map(found).collect::<Result<_, _>>()
    });
    let results: Result<Vec<Found>, anyhow::Error> = results.await?;
    let mut results = results.map_err(|error| ApiError::Backend(format!("{error:#}")))?;
    if let Some(reranker) = reranker {
        // A row that is too long is nothing that the client could shorten.
        let texts: Vec<String> = results.iter().map(|found| found.sentence.clone()).collect();
        let (scores, own) = reranker.scores(holder, &query, &texts, true, Admission::Bounded).await?;
        cost.add(own);
        results.iter_mut().zip(scores).for_each(|(found, score)| found.rerank_score = Some(score));
        results.sort_by(|a, b| b.rerank_score.unwrap_or_default().total_cmp(&a.rerank_score.unwrap_or_default()));
        results.truncate(top_k);
    }
    Ok(Answer::new(SearchResponse { results }, cost))
}
