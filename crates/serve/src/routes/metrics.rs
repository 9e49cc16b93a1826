//! `GET /metrics`: counters and histograms for Prometheus.

use actix_web::{HttpResponse, web};

use crate::{error::ApiError, responses::PlainErrors, state::State};

/// Counters and histograms in Prometheus's text format
#[utoipa::path(
    get, path = "/metrics", tag = "text-embeddings-inference",
    responses((status = 200, description = "All metrics", body = String, content_type = "text/plain"), PlainErrors)
)]
pub(crate) async fn metrics(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    state.engine.tell_waiting();
    let text = state.metrics.render().map_err(|error| ApiError::Backend(error.to_string()))?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}
