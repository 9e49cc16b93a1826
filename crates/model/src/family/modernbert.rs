//! ModernBERT: norms first, rotated queries and keys, windows in most layers, gated feed-forward.
//!
//! Source: transformers, `ModernBertModel`, `ModernBertForMaskedLM` and `ModernBertConfig`.

use serde::{Deserialize, Serialize};

use super::{
    Config, Family, Keys, check_dropouts, check_heads, check_layers, check_longest, check_padding, check_sizes,
    check_small, first_dropout, labels, read,
    rotary::{self, LayerTypes},
};
use crate::{
    architecture::{
        Affine, Architecture, Attention, Centre, Classifier, Embeddings, FeedForward, Layer, MaskedHead, Norm,
        NormOrder, Positions, Table,
    },
    config::Activation,
};

pub(super) const MODERNBERT: Family = Family {
    model_type: "modernbert",
    read: read::<ModernBertConfig>,
    dropouts: &["embedding_dropout", "attention_dropout", "mlp_dropout"],
};

#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
struct ModernBertConfig {
    model_type: String,
    vocab_size: i64,
    hidden_size: i64,
    intermediate_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    hidden_activation: Activation,
    max_position_embeddings: i64,
    initializer_range: f64,
    norm_eps: f64,
    norm_bias: bool,
    pad_token_id: i64,
    attention_bias: bool,
    attention_dropout: f64,
    local_attention: i64,
    embedding_dropout: f64,
    mlp_bias: bool,
    mlp_dropout: f64,
    decoder_bias: bool,
    classifier_bias: bool,
    classifier_activation: Activation,
    #[serde(skip_serializing_if = "Option::is_none")]
    global_attn_every_n_layers: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    global_rope_theta: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_rope_theta: Option<f64>,
    #[serde(flatten)]
    other: Keys,
}

impl Default for ModernBertConfig {
    fn default() -> Self {
        Self {
            model_type: "modernbert".to_owned(),
            vocab_size: 50368,
            hidden_size: 768,
            intermediate_size: 1152,
            num_hidden_layers: 22,
            num_attention_heads: 12,
            hidden_activation: Activation::Gelu,
            max_position_embeddings: 8192,
            initializer_range: 0.02,
            norm_eps: 1e-5,
            norm_bias: false,
            pad_token_id: 50283,
            attention_bias: false,
            attention_dropout: 0.0,
            local_attention: 128,
            embedding_dropout: 0.0,
            mlp_bias: false,
            mlp_dropout: 0.0,
            decoder_bias: true,
            classifier_bias: false,
            classifier_activation: Activation::Gelu,
            global_attn_every_n_layers: None,
            global_rope_theta: None,
            local_rope_theta: None,
            other: Keys::new(),
        }
    }
}

