//! Each request's id, time, log line and metrics; its errors in the form of its route.

use std::time::Instant;

use actix_web::{
    Error, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        ConnectionType, StatusCode,
        header::{
            CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
            X_FRAME_OPTIONS,
        },
    },
    middleware::Next,
    web,
};

use super::payload::Rest;
use crate::{
    embedder::Cost,
    error::ApiError,
    headers::{REQUEST_ID, TOTAL_TIME},
    state::State,
};

const LONGEST_ID: usize = 64; // characters

/// A method of the client's own making is not to make a metric or a word of the log.
const KNOWN_METHODS: [&str; 4] = ["GET", "POST", "HEAD", "OPTIONS"];

/// Observes a request.
pub(crate) async fn observe(
    state: web::Data<State>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    let started = Instant::now();
    let id = own_id(request.headers()).unwrap_or_else(|| format!("{:016x}", rand::random::<u64>()));
    let own = request.method().as_str();
    let method = KNOWN_METHODS.into_iter().find(|known| *known == own).unwrap_or("other");
    let path = request.path().to_owned();
    let rest = Rest::of(&mut request);
    let mut response = next.call(request).await?.map_into_boxed_body();
    // A service of others, such as that of the documentation's files, may say no more than the status.
    if response.status() == StatusCode::NOT_FOUND && response.response().error().is_none() {
        let (request, _) = response.into_parts();
        response = ServiceResponse::from_err(ApiError::NotFound(path.clone()), request);
    }
    if path.starts_with("/v1/") {
        response = in_openai_form(response);
    }
    let route = response.request().match_pattern().unwrap_or_else(|| "none".to_owned());
    let time = started.elapsed().as_secs_f64();
    let status = response.status();
    let cost = response.response().extensions().get::<Cost>().copied();
    let is_draining = state.check_health().is_err();

    let headers = response.headers_mut();
    headers.insert(
        HeaderName::from_static(REQUEST_ID),
        HeaderValue::try_from(&id).unwrap_or(HeaderValue::from_static("-")),
    );
    protect(headers, &route);
    headers.insert(HeaderName::from_static(TOTAL_TIME), HeaderValue::try_from(format!("{:.3}", time * 1e3))?);
    if is_draining {
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    let metrics = &state.metrics;
    metrics.requests.with_label_values(&[method, &route, status.as_str()]).inc();
    metrics.duration.with_label_values(&[&route]).observe(time);
    if let Some(cost) = cost {
        metrics.tokenization.observe(cost.tokenization.as_secs_f64());
        metrics.queue.observe(cost.queue.as_secs_f64());
        metrics.inference.observe(cost.inference.as_secs_f64());
    }
    // The route, not the path: what a client makes up is a client's text.
    log(&Line { id: &id, method, path: &route, status: status.as_u16(), time, cost }, &response);
    Ok(response.map_body(|_, body| rest.beside(body)))
}

/// What a browser may do with an answer, where its handler does not say: nothing but show it. The documentation's page writes
/// styles into itself.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";
const DOCUMENTATION: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                             object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

fn protect(headers: &mut HeaderMap, route: &str) {
    let policy = if route.starts_with("/docs") { DOCUMENTATION } else { NOTHING };
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

struct Line<'a> {
    id: &'a str,
    method: &'a str,
    path: &'a str,
    status: u16,
    time: f64,
    cost: Option<Cost>,
}

fn log(line: &Line<'_>, response: &ServiceResponse) {
    let &Line { id, method, path, status, time, cost } = line;
    let total_ms = time * 1e3;
    let error = response.response().error();
    let own = error.and_then(|error| error.as_error::<ApiError>());
    let reason = own.and_then(ApiError::reason);
    let error = error.map(|_| own.map_or("refused by the HTTP server", ApiError::name));
    match (cost, error) {
        (Some(cost), _) => {
            let [tokenization_ms, queue_ms, inference_ms] =
                [cost.tokenization, cost.queue, cost.inference].map(|time| time.as_secs_f64() * 1e3);
            let Cost { tokens, truncated, .. } = cost;
            tracing::info!(
                id,
                method,
                path,
                status,
                total_ms,
                tokenization_ms,
                queue_ms,
                inference_ms,
                tokens,
                truncated
            );
        }
        (None, Some(error)) if status >= 500 => tracing::error!(id, method, path, status, total_ms, error, reason),
        (None, Some(error)) => tracing::info!(id, method, path, status, total_ms, error),
        (None, None) => tracing::info!(id, method, path, status, total_ms),
    }
}

/// The client's id, if it is one that a log can hold.
fn own_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let is_fit = !id.is_empty()
        && id.len() <= LONGEST_ID
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    is_fit.then(|| id.to_owned())
}

/// An error of ours as OpenAI's clients expect it.
fn in_openai_form(response: ServiceResponse) -> ServiceResponse {
    let error = response.response().error().and_then(|error| error.as_error::<ApiError>());
    let Some(written) = error.map(ApiError::openai_response) else { return response };
    let (request, original) = response.into_parts();
    let mut written: HttpResponse = written;
    // Middleware between may have set headers, such as those of CORS.
    for (name, value) in original.headers() {
        if !written.headers().contains_key(name) {
            written.headers_mut().insert(name.clone(), value.clone());
        }
    }
    ServiceResponse::new(request, written)
}
