//! How long a request may take, and what becomes of one whose handler panics.

use std::panic::AssertUnwindSafe;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::Method,
    middleware::Next,
    web,
};
use futures_util::FutureExt;
use tokio::time::timeout;

use crate::{error::ApiError, state::State};

/// Ends what takes too long, and counts the request as in hand meanwhile. For resources: actix-web finds the route of a
/// request that nobody else holds.
pub(crate) async fn deadline(
    state: web::Data<State>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    let is_file = request.path() == "/predict" && request.method() == Method::POST;
    let limit = if is_file { state.timeouts.csv } else { state.timeouts.request };
    let own = request.request().clone();
    let _in_hand = state.into_inner().take_in_hand();
    let answer = AssertUnwindSafe(next.call(request)).catch_unwind();
    let error = match timeout(limit, answer).await {
        Ok(Ok(answer)) => return answer.map(ServiceResponse::map_into_boxed_body),
        Ok(Err(_)) => ApiError::Backend("the server failed on this request".to_owned()),
        Err(_) => ApiError::Late(limit.as_secs_f64()),
    };
    Ok(ServiceResponse::from_err(error, own))
}
