//! The OpenAPI 3.1 description of every route, as the server really answers.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses, Modify, OpenApi,
    openapi::{
        self, Ref, RefOr, Response, ResponseBuilder, Schema,
        content::ContentBuilder,
        header::HeaderBuilder,
        schema::{ObjectBuilder, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::{answer, error, middleware::REQUEST_ID, routes, state::State, types};

/// The description of the server.
pub(crate) fn describe(state: &State) -> openapi::OpenApi {
    let mut api = Api::openapi();
    Width(state.info.hidden_size).modify(&mut api);
    if state.corpus.is_none() {
        api.paths.paths.remove("/search");
    }
    if !state.keys.is_empty() {
        Keys.modify(&mut api);
    }
    api
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "ko-sts",
        description = "Similarity of Korean sentences: pairs, CSV files, embeddings. Errors are JSON with a status that fits."
    ),
    paths(
        routes::predict::predict,
        routes::rank::rank,
        routes::embed::embed,
        routes::similarity::similarity,
        routes::search::search,
        routes::page::index,
        routes::root::root,
        routes::openai::embeddings,
        routes::info::info,
        routes::health::health,
        routes::metrics::metrics,
    ),
    components(schemas(error::ErrorBody, error::OpenAiErrorBody, types::EmbedRequest, types::SimilarityRequest)),
    modifiers(&Headers)
)]
struct Api;

/// Errors of routes that ask the engine for what a JSON body says.
pub(crate) struct AskErrors;

/// Errors of routes that ask the engine for what a query says.
pub(crate) struct QueryErrors;

/// Errors of `POST /predict`.
pub(crate) struct UploadErrors;

/// Errors of `POST /search`.
pub(crate) struct SearchErrors;

/// Errors of OpenAI's route.
pub(crate) struct OpenAiErrors;

/// Errors of routes that ask nothing.
pub(crate) struct PlainErrors;

const ASK: &[u16] = &[400, 401, 408, 413, 415, 422, 429, 500, 503];

impl IntoResponses for AskErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        errors(ASK, "ErrorBody")
    }
}

impl IntoResponses for QueryErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        errors(&[400, 401, 422, 429, 500, 503], "ErrorBody")
    }
}

impl IntoResponses for UploadErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        errors(ASK, "ErrorBody")
    }
}

impl IntoResponses for SearchErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        errors(&[ASK, &[404]].concat(), "ErrorBody")
    }
}

impl IntoResponses for OpenAiErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        errors(&[400, 401, 408, 413, 415, 429, 500, 503], "OpenAiErrorBody")
    }
}

impl IntoResponses for PlainErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        errors(&[401, 500], "ErrorBody")
    }
}

fn errors(statuses: &[u16], body: &str) -> BTreeMap<String, RefOr<Response>> {
    let description = |status| match status {
        400 => "The request is not of its form, or something in it is missing or empty",
        401 => "An API key is needed, and there is none or a wrong one",
        404 => "The server has no corpus",
        408 => "The body did not arrive in time",
        413 => "The request is beyond a limit, which the error names",
        415 => "The body is of another type",
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

fn header(description: &str, kind: Type) -> openapi::header::Header {
    HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(kind))).description(Some(description)).build()
}

/// Adds the headers that answers have.
struct Headers;

impl Modify for Headers {
    fn modify(&self, api: &mut openapi::OpenApi) {
        for (path, item) in &mut api.paths.paths {
            for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
                let asks = operation.responses.responses.contains_key("429");
                let is_file = path == "/predict" && operation.request_body.is_some();
                for (status, response) in &mut operation.responses.responses {
                    let RefOr::T(response) = response else { continue };
                    let mut add = |name: &str, what: &str, kind| {
                        response.headers.insert(name.to_owned(), RefOr::T(header(what, kind)));
                    };
                    add(REQUEST_ID, "The request's id, the client's own if it sent one", Type::String);
                    add(answer::TOTAL_TIME, "Milliseconds from the request's head to the answer", Type::Number);
                    if status != "200" || !asks {
                        continue;
                    }
                    add(answer::TRUNCATED, "Sentences that were cut at the model's number of tokens", Type::Integer);
                    add(answer::TOKENS, "Tokens of the request's sentences", Type::Integer);
                    add(answer::TOKENIZATION_TIME, "Milliseconds of tokenizing", Type::Number);
                    add(answer::QUEUE_TIME, "Milliseconds in the queue", Type::Number);
                    add(
                        answer::INFERENCE_TIME,
                        "Milliseconds of the batches that the request was part of",
                        Type::Number,
                    );
                    if is_file {
                        add(
                            routes::rank::ENCODING,
                            "The file's encoding: UTF-8, CP949, UTF-16LE or UTF-16BE",
                            Type::String,
                        );
                        add(routes::rank::DELIMITER, "comma, tab, semicolon, pipe, other or none", Type::String);
                        add(routes::rank::HEADER, "Whether the first row was read as a header", Type::Boolean);
                        add(
                            routes::rank::COLUMN,
                            "The column, by its name (percent-encoded) or its number",
                            Type::String,
                        );
                        add(routes::rank::SHEET, "The sheet of a workbook (percent-encoded)", Type::String);
                    }
                }
            }
        }
    }
}

/// Says that `dimensions` can be the model's width alone.
struct Width(usize);

impl Modify for Width {
    fn modify(&self, api: &mut openapi::OpenApi) {
        let Some(components) = &mut api.components else { return };
        for schema in components.schemas.values_mut() {
            let RefOr::T(Schema::Object(object)) = schema else { continue };
            if let Some(RefOr::T(Schema::Object(dimensions))) = object.properties.get_mut("dimensions") {
                (dimensions.minimum, dimensions.maximum) = (Some(self.0.into()), Some(self.0.into()));
            }
        }
    }
}

/// Adds the API key that requests need.
struct Keys;

impl Modify for Keys {
    fn modify(&self, api: &mut openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        api.components.get_or_insert_default().add_security_scheme("api_key", scheme);
        let needed = openapi::SecurityRequirement::new("api_key", [""; 0]);
        api.security = Some(vec![needed]);
    }
}
