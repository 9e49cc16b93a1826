//! A sentence encoder in training: its weights as variables, and their gradients.

mod saving;

pub(crate) use self::saving::check_finite;

use std::{cell::RefCell, collections::BTreeMap, path::Path};

use kernels::{Format, Processor};
use tch::{Device, Kind, Tensor};

use crate::{
    architecture::Variable,
    config::EncoderConfig,
    error::Error,
    init,
    native::training::{Parameters, PostNorm, Tape},
    pooling::Pooling,
    precision::Precision,
    runtime,
    sentence_encoder::{Options, Parts, SentenceEncoder},
    sequence::Sequence,
    slices,
    stored::Stored,
    tokenizer::Tokenizer,
    torch::{SentenceModel, Variables},
};

/// A sentence encoder whose weights can be changed and saved.
#[derive(Debug)]
pub struct TrainableEncoder {
    encoder: SentenceEncoder,
    variables: Variables,
    model: SentenceModel,
    /// Where the kernels compute the gradient.
    native: Option<NativeTraining>,
}

/// What the kernels train with: the encoder whose gradient is written out, and memory for its passes.
#[derive(Debug)]
struct NativeTraining {
    encoder: PostNorm,
    tape: RefCell<Option<Box<Tape>>>,
}

impl TrainableEncoder {
    /// Loads a directory as [`SentenceEncoder::load`] does, with weights in f32.
    ///
    /// # Errors
    /// As there.
    pub fn load(path: impl AsRef<Path>, options: &Options) -> Result<Self, Error> {
        let (parts, stored) = Parts::read(path.as_ref(), options)?;
        let trainable = Self::new(parts, options.device)?;
        trainable.load_stored(&stored)?;
        Ok(trainable)
    }

    /// Fills all weights.
    pub(crate) fn load_stored(&self, stored: &Stored) -> Result<(), Error> {
        stored.load_into(&self.variables)
    }

    /// Draws the weights of the head, but for those that `stored` has.
    pub(crate) fn load_with_fresh_head(&self, stored: &Stored) -> Result<(), Error> {
        let architecture = self.config().architecture();
        let head = self.encoder.head().variables();
        init::initialize(&self.variables, &head, architecture.initializer_range);
        stored.load_but(&self.variables, &head)
    }

    /// A sentence encoder with fresh weights, drawn from libtorch's random state.
    ///
    /// # Errors
    /// Where the tokenizer does not fit the configuration.
    pub fn from_scratch(
        config: EncoderConfig,
        tokenizer: Tokenizer,
        pooling: Pooling,
        device: Device,
    ) -> Result<Self, Error> {
        let fresh = Self::new(Parts::fresh(config, tokenizer, pooling)?, device)?;
        let architecture = fresh.encoder.config().architecture();
        init::initialize(&fresh.variables, &architecture.variables(), architecture.initializer_range);
        init::clear_padding(&fresh.variables, &architecture.embeddings);
        Ok(fresh)
    }

    /// Variables without values.
    pub(crate) fn new(parts: Parts, device: Device) -> Result<Self, Error> {
        let architecture = parts.config.architecture();
        let variables = Variables::new(&parts.described(), device)?;
        let model = SentenceModel::new(&variables, architecture, &parts.head);
        let is_native = device == Device::Cpu && Processor::current().is_vectorized();
        let native = PostNorm::of(architecture).filter(|_| is_native);
        let native = native.map(|encoder| NativeTraining { encoder, tape: RefCell::default() });
        let encoder = SentenceEncoder::of_variables(parts, &variables, device);
        Ok(Self { encoder, variables, model, native })
    }

    /// The encoder for encoding: with the weights as they are when it encodes.
    pub fn encoder(&self) -> &SentenceEncoder {
        &self.encoder
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        self.encoder.tokenizer()
    }

    /// The encoder's configuration.
    pub fn config(&self) -> &EncoderConfig {
        self.encoder.config()
    }

    /// Where the weights are.
    pub fn device(&self) -> Device {
        self.encoder.device()
    }

