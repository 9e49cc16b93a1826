//! Bodies of requests and answers, as text-embeddings-inference and OpenAI define them.

mod rerank;

use std::collections::BTreeMap;

use model::SimilarityFunction;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

pub(crate) use rerank::{
    BilledUnits, CohereApi, CohereMeta, CohereRequest, CohereResponse, CohereResult, CohereTokens, Document,
    RerankRequest, RerankResult,
};

use crate::{
    json::{Object, Sentence, Sentences, whole},
    output::{Numbers, OutputDtype},
    settings::ScoreBy,
};

/// Query of `GET /predict`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PairQuery {
    /// One sentence.
    #[param(value_type = Sentence, inline)]
    pub(crate) sentence1: String,
    /// The sentence to compare it with.
    #[param(value_type = Sentence, inline)]
    pub(crate) sentence2: String,
}

/// How similar two sentences are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Score {
    /// 5 · cosine: 0 to 5 on the labels' scale, and below 0 for opposite vectors; or 5 times the reranker's score, where the
    /// server is started with `--score-by reranker`.
    #[schema(example = 4.13)]
    pub(crate) score: f32,
    /// Cosine similarity of the sentences' embeddings; not there where the server has a reranker alone.
    #[schema(minimum = -1, maximum = 1, example = 0.83)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cosine: Option<f32>,
}

/// Body of `POST /embed`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct EmbedRequest {
    /// A sentence, or a list of them.
    pub(crate) inputs: Sentences,
    /// Whether embeddings have the norm 1.
    #[serde(default)]
    #[schema(default = true)]
    pub(crate) normalize: Option<bool>,
    /// Whether a sentence that is too long is cut; else it is an error. The default is the server's `auto_truncate`.
    #[serde(default)]
    pub(crate) truncate: Option<bool>,
    /// Where a sentence that is too long is cut: `right` alone is supported.
    #[serde(default)]
    #[allow(dead_code)] // Its type is all that is asked.
    pub(crate) truncation_direction: Option<TruncationDirection>,
    /// Name of the model's prompt to put before every text; the default is the server's. `GET /info` names them.
    #[serde(default)]
    pub(crate) prompt_name: Option<String>,
    /// How many of the embedding's first numbers are given, all by default: fewer of a model that says that they stand for
    /// the whole (Matryoshka; see `GET /info`), or of any where the server allows it.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1)]
    pub(crate) dimensions: Option<usize>,
    /// What stands for each number; the default is the number itself.
    #[serde(default)]
    pub(crate) output_dtype: Option<OutputDtype>,
}

/// Which end of a sentence is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub(crate) enum TruncationDirection {
    /// The end.
    #[serde(alias = "right")]
    Right,
}

/// Body of `POST /similarity`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct SimilarityRequest {
    /// What to compare.
    #[schema(value_type = SimilarityInputs)]
    pub(crate) inputs: Object<SimilarityInputs>,
    /// How to treat the sentences.
    #[serde(default)]
    #[schema(value_type = Option<SimilarityParameters>)]
    pub(crate) parameters: Option<Object<SimilarityParameters>>,
}

/// A sentence, and those to compare it with.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct SimilarityInputs {
    /// One sentence.
    #[schema(value_type = Sentence)]
    pub(crate) source_sentence: String,
    /// Those to compare it with.
    #[schema(value_type = Vec<Sentence>, min_items = 1, example = json!(["비가 내린다.", "밥을 먹었다."]))]
    pub(crate) sentences: Vec<String>,
}

/// How to treat the sentences of a comparison.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct SimilarityParameters {
    /// Whether a sentence that is too long is cut; else it is an error. The default is the server's `auto_truncate`.
    #[serde(default)]
    pub(crate) truncate: Option<bool>,
    /// Where a sentence that is too long is cut: `right` alone is supported.
    #[serde(default)]
    #[allow(dead_code)] // Its type is all that is asked.
    pub(crate) truncation_direction: Option<TruncationDirection>,
    /// Name of the model's prompt to put before every text; the default is the server's. `GET /info` names them.
    #[serde(default)]
    pub(crate) prompt_name: Option<String>,
}

