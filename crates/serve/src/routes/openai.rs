//! `POST /v1/embeddings`: embeddings, as OpenAI defines them.

use actix_web::web;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::value::RawValue;

use super::check_sentences;
use crate::{
    answer::Answer,
    body::Json,
    cache::Holder,
    engine::Admission,
    error::ApiError,
    responses::OpenAiErrors,
    state::State,
    types::{EncodingFormat, OpenAiEmbedding, OpenAiRequest, OpenAiResponse, Usage, Vector},
};

/// Embeddings of sentences in OpenAI's form
#[utoipa::path(
    post, path = "/v1/embeddings", tag = "OpenAI", request_body = OpenAiRequest,
    responses((status = 200, description = "One embedding for each sentence", body = OpenAiResponse), OpenAiErrors)
)]
pub(crate) async fn embeddings(
    state: web::Data<State>,
    holder: Holder,
    Json(request): Json<OpenAiRequest>,
) -> Result<Answer<Box<RawValue>>, ApiError> {
    let OpenAiRequest { input, encoding_format, dimensions, output_dtype, prompt_name, .. } = request;
    check_sentences("input", &input.0, &state)?;
    let embedder = state.embedder()?;
    let output = embedder.outputs.of(dimensions, output_dtype, true)?;
    let (embeddings, cost) =
        embedder.embed(holder, prompt_name.as_deref(), input.0, state.info.auto_truncate, Admission::Bounded).await?;
    let format = encoding_format.unwrap_or_default();
    let entry = |(index, embedding): (usize, &crate::engine::Embedding)| {
        let numbers = output.numbers(embedding);
        let embedding = match format {
            EncodingFormat::Float => Vector::Numbers(numbers),
            EncodingFormat::Base64 => Vector::Base64(BASE64_STANDARD.encode(numbers.bytes())),
        };
        OpenAiEmbedding { object: "embedding", embedding, index }
    };
    let response = OpenAiResponse {
        object: "list",
        data: embeddings.iter().enumerate().map(entry).collect(),
        model: state.info.model_id.clone(),
        usage: Usage { prompt_tokens: cost.tokens, total_tokens: cost.tokens },
    };
    Answer::new(response, cost).written(output.count(embeddings.len())).await
}
