//! The masked language model: an encoder with the head that names the tokens that were hidden from it.
//!
//! Source: transformers' classes `…ForMaskedLM`, whose names the variables have in a checkpoint. The head's output layer
//! is the table of token embeddings, and it is computed at the hidden positions alone.

use std::{collections::BTreeMap, ops::Range, path::Path};

use tch::{Device, Kind, Reduction, Tensor};

use crate::{
    architecture::{Architecture, MaskedHead},
    config::EncoderConfig,
    error::Error,
    files::refuse_adapter,
    init,
    layout::{DEFAULT_MAX_SEQ_LENGTH, Layout},
    pooling::Pooling,
    precision::Precision,
    prompts::PromptChoice,
    sentence_encoder::Options,
    tokenizer::Tokenizer,
    torch::{Linear, Norm, Variables, activate},
    trainable::TrainableEncoder,
    weights::Weights,
};

/// Sequences of tokens of which some are to be guessed.
#[derive(Clone, Debug, Default)]
pub struct MaskedBatch {
    /// Token ids as the encoder sees them.
    pub sequences: Vec<Vec<i64>>,
    /// Positions to be guessed, counted through all sequences one after the other; at least one.
    pub positions: Vec<i64>,
    /// The ids that belong there.
    pub labels: Vec<i64>,
}

impl MaskedBatch {
    /// Some of its sequences, by their places; they may have no position.
    pub fn part(&self, places: Range<usize>) -> Self {
        let tokens = |sequences: &[Vec<i64>]| sequences.iter().map(Vec::len).sum::<usize>() as i64;
        let start = tokens(&self.sequences[..places.start]);
        let sequences = self.sequences[places].to_vec();
        let end = start + tokens(&sequences);
        let within = self.positions.iter().zip(&self.labels).filter(|(position, _)| (start..end).contains(position));
        let (positions, labels) = within.map(|(position, label)| (position - start, label)).unzip();
        Self { sequences, positions, labels }
    }
}

/// What a model makes of the positions of a batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guesses {
    /// Σ −ln p of the token that belongs there.
    pub loss: f64,
    /// Positions at which that token is the likeliest.
    pub right: u64,
    /// Positions in all.
    pub positions: u64,
}

/// An encoder with the head of masked language modelling.
#[derive(Debug)]
pub struct MaskedLanguageModel {
    encoder: TrainableEncoder,
    head: Head,
}

#[derive(Debug)]
struct Head {
    described: MaskedHead,
    variables: Variables,
    dense: Linear,
    norm: Norm,
    bias: Option<Tensor>, // (vocab)
}

impl Head {
    /// A head with fresh weights.
    fn new(architecture: &Architecture, device: Device) -> Result<Self, Error> {
        let Some(head) = &architecture.masked_head else {
            let class = architecture.class;
            return Err(Error::Unusable(format!("{class} guesses no hidden tokens: it is no masked language model")));
        };
        let described = head.variables(architecture.embeddings.words.rows);
        let variables = Variables::new(&described, device)?;
        init::initialize(&variables, &described, architecture.initializer_range);
        let (dense, norm) = (Linear::new(&variables, &head.dense), Norm::new(&variables, &head.norm));
        let bias = head.bias.as_ref().map(|name| variables.by_name()[name].shallow_clone());
        Ok(Self { described: head.clone(), variables, dense, norm, bias })
    }

    /// (positions, hidden) in any number format, which is that of the products, to (positions, vocab) in f32; `table` holds
    /// the token embeddings, (vocab, hidden).
    fn forward(&self, hidden: &Tensor, table: &Tensor) -> Tensor {
        let activated = activate(self.described.activation, &self.dense.forward(hidden));
        let (kind, features) = (hidden.kind(), self.norm.forward(&activated)); // (positions, width of the table)
        features.linear(&table.to_kind(kind), self.bias.as_ref().map(|bias| bias.to_kind(kind))).to_kind(Kind::Float)
    }
}

