//! Sentence encoders: nine families on packed batches, with tokenizer, prompts, pooling, weights and checkpoints.
//!
//! The rooms, from the files to an embedding:
//!
//! | room | what is there |
//! |---|---|
//! | `hub`, `layout`, `files`, `manifest`, `weights` | directories of models, found, checked, read and written |
//! | `tokenizer`, `prompts` | from text to ids |
//! | `family`, `config`, [`architecture`] | one file for each family makes the one description of an encoder of its `config.json` |
//! | `native` | the encoder on the kernels of a processor: encoding, and training where the gradient is written out |
//! | `torch` | the encoder on libtorch: GPUs, and the training of the other families |
//! | `head`, `pooling`, `similarity` | from embeddings of tokens to a sentence's, and to a score |
//! | [`SentenceEncoder`], [`TrainableEncoder`], [`MaskedLanguageModel`], [`CrossEncoder`] | what programs use |
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("best");
//! # let sentences = ["비가 온다.", "비가 내린다.", "밥을 먹었다."];
//! # let tokenizer = model::Tokenizer::train(&sentences, model::Alphabet::Syllables, 100, 16)?;
//! # let config: model::EncoderConfig = serde_json::from_str(r#"{"model_type": "roberta", "vocab_size": 100, "hidden_size": 8,
//! #     "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}"#)?;
//! # model::TrainableEncoder::from_scratch(config, tokenizer, model::Pooling::MEAN, tch::Device::Cpu)?.save(&path, "")?;
//! let encoder = model::SentenceEncoder::load(&path, &model::Options::default())?;
//! let embeddings = encoder.encode(&["비가 온다.", "비가 내린다."])?; // plain numbers, a row for each sentence
//! let similarity = encoder.similarity_function().of(&embeddings[0], &embeddings[1]); // the model's: cosine
//! assert!(similarity.abs() <= 1.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))] // A test may panic.

pub mod architecture;
mod composed;
mod config;
mod cross_encoder;
mod embeddings;
mod error;
mod family;
mod files;
mod head;
pub mod hub;
mod init;
mod layout;
mod manifest;
mod masked_lm;
mod matryoshka;
mod native;
pub mod operators;
mod pooling;
mod precision;
mod prompts;
mod quantization;
pub mod runtime;
mod sentence_encoder;
mod sequence;
mod similarity;
pub mod slices;
mod stored;
mod text_losses;
mod tokenizer;
mod torch;
mod trainable;
pub mod weights;
mod wordpiece;

/// The model that comes with the project, from its root: what programs take where none is named.
pub const BUNDLED_MODEL: &str = "checkpoints/ko-sts-small";

pub use config::{Activation, EncoderConfig};
pub use cross_encoder::{CrossEncoder, ScoreActivation, TrainableCrossEncoder, holds_cross_encoder};
pub use embeddings::Embeddings;
pub use error::Error;
pub use manifest::{fingerprint, replace_dir, verify};
pub use masked_lm::{Guesses, MaskedBatch, MaskedLanguageModel};
pub use matryoshka::Matryoshka;
pub use pooling::Pooling;
pub use precision::{Precision, PrecisionChoice};
pub use prompts::{PromptChoice, Prompts};
pub use quantization::{Quantization, Quantized, Ranges};
pub use sentence_encoder::{Options, SentenceEncoder};
pub use sequence::{Sequence, TokenPair};
pub use similarity::{SimilarityFunction, normalize, normalized, similarity, similarity_matrix};
pub use text_losses::TextLosses;
pub use tokenizer::{PairTokenizer, Tokenized, Tokenizer};
pub use torch::{Encoder, PackedBatch};
pub use trainable::{TrainableEncoder, gradient};
pub use wordpiece::Alphabet;
