//! How long a request may take, and what becomes of one whose handler panics.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{
    Error,
    body::{BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::Method,
    middleware::Next,
    web::{self, Bytes},
};
use futures_util::FutureExt;
use tokio::time::timeout;

use crate::{
    error::ApiError,
    state::{InHand, State},
};

/// Ends what takes too long, and counts the request as in hand until its answer is sent. For resources: actix-web finds the route of a
/// request that nobody else holds.
pub(crate) async fn deadline(
    state: web::Data<State>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    let is_file = request.path() == "/predict" && request.method() == Method::POST;
    let limit = if is_file { state.timeouts.csv } else { state.timeouts.request };
    let own = request.request().clone();
    let in_hand = state.into_inner().take_in_hand();
    let answer = AssertUnwindSafe(next.call(request)).catch_unwind();
    let answer = match timeout(limit, answer).await {
        Ok(Ok(answer)) => answer?.map_into_boxed_body(),
        Ok(Err(_)) => ServiceResponse::from_err(ApiError::Backend("the server failed on this request".to_owned()), own),
        Err(_) => ServiceResponse::from_err(ApiError::Late(limit.as_secs_f64()), own),
    };
    Ok(answer.map_body(|_, body| BoxBody::new(Held { body, _in_hand: in_hand })))
}

/// A body whose request is in hand until the client has taken it.
struct Held {
    body: BoxBody,
    _in_hand: InHand,
}

impl MessageBody for Held {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(context)
    }
}
