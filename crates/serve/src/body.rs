//! JSON bodies: their type, size and time checked, and what is wrong with them said.

use std::time::Duration;

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, http::header::CONTENT_LENGTH, web};
use futures_util::{StreamExt, future::LocalBoxFuture};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::{
    budget::{Reserved, SMALL},
    error::ApiError,
    json::Object,
    state::State,
};

/// A JSON body.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned + Send + 'static> FromRequest for Json<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_json = request
            .mime_type()
            .is_ok_and(|mime| mime.is_some_and(|mime| mime.type_() == "application" && mime.subtype() == "json"));
        let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let state = request.app_data::<web::Data<State>>().cloned();
            let state = state.ok_or_else(|| ApiError::Backend("the server has no state".to_owned()))?;
            if !is_json {
                return Err(ApiError::MediaType("application/json"));
            }
            let body = receive(payload, length, &state);
            let (body, reserved) = in_time("the body", state.timeouts.body, body).await??;
            request.extensions_mut().insert(reserved); // until the request is answered
            let parsed = match body.len() > SMALL {
                true => web::block(move || parse::<Object<T>>(&body)).await??,
                false => parse::<Object<T>>(&body)?,
            };
            Ok(Self(parsed.0))
        })
    }
}

/// What a body takes in memory beside itself: its sentences as they are parsed.
const COPIES: usize = 2;

/// Reads a body within the server's limit and memory.
async fn receive(mut payload: Payload, length: Option<usize>, state: &State) -> Result<(Vec<u8>, Reserved), ApiError> {
    let limit = state.limits.max_body_bytes;
    let too_large = || ApiError::TooLarge(format!("the body has more than {limit} bytes, the server's max_body_bytes"));
    if length.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut reserved = state.budget.reserve(0, length.is_some_and(|length| length <= SMALL))?;
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| ApiError::Malformed(format!("the body cannot be read: {error}")))?;
        if body.len() + chunk.len() > limit {
            return Err(too_large());
        }
        reserved.grow(COPIES * chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    Ok((body, reserved))
}

/// Waits for something of a client's.
pub(crate) async fn in_time<T>(
    what: &'static str,
    limit: Duration,
    future: impl Future<Output = T>,
) -> Result<T, ApiError> {
    timeout(limit, future).await.map_err(|_| ApiError::TooSlow(what, limit.as_secs_f64()))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let text = str::from_utf8(body).map_err(|_| ApiError::Malformed("the body is not UTF-8".to_owned()))?;
    serde_json::from_str(text).map_err(|error| {
        let what = format!("the body: {error}");
        if error.is_data() { ApiError::Invalid(what) } else { ApiError::Malformed(what) }
    })
}