    /// The weights by the names that they have in transformers; they share memory with the encoder's. Those of modules
    /// behind the pooling follow the name of the module's folder.
    pub fn variables(&self) -> BTreeMap<String, Tensor> {
        self.variables.by_name()
    }

    /// What they are.
    pub fn described(&self) -> Vec<Variable> {
        self.encoder.parts.described()
    }

    /// Width of the embeddings that losses are given, before they are truncated.
    pub fn width(&self) -> usize {
        self.encoder.parts.width()
    }

    /// Embeddings of tokenized sentences, all in one packed batch, on the device: (sentences,
    /// [width](TrainableEncoder::width)), f32. Gradients flow to the weights unless the caller stops them; `train` switches
    /// dropout on.
    pub fn forward<S: Sequence>(&self, sentences: &[S], precision: Precision, train: bool) -> Tensor {
        self.model.forward(sentences, self.device(), precision, train)
    }

    /// Adds to the gradients of the weights that of `loss`, a scalar function of the sentences' embeddings (sentences,
    /// width), which all are computed in one packed batch; returns the loss. `dropout` is the seed of dropout, and none
    /// switches it off.
    pub fn backpropagate<S: Sequence>(
        &self,
        sentences: &[S],
        precision: Precision,
        dropout: Option<u64>,
        loss: impl FnOnce(&Tensor) -> Tensor,
    ) -> f64 {
        let Some(native) = &self.native else {
            runtime::manual_seed(dropout.unwrap_or_default());
            let loss = loss(&self.forward(sentences, precision, dropout.is_some()));
            loss.backward();
            return loss.double_value(&[]);
        };
        let (hidden, head) = (self.config().hidden_size() as usize, self.encoder.head());
        if let (true, Some(seed)) = (head.has_dropout(), dropout) {
            runtime::manual_seed(seed);
        }
        self.native_pass(native, sentences, precision.format(), dropout, |tape| {
            let pooled = tape.pool(hidden, head);
            let pooled = Tensor::from_slice(&pooled).view((sentences.len() as i64, -1)).set_requires_grad(true);
            let loss = loss(&self.model.head.modules(pooled.shallow_clone(), dropout.is_some()));
            loss.backward();
            let grad_pooled = copied(&pooled.grad());
            (tape.pool_backward(hidden, head, &grad_pooled), loss.double_value(&[]))
        })
    }

    /// The same for a function of the embeddings of all tokens, one sentence after the other: (tokens, hidden), in f32 or in
    /// the number format of `precision`. The loss may read variables of its own and those of the encoder; their gradients
    /// grow by what it makes of them.
    pub(crate) fn backpropagate_tokens<S: Sequence>(
        &self,
        sentences: &[S],
        precision: Precision,
        dropout: Option<u64>,
        loss: impl FnOnce(&Tensor) -> Tensor,
    ) -> f64 {
        let Some(native) = &self.native else {
            runtime::manual_seed(dropout.unwrap_or_default());
            let loss = loss(&self.model.forward_tokens(sentences, self.device(), precision, dropout.is_some()));
            loss.backward();
            return loss.double_value(&[]);
        };
        self.native_pass(native, sentences, precision.format(), dropout, |tape| {
            let width = self.config().hidden_size();
            let hidden = Tensor::from_slice(tape.tokens()).view((-1, width)).set_requires_grad(true);
            let loss = loss(&hidden);
            loss.backward();
            (copied(&hidden.grad()), loss.double_value(&[]))
        })
    }

    /// A forward pass, `differentiate`, which gives the gradient with respect to the tokens' embeddings and the loss, and the
    /// backward pass.
    fn native_pass<S: Sequence>(
        &self,
        native: &NativeTraining,
        sentences: &[S],
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
    pub(crate) fn encode_tokens<S: Sequence>(&self, sentences: &[S]) -> Tensor {
        tch::no_grad(|| self.model.forward_tokens(sentences, self.device(), Precision::F32, false))
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
