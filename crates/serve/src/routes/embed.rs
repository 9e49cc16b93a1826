//! `POST /embed`: embeddings, as text-embeddings-inference gives them.

use actix_web::web;

use super::{check_dimensions, check_prompt, check_sentences};
use crate::{
    answer::Answer, body::Json, engine::Admission, error::ApiError, responses::AskErrors, state::State,
    types::EmbedRequest,
};

/// Embeddings of sentences
#[utoipa::path(
    post, path = "/embed", tag = "text-embeddings-inference", request_body = EmbedRequest,
    responses((status = 200, description = "One embedding for each sentence", body = Vec<Vec<f32>>), AskErrors)
)]
pub(crate) async fn embed(
    state: web::Data<State>,
    Json(request): Json<EmbedRequest>,
) -> Result<Answer<Vec<Vec<f32>>>, ApiError> {
    answer(&state, request).await
}

/// What `POST /embed` answers.
pub(super) async fn answer(state: &State, request: EmbedRequest) -> Result<Answer<Vec<Vec<f32>>>, ApiError> {
    let EmbedRequest { inputs, normalize, truncate, prompt_name, dimensions, .. } = request;
    check_sentences("inputs", &inputs.0, state)?;
    check_prompt(prompt_name.as_deref())?;
    check_dimensions(dimensions, state)?;
    let truncate = truncate.unwrap_or(state.info.auto_truncate);
    let (embeddings, cost) = state.embedder.embed(inputs.0, truncate, Admission::Bounded).await?;
    let mut embeddings: Vec<Vec<f32>> = embeddings.iter().map(|embedding| embedding.to_vec()).collect();
    if normalize.unwrap_or(true) {
        embeddings.iter_mut().for_each(|embedding| model::normalize(embedding));
    }
    Ok(Answer::new(embeddings, cost))
}
