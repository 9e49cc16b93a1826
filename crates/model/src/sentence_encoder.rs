//! The sentence encoder: tokenizer, encoder and pooling in one, loaded from and saved to a checkpoint directory.

mod encoding;
mod saving;
mod training;

use std::{cell::RefCell, collections::BTreeMap, path::Path};

use kernels::Processor;
use tch::{Device, Tensor};

pub use self::training::gradient;
use crate::{
    architecture::{Architecture, Depth, Variable},
    config::EncoderConfig,
    error::Error,
    files::refuse_adapter,
    init,
    layout::Layout,
    manifest,
    native::{
        NativeEncoder,
        training::{PostNorm, Tape},
    },
    pooling::Pooling,
    precision::Precision,
    prompts::{PromptChoice, Prompts},
    similarity::SimilarityFunction,
    tokenizer::Tokenizer,
    torch::{Encoder, Variables},
    weights,
};

/// How to load a sentence encoder.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to compute.
    pub device: Device,
    /// Number format of the layers.
    pub precision: Precision,
    /// Tokens per sentence; the default is the checkpoint's own, or 128.
    pub max_seq_length: Option<usize>,
    /// From token embeddings to a sentence's, of a directory that has none of its own; the default is the mean.
    pub pooling: Option<Pooling>,
    /// What to put before every text.
    pub prompt: PromptChoice,
    /// Dropout of embeddings, attention and layers in training; the default is the checkpoint's own.
    pub dropout: Option<f64>,
    /// Keeps the weights as variables that can be trained and saved. Else a processor keeps them in the layout that
    /// encodes fastest, and nothing beside.
    pub trainable: bool,
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
            trainable: false,
        }
    }
}

/// Turns sentences into embeddings whose cosine is their similarity.
#[derive(Debug)]
pub struct SentenceEncoder {
    weights: Weights,
    config: EncoderConfig,
    tokenizer: Tokenizer,
    pooling: Pooling,
    pooling_source: PoolingSource,
    normalize: bool,
    similarity: SimilarityFunction,
    truncate_dim: Option<usize>,
    prompts: Prompts,
    pools_prompt: bool,
    precision: Precision,
    device: Device,
}

/// Who said how to pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PoolingSource {
    /// The model's directory.
    Directory,
    /// Whoever loaded it.
    Options,
    /// Nobody.
    Default,
}

/// Where the weights are, and who computes with them.
#[derive(Debug)]
enum Weights {
    /// Variables of libtorch: in training, whose products on a processor are the kernels', on a GPU, and on a processor
    /// without the instructions that the kernels need.
    Torch(Box<Trainable>),
    /// The kernels of a processor.
    Native(Box<NativeEncoder>),
}

/// Variables of libtorch with what computes with them.
#[derive(Debug)]
struct Trainable {
    variables: Variables,
    encoder: Encoder,
    /// Where the kernels compute the gradient.
    native: Option<NativeTraining>,
}

/// What the kernels train with: the encoder whose gradient is written out, and memory for its passes.
#[derive(Debug)]
struct NativeTraining {
    encoder: PostNorm,
    tape: RefCell<Option<Box<Tape>>>,
}

const ENCODES_ALONE: &str = "the encoder was loaded for encoding alone: see Options::trainable";

impl Weights {
    /// Variables without values.
    fn torch(architecture: &Architecture, device: Device) -> Result<Self, Error> {
        let variables = Variables::new(&architecture.variables(), device)?;
        let encoder = Encoder::new(&variables, architecture);
        let is_native = device == Device::Cpu && Processor::current().is_vectorized();
        let native = PostNorm::of(architecture).filter(|_| is_native);
        let native = native.map(|encoder| NativeTraining { encoder, tape: RefCell::default() });
        Ok(Self::Torch(Box::new(Trainable { variables, encoder, native })))
    }

    /// # Panics
    /// If the encoder was not loaded as trainable.
    fn variables(&self) -> &Variables {
        &self.trainable().variables
    }

    /// What training computes with.
    ///
    /// # Panics
    /// If the encoder was not loaded as trainable.
    fn trainable(&self) -> &Trainable {
        let Weights::Torch(trainable) = self else { panic!("{ENCODES_ALONE}") };
        trainable
    }

