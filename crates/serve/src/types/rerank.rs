//! Bodies of reranking, as text-embeddings-inference and Cohere define them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::TruncationDirection;
use crate::json::{Sentence, whole};

/// Body of `POST /rerank`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct RerankRequest {
    /// What the texts are to fit.
    #[schema(value_type = Sentence)]
    pub(crate) query: String,
    /// The texts.
    #[schema(value_type = Vec<Sentence>, min_items = 1, example = json!(["비가 내린다.", "밥을 먹었다."]))]
    pub(crate) texts: Vec<String>,
    /// Whether scores are the model's numbers as they are; else each is 1 / (1 + e⁻ˣ) of one.
    #[serde(default)]
    #[schema(default = false)]
    pub(crate) raw_scores: Option<bool>,
    /// Whether the texts are answered too.
    #[serde(default)]
    #[schema(default = false)]
    pub(crate) return_text: Option<bool>,
    /// Whether a query and a text that are too long together are cut; else it is an error. The default is the server's
    /// `auto_truncate`.
    #[serde(default)]
    pub(crate) truncate: Option<bool>,
    /// Where they are cut: `right` alone is supported.
    #[serde(default)]
    #[allow(dead_code)] // Its type is all that is asked.
    pub(crate) truncation_direction: Option<TruncationDirection>,
}

/// A text's score.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RerankResult {
    /// Its place in `texts`.
    pub(crate) index: usize,
    /// The more, the better it fits.
    #[schema(example = 0.97)]
    pub(crate) score: f32,
    /// The text, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
}

/// Body of `POST /v1/rerank` and `/v2/rerank`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct CohereRequest {
    /// What the documents are to fit.
    #[schema(value_type = Sentence)]
    pub(crate) query: String,
    /// The documents: texts, or objects with a `text`.
    #[schema(value_type = Vec<Sentence>, min_items = 1, example = json!(["비가 내린다.", "밥을 먹었다."]))]
    pub(crate) documents: Vec<Document>,
    /// How many to answer; all by default.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1)]
    pub(crate) top_n: Option<usize>,
    /// Whether the documents are answered too.
    #[serde(default)]
    #[schema(default = false)]
    pub(crate) return_documents: Option<bool>,
    /// Any name: the server has one reranker.
    #[serde(default)]
    #[allow(dead_code)]
    pub(crate) model: Option<String>,
    /// Not used: what is beyond the model's tokens is cut.
    #[serde(default, deserialize_with = "whole")]
    #[allow(dead_code)]
    pub(crate) max_tokens_per_doc: Option<usize>,
}

/// A document, written as `{"text": …}`.
#[derive(Debug)]
pub(crate) struct Document(pub(crate) String);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Object { text: String },
        }
        match Written::deserialize(deserializer) {
            Ok(Written::Text(text) | Written::Object { text }) => Ok(Self(text)),
            Err(_) => Err(serde::de::Error::custom("expected a text, or an object with a text `text`")),
        }
    }
}

impl Serialize for Document {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        BTreeMap::from([("text", &self.0)]).serialize(serializer)
    }
}

/// Answer of `POST /v1/rerank` and `/v2/rerank`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CohereResponse {
    /// The request's.
    pub(crate) id: String,
    /// The served reranker.
    pub(crate) model: String,
    /// Best first.
    pub(crate) results: Vec<CohereResult>,
    /// What it has cost.
    pub(crate) meta: CohereMeta,
}

/// A document's score.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CohereResult {
    /// Its place in `documents`.
    pub(crate) index: usize,
    /// From 0 to 1: the more, the better it fits.
    #[schema(minimum = 0, maximum = 1, example = 0.97)]
    pub(crate) relevance_score: f32,
    /// The document, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    pub(crate) document: Option<Document>,
}

/// What an answer of Cohere's form says of itself.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CohereMeta {
    /// The form.
    pub(crate) api_version: CohereApi,
    /// Always one search.
    pub(crate) billed_units: BilledUnits,
    /// What the model read.
    pub(crate) tokens: CohereTokens,
}

/// The version of the form.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CohereApi {
    /// `1` or `2`.
    #[schema(example = "2")]
    pub(crate) version: &'static str,
}

/// Units of Cohere's bills.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BilledUnits {
    /// Always 1.
    pub(crate) search_units: usize,
}

/// Tokens that the model read.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CohereTokens {
    /// Of all pairs of query and document, special tokens included.
    pub(crate) input_tokens: usize,
}
