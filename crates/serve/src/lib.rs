//! HTTP service of a sentence encoder: similarity of pairs, ranking of CSV files, embeddings, a web page.
//!
//! A request runs through [`app()`], which gives its sentences to the embedder: cache, tokenizer, and the engine, whose thread
//! owns the encoder.

#![cfg_attr(test, allow(clippy::unwrap_used))] // A test may panic.

mod answer;
mod app;
mod body;
mod budget;
mod cache;
mod corpus;
mod echo;
mod embedder;
mod engine;
mod error;
mod failure;
mod filter;
mod headers;
mod host;
mod json;
mod loading;
pub mod logging;
mod metrics;
mod middleware;
mod openapi;
mod output;
mod ranking;
mod reranker;
mod responses;
mod routes;
mod rows;
mod serving;
pub mod settings;
mod state;
mod tls;
mod types;
mod upload;

pub use app::app;
pub use engine::StartError;
pub use failure::Error;
pub use loading::state;
pub use serving::run;
pub use settings::Settings;
pub use state::State;
pub use tls::Error as TlsError;
