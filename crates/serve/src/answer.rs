//! An answer with what it has cost, in its headers.

use actix_web::{HttpRequest, HttpResponse, Responder, body::BoxBody};
use serde::Serialize;

use crate::embedder::Cost;

/// Header: how many sentences were cut at the model's number of tokens.
pub(crate) const TRUNCATED: &str = "x-truncated";
/// Header: milliseconds of tokenizing.
pub(crate) const TOKENIZATION_TIME: &str = "x-tokenization-time";
/// Header: milliseconds in the queue.
pub(crate) const QUEUE_TIME: &str = "x-queue-time";
/// Header: milliseconds of the batches that the request was part of.
pub(crate) const INFERENCE_TIME: &str = "x-inference-time";
/// Header: milliseconds from the request's head to the answer.
pub(crate) const TOTAL_TIME: &str = "x-total-time";
/// Header: tokens of the request's sentences.
pub(crate) const TOKENS: &str = "x-compute-tokens";

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
