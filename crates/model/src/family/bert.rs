//! BERT and those that differ from it in their position ids and their names alone: RoBERTa, XLM-RoBERTa, CamemBERT.
//!
//! Source: transformers, `BertModel`, `RobertaModel` and their configurations, whose names and defaults these are.

use serde::{Deserialize, Serialize};

use super::{
    Config, Family, Keys, check_dropouts, check_fixed, check_heads, check_layers, check_longest, check_padding,
    check_sizes, check_small, first_dropout, labels, read,
};
use crate::{
    architecture::{
        Affine, Architecture, Attention, Centre, Classifier, Embeddings, FeedForward, Layer, MaskedHead, Norm,
        NormOrder, Positions, Table,
    },
    config::Activation,
};

pub(super) const BERT: Family = family("bert");
pub(super) const ROBERTA: Family = family("roberta");
pub(super) const XLM_ROBERTA: Family = family("xlm-roberta");
pub(super) const CAMEMBERT: Family = family("camembert");

const fn family(model_type: &'static str) -> Family {
    Family { model_type, read: read::<BertConfig>, dropouts: &DROPOUTS }
}

pub(super) const DROPOUTS: [&str; 2] = ["hidden_dropout_prob", "attention_probs_dropout_prob"];

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BertConfig {
    model_type: String,
    pub(super) vocab_size: i64,
    pub(super) hidden_size: i64,
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
    #[serde(default = "default_type_vocab_size")]
    type_vocab_size: i64,
    #[serde(default = "default_initializer_range")]
    initializer_range: f64,
    #[serde(default = "default_layer_norm_eps")]
    pub(super) layer_norm_eps: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pad_token_id: Option<i64>,
    #[serde(flatten)]
    other: Keys,
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

impl Config for BertConfig {
    fn architecture(&self) -> Result<Architecture, String> {
        Ok(match self.model_type.as_str() {
            "bert" => self.described("BertModel", "bert.", Positions::FromZero, self.hidden_size)?,
            model_type => {
                let [plain, masked, classifier] = match model_type {
                    "xlm-roberta" => {
                        ["XLMRobertaModel", "XLMRobertaForMaskedLM", "XLMRobertaForSequenceClassification"]
                    }
                    "camembert" => ["CamembertModel", "CamembertForMaskedLM", "CamembertForSequenceClassification"],
                    _ => ["RobertaModel", "RobertaForMaskedLM", "RobertaForSequenceClassification"],
                };
                let mut described = self.described(plain, "roberta.", Positions::AfterPadding, self.hidden_size)?;
                described.masked_head = Some(MaskedHead {
                    class: masked,
                    dense: self.affine("lm_head.dense", self.hidden_size, self.hidden_size),
                    activation: Activation::Gelu,
                    norm: self.norm("lm_head.layer_norm", self.hidden_size),
                    bias: Some("lm_head.bias".to_owned()),
                });
                described.classifier = Some(self.classifier(classifier, Activation::Tanh));
                described
            }
        })
    }
}

impl BertConfig {
    pub(super) fn affine(&self, path: &str, input: i64, output: i64) -> Affine {
        Affine { path: path.to_owned(), input, output, bias: true }
    }

    pub(super) fn norm(&self, path: &str, width: i64) -> Norm {
        Norm { path: path.to_owned(), width, eps: self.layer_norm_eps, centre: Centre::Mean, bias: true }
    }

    /// With BERT's head, and embeddings of `width` without a projection.
    pub(super) fn described(
        &self,
        class: &'static str,
        prefix: &'static str,
        position_ids: Positions,
        width: i64,
    ) -> Result<Architecture, String> {
        check_sizes([
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ])?;
        check_layers("num_hidden_layers", self.num_hidden_layers)?;
        check_heads([("hidden_size", self.hidden_size), ("num_attention_heads", self.num_attention_heads)])?;
        let padding = self.pad_token_id.unwrap_or(match position_ids {
            Positions::FromZero => 0,
            Positions::AfterPadding => 1,
        });
        check_padding(padding, self.vocab_size)?;
        let longest = match position_ids {
            Positions::FromZero => self.max_position_embeddings,
            Positions::AfterPadding => self.max_position_embeddings - padding - 1,
        };
        check_longest("max_position_embeddings", self.max_position_embeddings, longest)?;
        check_dropouts([
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            ("attention_probs_dropout_prob", self.attention_probs_dropout_prob),
        ])?;
        check_small("layer_norm_eps", self.layer_norm_eps, 1.0)?;
        check_small("initializer_range", self.initializer_range, 10.0)?;
        check_fixed(
            &self.other,
            &[
                ("position_embedding_type", "absolute".into()),
                ("is_decoder", false.into()),
                ("add_cross_attention", false.into()),
            ],
        )?;
        let table = |name: &str, rows: i64| Table { path: format!("embeddings.{name}_embeddings"), rows, width };
        Ok(Architecture {
            class,
            prefix,
            hidden: self.hidden_size,
            longest,
            embeddings: Embeddings {
                words: table("word", self.vocab_size),
                positions: Some(table("position", self.max_position_embeddings)),
                position_ids,
                token_types: Some(table("token_type", self.type_vocab_size)),
                norm: Some(self.norm("embeddings.LayerNorm", width)),
                dropout: self.hidden_dropout_prob,
                projection: None,
                padding: Some(padding),
            },
            relative: None,
            layers: (0..self.num_hidden_layers).map(|index| self.layer(index)).collect(),
            norm_order: NormOrder::After,
            convolution: None,
            final_norm: None,
            initializer_range: self.initializer_range,
            masked_head: Some(MaskedHead {
                class: "BertForMaskedLM",
                dense: self.affine("cls.predictions.transform.dense", self.hidden_size, self.hidden_size),
                activation: self.hidden_act,
                norm: self.norm("cls.predictions.transform.LayerNorm", self.hidden_size),
                bias: Some("cls.predictions.bias".to_owned()),
            }),
            classifier: Some(Classifier {
                input_dropout: 0.0,
                dense: self.affine("bert.pooler.dense", self.hidden_size, self.hidden_size),
                activation: Activation::Tanh,
                output: self.affine("classifier", self.hidden_size, labels(&self.other)),
                ..self.classifier("BertForSequenceClassification", Activation::Tanh)
            }),
        })
    }

    /// The head that BERT's successors have: of the first token, with dropout before each product.
    pub(super) fn classifier(&self, class: &'static str, activation: Activation) -> Classifier {
        let dropout = first_dropout(&self.other, &["classifier_dropout"], self.hidden_dropout_prob);
        Classifier {
            class,
            reads_mean: false,
            input_dropout: dropout,
            dense: self.affine("classifier.dense", self.hidden_size, self.hidden_size),
            activation,
            norm: None,
            output_dropout: dropout,
            output: self.affine("classifier.out_proj", self.hidden_size, labels(&self.other)),
        }
    }

    fn layer(&self, index: i64) -> Layer {
        let (hidden, intermediate) = (self.hidden_size, self.intermediate_size);
        let affine = |name: &str, input, output| self.affine(&format!("encoder.layer.{index}.{name}"), input, output);
        let norm = |name: &str| self.norm(&format!("encoder.layer.{index}.{name}"), hidden);
        Layer {
            attention: Attention {
                projections: ["query", "key", "value"]
                    .map(|name| affine(&format!("attention.self.{name}"), hidden, hidden))
                    .to_vec(),
                heads: self.num_attention_heads,
                kv_heads: self.num_attention_heads,
                head: hidden / self.num_attention_heads,
                head_norms: None,
                rotary: None,
                causal: false,
                window: None,
                relative: None,
                output: affine("attention.output.dense", hidden, hidden),
                weights_dropout: self.attention_probs_dropout_prob,
                output_dropout: self.hidden_dropout_prob,
            },
            attention_norm: Some(norm("attention.output.LayerNorm")),
            feed_forward: FeedForward {
                up: vec![affine("intermediate.dense", hidden, intermediate)],
                gated: false,
                activation: self.hidden_act,
                inner_dropout: 0.0,
                down: affine("output.dense", intermediate, hidden),
                output_dropout: self.hidden_dropout_prob,
            },
            feed_forward_norm: norm("output.LayerNorm"),
        }
    }
}