/// Body of `POST /v1/embeddings`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct OpenAiRequest {
    /// A sentence, or a list of them.
    pub(crate) input: Sentences,
    /// Any name: the server has one model.
    #[serde(default)]
    #[allow(dead_code)]
    pub(crate) model: Option<String>,
    /// How embeddings are written.
    #[serde(default)]
    pub(crate) encoding_format: Option<EncodingFormat>,
    /// How many of the embedding's first numbers are given, all by default: fewer of a model that says that they stand for
    /// the whole (Matryoshka; see `GET /info`), or of any where the server allows it.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1)]
    pub(crate) dimensions: Option<usize>,
    /// What stands for each number; the default is the number itself.
    #[serde(default)]
    pub(crate) output_dtype: Option<OutputDtype>,
    /// Name of the model's prompt to put before every text, beyond OpenAI's fields; the default is the server's.
    #[serde(default)]
    pub(crate) prompt_name: Option<String>,
    /// Not used.
    #[serde(default)]
    #[allow(dead_code)]
    pub(crate) user: Option<String>,
}

/// How an embedding is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EncodingFormat {
    /// A list of numbers.
    #[default]
    Float,
    /// Base64 of its numbers' bytes: little-endian f32, or those of `output_dtype`.
    Base64,
}

/// Answer of `POST /v1/embeddings`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenAiResponse {
    /// Always `list`.
    #[schema(example = "list")]
    pub(crate) object: &'static str,
    /// One embedding for each sentence.
    pub(crate) data: Vec<OpenAiEmbedding>,
    /// The served model.
    pub(crate) model: String,
    /// What it has cost.
    pub(crate) usage: Usage,
}

/// An embedding of `POST /v1/embeddings`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenAiEmbedding {
    /// Always `embedding`.
    #[schema(example = "embedding")]
    pub(crate) object: &'static str,
    /// The embedding, normalized.
    pub(crate) embedding: Vector,
    /// The sentence's place in `input`.
    pub(crate) index: usize,
}

/// An embedding as numbers or in base64.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Vector {
    /// Numbers.
    Numbers(Numbers),
    /// Base64 of their bytes: little-endian f32, or a byte each.
    Base64(String),
}

/// Tokens of a request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Usage {
    /// Tokens of the sentences, special tokens included.
    pub(crate) prompt_tokens: usize,
    /// The same.
    pub(crate) total_tokens: usize,
}

