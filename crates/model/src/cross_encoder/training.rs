//! A cross-encoder in training.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Map, Value, json};
use tch::{Device, Kind, Tensor};

use super::{Reading, ScoreActivation, assemble, check_single_label, logits, read};
use crate::{
    architecture::Variable,
    config::EncoderConfig,
    error::Error,
    files::refuse_adapter,
    layout::{CrossEncoderLayout, Layout, is_cross_encoder},
    manifest,
    precision::Precision,
    sentence_encoder::Options,
    sequence::TokenPair,
    stored::Stored,
    text_losses::TextLosses,
    tokenizer::{PairTokenizer, Tokenizer},
    trainable::{TrainableEncoder, check_finite},
};

/// A cross-encoder whose weights can be changed and saved.
#[derive(Debug)]
pub struct TrainableCrossEncoder {
    encoder: TrainableEncoder,
    reading: Reading,
}

impl TrainableCrossEncoder {
    /// Loads a cross-encoder, or an encoder, whose head is then drawn from libtorch's random state but for what is there of
    /// it. `labels` are the names of those that are asked for; a cross-encoder has to have as many.
    ///
    /// # Errors
    /// As of [`CrossEncoder::load`](super::CrossEncoder::load), and where the labels are others.
    pub fn load(path: impl AsRef<Path>, options: &Options, labels: &[String]) -> Result<Self, Error> {
        let path = path.as_ref();
        if is_cross_encoder(path) {
            let model = Self::load_saved(path, options)?;
            let own = &model.reading.labels;
            if own.len() != labels.len() {
                let (count, found, asked) = (own.len(), own.join(", "), labels.join(", "));
                let what =
                    format!("the cross-encoder has {count} labels ({found}), expected {} ({asked})", labels.len());
                return Err(Error::invalid(path, what));
            }
            return Ok(model);
        }
        let layout = Layout::read(path)?;
        manifest::verify_encoder(path)?;
        refuse_adapter(&layout.encoder)?;
        if layout.is_static {
            return Err(Error::invalid(path, "a static embedding does not read two texts together"));
        }
        let config = EncoderConfig::load(&layout.encoder.join("config.json"))?;
        let config = config.with_labels(labels).map_err(Error::Unusable)?;
        let layout = CrossEncoderLayout {
            encoder: layout.encoder,
            max_seq_length: layout.max_seq_length,
            tokenizer_arguments: layout.tokenizer_arguments,
            lowercase: layout.lowercase,
            activation: None,
        };
        let (parts, reading) = assemble(path, &layout, config, options)?;
        let stored = Stored::with_classifier(&layout.encoder, &parts.config, &parts.head.variables())?;
        let encoder = TrainableEncoder::new(parts, options.device)?;
        encoder.load_with_fresh_head(&stored)?;
        Ok(Self { encoder, reading })
    }

    /// Loads a cross-encoder, whatever its labels.
    ///
    /// # Errors
    /// As of [`CrossEncoder::load`](super::CrossEncoder::load).
    pub fn load_saved(path: impl AsRef<Path>, options: &Options) -> Result<Self, Error> {
        let (parts, stored, reading) = read(path.as_ref(), options)?;
        let encoder = TrainableEncoder::new(parts, options.device)?;
        encoder.load_stored(&stored)?;
        Ok(Self { encoder, reading })
    }

    /// The same with another way to make a score of a label's number.
    pub fn with_activation(self, activation: ScoreActivation) -> Self {
        Self { reading: Reading { activation, ..self.reading }, ..self }
    }

    /// Adds to the gradients of the weights that of `loss`, a scalar function of the labels' numbers (pairs, labels), which all
    /// are computed in one packed batch; returns the loss. `dropout` is the seed of dropout, and none switches it off.
    pub fn backpropagate(
        &self,
        pairs: &[TokenPair],
        precision: Precision,
        dropout: Option<u64>,
        loss: impl FnOnce(&Tensor) -> Tensor,
    ) -> f64 {
        self.encoder.backpropagate(pairs, precision, dropout, loss)
    }

