//! The sentence encoder: tokenizer, encoder and head in one, loaded from a checkpoint directory.

mod encoding;
mod loading;

use std::path::Path;

use kernels::Processor;
use tch::Device;

pub(crate) use self::loading::Parts;
use crate::{
    config::EncoderConfig,
    error::Error,
    head::Head,
    matryoshka::Matryoshka,
    native::{NativeEncoder, NativeHead},
    pooling::Pooling,
    precision::Precision,
    prompts::{PromptChoice, Prompts},
    similarity::SimilarityFunction,
    stored::Stored,
    tokenizer::Tokenizer,
    torch::{self, Variables},
};

/// How to load a sentence encoder.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to compute.
    pub device: Device,
    /// Number format of the layers. Weights that are trained are f32.
    pub precision: Precision,
    /// Tokens per sentence; the default is the checkpoint's own, or 128.
    pub max_seq_length: Option<usize>,
    /// From token embeddings to a sentence's, of a directory that has none of its own; the default is the mean.
    pub pooling: Option<Pooling>,
    /// What to put before every text.
    pub prompt: PromptChoice,
    /// Dropout of embeddings, attention and layers in training; the default is the checkpoint's own.
    pub dropout: Option<f64>,
    /// How many of an embedding's first numbers to keep, which are brought to the norm 1 again where the model's embeddings
    /// have it; the default is all, or the checkpoint's own number.
    pub dimensions: Option<usize>,
    /// Truncates embeddings also where the model does not say that it was trained for it.
    pub allow_truncation: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            precision: Precision::F32,
            max_seq_length: None,
            pooling: None,
            prompt: PromptChoice::Default,
            dropout: None,
            dimensions: None,
            allow_truncation: false,
        }
    }
}

/// Turns sentences into embeddings whose cosine is their similarity.
#[derive(Debug)]
pub struct SentenceEncoder {
    pub(crate) parts: Parts,
    backbone: Backbone,
    precision: Precision,
    device: Device,
}

/// Where the weights are, and who computes with them.
#[derive(Debug)]
enum Backbone {
    /// The kernels of a processor, in the layout that encodes fastest.
    Native(Box<(NativeEncoder, NativeHead)>),
    /// libtorch: on a GPU, and on a processor without the instructions that the kernels need.
    Torch(Box<torch::SentenceModel>),
    /// The kernels of a processor, with variables that are in training: they are laid out anew whenever sentences are
    /// encoded.
    Training(Variables),
}

/// Whether the kernels are the way to encode: on a processor that has instructions for the format, or that has no other
/// way.
pub(crate) fn is_native(device: Device, precision: Precision) -> bool {
    device == Device::Cpu && (Processor::current().is_vectorized() || precision.kind().is_none())
}

impl SentenceEncoder {
    /// Loads a directory in Hugging Face's or sentence-transformers' layout. Nothing in it is executed.
    ///
    /// # Errors
    /// Where a file of it is not what it should be, or asks for something that is not supported; and where the options
    /// contradict it.
    pub fn load(path: impl AsRef<Path>, options: &Options) -> Result<Self, Error> {
        let (parts, stored) = Parts::read(path.as_ref(), options)?;
        Self::of_stored(parts, &stored, options)
    }

    /// With the weights of a directory.
    pub(crate) fn of_stored(parts: Parts, stored: &Stored, options: &Options) -> Result<Self, Error> {
        let Options { device, precision, .. } = *options;
        let architecture = parts.config.architecture();
        let backbone = if is_native(device, precision) {
            let read = |name: &str, shape: &[i64]| stored.read(name, shape);
            let encoder = NativeEncoder::new(&read, architecture, precision.format(), parts.types)?;
            Backbone::Native(Box::new((encoder, NativeHead::new(&read, &parts.head)?)))
        } else {
            let variables = Variables::new(&parts.described(), device)?;
            stored.load_into(&variables)?;
            variables.cast_layers(architecture, precision)?;
            Backbone::Torch(Box::new(torch::SentenceModel::new(&variables, architecture, &parts.head)))
        };
        Ok(Self { parts, backbone, precision, device })
    }

    /// Encodes with variables that change: those of a model in training.
    pub(crate) fn of_variables(parts: Parts, variables: &Variables, device: Device) -> Self {
        let precision = Precision::F32;
        let backbone = if is_native(device, precision) {
            Backbone::Training(variables.shallow_clone())
        } else {
            let model = torch::SentenceModel::new(variables, parts.config.architecture(), &parts.head);
            Backbone::Torch(Box::new(model))
        };
        Self { parts, backbone, precision, device }
    }

    /// From token embeddings to a sentence's.
    pub fn pooling(&self) -> Pooling {
        self.parts.head.pooling
    }

    /// Whether neither the model's directory nor the options named the pooling, so that the mean was taken for it. The model
    /// may have been trained with another.
    pub fn pooling_was_assumed(&self) -> bool {
        self.parts.pooling_source == PoolingSource::Default
    }

    /// What to tell a user of a model whose pooling was assumed; `remedy` is where another is named.
    pub fn pooling_note(&self, model: impl std::fmt::Display, remedy: &str) -> Option<String> {
        let pooling = self.pooling();
        let note = || {
            format!(
                "{model}: the directory has no pooling of its own, {pooling} is assumed: another is named by {remedy}"
            )
        };
        self.pooling_was_assumed().then(note)
    }

    /// The pooling, where the model's directory has none of its own: embeddings of one directory may then differ in it.
    pub fn pooling_beside_directory(&self) -> Option<Pooling> {
        (self.parts.pooling_source != PoolingSource::Directory).then_some(self.pooling())
    }

    /// What the model wants before texts; the one that is used is the [tokenizer's](Tokenizer::prompt).
    pub fn prompts(&self) -> &Prompts {
        &self.parts.prompts
    }

    /// What to tell a user where the model has prompts and none is used; `remedy` is where one is named.
    pub fn prompt_note(&self, model: impl std::fmt::Display, remedy: &str) -> Option<String> {
        self.prompts().note(model, self.tokenizer().prompt(), remedy)
    }

    /// Whether the tokens of a prompt count in pooling. Where they do not, a text can be encoded with the model's own prompt
    /// alone.
    pub fn pools_prompt(&self) -> bool {
        self.parts.pools_prompt
    }

    /// The similarity that the model's embeddings were made for.
    pub fn similarity_function(&self) -> SimilarityFunction {
        self.parts.similarity
    }

    /// Whether the first numbers of an embedding stand for the whole.
    pub fn matryoshka(&self) -> &Matryoshka {
        &self.parts.matryoshka
    }

    /// Whether embeddings have the norm 1.
    pub fn normalizes(&self) -> bool {
        self.parts.head.normalizes() && (self.parts.renormalizes || self.dimensions() == self.parts.width())
    }

    /// Width of an embedding that [`SentenceEncoder::encode`] gives: the model's, or less where its directory or the options
    /// truncate embeddings.
    pub fn dimensions(&self) -> usize {
        self.parts.dimensions()
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.parts.tokenizer
    }

    /// The encoder's configuration.
    pub fn config(&self) -> &EncoderConfig {
        &self.parts.config
    }

    /// Number format of [`SentenceEncoder::encode`].
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Where the encoder computes.
    pub fn device(&self) -> Device {
        self.device
    }

    pub(crate) fn head(&self) -> &Head {
        &self.parts.head
    }
}

/// Who said how to pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PoolingSource {
    /// The model's directory.
    Directory,
    /// Whoever loaded it.
    Options,
    /// Nobody.
    Default,
}
