//! The variables that training changes, with their gradients.

use std::collections::BTreeMap;

use tch::Tensor;

use crate::{
    config::EncoderConfig,
    slices::{values, values_mut},
};

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
    pub(super) query: Affine<'a>,
    pub(super) key: Affine<'a>,
    pub(super) value: Affine<'a>,
    pub(super) attention_output: Affine<'a>,
    pub(super) attention_norm: Affine<'a>,
    pub(super) intermediate: Affine<'a>,
    pub(super) output: Affine<'a>,
    pub(super) output_norm: Affine<'a>,
}

/// The encoder's variables with their gradients.
pub(crate) struct Parameters<'a> {
    pub(super) word_embeddings: Parameter<'a>,
    pub(super) position_embeddings: Parameter<'a>,
    pub(super) token_type_embeddings: Parameter<'a>,
    pub(super) embedding_norm: Affine<'a>,
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
        config: &EncoderConfig,
    ) -> Self {
        let mut grads: BTreeMap<&str, &mut Tensor> =
            grads.iter_mut().map(|(name, grad)| (name.as_str(), grad)).collect();
        let mut parameter = |name: String| Parameter {
            // SAFETY: the caller's, of this and the next.
            value: unsafe { values(&variables[&name]) },
            grad: unsafe { values_mut(grads.remove(name.as_str()).expect("a gradient for each variable")) },
        };
        let mut affine = |path: String| Affine {
            weight: parameter(format!("{path}.weight")),
            bias: parameter(format!("{path}.bias")),
        };
        let embedding_norm = affine("embeddings.LayerNorm".to_owned());
        let mut layer = |index: i64| {
            let mut affine = |name: &str| affine(format!("encoder.layer.{index}.{name}"));
            LayerParameters {
                query: affine("attention.self.query"),
                key: affine("attention.self.key"),
                value: affine("attention.self.value"),
                attention_output: affine("attention.output.dense"),
                attention_norm: affine("attention.output.LayerNorm"),
                intermediate: affine("intermediate.dense"),
                output: affine("output.dense"),
                output_norm: affine("output.LayerNorm"),
            }
        };
        let layers = (0..config.num_hidden_layers).map(&mut layer).collect();
        let mut table = |name: &str| parameter(format!("embeddings.{name}.weight"));
        Self {
            word_embeddings: table("word_embeddings"),
            position_embeddings: table("position_embeddings"),
            token_type_embeddings: table("token_type_embeddings"),
            embedding_norm,
            layers,
        }
    }
}