    /// The numbers of each pair's labels with the weights as they are: see [`CrossEncoder::logits`](super::CrossEncoder::logits).
    ///
    /// # Errors
    /// As there.
    pub fn logits(
        &self,
        pairs: &[[&str; 2]],
        progress: &mut dyn FnMut(usize),
    ) -> Result<(Vec<f32>, TextLosses), Error> {
        logits(self.encoder.encoder(), &self.reading, pairs, progress)
    }

    /// Fails where the model has several labels, whose numbers are no scores.
    ///
    /// # Errors
    /// As it says.
    pub fn check_single_label(&self) -> Result<(), Error> {
        check_single_label(&self.reading.labels)
    }

    /// What joins pairs.
    pub fn pairs(&self) -> &PairTokenizer {
        &self.reading.pairs
    }

    /// The tokenizer of single texts.
    pub fn tokenizer(&self) -> &Tokenizer {
        self.encoder.tokenizer()
    }

    /// What makes a score of a label's number.
    pub fn activation(&self) -> ScoreActivation {
        self.reading.activation
    }

    /// Where the weights are.
    pub fn device(&self) -> Device {
        self.encoder.device()
    }

    /// The weights by their names in transformers' class of encoder and head; they share memory with the model's.
    pub fn variables(&self) -> BTreeMap<String, Tensor> {
        let named = |(name, variable): (String, Tensor)| (self.whole_name(&name), variable);
        self.encoder.variables().into_iter().map(named).collect()
    }

    /// What they are.
    pub fn described(&self) -> Vec<Variable> {
        let named = |variable: Variable| Variable { name: self.whole_name(&variable.name), ..variable };
        self.encoder.described().into_iter().map(named).collect()
    }

    /// A variable's name beside the other's head or encoder.
    fn whole_name(&self, name: &str) -> String {
        let head = self.encoder.encoder().head().variables();
        match head.iter().any(|variable| variable.name == name) {
            true => name.to_owned(),
            false => format!("{}{name}", self.encoder.config().architecture().prefix),
        }
    }

    /// Writes the files of a checkpoint into an empty directory, as transformers and every version of sentence-transformers'
    /// `CrossEncoder` read them, with weights in f32.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn write(&self, dir: &Path, card: &str) -> Result<(), Error> {
        self.write_as(dir, card, Kind::Float)
    }

    /// Writes a checkpoint with weights in f32, f16 or bf16. It appears under `path` whole or not at all, and replaces what
    /// stood there.
    ///
    /// # Errors
    /// Where a weight is not finite in that format, or the directory cannot be written.
    pub fn save_as(&self, path: impl AsRef<Path>, card: &str, kind: Kind) -> Result<(), Error> {
        check_finite(&self.variables(), kind)?;
        manifest::replace_dir(path.as_ref(), |dir| self.write_as(dir, card, kind))
    }

    fn write_as(&self, dir: &Path, card: &str, kind: Kind) -> Result<(), Error> {
        let classifier = self.encoder.config().architecture().classifier.as_ref().expect("it has the head of one");
        self.encoder.write_transformer(dir, card, self.variables(), kind, classifier.class)?;
        // Source: sentence-transformers 4 and 5, `CrossEncoder.set_config_value`; its version 6 reads it too.
        let path = dir.join("config.json");
        let mut config: Map<String, Value> = crate::error::read_json(&path)?;
        config.remove("sbert_ce_default_activation_function");
        config.insert(
            "sentence_transformers".to_owned(),
            json!({"activation_fn": self.reading.activation.class(), "version": "5.0.0"}),
        );
        write_json(&path, &config)?;
        // Where the encoder has one type of tokens, as klue/roberta, a tokenizer that told the second text's by another would be
        // beyond its table.
        if !self.pairs().gives_types() {
            let path = dir.join("tokenizer_config.json");
            let mut config: Map<String, Value> = crate::error::read_json(&path)?;
            config.insert("model_input_names".to_owned(), json!(["input_ids", "attention_mask"]));
            write_json(&path, &config)?;
        }
        Ok(())
    }
}

fn write_json(path: &Path, keys: &Map<String, Value>) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(keys).expect("a JSON object is JSON");
    std::fs::write(path, text + "\n").map_err(Error::io(path))
}
