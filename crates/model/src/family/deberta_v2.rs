//! DeBERTa-v2 and v3: BERT whose attention also meets embeddings of relative positions.
//!
//! Source: transformers, `DebertaV2Model`, `DebertaV2ForMaskedLM` and `DebertaV2Config`. Where their code asks for a key
//! with a default of its own, so does this.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Config, Family, Keys, check_dropouts, check_fixed, check_heads, check_layers, check_longest, check_padding,
    check_sizes, check_small, first_dropout, labels, read,
};
use crate::{
    architecture::{
        Affine, Architecture, Attention, Centre, Classifier, Convolution, Embeddings, FeedForward, Layer, MaskedHead,
        Norm, NormOrder, Positions, RelativePositions, RelativeProjections, Table,
    },
    config::Activation,
};

pub(super) const DEBERTA_V2: Family = Family {
    model_type: "deberta-v2",
    read: read::<DebertaConfig>,
    dropouts: &["hidden_dropout_prob", "attention_probs_dropout_prob"],
};

#[derive(Debug, Serialize, Deserialize)]
struct DebertaConfig {
    model_type: String,
    vocab_size: i64,
    hidden_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    intermediate_size: i64,
    #[serde(default)]
    hidden_act: Activation,
    #[serde(default = "default_dropout")]
    hidden_dropout_prob: f64,
    #[serde(default = "default_dropout")]
    attention_probs_dropout_prob: f64,
    #[serde(default = "default_max_position_embeddings")]
    max_position_embeddings: i64,
    #[serde(default)]
    type_vocab_size: i64,
    #[serde(default = "default_initializer_range")]
    initializer_range: f64,
    #[serde(default = "default_layer_norm_eps")]
    layer_norm_eps: f64,
    #[serde(default)]
    pad_token_id: i64,
    #[serde(default)]
    relative_attention: bool,
    #[serde(default = "none")]
    max_relative_positions: i64,
    #[serde(default = "none")]
    position_buckets: i64,
    #[serde(default)]
    pos_att_type: Names,
    #[serde(default)]
    share_att_key: bool,
    #[serde(default = "yes")]
    position_biased_input: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    norm_rel_ebd: Option<String>,
    #[serde(default)]
    conv_kernel_size: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conv_act: Option<Activation>,
    #[serde(default = "yes")]
    legacy: bool,
    #[serde(flatten)]
    other: Keys,
}

/// `["c2p", "p2c"]`, also as `"c2p|p2c"`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(untagged)]
enum Names {
    #[default]
    None,
    Joined(String),
    List(Vec<String>),
}

fn default_dropout() -> f64 {
    0.1
}
fn default_max_position_embeddings() -> i64 {
    512
}
fn default_initializer_range() -> f64 {
    0.02
}
fn default_layer_norm_eps() -> f64 {
    1e-7
}
fn none() -> i64 {
    -1
}
fn yes() -> bool {
    true
}

impl Names {
    fn has(&self, name: &str) -> bool {
        self.all().any(|own| own.eq_ignore_ascii_case(name))
    }

    fn all(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Names::None => Box::new(std::iter::empty()),
            Names::Joined(names) => Box::new(names.split('|').map(str::trim)),
            Names::List(names) => Box::new(names.iter().map(String::as_str)),
        }
    }
}

impl Config for DebertaConfig {
    fn architecture(&self) -> Result<Architecture, String> {
        self.check()?;
        let (hidden, width) = (self.hidden_size, self.hidden_size);
        let table = |name: &str, rows: i64| Table { path: format!("embeddings.{name}_embeddings"), rows, width };
        let positions = || table("position", self.max_position_embeddings);
        let head = if self.legacy { "cls.predictions" } else { "lm_predictions.lm_head" };
        let transform = if self.legacy { ".transform" } else { "" };
        Ok(Architecture {
            class: "DebertaV2Model",
            prefix: "deberta.",
            hidden,
            longest: self.max_position_embeddings,
            embeddings: Embeddings {
                words: table("word", self.vocab_size),
                positions: self.position_biased_input.then(positions),
                position_ids: Positions::FromZero,
                token_types: (self.type_vocab_size > 0).then(|| table("token_type", self.type_vocab_size)),
                norm: Some(self.norm("embeddings.LayerNorm")),
                dropout: self.hidden_dropout_prob,
                projection: None,
                padding: Some(self.pad_token_id),
            },
            relative: self.relative_attention.then(|| self.relative()),
            layers: (0..self.num_hidden_layers).map(|index| self.layer(index)).collect(),
            norm_order: NormOrder::After,
            convolution: (self.conv_kernel_size > 0).then(|| Convolution {
                path: "encoder.conv.conv".to_owned(),
                kernel: self.conv_kernel_size,
                activation: self.conv_act.unwrap_or(Activation::Tanh),
                dropout: self.hidden_dropout_prob,
                norm: self.norm("encoder.conv.LayerNorm"),
            }),
            final_norm: None,
            initializer_range: self.initializer_range,
            masked_head: Some(MaskedHead {
                class: "DebertaV2ForMaskedLM",
                dense: self.affine(format!("{head}{transform}.dense"), hidden, hidden),
                activation: self.hidden_act,
                norm: self.norm(&format!("{head}{transform}.LayerNorm")),
                bias: Some(format!("{head}.bias")),
            }),
            classifier: self.classifier(),
        })
    }
}

