//! The sentence encoder: tokenizer, encoder and pooling in one, loaded from and saved to a checkpoint directory.

use std::{collections::BTreeMap, path::Path};

use tch::{Device, Kind, Tensor, nn::VarStore};

use crate::{
    atomic::replace_dir,
    config::{EncoderConfig, ModelType},
    encoder::Encoder,
    error::Error,
    init,
    layout::{self, Layout},
    manifest,
    packed::PackedBatch,
    pooling::Pooling,
    precision::Precision,
    tokenizer::Tokenizer,
    weights::{Weights, write_safetensors},
};

/// Most tokens that [`SentenceEncoder::encode`] computes at once: enough to fill a processor's cores, little enough that
/// activations stay within tens of megabytes.
const MAX_BATCH_TOKENS: usize = 4096;

/// How to load a sentence encoder.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to compute.
    pub device: Device,
    /// Number format of the layers.
    pub precision: Precision,
    /// Tokens per sentence; the default is the checkpoint's own, or 128.
    pub max_seq_length: Option<usize>,
    /// From token embeddings to a sentence's; the default is the checkpoint's own, or the mean.
    pub pooling: Option<Pooling>,
}

impl Default for Options {
    fn default() -> Self {
        Self { device: Device::Cpu, precision: Precision::F32, max_seq_length: None, pooling: None }
    }
}

/// Turns sentences into embeddings whose cosine is their similarity.
#[derive(Debug)]
pub struct SentenceEncoder {
    vs: VarStore,
    encoder: Encoder,
    config: EncoderConfig,
    tokenizer: Tokenizer,
    pooling: Pooling,
    normalize: bool,
    precision: Precision,
}

impl SentenceEncoder {
    /// Loads a directory in Hugging Face's or sentence-transformers' layout. Nothing in it is executed.
    pub fn load(path: impl AsRef<Path>, options: &Options) -> Result<Self, Error> {
        let path = path.as_ref();
        let layout = Layout::read(path)?;
        manifest::verify_encoder(path)?;
        let dir = &layout.transformer;
        let config = EncoderConfig::load(&dir.join("config.json"))?;
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
        let tokenizer = Tokenizer::load(dir, max_seq_length).map_err(within)?.with_lowercase(layout.lowercase);
        let weights = Weights::open(dir)?;
        weights.check_size(&config)?;
        let pooling = options.pooling.unwrap_or(layout.pooling);
        let mut this = Self::empty(config, tokenizer, pooling, options.device).map_err(within)?;
        this.normalize = layout.normalize;
        weights.load_into(&this.vs)?;
        this.set_precision(options.precision);
        Ok(this)
    }

    /// A sentence encoder with fresh weights, drawn from libtorch's random state.
    pub fn from_scratch(
        config: EncoderConfig,
        tokenizer: Tokenizer,
        pooling: Pooling,
        device: Device,
    ) -> Result<Self, Error> {
        config.validate().map_err(Error::Unusable)?;
        if tokenizer.max_seq_length() as i64 > config.max_sequence_length() {
            let (asked, longest) = (tokenizer.max_seq_length(), config.max_sequence_length());
            return Err(Error::Unusable(format!("max_seq_length {asked} is beyond the encoder's {longest} positions")));
        }
        let this = Self::empty(config, tokenizer, pooling, device)?;
        init::initialize(&this.vs, &this.config);
        Ok(this)
    }

    fn empty(config: EncoderConfig, tokenizer: Tokenizer, pooling: Pooling, device: Device) -> Result<Self, Error> {
        if tokenizer.vocab_size() as i64 > config.vocab_size {
            return Err(Error::Unusable(format!(
                "the tokenizer has ids up to {}, and the encoder's vocab_size is {}",
                tokenizer.vocab_size() - 1,
                config.vocab_size
            )));
        }
        let vs = VarStore::new(device);
        let encoder = Encoder::new(&vs.root(), &config)?;
        Ok(Self { vs, encoder, config, tokenizer, pooling, normalize: false, precision: Precision::F32 })
    }

    /// Casts the layers once, so that no later pass has to.
    fn set_precision(&mut self, precision: Precision) {
        self.precision = precision;
        tch::no_grad(|| {
            for (name, mut variable) in self.vs.variables() {
                if name.starts_with("encoder.") {
                    variable.set_data(&variable.to_kind(precision.kind()));
                }
            }
        });
    }

