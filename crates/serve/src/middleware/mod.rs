//! What happens to every request around its handler, from the outermost: CORS, observation, access; and time, by resource.

mod access;
mod deadline;
mod observe;
mod payload;

pub(crate) use access::access;
pub(crate) use deadline::deadline;
pub(crate) use observe::observe;

use actix_cors::Cors;
use actix_web::http::Method;

use crate::{headers, state::State};

/// Pages of the allowed origins may call, with an API key, and read the server's own headers.
pub(crate) fn cors(state: &State) -> Cors {
    let mut cors = Cors::default()
        .allowed_methods([Method::GET, Method::POST])
        .allow_any_header() // clients of OpenAI's send a dozen of their own, and others with each version
        .expose_headers([headers::REQUEST_ID, headers::TRUNCATED, headers::TOKENS, headers::TOTAL_TIME])
        .expose_headers([headers::TOKENIZATION_TIME, headers::QUEUE_TIME, headers::INFERENCE_TIME, "retry-after"])
        .expose_headers([headers::CSV_ENCODING, headers::CSV_DELIMITER, headers::CSV_HEADER, headers::CSV_COLUMN])
        .expose_headers([headers::CSV_SHEET])
        .max_age(3600);
    for origin in &state.cors_origins {
        cors = if origin == "*" { cors.allow_any_origin().send_wildcard() } else { cors.allowed_origin(origin) };
    }
    cors
}
