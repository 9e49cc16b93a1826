//! Whether there is room for a request, how long it may take, how much of it and of its answer is held in memory, and what
//! becomes of one whose handler panics.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{
    Error,
    body::{BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{CONTENT_LENGTH, TRANSFER_ENCODING},
    },
    middleware::Next,
    web::{self, Bytes},
};
use futures_util::FutureExt;
use tokio::time::timeout;

use crate::{
    budget::{Reserved, SMALL},
    error::ApiError,
    state::{InHand, Place, State},
};

/// Takes a place for the request, ends what takes too long, and counts the request as in hand until its answer is sent. For
/// resources: actix-web finds the route of a request that nobody else holds.
pub(crate) async fn deadline(
    state: web::Data<State>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    let is_file = request.path() == "/predict" && request.method() == Method::POST;
    let limit = if is_file { state.timeouts.csv } else { state.timeouts.request };
    let own = request.request().clone();
    // Before a byte of the body is read.
    let place = match state.request_place(is_large(&request)) {
        Ok(place) => place,
        Err(error) => return Ok(ServiceResponse::from_err(error, own)),
    };
    let budget = state.budget.clone();
    let in_hand = state.into_inner().take_in_hand();
    let answer = AssertUnwindSafe(next.call(request)).catch_unwind();
    let answer = match timeout(limit, answer).await {
        Ok(Ok(answer)) => answer?.map_into_boxed_body(),
        Ok(Err(_)) => ServiceResponse::from_err(ApiError::Backend("the server failed on this request".to_owned()), own),
        Err(_) => ServiceResponse::from_err(ApiError::Late(limit.as_secs_f64()), own),
    };
    // What is made on the way needs no room of its own.
    let bytes = match answer.response().body().size() {
        BodySize::Sized(bytes) => usize::try_from(bytes).unwrap_or(usize::MAX),
        BodySize::None | BodySize::Stream => 0,
    };
    let (answer, reserved) = match budget.reserve(bytes, bytes <= SMALL) {
        Ok(reserved) => (answer, Some(reserved)),
        Err(error) => (answer.error_response(error), None),
    };
    Ok(answer.map_body(|_, body| {
        BoxBody::new(Held { body, next: Bytes::new(), _reserved: reserved, _place: place, _in_hand: in_hand })
    }))
}

/// Whether a request's body is large, or may be.
fn is_large(request: &ServiceRequest) -> bool {
    let headers = request.headers();
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length > SMALL)
}

/// Bytes of an answer that are given to the connection at once. It takes no more while it has some left to send, so what is
/// held here is held until the client has taken nearly all of it.
const PIECE: usize = 16 << 10;

/// A body whose request is in hand, with its place and its memory, until the client has taken it.
struct Held {
    body: BoxBody,
    next: Bytes,
    _reserved: Option<Reserved>,
    _place: Place,
    _in_hand: InHand,
}

impl MessageBody for Held {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        if this.next.is_empty() {
            match Pin::new(&mut this.body).poll_next(context) {
                Poll::Ready(Some(Ok(bytes))) => this.next = bytes,
                other => return other,
            }
        }
        let piece = this.next.split_to(this.next.len().min(PIECE));
        Poll::Ready(Some(Ok(piece)))
    }
}