    /// Embeddings of sentences: (sentences, hidden), f32, on the processor, in the order of the sentences. An embedding
    /// does not depend on the sentences beside it.
    pub fn encode(&self, sentences: &[impl AsRef<str>]) -> Result<Tensor, Error> {
        self.encode_with_progress(sentences, &mut |_| {})
    }

    /// Like [`SentenceEncoder::encode`]; after each batch `progress` is told how many sentences it held.
    pub fn encode_with_progress(
        &self,
        sentences: &[impl AsRef<str>],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Tensor, Error> {
        let tokenized = self.tokenizer.encode(sentences)?;
        // By length, so that a batch has few different ones; the longest first, so that the peak of memory comes early.
        let mut order: Vec<usize> = (0..tokenized.len()).collect();
        order.sort_by_key(|&index| std::cmp::Reverse(tokenized[index].len()));
        let embeddings = Tensor::zeros([sentences.len() as i64, self.config.hidden_size], (Kind::Float, Device::Cpu));
        let mut rest = order.as_slice();
        while let Some(&first) = rest.first() {
            let count = (MAX_BATCH_TOKENS / tokenized[first].len()).clamp(1, rest.len());
            let (batch, others) = rest.split_at(count);
            let ids: Vec<Vec<i64>> = batch.iter().map(|&index| tokenized[index].clone()).collect();
            let rows = Tensor::from_slice(&batch.iter().map(|&index| index as i64).collect::<Vec<_>>());
            tch::no_grad(|| {
                let pooled = self.forward(&ids, self.precision, false).to_device(Device::Cpu);
                let _ = embeddings.shallow_clone().index_copy_(0, &rows, &pooled);
            });
            progress(count);
            rest = others;
        }
        Ok(embeddings)
    }

    /// Embeddings of tokenized sentences, all in one packed batch, on the device: (sentences, hidden), f32. Gradients
    /// flow to the weights unless the caller stops them; `train` switches dropout on.
    pub fn forward(&self, sentences: &[Vec<i64>], precision: Precision, train: bool) -> Tensor {
        let batch = PackedBatch::new(sentences, &self.config, self.vs.device());
        let hidden = self.encoder.forward(&batch, precision, train); // (tokens, hidden)
        let embeddings = self.pooling.forward(&hidden, &batch); // (sentences, hidden)
        if self.normalize { normalized(&embeddings) } else { embeddings }
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
        self.vs.device()
    }

    /// The weights by the names of transformers' `BertModel` and `RobertaModel`; they share memory with the encoder's.
    pub fn variables(&self) -> BTreeMap<String, Tensor> {
        self.vs.variables().into_iter().collect()
    }

    /// Writes a checkpoint: a sentence-transformers directory with `card` as its model card, weights in f32. It appears
    /// under `path` whole or not at all, and replaces what stood there.
    pub fn save(&self, path: impl AsRef<Path>, card: &str) -> Result<(), Error> {
        replace_dir(path.as_ref(), |dir| self.write(dir, card))
    }

    /// Writes the files of a checkpoint into an empty directory.
    pub fn write(&self, dir: &Path, card: &str) -> Result<(), Error> {
        let weights = self.variables().into_iter().map(|(name, variable)| (name, variable.to_kind(Kind::Float)));
        write_safetensors(&dir.join("model.safetensors"), &weights.collect())?;
        let mut config = self.config.clone();
        let architecture = match config.model_type {
            ModelType::Bert => "BertModel",
            ModelType::Roberta => "RobertaModel",
        };
        config.other.insert("architectures".to_owned(), vec![architecture].into());
        // Of the weights that were read; those written are f32, which readers take a missing key for.
        config.other.remove("dtype");
        config.other.remove("torch_dtype");
        let path = dir.join("config.json");
        let text = serde_json::to_string_pretty(&config).expect("a configuration is JSON");
        std::fs::write(&path, text + "\n").map_err(Error::io(&path))?;
        self.tokenizer.save(dir)?;
        let tokenizer = &self.tokenizer;
        layout::write(
            dir,
            self.pooling,
            self.normalize,
            config.hidden_size,
            tokenizer.max_seq_length(),
            tokenizer.lowercase(),
        )?;
        let path = dir.join("README.md");
        std::fs::write(&path, card).map_err(Error::io(&path))
    }
}

/// Rows divided by their norms. Source: `torch.nn.functional.normalize`, with its `eps` of 1e-12.
fn normalized(rows: &Tensor) -> Tensor {
    let norms = rows.norm_scalaropt_dim(2, [-1], true); // (sentences, 1)
    rows / norms.clamp_min(1e-12)
}
