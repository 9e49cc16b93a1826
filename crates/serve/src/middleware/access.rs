//! API keys: `Authorization: Bearer KEY`.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::AUTHORIZATION,
    middleware::Next,
    web,
};

use crate::{error::ApiError, routes::page, state::State};

/// Lets a request pass that has a key or needs none, while the server takes requests.
pub(crate) async fn access(
    state: web::Data<State>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    match check(&state, &request) {
        Ok(()) => next.call(request).await.map(ServiceResponse::map_into_boxed_body),
        Err(error) => Ok(request.error_response(error)),
    }
}

fn check(state: &State, request: &ServiceRequest) -> Result<(), ApiError> {
    let path = request.path();
    if path == "/health" || is_public(path) && request.method().is_safe() {
        return Ok(());
    }
    if !state.keys.is_empty() {
        let header = request.headers().get(AUTHORIZATION);
        let header = header.ok_or(ApiError::Unauthorized("an API key is needed: `Authorization: Bearer KEY`"))?;
        let key = header.to_str().ok().and_then(bearer);
        let key = key.ok_or(ApiError::Unauthorized("expected `Authorization: Bearer KEY`"))?;
        if !state.keys.contains(key) {
            return Err(ApiError::Unauthorized("the API key is not one of the server's"));
        }
    }
    if path == "/metrics" || path == "/info" { Ok(()) } else { state.check_health() }
}

/// The page and the documentation tell nothing that the source does not.
fn is_public(path: &str) -> bool {
    page::is_file(path) || path == "/openapi.json" || path == "/docs" || path.starts_with("/docs/")
}

/// The scheme's name is the same in any case.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, key) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}
