//! DistilBERT: BERT without token types, under names of its own.
//!
//! Source: transformers, `DistilBertModel`, `DistilBertForMaskedLM` and `DistilBertConfig`.

use serde::{Deserialize, Serialize};

use super::{
    Config, Family, Keys, check_dropouts, check_heads, check_layers, check_longest, check_padding, check_sizes,
    check_small, first_dropout, labels, read,
};
use crate::{
    architecture::{
        Affine, Architecture, Attention, Centre, Classifier, Embeddings, FeedForward, Layer, MaskedHead, Norm,
        NormOrder, Positions, Table,
    },
    config::Activation,
};

pub(super) const DISTILBERT: Family =
    Family { model_type: "distilbert", read: read::<DistilBertConfig>, dropouts: &["dropout", "attention_dropout"] };

/// Added to the variance in layer norms, in transformers' code and in no key.
const EPS: f64 = 1e-12;

#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
struct DistilBertConfig {
    model_type: String,
    vocab_size: i64,
    max_position_embeddings: i64,
    n_layers: i64,
    n_heads: i64,
    dim: i64,
    hidden_dim: i64,
    dropout: f64,
    attention_dropout: f64,
    activation: Activation,
    initializer_range: f64,
    pad_token_id: i64,
    #[serde(flatten)]
    other: Keys,
}

impl Default for DistilBertConfig {
    fn default() -> Self {
        Self {
            model_type: "distilbert".to_owned(),
            vocab_size: 30522,
            max_position_embeddings: 512,
            n_layers: 6,
            n_heads: 12,
            dim: 768,
            hidden_dim: 3072,
            dropout: 0.1,
            attention_dropout: 0.1,
            activation: Activation::Gelu,
            initializer_range: 0.02,
            pad_token_id: 0,
            other: Keys::new(),
        }
    }
}

fn affine(path: &str, input: i64, output: i64) -> Affine {
    Affine { path: path.to_owned(), input, output, bias: true }
}

fn norm(path: &str, width: i64) -> Norm {
    Norm { path: path.to_owned(), width, eps: EPS, centre: Centre::Mean, bias: true }
}

impl Config for DistilBertConfig {
    fn architecture(&self) -> Result<Architecture, String> {
        check_sizes([
            ("vocab_size", self.vocab_size),
            ("dim", self.dim),
            ("n_heads", self.n_heads),
            ("hidden_dim", self.hidden_dim),
            ("max_position_embeddings", self.max_position_embeddings),
        ])?;
        check_layers("n_layers", self.n_layers)?;
        check_heads([("dim", self.dim), ("n_heads", self.n_heads)])?;
        check_padding(self.pad_token_id, self.vocab_size)?;
        check_longest("max_position_embeddings", self.max_position_embeddings, self.max_position_embeddings)?;
        check_dropouts([("dropout", self.dropout), ("attention_dropout", self.attention_dropout)])?;
        check_small("initializer_range", self.initializer_range, 10.0)?;
        let width = self.dim;
        let table = |name: &str, rows| Table { path: format!("embeddings.{name}_embeddings"), rows, width };
        Ok(Architecture {
            class: "DistilBertModel",
            prefix: "distilbert.",
            hidden: width,
            longest: self.max_position_embeddings,
            embeddings: Embeddings {
                words: table("word", self.vocab_size),
                positions: Some(table("position", self.max_position_embeddings)),
                position_ids: Positions::FromZero,
                token_types: None,
                norm: Some(norm("embeddings.LayerNorm", width)),
                dropout: self.dropout,
                projection: None,
                padding: Some(self.pad_token_id),
            },
            relative: None,
            layers: (0..self.n_layers).map(|index| self.layer(index)).collect(),
            norm_order: NormOrder::After,
            convolution: None,
            final_norm: None,
            initializer_range: self.initializer_range,
            masked_head: Some(MaskedHead {
                class: "DistilBertForMaskedLM",
                dense: affine("vocab_transform", width, width),
                activation: self.activation,
                norm: norm("vocab_layer_norm", width),
                bias: Some("vocab_projector.bias".to_owned()),
            }),
            classifier: Some(Classifier {
                class: "DistilBertForSequenceClassification",
                reads_mean: false,
                input_dropout: 0.0,
                dense: affine("pre_classifier", width, width),
                activation: Activation::Relu,
                norm: None,
                output_dropout: first_dropout(&self.other, &["seq_classif_dropout"], 0.2),
                output: affine("classifier", width, labels(&self.other)),
            }),
        })
    }
}

impl DistilBertConfig {
    fn layer(&self, index: i64) -> Layer {
        let width = self.dim;
        let path = |name: &str| format!("transformer.layer.{index}.{name}");
        Layer {
            attention: Attention {
                projections: ["q", "k", "v"]
                    .map(|name| affine(&path(&format!("attention.{name}_lin")), width, width))
                    .to_vec(),
                heads: self.n_heads,
                kv_heads: self.n_heads,
                head: width / self.n_heads,
                head_norms: None,
                rotary: None,
                causal: false,
                window: None,
                relative: None,
                output: affine(&path("attention.out_lin"), width, width),
                weights_dropout: self.attention_dropout,
                output_dropout: 0.0,
            },
            attention_norm: Some(norm(&path("sa_layer_norm"), width)),
            feed_forward: FeedForward {
                up: vec![affine(&path("ffn.lin1"), width, self.hidden_dim)],
                gated: false,
                activation: self.activation,
                inner_dropout: 0.0,
                down: affine(&path("ffn.lin2"), self.hidden_dim, width),
                output_dropout: self.dropout,
            },
            feed_forward_norm: norm(&path("output_layer_norm"), width),
        }
    }
}
