//! `POST /embed`: embeddings, as text-embeddings-inference gives them.

use actix_web::web;
use serde_json::value::RawValue;

use super::{check_dimensions, check_sentences};
use crate::{
    answer::Answer, body::Json, cache::Holder, engine::Admission, error::ApiError, responses::AskErrors, state::State,
    types::EmbedRequest,
};

/// Embeddings of sentences
#[utoipa::path(
    post, path = "/embed", tag = "text-embeddings-inference", request_body = EmbedRequest,
    responses((status = 200, description = "One embedding for each sentence", body = Vec<Vec<f32>>), AskErrors)
)]
pub(crate) async fn embed(
    state: web::Data<State>,
    holder: Holder,
    Json(request): Json<EmbedRequest>,
) -> Result<Answer<Box<RawValue>>, ApiError> {
    answer(&state, holder, request).await
}

/// What `POST /embed` answers.
pub(super) async fn answer(
    state: &State,
    holder: Holder,
    request: EmbedRequest,
) -> Result<Answer<Box<RawValue>>, ApiError> {
    let EmbedRequest { inputs, normalize, truncate, prompt_name, dimensions, .. } = request;
    check_sentences("inputs", &inputs.0, state)?;
    check_dimensions(dimensions, state)?;
    let truncate = truncate.unwrap_or(state.info.auto_truncate);
    let (embeddings, cost) =
        state.embedder.embed(holder, prompt_name.as_deref(), inputs.0, truncate, Admission::Bounded).await?;
    let mut embeddings: Vec<Vec<f32>> = embeddings.iter().map(|embedding| embedding.to_vec()).collect();
    if normalize.unwrap_or(true) {
        embeddings.iter_mut().for_each(|embedding| model::normalize(embedding));
    }
    let numbers = embeddings.len() * state.info.hidden_size;
    Answer::new(embeddings, cost).written(numbers).await
}
