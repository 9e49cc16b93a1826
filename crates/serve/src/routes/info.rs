//! `GET /info`: the model, and the server's limits.

use actix_web::web;

use crate::{responses::PlainErrors, state::State, types::Info};

/// The model, and the server's limits
#[utoipa::path(
    get, path = "/info", tag = "text-embeddings-inference",
    responses((status = 200, description = "What is served", body = Info), PlainErrors)
)]
pub(crate) async fn info(state: web::Data<State>) -> web::Json<Info> {
    web::Json(state.info.clone())
}
