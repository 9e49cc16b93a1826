//! Qwen3 as an encoder: each token sees those before it, and the last one knows the sentence.
//!
//! Source: transformers, `Qwen3Model` and `Qwen3Config`.

use serde::{Deserialize, Serialize};

use super::{
    Config, Family, Keys, check_dropouts, check_heads, check_layers, check_longest, check_padding, check_sizes,
    check_small, read,
    rotary::{self, LayerTypes},
};
use crate::{
    architecture::{
        Affine, Architecture, Attention, Centre, Embeddings, FeedForward, Layer, Norm, NormOrder, Positions, Table,
    },
    config::Activation,
};

pub(super) const QWEN3: Family =
    Family { model_type: "qwen3", read: read::<Qwen3Config>, dropouts: &["attention_dropout"] };

#[derive(Debug, Serialize, Deserialize)]
struct Qwen3Config {
    model_type: String,
    vocab_size: i64,
    hidden_size: i64,
    intermediate_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    #[serde(default)]
    num_key_value_heads: Option<i64>,
    #[serde(default = "default_head_dim")]
    head_dim: i64,
    #[serde(default = "default_activation")]
    hidden_act: Activation,
    #[serde(default = "default_max_position_embeddings")]
    max_position_embeddings: i64,
    #[serde(default = "default_initializer_range")]
    initializer_range: f64,
    #[serde(default = "default_eps")]
    rms_norm_eps: f64,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    attention_dropout: f64,
    #[serde(default)]
    pad_token_id: Option<i64>,
    #[serde(default)]
    use_sliding_window: bool,
    #[serde(default)]
    sliding_window: Option<i64>,
    #[serde(default = "default_max_window_layers")]
    max_window_layers: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rope_theta: Option<f64>,
    #[serde(flatten)]
    other: Keys,
}

fn default_head_dim() -> i64 {
    128
}
fn default_activation() -> Activation {
    Activation::Silu
}
fn default_max_position_embeddings() -> i64 {
    32_768
}
fn default_initializer_range() -> f64 {
    0.02
}
fn default_eps() -> f64 {
    1e-6
}
fn default_max_window_layers() -> i64 {
    28
}

impl Config for Qwen3Config {
    fn architecture(&self) -> Result<Architecture, String> {
        let kv_heads = self.num_key_value_heads.unwrap_or(self.num_attention_heads);
        check_sizes([
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", kv_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_position_embeddings),
            ("sliding_window", self.sliding_window.unwrap_or(1)),
        ])?;
        check_layers("num_hidden_layers", self.num_hidden_layers)?;
        check_heads([("num_attention_heads", self.num_attention_heads), ("num_key_value_heads", kv_heads)])?;
        rotary::check_head("head_dim", self.head_dim)?;
        if let Some(padding) = self.pad_token_id {
            check_padding(padding, self.vocab_size)?;
        }
        check_longest("max_position_embeddings", self.max_position_embeddings, self.max_position_embeddings)?;
        check_dropouts([("attention_dropout", self.attention_dropout)])?;
        check_small("rms_norm_eps", self.rms_norm_eps, 1.0)?;
        check_small("initializer_range", self.initializer_range, 10.0)?;
        let window = self.sliding_window.filter(|_| self.use_sliding_window);
        let is_windowed = |index: i64| window.is_some() && index >= self.max_window_layers;
        let types = LayerTypes::read(&self.other, self.num_hidden_layers, is_windowed)?;
        let theta = rotary::theta(&self.other, None, self.rope_theta.unwrap_or(10_000.0))?;
        let layer = |(index, is_windowed): (usize, bool)| {
            // The window counts the token itself.
            self.layer(index, kv_heads, theta, window.filter(|_| is_windowed).map(|window| window - 1))
        };
        Ok(Architecture {
            class: "Qwen3Model",
            prefix: "model.",
            hidden: self.hidden_size,
            longest: self.max_position_embeddings,
            embeddings: Embeddings {
                words: Table { path: "embed_tokens".to_owned(), rows: self.vocab_size, width: self.hidden_size },
                positions: None,
                position_ids: Positions::FromZero,
                token_types: None,
                norm: None,
                dropout: 0.0,
                projection: None,
                padding: self.pad_token_id,
            },
            relative: None,
            layers: types.windowed().enumerate().map(layer).collect(),
            norm_order: NormOrder::Before,
            convolution: None,
            final_norm: Some(self.norm("norm", self.hidden_size)),
            initializer_range: self.initializer_range,
            masked_head: None,
            classifier: None,
        })
    }
}

impl Qwen3Config {
    fn norm(&self, path: &str, width: i64) -> Norm {
        Norm { path: path.to_owned(), width, eps: self.rms_norm_eps, centre: Centre::Zero, bias: false }
    }

    fn layer(&self, index: usize, kv_heads: i64, theta: f64, window: Option<i64>) -> Layer {
        let (hidden, head, heads) = (self.hidden_size, self.head_dim, self.num_attention_heads);
        let path = |name: &str| format!("layers.{index}.{name}");
        let affine = |name: &str, input, output, bias| Affine { path: path(name), input, output, bias };
        let project = |name: &str, heads: i64| {
            affine(&format!("self_attn.{name}_proj"), hidden, heads * head, self.attention_bias)
        };
        Layer {
            attention: Attention {
                projections: vec![project("q", heads), project("k", kv_heads), project("v", kv_heads)],
                heads,
                kv_heads,
                head,
                head_norms: Some(["q", "k"].map(|name| self.norm(&path(&format!("self_attn.{name}_norm")), head))),
                rotary: Some(theta),
                causal: true,
                window,
                relative: None,
                output: affine("self_attn.o_proj", heads * head, hidden, self.attention_bias),
                weights_dropout: self.attention_dropout,
                output_dropout: 0.0,
            },
            attention_norm: Some(self.norm(&path("input_layernorm"), hidden)),
            feed_forward: FeedForward {
                up: ["gate", "up"]
                    .map(|name| affine(&format!("mlp.{name}_proj"), hidden, self.intermediate_size, false))
                    .to_vec(),
                gated: true,
                activation: self.hidden_act,
                inner_dropout: 0.0,
                down: affine("mlp.down_proj", self.intermediate_size, hidden, false),
                output_dropout: 0.0,
            },
            feed_forward_norm: self.norm(&path("post_attention_layernorm"), hidden),
        }
    }
}