    /// Casts the layers, once and not in every pass.
    fn cast(&self, architecture: &Architecture, precision: Precision) -> Result<(), Error> {
        let Some(kind) = precision.kind() else {
            let what = format!("precision {precision} is for processors: on a GPU, bf16 is the fastest");
            return Err(Error::Unusable(what));
        };
        tch::no_grad(|| {
            let by_name = self.variables().by_name();
            for Variable { name, depth, .. } in architecture.variables() {
                if matches!(depth, Depth::Layer(_)) {
                    let variable = &by_name[&name];
                    variable.shallow_clone().set_data(&variable.to_kind(kind));
                }
            }
        });
        Ok(())
    }
}

/// Whether the kernels are the way to encode: on a processor that has instructions for the format, or that has no other
/// way.
fn is_native(device: Device, precision: Precision) -> bool {
    device == Device::Cpu && (Processor::current().is_vectorized() || precision.kind().is_none())
}

/// A directory's own pooling cannot be chosen: its weights were trained with it.
fn choose_pooling(dir: &Path, own: Option<Pooling>, asked: Option<Pooling>) -> Result<(Pooling, PoolingSource), Error> {
    match (own, asked) {
        (Some(own), Some(asked)) if own != asked => Err(Error::invalid(
            &dir.join("modules.json"),
            format!(
                "its pooling is {own}, and {asked} was asked for; that of a sentence-transformers directory is fixed"
            ),
        )),
        (Some(own), _) => Ok((own, PoolingSource::Directory)),
        (None, Some(asked)) => Ok((asked, PoolingSource::Options)),
        (None, None) => Ok((Pooling::default(), PoolingSource::Default)),
    }
}

impl SentenceEncoder {
    /// Loads a directory in Hugging Face's or sentence-transformers' layout. Nothing in it is executed.
    ///
    /// # Errors
    /// Where a file of it is not what it should be, or asks for something that is not supported; and where the options
    /// contradict it.
    pub fn load(path: impl AsRef<Path>, options: &Options) -> Result<Self, Error> {
        let path = path.as_ref();
        let layout = Layout::read(path)?;
        manifest::verify_encoder(path)?;
        let dir = &layout.transformer;
        refuse_adapter(dir)?;
        let mut config = EncoderConfig::load(&dir.join("config.json"))?;
        if let Some(dropout) = options.dropout {
            config = config.with_dropout(dropout).map_err(Error::Unusable)?;
        }
        let longest = config.max_sequence_length() as usize;
        let max_seq_length = match options.max_seq_length {
            Some(asked) if asked > longest => {
                return Err(Error::invalid(
                    path,
                    format!("max_seq_length {asked} is beyond the encoder's {longest} positions"),
                ));
            }
            Some(asked) => asked,
            None => layout.max_seq_length.min(longest),
        };
        // What is wrong between two files of the directory is wrong with the directory.
        let within = |error| match error {
            Error::Unusable(what) => Error::invalid(path, what),
            error => error,
        };
        let (pooling, pooling_source) = choose_pooling(path, layout.pooling, options.pooling)?;
        let mut tokenizer = Tokenizer::load_with(dir, max_seq_length, &layout.tokenizer_arguments).map_err(within)?;
        if layout.lowercase {
            tokenizer = tokenizer.with_lowercase()?;
        }
        let prompt = layout.prompts.text(&options.prompt).map_err(|what| Error::invalid(path, what))?;
        if !prompt.is_empty() && !layout.pools_prompt {
            let what = format!("its pooling leaves out prompts (include_prompt), which is not supported: {prompt:?}");
            return Err(Error::invalid(path, what));
        }
        let tokenizer = tokenizer.with_prompt(prompt).with_embeddings(config.vocab_size() as usize).map_err(within)?;
        let stored = weights::Weights::open(dir, config.architecture())?;
        stored.check_size(config.architecture())?;
        let (device, precision) = (options.device, if options.trainable { Precision::F32 } else { options.precision });
        let weights = if !options.trainable && is_native(device, precision) {
            let read = |name: &str, shape: &[i64]| stored.read(name, shape);
            Weights::Native(Box::new(NativeEncoder::new(&read, config.architecture(), precision.format())?))
        } else {
            let weights = Weights::torch(config.architecture(), device)?;
            stored.load_into(weights.variables())?;
            weights.cast(config.architecture(), precision)?;
            weights
        };
        let Layout { normalize, similarity, truncate_dim, prompts, pools_prompt, .. } = layout;
        Ok(Self {
            weights,
            config,
            tokenizer,
            pooling,
            pooling_source,
            normalize,
            similarity,
            truncate_dim,
            prompts,
            pools_prompt,
            precision,
            device,
        })
    }