impl Config for ModernBertConfig {
    fn architecture(&self) -> Result<Architecture, String> {
        check_sizes([
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", self.num_attention_heads),
            ("max_position_embeddings", self.max_position_embeddings),
            ("local_attention", self.local_attention),
            ("global_attn_every_n_layers", self.global_attn_every_n_layers.unwrap_or(1)),
        ])?;
        check_layers("num_hidden_layers", self.num_hidden_layers)?;
        check_heads([("hidden_size", self.hidden_size), ("num_attention_heads", self.num_attention_heads)])?;
        check_padding(self.pad_token_id, self.vocab_size)?;
        check_longest("max_position_embeddings", self.max_position_embeddings, self.max_position_embeddings)?;
        check_dropouts([
            ("embedding_dropout", self.embedding_dropout),
            ("attention_dropout", self.attention_dropout),
            ("mlp_dropout", self.mlp_dropout),
        ])?;
        check_small("norm_eps", self.norm_eps, 1.0)?;
        check_small("initializer_range", self.initializer_range, 10.0)?;
        let head = self.hidden_size / self.num_attention_heads;
        rotary::check_head("hidden_size / num_attention_heads", head)?;
        let every = self.global_attn_every_n_layers.unwrap_or(3);
        let types = LayerTypes::read(&self.other, self.num_hidden_layers, |index| index % every != 0)?;
        let theta = |is_windowed: bool| {
            let (kind, given, default) = match is_windowed {
                true => ("sliding_attention", self.local_rope_theta, 10_000.0),
                false => ("full_attention", self.global_rope_theta, 160_000.0),
            };
            rotary::theta(&self.other, Some(kind), given.unwrap_or(default))
        };
        let (global, local) = (theta(false)?, theta(true)?);
        let layer = |(index, is_windowed): (usize, bool)| {
            self.layer(index, head, if is_windowed { local } else { global }, is_windowed)
        };
        Ok(Architecture {
            class: "ModernBertModel",
            prefix: "model.",
            hidden: self.hidden_size,
            longest: self.max_position_embeddings,
            embeddings: Embeddings {
                words: Table {
                    path: "embeddings.tok_embeddings".to_owned(),
                    rows: self.vocab_size,
                    width: self.hidden_size,
                },
                positions: None,
                position_ids: Positions::FromZero,
                token_types: None,
                norm: Some(self.norm("embeddings.norm")),
                dropout: self.embedding_dropout,
                projection: None,
                padding: Some(self.pad_token_id),
            },
            relative: None,
            layers: types.windowed().enumerate().map(layer).collect(),
            norm_order: NormOrder::Before,
            convolution: None,
            final_norm: Some(self.norm("final_norm")),
            initializer_range: self.initializer_range,
            masked_head: Some(MaskedHead {
                class: "ModernBertForMaskedLM",
                dense: self.affine("head.dense", self.hidden_size, self.hidden_size, self.classifier_bias),
                activation: self.classifier_activation,
                norm: self.norm("head.norm"),
                bias: self.decoder_bias.then(|| "decoder.bias".to_owned()),
            }),
            classifier: Some(Classifier {
                class: "ModernBertForSequenceClassification",
                reads_mean: self.other.get("classifier_pooling").is_some_and(|pooling| pooling == "mean"),
                input_dropout: 0.0,
                dense: self.affine("head.dense", self.hidden_size, self.hidden_size, self.classifier_bias),
                activation: self.classifier_activation,
                norm: Some(self.norm("head.norm")),
                output_dropout: first_dropout(&self.other, &["classifier_dropout"], 0.0),
                output: self.affine("classifier", self.hidden_size, labels(&self.other), true),
            }),
        })
    }
}

impl ModernBertConfig {
    fn affine(&self, path: &str, input: i64, output: i64, bias: bool) -> Affine {
        Affine { path: path.to_owned(), input, output, bias }
    }

    fn norm(&self, path: &str) -> Norm {
        let (width, eps) = (self.hidden_size, self.norm_eps);
        Norm { path: path.to_owned(), width, eps, centre: Centre::Mean, bias: self.norm_bias }
    }

    fn layer(&self, index: usize, head: i64, theta: f64, is_windowed: bool) -> Layer {
        let (hidden, intermediate) = (self.hidden_size, self.intermediate_size);
        let path = |name: &str| format!("layers.{index}.{name}");
        Layer {
            attention: Attention {
                projections: vec![self.affine(&path("attn.Wqkv"), hidden, 3 * hidden, self.attention_bias)],
                heads: self.num_attention_heads,
                kv_heads: self.num_attention_heads,
                head,
                head_norms: None,
                rotary: Some(theta),
                causal: false,
                window: is_windowed.then_some(self.local_attention / 2),
                relative: None,
                output: self.affine(&path("attn.Wo"), hidden, hidden, self.attention_bias),
                weights_dropout: self.attention_dropout,
                output_dropout: self.attention_dropout,
            },
            attention_norm: (index > 0).then(|| self.norm(&path("attn_norm"))),
            feed_forward: FeedForward {
                up: vec![self.affine(&path("mlp.Wi"), hidden, 2 * intermediate, self.mlp_bias)],
                gated: true,
                activation: self.hidden_activation,
                inner_dropout: self.mlp_dropout,
                down: self.affine(&path("mlp.Wo"), intermediate, hidden, self.mlp_bias),
                output_dropout: 0.0,
            },
            feed_forward_norm: self.norm(&path("mlp_norm")),
        }
    }
}
