//! The errors that routes answer with, as the description of the server lists them.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{
        Ref, RefOr, Response, ResponseBuilder,
        content::ContentBuilder,
        header::{Header, HeaderBuilder},
        schema::{ObjectBuilder, Type},
    },
};

/// Errors of routes that ask the engine for what a body says.
pub(crate) struct AskErrors;

/// Errors of routes that ask the engine for what a query says.
pub(crate) struct QueryErrors;

/// Errors of `POST /search`.
pub(crate) struct SearchErrors;

/// Errors of the routes of a reranker.
pub(crate) struct RerankErrors;

/// The same below `/v1`, in OpenAI's form.
pub(crate) struct CohereErrors;

/// Errors of OpenAI's route.
pub(crate) struct OpenAiErrors;

/// Errors of routes that ask nothing.
pub(crate) struct PlainErrors;

const ASK: &[u16] = &[400, 401, 408, 413, 415, 421, 422, 429, 500, 503];

impl IntoResponses for AskErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        errors(ASK, "ErrorBody")
    }
}

impl IntoResponses for QueryErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        errors(&[400, 401, 421, 422, 429, 500, 503], "ErrorBody")
    }
}

impl IntoResponses for SearchErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        errors(&[ASK, &[404]].concat(), "ErrorBody")
    }
}

impl IntoResponses for RerankErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        errors(&[ASK, &[404]].concat(), "ErrorBody")
    }
}

impl IntoResponses for CohereErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        errors(&[400, 401, 404, 408, 413, 415, 421, 429, 500, 503], "OpenAiErrorBody")
    }
}

impl IntoResponses for OpenAiErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        errors(&[400, 401, 408, 413, 415, 421, 429, 500, 503], "OpenAiErrorBody")
    }
}

impl IntoResponses for PlainErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        errors(&[401, 421, 500], "ErrorBody")
    }
}

fn errors(statuses: &[u16], body: &str) -> BTreeMap<String, RefOr<Response>> {
    let description = |status| match status {
        400 => "The request is not of its form, or something in it is missing or empty",
        401 => "An API key is needed, and there is none or a wrong one",
        404 => "The server has no corpus, or no reranker",
        408 => "The body did not arrive in time",
        413 => "The request is beyond a limit, which the error names",
        415 => "The body is of another type",
        421 => "The request is for another host than this machine's and those of `--allowed-host`",
        422 => "A value does not serve",
        429 => "Too much is in work: try again after the time in `Retry-After`",
        500 => "The encoder failed on this request",
        _ => "The server is shutting down, its engine has stopped, or the answer was not ready in time",
    };
    let response = |status| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(body))).build();
        let mut response = ResponseBuilder::new().description(description(status)).content("application/json", content);
        if status == 429 {
            response =
                response.header("Retry-After", header("Seconds after which there should be room", Type::Integer));
        }
        RefOr::T(response.build())
    };
    statuses.iter().map(|&status| (status.to_string(), response(status))).collect()
}

/// A header of an answer.
pub(crate) fn header(description: &str, kind: Type) -> Header {
    HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(kind))).description(Some(description)).build()
}
