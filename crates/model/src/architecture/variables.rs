//! The one list of an encoder's variables, made from its description.

use super::{Affine, Architecture, Convolution, Embeddings, Layer, MaskedHead, Norm, RelativePositions, Table};

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
    pub(crate) fn variables(&self) -> Vec<Variable> {
        let weight = variable(&self.path, "weight", &[self.output, self.input], Role::Weight);
        let bias = self.bias.then(|| variable(&self.path, "bias", &[self.output], Role::Bias));
        [weight].into_iter().chain(bias).collect()
    }
}

impl Norm {
    pub(crate) fn variables(&self) -> Vec<Variable> {
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
