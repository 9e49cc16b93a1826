//! `POST /`: what Hugging Face's `InferenceClient` sends to an address, which is the body of `/embed` or `/similarity`.

use actix_web::{Either, web};
use serde::de::DeserializeOwned;
use serde_json::{Value, value::RawValue};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{Ref, RefOr, Schema, schema::OneOfBuilder},
};

use super::{embed, similarity};
use crate::{
    answer::Answer, body::Json, cache::Holder, error::ApiError, json::Object, responses::AskErrors, state::State,
};

/// Embeddings or similarities, as `inputs` says
///
/// With an object as `inputs`, this is `POST /similarity`, else `POST /embed`.
#[utoipa::path(
    post, path = "/", tag = "text-embeddings-inference", request_body = RootRequest,
    responses((status = 200, description = "What that route answers", body = RootResponse), AskErrors)
)]
pub(crate) async fn root(
    state: web::Data<State>,
    holder: Holder,
    Json(request): Json<Value>,
) -> Result<Either<Answer<Box<RawValue>>, Answer<Vec<f32>>>, ApiError> {
    match request.get("inputs").is_some_and(Value::is_object) {
        true => similarity::answer(&state, holder, typed(request)?).await.map(Either::Right),
        false => embed::answer(&state, holder, typed(request)?).await.map(Either::Left),
    }
}

pub(super) fn typed<T: DeserializeOwned>(request: Value) -> Result<T, ApiError> {
    serde_json::from_value::<Object<T>>(request)
        .map(|request| request.0)
        .map_err(|error| ApiError::Invalid(format!("the body: {error}")))
}

/// Body of `POST /`, for the documentation.
struct RootRequest;

/// Answer of `POST /`, for the documentation.
struct RootResponse;

impl PartialSchema for RootRequest {
    fn schema() -> RefOr<Schema> {
        let body = |name| Ref::from_schema_name(name);
        OneOfBuilder::new().item(body("EmbedRequest")).item(body("SimilarityRequest")).into()
    }
}

impl ToSchema for RootRequest {
    fn name() -> std::borrow::Cow<'static, str> {
        "RootRequest".into()
    }
}

impl PartialSchema for RootResponse {
    fn schema() -> RefOr<Schema> {
        // An empty list, which would be both, is never answered.
        OneOfBuilder::new().item(Vec::<Vec<f32>>::schema()).item(Vec::<f32>::schema()).into()
    }
}

impl ToSchema for RootResponse {
    fn name() -> std::borrow::Cow<'static, str> {
        "RootResponse".into()
    }
}
