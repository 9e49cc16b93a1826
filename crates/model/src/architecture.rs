//! What an encoder computes and of which variables: one description, made from a configuration by its
//! family, which everything reads that computes, loads, draws, trains or saves weights.

mod variables;

pub use self::variables::{Depth, Role, Variable};
use crate::config::Activation;

/// A table of embeddings, `{path}.weight` of (rows, width).
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Its name without what follows the last dot, as of all parts.
    pub path: String,
    /// Embeddings.
    pub rows: i64,
    /// Numbers of one.
    pub width: i64,
}

/// y = x Wᵀ + b: `{path}.weight` of (output, input), `{path}.bias` of (output).
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    /// Its name.
    pub path: String,
    /// Width of x.
    pub input: i64,
    /// Width of y.
    pub output: i64,
    /// Whether there is b.
    pub bias: bool,
}

/// What a norm takes away before it divides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Centre {
    /// The mean, as layer norm does.
    Mean,
    /// Nothing, as root mean square norm does.
    Zero,
}

/// A norm: `{path}.weight` of (width), and `{path}.bias` where it has one.
#[derive(Clone, Debug, PartialEq)]
pub struct Norm {
    /// Its name.
    pub path: String,
    /// Numbers that are normalized together.
    pub width: i64,
    /// Added to the variance, or to the mean square.
    pub eps: f64,
    /// Which of the two it divides by the root of.
    pub centre: Centre,
    /// Whether something is added.
    pub bias: bool,
}

/// Which position a token has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions {
    /// Counted from 0.
    FromZero,
    /// Counted from the padding token's id and one. Such a token in the text itself keeps its id as position and is not
    /// counted. Source: transformers, `create_position_ids_from_input_ids` in `modeling_roberta.py`.
    AfterPadding,
}

/// Sum of token, position and token type embeddings, normalized, dropped and brought to the layers' width.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// Of tokens.
    pub words: Table,
    /// Of positions; none where attention alone knows them.
    pub positions: Option<Table>,
    /// Which position a token has.
    pub position_ids: Positions,
    /// Of token types; a single sentence is all type 0.
    pub token_types: Option<Table>,
    /// Of the sum.
    pub norm: Option<Norm>,
    /// Of the norm.
    pub dropout: f64,
    /// From the embeddings' width to that of the layers, where they differ.
    pub projection: Option<Affine>,
    /// Id of the padding token, whose row learns nothing.
    pub padding: Option<i64>,
}

/// Attention to positions relative to a token's own: DeBERTa's disentangled attention.
#[derive(Clone, Debug, PartialEq)]
pub struct RelativePositions {
    /// Embeddings of buckets of distances, from −span to span − 1.
    pub table: Table,
    /// Of the table.
    pub norm: Option<Norm>,
    /// Half of its rows.
    pub span: i64,
    /// Distances from which on buckets grow with the logarithm, up to one that has the last bucket; none where each
    /// distance has its own.
    pub logarithmic: Option<i64>,
    /// Dropout of the embeddings.
    pub dropout: f64,
}

/// Products with the embeddings of relative positions.
#[derive(Clone, Debug, PartialEq)]
pub struct RelativeProjections {
    /// To keys, which a token's query meets.
    pub keys: Option<Affine>,
    /// To queries, which meet a token's key.
    pub queries: Option<Affine>,
}

/// Self-attention and its output product.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// Products to queries, keys and values, in this order: one of each, or one of all.
    pub projections: Vec<Affine>,
    /// Heads of queries.
    pub heads: i64,
    /// Heads of keys and values, each for as many heads of queries.
    pub kv_heads: i64,
    /// Width of a head.
    pub head: i64,
    /// Of each head's queries and keys.
    pub head_norms: Option<[Norm; 2]>,
    /// Base of the wavelengths by which queries and keys are rotated to their positions.
    pub rotary: Option<f64>,
    /// Whether a token sees none behind it.
    pub causal: bool,
    /// How far a token sees to either side.
    pub window: Option<i64>,
    /// Products with relative positions.
    pub relative: Option<RelativeProjections>,
    /// Of all heads' values.
    pub output: Affine,
    /// Dropout of attention weights.
    pub weights_dropout: f64,
    /// Dropout of the output.
    pub output_dropout: f64,
}

/// Two products with an activation between them.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedForward {
    /// The first product, in one part or two.
    pub up: Vec<Affine>,
    /// Whether the second half of its outputs multiplies the first's activation.
    pub gated: bool,
    /// Between the two products.
    pub activation: Activation,
    /// Dropout between them.
    pub inner_dropout: f64,
    /// The second product.
    pub down: Affine,
    /// Dropout of the output.
    pub output_dropout: f64,
}

