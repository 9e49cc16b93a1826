//! What an encoder computes and of which variables: one description, made from a configuration by its
//! [family](crate::family), which everything reads that computes, loads, draws, trains or saves weights.

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
}

/// A layer norm: `{path}.weight` and `{path}.bias` of (width).
#[derive(Clone, Debug, PartialEq)]
pub struct Norm {
    /// Its name.
    pub path: String,
    /// Numbers that are normalized together.
    pub width: i64,
    /// Added to the variance.
    pub eps: f64,
}

/// Which row of the position table a token takes.
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
    /// Of positions.
    pub positions: Table,
    /// Which position a token has.
    pub position_ids: Positions,
    /// Of token types; a single sentence is all type 0.
    pub token_types: Option<Table>,
    /// Of the sum.
    pub norm: Norm,
    /// From the embeddings' width to that of the layers, where they differ.
    pub projection: Option<Affine>,
    /// Id of the padding token, whose row learns nothing.
    pub padding: i64,
}

/// Self-attention, its output product, and the norm of the sum with its input.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// Products to queries, keys and values.
    pub projections: [Affine; 3],
    /// Heads, which divide their outputs.
    pub heads: i64,
    /// Of all heads' values.
    pub output: Affine,
    /// Of output and input.
    pub norm: Norm,
    /// Dropout of attention weights.
    pub weights_dropout: f64,
    /// Dropout of the output.
    pub output_dropout: f64,
}

/// Two products with an activation between them, and the norm of the sum with its input.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedForward {
    /// The first product.
    pub up: Affine,
    /// Between the two.
    pub activation: Activation,
    /// The second product.
    pub down: Affine,
    /// Of output and input.
    pub norm: Norm,
    /// Dropout of the output.
    pub dropout: f64,
}

/// A transformer layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// First part.
    pub attention: Attention,
    /// Second part.
    pub feed_forward: FeedForward,
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
    pub bias: String,
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
    /// Dropout of the embeddings.
    pub embeddings_dropout: f64,
    /// One after the other.
    pub layers: Vec<Layer>,
    /// Standard deviation of freshly drawn weights.
    pub initializer_range: f64,
    /// For masked language modelling.
    pub masked_head: MaskedHead,
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
        vec![
            variable(&self.path, "weight", &[self.output, self.input], Role::Weight),
            variable(&self.path, "bias", &[self.output], Role::Bias),
        ]
    }
}

impl Norm {
    fn variables(&self) -> Vec<Variable> {
        vec![
            variable(&self.path, "weight", &[self.width], Role::Gain),
            variable(&self.path, "bias", &[self.width], Role::Bias),
        ]
    }
}

impl Embeddings {
    /// Position ids of one tokenized sentence.
    pub(crate) fn position_ids(&self, ids: &[i64]) -> Vec<i64> {
        match self.position_ids {
            Positions::FromZero => (0..ids.len() as i64).collect(),
            Positions::AfterPadding => {
                let mut position = self.padding;
                let mut next = |&id: &i64| {
                    if id == self.padding {
                        return self.padding;
                    }
                    position += 1;
                    position
                };
                ids.iter().map(&mut next).collect()
            }
        }
    }
}

impl Layer {
    fn variables(&self) -> Vec<Variable> {
        let Self { attention, feed_forward } = self;
        let [query, key, value] = &attention.projections;
        let products = [query, key, value, &attention.output, &feed_forward.up, &feed_forward.down];
        let norms = [&attention.norm, &feed_forward.norm];
        products.into_iter().flat_map(Affine::variables).chain(norms.into_iter().flat_map(Norm::variables)).collect()
    }
}

impl MaskedHead {
    /// Its variables; `vocab` is that of the encoder.
    pub fn variables(&self, vocab: i64) -> Vec<Variable> {
        let bias = Variable { name: self.bias.clone(), shape: vec![vocab], role: Role::Bias, depth: Depth::Head };
        [self.dense.variables(), self.norm.variables(), vec![bias]].concat()
    }
}

impl Architecture {
    /// The encoder's variables: embeddings first, then layer by layer.
    pub fn variables(&self) -> Vec<Variable> {
        let Embeddings { words, positions, token_types, norm, projection, .. } = &self.embeddings;
        let tables = [Some(words), Some(positions), token_types.as_ref()];
        let tables = tables.into_iter().flatten().flat_map(Table::variables);
        let below = tables.chain(norm.variables()).chain(projection.iter().flat_map(Affine::variables));
        let below = below.map(|variable| Variable { depth: Depth::Embeddings, ..variable });
        let layer = |(index, layer): (usize, &Layer)| {
            let variables = layer.variables().into_iter();
            variables.map(move |variable| Variable { depth: Depth::Layer(index), ..variable })
        };
        below.chain(self.layers.iter().enumerate().flat_map(layer)).collect()
    }

    /// The variables of the encoder with its masked head, by the names that they have together.
    pub fn masked_variables(&self) -> Vec<Variable> {
        let named = |variable: Variable| Variable { name: format!("{}{}", self.prefix, variable.name), ..variable };
        let head = self.masked_head.variables(self.embeddings.words.rows);
        self.variables().into_iter().map(named).chain(head).collect()
    }

    /// Numbers in all variables of the encoder.
    pub fn parameters(&self) -> i128 {
        let numbers = |variable: &Variable| variable.shape.iter().map(|&size| i128::from(size)).product::<i128>();
        self.variables().iter().map(numbers).sum()
    }
}
