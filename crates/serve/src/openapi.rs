//! The OpenAPI 3.1 description of every route, as the server really answers.

use std::ops::RangeInclusive;

use serde_json::Value;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        self, RefOr, Schema,
        schema::Type,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::{error, headers, responses::header, routes, state::State, types};

/// The description of the server.
pub(crate) fn describe(state: &State) -> openapi::OpenApi {
    let mut api = Api::openapi();
    match state.info.hidden_size {
        Some(width) => {
            let dimensions = if state.info.truncatable { 1 } else { width }..=width;
            let prompts = state.info.prompts.keys().map(|name| name.as_str().into()).collect();
            let has_ranges = state.embedder().is_ok_and(|embedder| embedder.outputs.ranges.is_some());
            Bounds { dimensions, prompts, has_ranges, rerank: state.limits.max_client_batch_size }.modify(&mut api);
        }
        None => {
            for path in ["/embed", "/similarity", "/v1/embeddings"] {
                api.paths.paths.remove(path);
            }
            // Behind which the page, and the score of two sentences, remain.
            for path in ["/", "/predict"] {
                if let Some(item) = api.paths.paths.get_mut(path) {
                    item.post = None;
                }
            }
        }
    }
    if state.corpus.is_none() {
        api.paths.paths.remove("/search");
    }
    if state.reranker.is_none() {
        for path in ["/rerank", "/v1/rerank", "/v2/rerank"] {
            api.paths.paths.remove(path);
        }
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
        routes::rerank::rerank,
        routes::rerank::v1,
        routes::rerank::v2,
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
                    add(headers::REQUEST_ID, "The request's id, the client's own if it sent one", Type::String);
                    add(headers::TOTAL_TIME, "Milliseconds from the request's head to the answer", Type::Number);
                    if status != "200" || !asks {
                        continue;
                    }
                    add(headers::TRUNCATED, "Sentences that were cut at the model's number of tokens", Type::Integer);
                    add(headers::TOKENS, "Tokens of the request's sentences", Type::Integer);
                    add(headers::TOKENIZATION_TIME, "Milliseconds of tokenizing", Type::Number);
                    add(headers::QUEUE_TIME, "Milliseconds in the queue", Type::Number);
                    add(
                        headers::INFERENCE_TIME,
                        "Milliseconds of the batches that the request was part of",
                        Type::Number,
                    );
                    if is_file {
                        add(
                            headers::CSV_ENCODING,
                            "The file's encoding: UTF-8, CP949, UTF-16LE or UTF-16BE",
                            Type::String,
                        );
                        add(headers::CSV_DELIMITER, "comma, tab, semicolon, pipe, other or none", Type::String);
                        add(headers::CSV_HEADER, "Whether the first row was read as a header", Type::Boolean);
                        add(
                            headers::CSV_COLUMN,
                            "The column, by its name (percent-encoded) or its number",
                            Type::String,
                        );
                        add(headers::CSV_SHEET, "The sheet of a workbook (percent-encoded)", Type::String);
                    }
                }
            }
        }
    }
}

/// Says what can be asked for.
struct Bounds {
    dimensions: RangeInclusive<usize>,
    prompts: Vec<Value>,
    has_ranges: bool,
    rerank: usize,
}

impl Modify for Bounds {
    fn modify(&self, api: &mut openapi::OpenApi) {
        let Some(components) = &mut api.components else { return };
        for (name_of_schema, schema) in &mut components.schemas {
            let RefOr::T(Schema::Object(object)) = schema else { continue };
            if name_of_schema == "OutputDtype" && !self.has_ranges {
                object
                    .enum_values
                    .iter_mut()
                    .for_each(|values| values.retain(|value| value != "int8" && value != "uint8"));
            }
            for (name, property) in &mut object.properties {
                let RefOr::T(Schema::Object(property)) = property else { continue };
                match name.as_str() {
                    "dimensions" => {
                        property.minimum = Some((*self.dimensions.start()).into());
                        property.maximum = Some((*self.dimensions.end()).into());
                    }
                    "prompt_name" => property.enum_values = Some([&self.prompts[..], &[Value::Null]].concat()),
                    // Of a search, it has a bound of its own too.
                    "rerank" => {
                        let most = if name_of_schema == "SearchRequest" { self.rerank.min(1000) } else { self.rerank };
                        property.maximum = Some(most.into());
                    }
                    _ => {}
                }
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