impl DebertaConfig {
    /// None where its activation is not known.
    fn classifier(&self) -> Option<Classifier> {
        let width = self.other.get("pooler_hidden_size").and_then(Value::as_i64).unwrap_or(self.hidden_size);
        let activation = self.other.get("pooler_hidden_act").cloned().unwrap_or_else(|| "gelu".into());
        Some(Classifier {
            class: "DebertaV2ForSequenceClassification",
            reads_mean: false,
            input_dropout: first_dropout(&self.other, &["pooler_dropout"], 0.0),
            dense: self.affine("pooler.dense".to_owned(), self.hidden_size, width),
            activation: serde_json::from_value(activation).ok()?,
            norm: None,
            output_dropout: first_dropout(&self.other, &["cls_dropout"], self.hidden_dropout_prob),
            output: self.affine("classifier".to_owned(), width, labels(&self.other)),
        })
    }

    fn check(&self) -> Result<(), String> {
        check_sizes([
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size.max(1)),
            ("position_buckets", self.position_buckets.max(1)),
            ("max_relative_positions", self.max_relative_positions.max(1)),
        ])?;
        check_layers("num_hidden_layers", self.num_hidden_layers)?;
        check_heads([("hidden_size", self.hidden_size), ("num_attention_heads", self.num_attention_heads)])?;
        check_padding(self.pad_token_id, self.vocab_size)?;
        check_longest("max_position_embeddings", self.max_position_embeddings, self.max_position_embeddings)?;
        check_dropouts([
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            ("attention_probs_dropout_prob", self.attention_probs_dropout_prob),
        ])?;
        check_small("layer_norm_eps", self.layer_norm_eps, 1.0)?;
        check_small("initializer_range", self.initializer_range, 10.0)?;
        if let Some(name) = self.pos_att_type.all().find(|name| !["c2p", "p2c"].contains(&&*name.to_lowercase())) {
            return Err(format!("pos_att_type `{name}` is not supported, expected c2p or p2c"));
        }
        if !matches!(self.conv_kernel_size, 0 | 1 | 3 | 5 | 7) {
            return Err(format!("conv_kernel_size is {}, expected an odd number up to 7", self.conv_kernel_size));
        }
        let hidden: Value = self.hidden_size.into();
        check_fixed(
            &self.other,
            &[
                ("embedding_size", hidden),
                ("attention_head_size", (self.hidden_size / self.num_attention_heads).into()),
                ("conv_groups", 1.into()),
                ("z_steps", 0.into()),
            ],
        )
    }

    fn affine(&self, path: String, input: i64, output: i64) -> Affine {
        Affine { path, input, output, bias: true }
    }

    fn norm(&self, path: &str) -> Norm {
        let (width, eps) = (self.hidden_size, self.layer_norm_eps);
        Norm { path: path.to_owned(), width, eps, centre: Centre::Mean, bias: true }
    }

    fn relative(&self) -> RelativePositions {
        let farthest = match self.max_relative_positions {
            positions if positions < 1 => self.max_position_embeddings,
            positions => positions,
        };
        let span = if self.position_buckets > 0 { self.position_buckets } else { farthest };
        let norms = self.norm_rel_ebd.as_deref().unwrap_or_default().to_lowercase();
        let is_normed = norms.split('|').any(|name| name.trim() == "layer_norm");
        RelativePositions {
            table: Table { path: "encoder.rel_embeddings".to_owned(), rows: 2 * span, width: self.hidden_size },
            norm: is_normed.then(|| self.norm("encoder.LayerNorm")),
            span,
            logarithmic: (self.position_buckets > 0).then_some(farthest),
            dropout: self.hidden_dropout_prob,
        }
    }

    fn layer(&self, index: i64) -> Layer {
        let (hidden, intermediate) = (self.hidden_size, self.intermediate_size);
        let path = |name: &str| format!("encoder.layer.{index}.{name}");
        let affine = |name: &str, input, output| self.affine(path(name), input, output);
        let of_self = |name: &str| affine(&format!("attention.self.{name}_proj"), hidden, hidden);
        let relative = || {
            let of = |kind: &str, own: &str, shared: &str| {
                let name = if self.share_att_key { shared } else { own };
                self.pos_att_type.has(kind).then(|| of_self(name))
            };
            RelativeProjections { keys: of("c2p", "pos_key", "key"), queries: of("p2c", "pos_query", "query") }
        };
        Layer {
            attention: Attention {
                projections: ["query", "key", "value"].map(of_self).to_vec(),
                heads: self.num_attention_heads,
                kv_heads: self.num_attention_heads,
                head: hidden / self.num_attention_heads,
                head_norms: None,
                rotary: None,
                causal: false,
                window: None,
                relative: self.relative_attention.then(relative),
                output: affine("attention.output.dense", hidden, hidden),
                weights_dropout: self.attention_probs_dropout_prob,
                output_dropout: self.hidden_dropout_prob,
            },
            attention_norm: Some(self.norm(&path("attention.output.LayerNorm"))),
            feed_forward: FeedForward {
                up: vec![affine("intermediate.dense", hidden, intermediate)],
                gated: false,
                activation: self.hidden_act,
                inner_dropout: 0.0,
                down: affine("output.dense", intermediate, hidden),
                output_dropout: self.hidden_dropout_prob,
            },
            feed_forward_norm: self.norm(&path("output.LayerNorm")),
        }
    }
}
