//! `POST /similarity`: one sentence against several, as text-embeddings-inference has it.

use actix_web::web;

use super::{check_sentence, check_sentences};
use crate::{
    answer::Answer, body::Json, cache::Holder, engine::Admission, error::ApiError, responses::AskErrors, state::State,
    types::SimilarityRequest,
};

/// Similarity of one sentence with others
///
/// It is the one that the model's configuration names, cosine where it names none: `GET /info` says which.
#[utoipa::path(
    post, path = "/similarity", tag = "text-embeddings-inference", request_body = SimilarityRequest,
    responses((status = 200, description = "One similarity for each of `sentences`", body = Vec<f32>), AskErrors)
)]
pub(crate) async fn similarity(
    state: web::Data<State>,
    holder: Holder,
    Json(request): Json<SimilarityRequest>,
) -> Result<Answer<Vec<f32>>, ApiError> {
    answer(&state, holder, request).await
}

/// What `POST /similarity` answers.
pub(super) async fn answer(
    state: &State,
    holder: Holder,
    request: SimilarityRequest,
) -> Result<Answer<Vec<f32>>, ApiError> {
    let SimilarityRequest { inputs, parameters } = request;
    let (inputs, parameters) = (inputs.0, parameters.map(|parameters| parameters.0).unwrap_or_default());
    check_sentence("source_sentence", &inputs.source_sentence)?;
    check_sentences("sentences", &inputs.sentences, state)?;
    let truncate = parameters.truncate.unwrap_or(state.info.auto_truncate);
    let sentences = std::iter::once(inputs.source_sentence).chain(inputs.sentences).collect();
    let embedder = state.embedder()?;
    let (embeddings, cost) =
        embedder.embed(holder, parameters.prompt_name.as_deref(), sentences, truncate, Admission::Bounded).await?;
    let (source, others) = embeddings.split_first().expect("one embedding for each sentence");
    let function = embedder.outputs.similarity;
    Ok(Answer::new(others.iter().map(|other| function.of(source, other) as f32).collect(), cost))
}