impl MaskedLanguageModel {
    /// Loads a directory in Hugging Face's or sentence-transformers' layout; a head that it lacks is drawn from libtorch's
    /// random state. Sequences have 128 tokens, or as many as the encoder has positions, unless the options say otherwise.
    ///
    /// # Errors
    /// As [`TrainableEncoder::load`]; and where its texts are brought to lower case beside its tokenizer, which what is saved
    /// could not say.
    pub fn load(path: impl AsRef<Path>, options: &Options) -> Result<Self, Error> {
        let path = path.as_ref();
        let dir = Layout::read(path)?.encoder;
        refuse_adapter(&dir)?;
        let longest = EncoderConfig::load(&dir.join("config.json"))?.max_sequence_length() as usize;
        let max_seq_length = options.max_seq_length.unwrap_or(DEFAULT_MAX_SEQ_LENGTH.min(longest));
        let options = Options {
            max_seq_length: Some(max_seq_length),
            prompt: PromptChoice::Text(String::new()), // of sentences
            ..options.clone()
        };
        let encoder = TrainableEncoder::load(path, &options)?;
        if encoder.tokenizer().lowercase() {
            return Err(Error::invalid(path, "do_lower_case is not supported for a masked language model"));
        }
        let model = Self::with_fresh_head(encoder)?;
        let stored = Weights::open(&dir, model.architecture())?;
        if stored.has(&format!("{}.weight", model.head.described.dense.path)) {
            stored.load_whole(&model.head.variables)?;
        }
        Ok(model)
    }

    /// A model with fresh weights, drawn from libtorch's random state.
    ///
    /// # Errors
    /// As [`TrainableEncoder::from_scratch`], and where the family has no masked language model.
    pub fn from_scratch(config: EncoderConfig, tokenizer: Tokenizer, device: Device) -> Result<Self, Error> {
        Self::with_fresh_head(TrainableEncoder::from_scratch(config, tokenizer, Pooling::MEAN, device)?)
    }

    fn with_fresh_head(encoder: TrainableEncoder) -> Result<Self, Error> {
        let head = Head::new(encoder.config().architecture(), encoder.device())?;
        Ok(Self { encoder, head })
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        self.encoder.tokenizer()
    }

    /// What the variables are.
    pub fn architecture(&self) -> &Architecture {
        self.encoder.config().architecture()
    }

    /// The weights by their names in transformers' class of encoder and head; they share memory with the model's.
    pub fn variables(&self) -> BTreeMap<String, Tensor> {
        let prefix = self.architecture().prefix;
        let encoder =
            self.encoder.variables().into_iter().map(|(name, variable)| (format!("{prefix}{name}"), variable));
        encoder.chain(self.head.variables.by_name()).collect()
    }

    /// Adds to the gradients of the weights that of the mean cross-entropy over the batch's positions, times `share`;
    /// returns that mean. `dropout` is the seed of dropout, and none switches it off.
    pub fn backpropagate(&self, batch: &MaskedBatch, precision: Precision, dropout: Option<u64>, share: f64) -> f64 {
        let loss = self.encoder.backpropagate_tokens(&batch.sequences, precision, dropout, |hidden| {
            let (logits, labels) = self.logits(hidden, batch);
            logits.cross_entropy_loss::<Tensor>(&labels, None, Reduction::Mean, -100, 0.0) * share
        });
        loss / share
    }

    /// What the model makes of a batch, without dropout and in f32.
    pub fn guess(&self, batch: &MaskedBatch) -> Guesses {
        let hidden = self.encoder.encode_tokens(&batch.sequences);
        tch::no_grad(|| {
            let (logits, labels) = self.logits(&hidden, batch);
            let loss = logits.cross_entropy_loss::<Tensor>(&labels, None, Reduction::Sum, -100, 0.0);
            let right = logits.argmax(1, false).eq_tensor(&labels).sum(Kind::Int64);
            let positions = batch.positions.len() as u64;
            Guesses { loss: loss.double_value(&[]), right: right.int64_value(&[]) as u64, positions }
        })
    }

    /// (positions, vocab) and (positions).
    fn logits(&self, hidden: &Tensor, batch: &MaskedBatch) -> (Tensor, Tensor) {
        let device = self.encoder.device();
        let on_device = |ids: &[i64]| Tensor::from_slice(ids).to_device(device);
        let table = &self.encoder.variables()[&self.architecture().embeddings.words.name()];
        let hidden = hidden.index_select(0, &on_device(&batch.positions)); // (positions, hidden)
        (self.head.forward(&hidden, table), on_device(&batch.labels))
    }

    /// Writes the files of a checkpoint, as transformers has them, into an empty directory: weights in f32, without the
    /// output layer's, which is the table of token embeddings.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn write(&self, dir: &Path, card: &str) -> Result<(), Error> {
        self.encoder.write_transformer(dir, card, self.variables(), Kind::Float, self.head.described.class)
    }
}
