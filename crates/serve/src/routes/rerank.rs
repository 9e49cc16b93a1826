//! `POST /rerank`, `/v1/rerank` and `/v2/rerank`: texts by how well they fit a query, as text-embeddings-inference and Cohere
//! define it.

use actix_web::{Either, web};
use model::ScoreActivation;
use serde_json::Value;

use super::{check_sentence, check_sentences, root::typed};
use crate::{
    answer::Answer,
    body::Json,
    cache::Holder,
    embedder::Cost,
    engine::Admission,
    error::ApiError,
    responses::{CohereErrors, RerankErrors},
    state::State,
    types::{
        BilledUnits, CohereApi, CohereMeta, CohereRequest, CohereResponse, CohereResult, CohereTokens, Document,
        RerankRequest, RerankResult,
    },
};

/// Texts by how well they fit a query
///
/// Best first. With `documents` in place of `texts`, this is `POST /v1/rerank`.
#[utoipa::path(
    post, path = "/rerank", tag = "text-embeddings-inference", request_body = RerankRequest,
    responses((status = 200, description = "Every text's score, best first", body = Vec<RerankResult>), RerankErrors)
)]
pub(crate) async fn rerank(
    state: web::Data<State>,
    holder: Holder,
    Json(request): Json<Value>,
) -> Result<Either<Answer<Vec<RerankResult>>, Answer<CohereResponse>>, ApiError> {
    if request.get("documents").is_some() {
        return of_cohere(&state, holder, typed(request)?, "1").await.map(Either::Right);
    }
    let RerankRequest { query, texts, raw_scores, return_text, truncate, .. } = typed(request)?;
    check_sentence("query", &query)?;
    check_sentences("texts", &texts, &state)?;
    let truncate = truncate.unwrap_or(state.info.auto_truncate);
    let reranker = state.reranker.as_ref().ok_or(ApiError::NoReranker)?;
    let (numbers, cost) = reranker.numbers(holder, &query, &texts, truncate, Admission::Bounded).await?;
    let is_raw = raw_scores.unwrap_or(false);
    // As text-embeddings-inference, whatever the model's own activation is.
    let score = |number: f32| if is_raw { number } else { ScoreActivation::Sigmoid.apply(number) };
    let is_told = return_text.unwrap_or(false);
    let results = best_first(&numbers).into_iter().map(|index| RerankResult {
        index,
        score: score(numbers[index]),
        text: is_told.then(|| texts[index].clone()),
    });
    Ok(Either::Left(Answer::new(results.collect(), cost)))
}

/// Documents by how well they fit a query
#[utoipa::path(
    post, path = "/v1/rerank", tag = "Cohere", request_body = CohereRequest,
    responses((status = 200, description = "The best documents, best first", body = CohereResponse), CohereErrors)
)]
pub(crate) async fn v1(
    state: web::Data<State>,
    holder: Holder,
    Json(request): Json<CohereRequest>,
) -> Result<Answer<CohereResponse>, ApiError> {
    of_cohere(&state, holder, request, "1").await
}

/// Documents by how well they fit a query
#[utoipa::path(
    post, path = "/v2/rerank", tag = "Cohere", request_body = CohereRequest,
    responses((status = 200, description = "The best documents, best first", body = CohereResponse), RerankErrors)
)]
pub(crate) async fn v2(
    state: web::Data<State>,
    holder: Holder,
    Json(request): Json<CohereRequest>,
) -> Result<Answer<CohereResponse>, ApiError> {
    of_cohere(&state, holder, request, "2").await
}

async fn of_cohere(
    state: &State,
    holder: Holder,
    request: CohereRequest,
    version: &'static str,
) -> Result<Answer<CohereResponse>, ApiError> {
    let CohereRequest { query, documents, top_n, return_documents, .. } = request;
    let texts: Vec<String> = documents.into_iter().map(|document| document.0).collect();
    check_sentence("query", &query)?;
    check_sentences("documents", &texts, state)?;
    if top_n == Some(0) {
        return Err(ApiError::Invalid("`top_n` is 0, expected at least 1".to_owned()));
    }
    let reranker = state.reranker.as_ref().ok_or(ApiError::NoReranker)?;
    let truncate = state.info.auto_truncate;
    let (numbers, cost) = reranker.numbers(holder, &query, &texts, truncate, Admission::Bounded).await?;
    let is_told = return_documents.unwrap_or(false);
    let result = |index: usize| CohereResult {
        index,
        // From 0 to 1, as Cohere's are.
        relevance_score: ScoreActivation::Sigmoid.apply(numbers[index]),
        document: is_told.then(|| Document(texts[index].clone())),
    };
    let best = best_first(&numbers).into_iter().take(top_n.unwrap_or(usize::MAX));
    let Cost { tokens, .. } = cost;
    let response = CohereResponse {
        id: format!("{:016x}", rand::random::<u64>()),
        model: state.info.reranker.clone().unwrap_or_default(),
        results: best.map(result).collect(),
        meta: CohereMeta {
            api_version: CohereApi { version },
            billed_units: BilledUnits { search_units: 1 },
            tokens: CohereTokens { input_tokens: tokens },
        },
    };
    Ok(Answer::new(response, cost))
}

/// Places of numbers, the largest first; equal ones in their order.
pub(super) fn best_first(numbers: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|a, b| numbers[*b].total_cmp(&numbers[*a]));
    order
}