/// A transformer layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// First part.
    pub attention: Attention,
    /// Of the attention: of its input where norms come first, else of the sum of input and output.
    pub attention_norm: Option<Norm>,
    /// Second part.
    pub feed_forward: FeedForward,
    /// Likewise.
    pub feed_forward_norm: Norm,
}

/// Where norms stand in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormOrder {
    /// x = norm(x + f(x)).
    After,
    /// x = x + f(norm(x)).
    Before,
}

/// A convolution over neighbouring tokens beside the first layer, whose output it is added to: DeBERTa-v2's.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    /// Name of `{path}.weight`, (hidden, hidden, kernel), and `{path}.bias`.
    pub path: String,
    /// Tokens that meet.
    pub kernel: i64,
    /// Of what it gives.
    pub activation: Activation,
    /// Dropout before that.
    pub dropout: f64,
    /// Of the sum with the layer's output.
    pub norm: Norm,
}

/// The head that names hidden tokens: a product, an activation and a norm, then the table of token embeddings with a bias.
#[derive(Clone, Debug, PartialEq)]
pub struct MaskedHead {
    /// transformers' class of encoder and head.
    pub class: &'static str,
    /// To the width of the token embeddings.
    pub dense: Affine,
    /// Behind it.
    pub activation: Activation,
    /// Behind that.
    pub norm: Norm,
    /// Name of the bias, (vocab).
    pub bias: Option<String>,
}

/// The head that gives a number for each label, of a text or of two that are joined: a product, an activation, perhaps a
/// norm, and another product. Source: transformers' classes `…ForSequenceClassification`.
#[derive(Clone, Debug, PartialEq)]
pub struct Classifier {
    /// transformers' class of encoder and head.
    pub class: &'static str,
    /// Whether it reads the mean of all tokens; else the first token.
    pub reads_mean: bool,
    /// Of what it reads, in training.
    pub input_dropout: f64,
    /// The first product.
    pub dense: Affine,
    /// Behind it.
    pub activation: Activation,
    /// Behind that.
    pub norm: Option<Norm>,
    /// Of the last product's input, in training.
    pub output_dropout: f64,
    /// To a number for each label.
    pub output: Affine,
}

/// An encoder without heads, and the heads that its family has.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// transformers' class.
    pub class: &'static str,
    /// What stands before the encoder's names where a model has a head too.
    pub prefix: &'static str,
    /// Width of a token's embedding.
    pub hidden: i64,
    /// Most tokens of a sentence, special ones included.
    pub longest: i64,
    /// From ids to the first layer's input.
    pub embeddings: Embeddings,
    /// What all layers know of positions relative to one another.
    pub relative: Option<RelativePositions>,
    /// One after the other.
    pub layers: Vec<Layer>,
    /// Where their norms stand.
    pub norm_order: NormOrder,
    /// Beside the first layer.
    pub convolution: Option<Convolution>,
    /// Of the last layer's output.
    pub final_norm: Option<Norm>,
    /// Standard deviation of freshly drawn weights.
    pub initializer_range: f64,
    /// For masked language modelling, where the family has it.
    pub masked_head: Option<MaskedHead>,
    /// For labels, where the family has it.
    pub classifier: Option<Classifier>,
}

impl Embeddings {
    /// Position ids of one tokenized sentence.
    pub(crate) fn position_ids(&self, ids: &[i64]) -> Vec<i64> {
        match self.position_ids {
            Positions::FromZero => (0..ids.len() as i64).collect(),
            Positions::AfterPadding => {
                let padding = self.padding.unwrap_or_default();
                let mut position = padding;
                let mut next = |&id: &i64| {
                    if id == padding {
                        return padding;
                    }
                    position += 1;
                    position
                };
                ids.iter().map(&mut next).collect()
            }
        }
    }
}

impl RelativePositions {
    /// The row of the table for the distance from a key to a query.
    ///
    /// Source: transformers, `make_log_bucket_position` in `modeling_deberta_v2.py`, whose arithmetic is f32.
    pub fn bucket(&self, distance: i64) -> i64 {
        let middle = self.span / 2;
        let bucket = match self.logarithmic {
            Some(farthest) if distance.abs() > middle => {
                let share = (distance.abs() as f32 / middle as f32).ln() / ((farthest - 1) as f32 / middle as f32).ln();
                ((share * (middle - 1) as f32).ceil() as i64 + middle) * distance.signum()
            }
            _ => distance,
        };
        (bucket + self.span).clamp(0, 2 * self.span - 1)
    }
}
