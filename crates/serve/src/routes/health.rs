//! `GET /health`: whether the server takes requests.

use actix_web::{HttpResponse, web};

use crate::{
    error::{ApiError, ErrorBody},
    state::State,
};

/// Whether the server takes requests; needs no API key
#[utoipa::path(
    get, path = "/health", tag = "text-embeddings-inference", security(()),
    responses(
        (status = 200, description = "It does"),
        (status = 503, description = "It is shutting down, or its engine has stopped", body = ErrorBody),
    )
)]
pub(crate) async fn health(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    state.check_health()?;
    Ok(HttpResponse::Ok().finish())
}
