//! What an encoder computes and of which variables: one description, made from a configuration by its
//! family, which everything reads that computes, loads, draws, trains or saves weights.

use crate::config::Activation;

/// What a variable is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A table of embeddings, (rows, width).
    Table,
    /// The weight of a product, (output, input).
    Weight,
    /// What a product or a norm adds, (output).
    Bias,
    /// What a norm multiplies with, (width).
    Gain,
}

impl Role {
    /// Whether weight decay pulls it towards zero. Source: BERT's optimizer, which leaves out biases and layer norms.
    pub fn decays(self) -> bool {
        matches!(self, Role::Table | Role::Weight)
    }
}

/// Where a variable stands between a model's input and its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Below all layers.
    Embeddings,
    /// In a layer, counted from 0.
    Layer(usize),
    /// Above all layers.
    Head,
}

/// A variable of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// As transformers has it.
    pub name: String,
    /// In elements.
    pub shape: Vec<i64>,
    /// What it is for.
    pub role: Role,
    /// Where it stands.
    pub depth: Depth,
}

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

/// An encoder without heads, and the head that it is pretrained with.
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
}

fn variable(path: &str, what: &str, shape: &[i64], role: Role) -> Variable {
    Variable { name: format!("{path}.{what}"), shape: shape.to_vec(), role, depth: Depth::Head }
}

impl Table {
    /// Name of its variable.
    pub fn name(&self) -> String {
        format!("{}.weight", self.path)
    }

    fn variables(&self) -> Vec<Variable> {
        vec![variable(&self.path, "weight", &[self.rows, self.width], Role::Table)]
    }
}

impl Affine {
    fn variables(&self) -> Vec<Variable> {
        let weight = variable(&self.path, "weight", &[self.output, self.input], Role::Weight);
        let bias = self.bias.then(|| variable(&self.path, "bias", &[self.output], Role::Bias));
        [weight].into_iter().chain(bias).collect()
    }
}

impl Norm {
    fn variables(&self) -> Vec<Variable> {
        let gain = variable(&self.path, "weight", &[self.width], Role::Gain);
        let bias = self.bias.then(|| variable(&self.path, "bias", &[self.width], Role::Bias));
        [gain].into_iter().chain(bias).collect()
    }
}

impl Convolution {
    fn variables(&self) -> Vec<Variable> {
        let width = self.norm.width;
        let weight = variable(&self.path, "weight", &[width, width, self.kernel], Role::Weight);
        let bias = variable(&self.path, "bias", &[width], Role::Bias);
        [weight, bias].into_iter().chain(self.norm.variables()).collect()
    }
}

impl RelativePositions {
    fn variables(&self) -> Vec<Variable> {
        let norm = self.norm.iter().flat_map(Norm::variables);
        self.table.variables().into_iter().chain(norm).collect()
    }

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

impl Attention {
    /// Width of what all projections give side by side.
    pub fn projected(&self) -> i64 {
        (self.heads + 2 * self.kv_heads) * self.head
    }
}

impl Layer {
    fn variables(&self) -> Vec<Variable> {
        let Self { attention, attention_norm, feed_forward, feed_forward_norm } = self;
        let of_pairs = attention.relative.as_ref().map(|relative| [&relative.keys, &relative.queries]);
        // Where a family shares them, they are among the projections already.
        let relative = of_pairs.into_iter().flatten().flatten().filter(|one| !attention.projections.contains(one));
        let products = attention.projections.iter().chain(relative).chain([&attention.output]);
        let products = products.chain(&feed_forward.up).chain([&feed_forward.down]);
        let norms = attention.head_norms.iter().flatten().chain(attention_norm).chain([feed_forward_norm]);
        products.flat_map(Affine::variables).chain(norms.flat_map(Norm::variables)).collect()
    }
}

impl MaskedHead {
    /// Its variables; `vocab` is that of the encoder.
    pub fn variables(&self, vocab: i64) -> Vec<Variable> {
        let bias =
            |name: &String| Variable { name: name.clone(), shape: vec![vocab], role: Role::Bias, depth: Depth::Head };
        let bias = self.bias.iter().map(bias);
        self.dense.variables().into_iter().chain(self.norm.variables()).chain(bias).collect()
    }
}

impl Architecture {
    /// The encoder's variables: embeddings first, then layer by layer.
    pub fn variables(&self) -> Vec<Variable> {
        let Embeddings { words, positions, token_types, norm, projection, .. } = &self.embeddings;
        let tables = [Some(words), positions.as_ref(), token_types.as_ref()].into_iter().flatten();
        let below = tables.flat_map(Table::variables).chain(norm.iter().flat_map(Norm::variables));
        let below = below.chain(projection.iter().flat_map(Affine::variables));
        let below = below.chain(self.relative.iter().flat_map(RelativePositions::variables));
        let at = |depth: Depth| move |variable| Variable { depth, ..variable };
        let layer = |(index, layer): (usize, &Layer)| layer.variables().into_iter().map(at(Depth::Layer(index)));
        let convolution = self.convolution.iter().flat_map(Convolution::variables).map(at(Depth::Layer(0)));
        let layers = self.layers.iter().enumerate().flat_map(layer).chain(convolution);
        let above = self.final_norm.iter().flat_map(Norm::variables);
        below.map(at(Depth::Embeddings)).chain(layers).chain(above).collect()
    }

    /// The variables of the encoder with its masked head, by the names that they have together.
    pub fn masked_variables(&self) -> Vec<Variable> {
        let named = |variable: Variable| Variable { name: format!("{}{}", self.prefix, variable.name), ..variable };
        let head = self.masked_head.iter().flat_map(|head| head.variables(self.embeddings.words.rows));
        self.variables().into_iter().map(named).chain(head).collect()
    }

    /// Numbers in all variables of the encoder.
    pub fn parameters(&self) -> i128 {
        let numbers = |variable: &Variable| variable.shape.iter().map(|&size| i128::from(size)).product::<i128>();
        self.variables().iter().map(numbers).sum()
    }
}
