//! Passes of training: embeddings with their gradients.

use kernels::Format;
use tch::{Kind, Tensor};

use super::{NativeTraining, SentenceEncoder, Trainable};
use crate::{
    native::training::{Parameters, Tape},
    precision::Precision,
    runtime,
    similarity::normalized,
    slices,
    torch::PackedBatch,
};

impl SentenceEncoder {
    /// Embeddings of tokenized sentences, all in one packed batch, on the device: (sentences, hidden), f32. Gradients
    /// flow to the weights unless the caller stops them; `train` switches dropout on.
    ///
    /// # Panics
    /// If the encoder was not loaded as trainable.
    pub fn forward(&self, sentences: &[Vec<i64>], precision: Precision, train: bool) -> Tensor {
        let Trainable { encoder, .. } = self.weights.trainable();
        let batch = PackedBatch::new(sentences, &self.config.architecture().embeddings, self.device);
        let hidden = encoder.forward(&batch, precision, train); // (tokens, hidden)
        let embeddings = self.pooling.forward(&hidden, &batch); // (sentences, hidden)
        if self.normalize { normalized(&embeddings) } else { embeddings }
    }

    /// Adds to the gradients of the weights that of `loss`, a scalar function of the sentences' embeddings (sentences,
    /// hidden), which all are computed in one packed batch; returns the loss. `dropout` is the seed of dropout, and none
    /// switches it off.
    ///
    /// # Panics
    /// If the encoder was not loaded as trainable.
    pub fn backpropagate(
        &self,
        sentences: &[Vec<i64>],
        precision: Precision,
        dropout: Option<u64>,
        loss: impl FnOnce(&Tensor) -> Tensor,
    ) -> f64 {
        let Some(native) = &self.weights.trainable().native else {
            runtime::manual_seed(dropout.unwrap_or_default());
            let loss = loss(&self.forward(sentences, precision, dropout.is_some()));
            loss.backward();
            return loss.double_value(&[]);
        };
        let width = self.config.hidden_size() as usize;
        self.native_pass(native, sentences, precision.format(), dropout, |tape| {
            let pooled = tape.pool(width, self.pooling);
            let pooled = Tensor::from_slice(&pooled).view((sentences.len() as i64, -1)).set_requires_grad(true);
            let loss = loss(&if self.normalize { normalized(&pooled) } else { pooled.shallow_clone() });
            loss.backward();
            let grad_pooled = copied(&pooled.grad());
            (tape.pool_backward(width, self.pooling, &grad_pooled), loss.double_value(&[]))
        })
    }

    /// The same for a function of the embeddings of all tokens, one sentence after the other: (tokens, hidden), in f32 or in
    /// the number format of `precision`. The loss may
    /// read variables of its own and those of the encoder; their gradients grow by what it makes of them.
    ///
    /// # Panics
    /// If the encoder was not loaded as trainable.
    pub(crate) fn backpropagate_tokens(
        &self,
        sentences: &[Vec<i64>],
        precision: Precision,
        dropout: Option<u64>,
        loss: impl FnOnce(&Tensor) -> Tensor,
    ) -> f64 {
        let Trainable { encoder, native, .. } = self.weights.trainable();
        let Some(native) = native else {
            runtime::manual_seed(dropout.unwrap_or_default());
            let batch = PackedBatch::new(sentences, &self.config.architecture().embeddings, self.device);
            let hidden = encoder.forward(&batch, precision, dropout.is_some());
            let loss = loss(&batch.restore_tokens(hidden));
            loss.backward();
            return loss.double_value(&[]);
        };
        self.native_pass(native, sentences, precision.format(), dropout, |tape| {
            let hidden =
                Tensor::from_slice(tape.tokens()).view((-1, self.config.hidden_size())).set_requires_grad(true);
            let loss = loss(&hidden);
            loss.backward();
            (copied(&hidden.grad()), loss.double_value(&[]))
        })
    }

    /// A forward pass, `differentiate`, which gives the gradient with respect to the tokens' embeddings and the loss, and the
    /// backward pass.
    fn native_pass(
        &self,
        native: &NativeTraining,
        sentences: &[Vec<i64>],
        format: Format,
        dropout: Option<u64>,
        differentiate: impl FnOnce(&Tape) -> (Vec<f32>, f64),
    ) -> f64 {
        let (variables, NativeTraining { encoder, tape }) = (self.variables(), native);
        let mut grads = variables.iter().map(|(name, variable)| (name.clone(), gradient(variable))).collect();
        let mut tape = tape.borrow_mut();
        let tape = match &mut *tape {
            Some(tape) if tape.format() == format => tape,
            other => other.insert(Box::new(Tape::new(encoder, format))),
        };
        {
            // SAFETY: `variables` and `grads` are handles of this function, and the tape has none; whoever has others (the
            // optimizer) runs before or after.
            #[allow(unsafe_code)]
            let parameters = unsafe { Parameters::new(&variables, &mut grads, encoder) };
            // On a thread of the pool, here and below: from any other, every step would wake one and wait for it.
            rayon::scope(|_| tape.forward(&parameters, encoder, sentences, dropout));
        }
        let (grad, loss) = differentiate(tape); // may read and write them
        // SAFETY: as above.
        #[allow(unsafe_code)]
        let mut parameters = unsafe { Parameters::new(&variables, &mut grads, encoder) };
        rayon::scope(|_| tape.backward(&mut parameters, encoder, dropout, grad));
        loss
    }

    /// Embeddings of the tokens of all sentences without their gradient, one sentence after the other: (tokens, hidden).
    ///
    /// # Panics
    /// If the encoder was not loaded as trainable.
    pub(crate) fn encode_tokens(&self, sentences: &[Vec<i64>]) -> Tensor {
        let Trainable { encoder, .. } = self.weights.trainable();
        let batch = PackedBatch::new(sentences, &self.config.architecture().embeddings, self.device);
        batch.restore_tokens(tch::no_grad(|| encoder.forward(&batch, Precision::F32, false)))
    }
}

fn copied(grad: &Tensor) -> Vec<f32> {
    slices::to_vec(grad).expect("a gradient on the processor")
}

/// A variable's gradient, zero where nothing was added to it yet.
///
/// # Panics
/// If the variable requires no gradient.
pub fn gradient(variable: &Tensor) -> Tensor {
    if !variable.grad().defined() {
        (variable * 0.0).sum(Kind::Float).backward(); // the way to have libtorch make one
    }
    variable.grad()
}
