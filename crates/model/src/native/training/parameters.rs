//! The variables that training changes, with their gradients.

use std::collections::BTreeMap;

use tch::Tensor;

use super::post_norm::{PostNorm, PostNormLayer};
use crate::slices::{values, values_mut};

/// A variable and its gradient.
pub(super) struct Parameter<'a> {
    pub(super) value: &'a [f32],
    pub(super) grad: &'a mut [f32],
}

/// A layer's weight and bias, of a product or of a norm.
pub(super) struct Affine<'a> {
    pub(super) weight: Parameter<'a>,
    pub(super) bias: Parameter<'a>,
}

impl Affine<'_> {
    /// Weight and bias.
    pub(super) fn values(&self) -> [&[f32]; 2] {
        [self.weight.value, self.bias.value]
    }

    /// Their gradients.
    pub(super) fn grads(&mut self) -> [&mut [f32]; 2] {
        [&mut *self.weight.grad, &mut *self.bias.grad]
    }
}

pub(super) struct LayerParameters<'a> {
    pub(super) projections: [Affine<'a>; 3], // to queries, keys and values
    pub(super) attention_output: Affine<'a>,
    pub(super) attention_norm: Affine<'a>,
    pub(super) up: Affine<'a>,
    pub(super) down: Affine<'a>,
    pub(super) output_norm: Affine<'a>,
}

/// The encoder's variables with their gradients.
pub(crate) struct Parameters<'a> {
    pub(super) words: Parameter<'a>,
    pub(super) positions: Parameter<'a>,
    pub(super) token_types: Option<Parameter<'a>>,
    pub(super) embedding_norm: Affine<'a>,
    pub(super) projection: Option<Affine<'a>>,
    pub(super) layers: Vec<LayerParameters<'a>>,
}

impl<'a> Parameters<'a> {
    /// Of variables by name, and gradients by the same names.
    ///
    /// # Safety
    /// While the parameters live, nothing writes the variables or reads or writes the gradients through another handle, and
    /// none is given other memory; see [`values`] and [`values_mut`].
    #[allow(unsafe_code)]
    pub(crate) unsafe fn new(
        variables: &'a BTreeMap<String, Tensor>,
        grads: &'a mut BTreeMap<String, Tensor>,
        encoder: &PostNorm,
    ) -> Self {
        let mut grads: BTreeMap<&str, &mut Tensor> =
            grads.iter_mut().map(|(name, grad)| (name.as_str(), grad)).collect();
        let mut parameter = |path: &str, what: &str| {
            let name = format!("{path}.{what}");
            Parameter {
                // SAFETY: the caller's, of this and the next.
                value: unsafe { values(&variables[&name]) },
                grad: unsafe { values_mut(grads.remove(name.as_str()).expect("a gradient for each variable")) },
            }
        };
        let embeddings = &encoder.embeddings;
        let words = parameter(&embeddings.words.path, "weight");
        let positions = parameter(&encoder.positions.path, "weight");
        let token_types = embeddings.token_types.as_ref().map(|table| parameter(&table.path, "weight"));
        let mut affine = |path: &str| Affine { weight: parameter(path, "weight"), bias: parameter(path, "bias") };
        let embedding_norm = affine(&encoder.embedding_norm.path);
        let projection = embeddings.projection.as_ref().map(|projection| affine(&projection.path));
        let layer = |layer: &PostNormLayer| LayerParameters {
            projections: layer.projections.each_ref().map(|projection| affine(&projection.path)),
            attention_output: affine(&layer.attention_output.path),
            attention_norm: affine(&layer.attention_norm.path),
            up: affine(&layer.up.path),
            down: affine(&layer.down.path),
            output_norm: affine(&layer.output_norm.path),
        };
        let layers = encoder.layers.iter().map(layer).collect();
        Self { words, positions, token_types, embedding_norm, projection, layers }
    }
}
