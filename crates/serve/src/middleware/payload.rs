//! The body of a request that is refused before it was read.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    HttpMessage,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Payload, ServiceRequest},
    error::PayloadError,
    http::header::TRANSFER_ENCODING,
    web::Bytes,
};
use futures_util::Stream;

/// Keeps the rest of a body of unknown length. Where its reader is gone, actix-web would read it to its end, which may never
/// come; a body that somebody still holds when the answer is sent is cut off with its connection.
#[derive(Default)]
pub(super) struct Rest(Rc<RefCell<Option<Payload>>>);

impl Rest {
    /// Sees to it that the rest of the request's body is kept.
    pub(super) fn of(request: &mut ServiceRequest) -> Self {
        let rest = Self::default();
        if request.headers().contains_key(TRANSFER_ENCODING) {
            let payload = Kept { payload: request.take_payload(), is_over: false, rest: rest.0.clone() };
            request.set_payload(Payload::Stream { payload: Box::pin(payload) });
        }
        rest
    }

    /// A body that holds it until it is sent.
    pub(super) fn beside(self, body: BoxBody) -> BoxBody {
        match self.0.take() {
            Some(rest) => BoxBody::new(Beside { body, _rest: rest }),
            None => body,
        }
    }
}

struct Kept {
    payload: Payload,
    is_over: bool,
    rest: Rc<RefCell<Option<Payload>>>,
}

impl Stream for Kept {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.payload).poll_next(context);
        self.is_over |= matches!(next, Poll::Ready(None | Some(Err(_))));
        next
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if !self.is_over {
            self.rest.replace(Some(std::mem::replace(&mut self.payload, Payload::None)));
        }
    }
}

struct Beside {
    body: BoxBody,
    _rest: Payload,
}

impl MessageBody for Beside {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(context)
    }
}
