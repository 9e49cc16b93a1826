//! An answer with what it has cost, in its headers.

use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, Responder, body::BoxBody, web};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    embedder::Cost,
    error::ApiError,
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

impl<T: Serialize + Send + 'static> Answer<T> {
    /// The same as text, written on a thread that may take its time where there are many numbers: a long list of embeddings
    /// is megabytes of digits, and the connections' threads have others to answer.
    pub(crate) async fn written(self, numbers: usize) -> Result<Answer<Box<RawValue>>, ApiError> {
        let Self { body, cost } = self;
        let write = move || to_raw_value(&body).map_err(|error| ApiError::Backend(error.to_string()));
        let body = if numbers > MANY { web::block(write).await?? } else { write()? };
        Ok(Answer { body, cost })
    }
}

/// Numbers that are written in about a millisecond.
const MANY: usize = 16 << 10;

/// The beginning of an answer: what it has cost, for the client, the log and the metrics.
pub(crate) fn respond(cost: Cost) -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.insert_header((TRUNCATED, cost.truncated));
    response.insert_header((TOKENS, cost.tokens));
    for (name, time) in
        [(TOKENIZATION_TIME, cost.tokenization), (QUEUE_TIME, cost.queue), (INFERENCE_TIME, cost.inference)]
    {
        response.insert_header((name, format!("{:.3}", time.as_secs_f64() * 1e3)));
    }
    response.extensions_mut().insert(cost);
    response
}

impl<T: Serialize> Responder for Answer<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        respond(self.cost).json(self.body)
    }
}
