//! `POST /embed`: embeddings, as text-embeddings-inference gives them.

use actix_web::web;
use serde_json::value::RawValue;

use super::check_sentences;
use crate::{
    answer::Answer, body::Json, cache::Holder, engine::Admission, error::ApiError, output::Numbers,
    responses::AskErrors, state::State, types::EmbedRequest,
};

/// Embeddings of sentences
#[utoipa::path(
    post, path = "/embed", tag = "text-embeddings-inference", request_body = EmbedRequest,
    responses((status = 200, description = "One embedding for each sentence", body = Vec<Numbers>), AskErrors)
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
    let EmbedRequest { inputs, normalize, truncate, prompt_name, dimensions, output_dtype, .. } = request;
    check_sentences("inputs", &inputs.0, state)?;
    let embedder = state.embedder()?;
    let output = embedder.outputs.of(dimensions, output_dtype, normalize.unwrap_or(true))?;
    let truncate = truncate.unwrap_or(state.info.auto_truncate);
    let (embeddings, cost) =
        embedder.embed(holder, prompt_name.as_deref(), inputs.0, truncate, Admission::Bounded).await?;
    let embeddings: Vec<Numbers> = embeddings.iter().map(|embedding| output.numbers(embedding)).collect();
    let count = output.count(embeddings.len());
    Answer::new(embeddings, cost).written(count).await
}
