//! An answer with what it has cost, in its headers.

use actix_web::{HttpRequest, HttpResponse, Responder, body::BoxBody};
use serde::Serialize;

use crate::{
    embedder::Cost,
    headers::{INFERENCE_TIME, QUEUE_TIME, TOKENIZATION_TIME, TOKENS, TRUNCATED},
};

/// A JSON body and what it has cost.
pub(crate) struct Answer<T> {
    body: T,
    cost: Cost,
}

impl<T> Answer<T> {
    /// An answer.
    pub(crate) fn new(body: T, cost: Cost) -> Self {
        Self { body, cost }
    }
}

impl<T: Serialize> Responder for Answer<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        response.insert_header((TRUNCATED, self.cost.truncated));
        response.insert_header((TOKENS, self.cost.tokens));
        for (name, time) in [
            (TOKENIZATION_TIME, self.cost.tokenization),
            (QUEUE_TIME, self.cost.queue),
            (INFERENCE_TIME, self.cost.inference),
        ] {
            response.insert_header((name, format!("{:.3}", time.as_secs_f64() * 1e3)));
        }
        let mut response = response.json(self.body);
        response.extensions_mut().insert(self.cost); // for the log and the metrics
        response
    }
}