    /// A sentence encoder with fresh weights, drawn from libtorch's random state.
    pub fn from_scratch(
        config: EncoderConfig,
        tokenizer: Tokenizer,
        pooling: Pooling,
        device: Device,
    ) -> Result<Self, Error> {
        if tokenizer.max_seq_length() as i64 > config.max_sequence_length() {
            let (asked, longest) = (tokenizer.max_seq_length(), config.max_sequence_length());
            return Err(Error::Unusable(format!("max_seq_length {asked} is beyond the encoder's {longest} positions")));
        }
        if tokenizer.vocab_size() as i64 > config.vocab_size() {
            let (largest, rows) = (tokenizer.vocab_size() - 1, config.vocab_size());
            return Err(Error::Unusable(format!(
                "the tokenizer has ids up to {largest}, and the encoder's vocab_size is {rows}"
            )));
        }
        let weights = Weights::torch(config.architecture(), device)?;
        let architecture = config.architecture();
        init::initialize(weights.variables(), &architecture.variables(), architecture.initializer_range);
        init::clear_padding(weights.variables(), &architecture.embeddings);
        Ok(Self {
            weights,
            config,
            tokenizer,
            pooling,
            pooling_source: PoolingSource::Options,
            normalize: false,
            similarity: SimilarityFunction::default(),
            truncate_dim: None,
            prompts: Prompts::default(),
            pools_prompt: true,
            precision: Precision::F32,
            device,
        })
    }

    /// From token embeddings to a sentence's.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// Whether neither the model's directory nor the options named the pooling, so that the mean was taken for it. The model
    /// may have been trained with another.
    pub fn pooling_was_assumed(&self) -> bool {
        self.pooling_source == PoolingSource::Default
    }

    /// What to tell a user of a model whose pooling was assumed; `remedy` is where another is named.
    pub fn pooling_note(&self, model: impl std::fmt::Display, remedy: &str) -> Option<String> {
        let pooling = self.pooling;
        let note = || {
            format!(
                "{model}: the directory has no pooling of its own, {pooling} is assumed: another is named by {remedy}"
            )
        };
        self.pooling_was_assumed().then(note)
    }

    /// The pooling, where the model's directory has none of its own: embeddings of one directory may then differ in it.
    pub fn pooling_beside_directory(&self) -> Option<Pooling> {
        (self.pooling_source != PoolingSource::Directory).then_some(self.pooling)
    }

    /// What the model wants before texts; the one that is used is the [tokenizer's](Tokenizer::prompt).
    pub fn prompts(&self) -> &Prompts {
        &self.prompts
    }

    /// What to tell a user where the model has prompts and none is used; `remedy` is where one is named.
    pub fn prompt_note(&self, model: impl std::fmt::Display, remedy: &str) -> Option<String> {
        self.prompts.note(model, self.tokenizer.prompt(), remedy)
    }

    /// The similarity that the model's embeddings were made for.
    pub fn similarity_function(&self) -> SimilarityFunction {
        self.similarity
    }

    /// Width of an embedding that [`SentenceEncoder::encode`] gives: the encoder's, or less where the model's directory
    /// truncates its embeddings.
    pub fn dimensions(&self) -> usize {
        let width = self.width();
        self.truncate_dim.map_or(width, |kept| kept.min(width))
    }

    /// Width of an embedding before it is truncated.
    fn width(&self) -> usize {
        self.pooling.width(self.config.hidden_size() as usize)
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The encoder's configuration.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// Number format of [`SentenceEncoder::encode`].
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Where the encoder computes.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The weights by the names that they have in transformers; they share memory with the encoder's.
    ///
    /// # Panics
    /// If the encoder was not loaded as trainable.
    pub fn variables(&self) -> BTreeMap<String, Tensor> {
        self.weights.variables().by_name()
    }
}
