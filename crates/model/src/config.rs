//! The encoder's shape, as Hugging Face's `config.json` gives it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, read_json};

/// Which family of encoder the weights belong to. The two differ in their position ids alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelType {
    /// Positions count from 0.
    Bert,
    /// Positions count from `pad_token_id` + 1.
    #[serde(alias = "xlm-roberta", alias = "camembert")]
    Roberta,
}

/// The activation between a layer's two feed-forward products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// x · Φ(x), by the error function.
    #[serde(rename = "gelu", alias = "gelu_python")]
    Gelu,
    /// The same, approximated by tanh.
    #[serde(rename = "gelu_new", alias = "gelu_pytorch_tanh", alias = "gelu_fast")]
    GeluTanh,
    /// max(x, 0).
    #[serde(rename = "relu")]
    Relu,
}

/// Configuration of a BERT or RoBERTa encoder.
///
/// Names and defaults follow transformers' `BertConfig` and `RobertaConfig`; keys that do not concern the encoder are
/// kept and written back, and names that mean the same are written as one (`xlm-roberta` as `roberta`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EncoderConfig {
    /// Family of the encoder.
    pub model_type: ModelType,
    /// Rows of the token embedding table.
    pub vocab_size: i64,
    /// Width of an embedding.
    pub hidden_size: i64,
    /// Number of transformer layers.
    pub num_hidden_layers: i64,
    /// Attention heads per layer; divides `hidden_size`.
    pub num_attention_heads: i64,
    /// Width between the two feed-forward products.
    pub intermediate_size: i64,
    /// Activation between them.
    #[serde(default = "default_activation")]
    pub hidden_act: Activation,
    /// Dropout on embeddings and on the outputs of attention and feed-forward, while training.
    #[serde(default = "default_dropout")]
    pub hidden_dropout_prob: f64,
    /// Dropout on attention probabilities, while training.
    #[serde(default = "default_dropout")]
    pub attention_probs_dropout_prob: f64,
    /// Rows of the position embedding table.
    #[serde(default = "default_max_position_embeddings")]
    pub max_position_embeddings: i64,
    /// Rows of the token type embedding table; a single sentence uses row 0 alone.
    #[serde(default = "default_type_vocab_size")]
    pub type_vocab_size: i64,
    /// Standard deviation of freshly drawn weights.
    #[serde(default = "default_initializer_range")]
    pub initializer_range: f64,
    /// Added to the variance in layer norms.
    #[serde(default = "default_layer_norm_eps")]
    pub layer_norm_eps: f64,
    /// Id of the padding token; the default is the family's (BERT 0, RoBERTa 1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad_token_id: Option<i64>,
    /// Every other key of the file.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

fn default_activation() -> Activation {
    Activation::Gelu
}
fn default_dropout() -> f64 {
    0.1
}
fn default_max_position_embeddings() -> i64 {
    512
}
fn default_type_vocab_size() -> i64 {
    2
}
fn default_initializer_range() -> f64 {
    0.02
}
fn default_layer_norm_eps() -> f64 {
    1e-12
}

impl EncoderConfig {
    /// Reads and validates a `config.json`.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let config: Self = read_json(path)?;
        config.validate().map_err(|what| Error::invalid(path, what))?;
        Ok(config)
    }

    /// Checks what the types cannot; the error says which key and what was expected.
    pub fn validate(&self) -> Result<(), String> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ];
        // The upper bound keeps every product of two sizes within i64, whatever the file says.
        if let Some((name, size)) = sizes.into_iter().find(|(_, size)| !(1..=1 << 30).contains(size)) {
            return Err(format!("{name} is {size}, expected 1..=2^30"));
        }
        if self.hidden_size % self.num_attention_heads != 0 {
            return Err(format!(
                "hidden_size {} is not a multiple of num_attention_heads {}",
                self.hidden_size, self.num_attention_heads
            ));
        }
        if !(0..self.vocab_size).contains(&self.pad_token_id()) {
            return Err(format!(
                "pad_token_id {} is outside the vocabulary of {}",
                self.pad_token_id(),
                self.vocab_size
            ));
        }
        if self.max_sequence_length() < 3 {
            return Err(format!(
                "max_position_embeddings {} leaves no room for a sentence",
                self.max_position_embeddings
            ));
        }
        let dropouts = [
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            ("attention_probs_dropout_prob", self.attention_probs_dropout_prob),
        ];
        if let Some((name, p)) = dropouts.into_iter().find(|(_, p)| !(0.0..1.0).contains(p)) {
            return Err(format!("{name} is {p}, expected 0 <= p < 1"));
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps < 1.0) {
            return Err(format!("layer_norm_eps is {}, expected a small positive number", self.layer_norm_eps));
        }
        if !(self.initializer_range > 0.0 && self.initializer_range < 10.0) {
            return Err(format!("initializer_range is {}, expected a small positive number", self.initializer_range));
        }
        match self.other.get("position_embedding_type").and_then(|kind| kind.as_str()) {
            None | Some("absolute") => {}
            Some(kind) => {
                return Err(format!("position_embedding_type `{kind}` is not supported, expected `absolute`"));
            }
        }
        if self.other.get("is_decoder").and_then(|value| value.as_bool()) == Some(true) {
            return Err("is_decoder is true, expected an encoder".to_owned());
        }
        Ok(())
    }

    /// Parameters of the encoder, without heads.
    pub fn parameters(&self) -> i128 {
        let [hidden, intermediate] = [self.hidden_size, self.intermediate_size].map(i128::from);
        let rows = i128::from(self.vocab_size + self.max_position_embeddings + self.type_vocab_size);
        let attention = 4 * (hidden + 1) * hidden + 2 * hidden;
        let feed_forward = 2 * hidden * intermediate + intermediate + 3 * hidden;
        (rows + 2) * hidden + i128::from(self.num_hidden_layers) * (attention + feed_forward)
    }

    /// Id of the padding token.
    pub fn pad_token_id(&self) -> i64 {
        self.pad_token_id.unwrap_or(match self.model_type {
            ModelType::Bert => 0,
            ModelType::Roberta => 1,
        })
    }

    /// Most tokens a sentence can have, special tokens included.
    pub fn max_sequence_length(&self) -> i64 {
        match self.model_type {
            ModelType::Bert => self.max_position_embeddings,
            ModelType::Roberta => self.max_position_embeddings - self.pad_token_id() - 1,
        }
    }

    /// Position ids of one tokenized sentence.
    ///
    /// Source: transformers, `create_position_ids_from_input_ids` in `modeling_roberta.py`: a padding token that stands
    /// in the text itself keeps position `pad_token_id` and is not counted.
    pub(crate) fn position_ids(&self, ids: &[i64]) -> Vec<i64> {
        match self.model_type {
            ModelType::Bert => (0..ids.len() as i64).collect(),
            ModelType::Roberta => {
                let pad = self.pad_token_id();
                let mut position = pad;
                let mut next = |&id: &i64| {
                    if id == pad {
                        return pad;
                    }
                    position += 1;
                    position
                };
                ids.iter().map(&mut next).collect()
            }
        }
    }
}
