//! Who may ask: API keys, as `Authorization: Bearer KEY`, and the host that a request is for.

use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{AUTHORIZATION, HOST},
    middleware::Next,
    web,
};

use crate::{cache::Holder, error::ApiError, host, routes::page, state::State};

/// Lets a request pass that has a key or needs none, while the server takes requests.
pub(crate) async fn access(
    state: web::Data<State>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    match check(&state, &request) {
        Ok(holder) => {
            request.extensions_mut().insert(holder);
            next.call(request).await.map(ServiceResponse::map_into_boxed_body)
        }
        Err(error) => Ok(request.error_response(error)),
    }
}

fn check(state: &State, request: &ServiceRequest) -> Result<Holder, ApiError> {
    let path = request.path();
    let mut holder = Holder::default();
    if path == "/health" {
        return Ok(holder);
    }
    check_host(state, request)?;
    if is_public(path) && request.method().is_safe() {
        return Ok(holder);
    }
    if !state.keys.is_empty() {
        let header = request.headers().get(AUTHORIZATION);
        let header = header.ok_or(ApiError::Unauthorized("an API key is needed: `Authorization: Bearer KEY`"))?;
        let key = header.to_str().ok().and_then(bearer);
        let key = key.ok_or(ApiError::Unauthorized("expected `Authorization: Bearer KEY`"))?;
        let known = state.keys.find(key);
        holder = Holder(known.ok_or(ApiError::Unauthorized("the API key is not one of the server's"))?);
    }
    if path != "/metrics" && path != "/info" {
        state.check_health()?;
    }
    Ok(holder)
}

/// A corpus that needs no key must not be read by a page of a stranger's, whose name was made to lead here: the browser then
/// says that name.
fn check_host(state: &State, request: &ServiceRequest) -> Result<(), ApiError> {
    if state.corpus.is_none() || !state.keys.is_empty() || request.path() == "/metrics" {
        return Ok(());
    }
    let mut hosts = request.headers().get_all(HOST);
    let header = hosts.next().and_then(|host| host.to_str().ok());
    // A target that names a host itself (`GET http://host/ …`) counts more than the header.
    let name = request.uri().authority().map(|authority| authority.as_str()).or(header).and_then(host::name_of);
    let is_ours = |name: &str| host::is_loopback(name) || state.allowed_hosts.iter().any(|own| own == name);
    match name {
        Some(name) if is_ours(&name) && hosts.next().is_none() => Ok(()),
        _ => Err(ApiError::Misdirected),
    }
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