/// Answer of `GET /info`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Info {
    /// Directory or hub id of the model.
    #[schema(example = "checkpoints/ko-sts-small")]
    pub(crate) model_id: String,
    /// Always null.
    #[schema(value_type = Option<String>)]
    pub(crate) model_sha: Option<&'static str>,
    /// Number format of the encoder's layers.
    #[schema(example = "bfloat16")]
    pub(crate) model_dtype: &'static str,
    /// What kind of model it is.
    pub(crate) model_type: ModelType,
    /// Width of an embedding; null where the server has a reranker alone.
    pub(crate) hidden_size: Option<usize>,
    /// Whether `dimensions` may be less than that: the model says that the first numbers of its embeddings stand for the
    /// whole (Matryoshka), or the server allows it.
    pub(crate) truncatable: bool,
    /// The widths that the model was trained for, where it names them.
    #[schema(example = json!([768, 512, 256]))]
    pub(crate) matryoshka_dims: Vec<usize>,
    /// The similarity that the model asks for, and those that routes give; null where the server has a reranker alone.
    pub(crate) similarity: Option<Similarities>,
    /// Directory or hub id of the model that reads two texts together; null where there is none.
    #[schema(example = "BAAI/bge-reranker-v2-m3")]
    pub(crate) reranker: Option<String>,
    /// What the score of two sentences is five times of, at `GET /predict`.
    #[schema(value_type = String, example = "cosine")]
    pub(crate) score_by: ScoreBy,
    /// Tokens of a query and a text together; null where there is no reranker.
    pub(crate) max_rerank_length: Option<usize>,
    /// What the model wants before texts, by the names that `prompt_name` takes.
    #[schema(example = json!({"query": "query: ", "passage": "passage: "}))]
    pub(crate) prompts: BTreeMap<String, String>,
    /// What is put before a text where a request names no prompt.
    #[schema(example = "")]
    pub(crate) prompt: String,
    /// Rows that `POST /search` searches; null where there is no corpus.
    pub(crate) corpus_rows: Option<usize>,
    /// CSV files in work at a time.
    pub(crate) max_concurrent_csv_files: usize,
    /// Connections at a time.
    pub(crate) max_concurrent_requests: usize,
    /// Tokens of a sentence.
    pub(crate) max_input_length: usize,
    /// Tokens of a batch.
    pub(crate) max_batch_tokens: usize,
    /// Always null: a batch is limited by its tokens.
    #[schema(value_type = Option<usize>)]
    pub(crate) max_batch_requests: Option<usize>,
    /// Sentences of a request.
    pub(crate) max_client_batch_size: usize,
    /// Bytes of a CSV file.
    pub(crate) max_csv_bytes: u64,
    /// Rows of a CSV file.
    pub(crate) max_csv_rows: usize,
    /// Whether sentences that are too long are cut where a request does not say.
    pub(crate) auto_truncate: bool,
    /// Threads that tokenize.
    pub(crate) tokenization_workers: usize,
    /// What of the processor is used: how loops are vectorized, and what computes the products of each precision.
    pub(crate) processor: String,
    /// Version of the server.
    #[schema(example = "0.1.0")]
    pub(crate) version: &'static str,
    /// Always null.
    #[schema(value_type = Option<String>)]
    pub(crate) sha: Option<&'static str>,
    /// Always null.
    #[schema(value_type = Option<String>)]
    pub(crate) docker_label: Option<&'static str>,
}

/// Kind of a model.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ModelType {
    /// One that embeds.
    Embedding(EmbeddingModel),
    /// One that reads two texts together.
    Reranker(RerankerModel),
}

/// What is particular to a model that embeds.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct EmbeddingModel {
    /// From token embeddings to a sentence's.
    #[schema(value_type = String, example = "mean")]
    pub(crate) pooling: model::Pooling,
}

/// What is particular to a model that reads two texts together.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RerankerModel {
    /// The name of its number, by its place.
    #[schema(example = json!({"0": "LABEL_0"}))]
    pub(crate) id2label: BTreeMap<String, String>,
    /// The other way round.
    #[schema(example = json!({"LABEL_0": 0}))]
    pub(crate) label2id: BTreeMap<String, usize>,
}

/// Similarities by who asks for them or gives them: `cosine`, `dot`, `euclidean` or `manhattan`; the last two are distances,
/// negated.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Similarities {
    /// What the model's embeddings were made for.
    #[schema(value_type = String, example = "cosine")]
    pub(crate) model: SimilarityFunction,
    /// What `POST /similarity` gives: that of the model.
    #[serde(rename = "/similarity")]
    #[schema(value_type = String, example = "cosine")]
    pub(crate) similarity: SimilarityFunction,
    /// What the scores of `/predict` are five times of.
    #[serde(rename = "/predict")]
    #[schema(value_type = String, example = "cosine")]
    pub(crate) predict: SimilarityFunction,
    /// What the scores of `/search` are five times of.
    #[serde(rename = "/search")]
    #[schema(value_type = String, example = "cosine")]
    pub(crate) search: SimilarityFunction,
}

impl Similarities {
    /// Of a model that asks for this one.
    pub(crate) fn new(model: SimilarityFunction) -> Self {
        let cosine = SimilarityFunction::Cosine;
        Self { model, similarity: model, predict: cosine, search: cosine }
    }
}
