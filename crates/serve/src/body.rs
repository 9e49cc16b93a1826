//! JSON bodies: their type, size and time checked, and what is wrong with them said.

use std::time::Duration;

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, error::PayloadError, web};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::{error::ApiError, json::Object, state::State};

/// A JSON body.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_json = request
            .mime_type()
            .is_ok_and(|mime| mime.is_some_and(|mime| mime.type_() == "application" && mime.subtype() == "json"));
        let body = web::Bytes::from_request(request, payload);
        let state = request.app_data::<web::Data<State>>().cloned();
        Box::pin(async move {
            let state = state.ok_or_else(|| ApiError::Backend("the server has no state".to_owned()))?;
            if !is_json {
                return Err(ApiError::MediaType("application/json"));
            }
            let limit = state.limits.max_body_bytes;
            let body = in_time("the body", state.timeouts.body, body).await?;
            parse::<Object<T>>(&body.map_err(|error| refused(&error, limit))?).map(|body| Self(body.0))
        })
    }
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

fn refused(error: &actix_web::Error, limit: usize) -> ApiError {
    match error.as_error::<PayloadError>() {
        Some(PayloadError::Overflow) => {
            ApiError::TooLarge(format!("the body has more than {limit} bytes, the server's max_body_bytes"))
        }
        _ => ApiError::Malformed(format!("the body cannot be read: {error}")),
    }
}
