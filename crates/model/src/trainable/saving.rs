//! What is written of an encoder: a directory that sentence-transformers and transformers read.

use std::{collections::BTreeMap, path::Path};

use tch::{Kind, Tensor};

use super::TrainableEncoder;
use crate::{
    config::EncoderConfig,
    error::Error,
    family::{Keys, add_older_keys},
    layout::{self, Written},
    manifest::replace_dir,
    sentence_encoder::Parts,
    stored::write_modules,
    weights::write_safetensors,
};

impl TrainableEncoder {
    /// Writes a checkpoint: a sentence-transformers directory with `card` as its model card, weights in f32. It appears
    /// under `path` whole or not at all, and replaces what stood there.
    ///
    /// # Errors
    /// Where a weight is not finite, or the directory cannot be written.
    pub fn save(&self, path: impl AsRef<Path>, card: &str) -> Result<(), Error> {
        self.save_as(path, card, Kind::Float)
    }

    /// The same with weights in another number format: f32, f16 or bf16.
    ///
    /// # Errors
    /// Where a weight is not finite in that format, or the directory cannot be written.
    pub fn save_as(&self, path: impl AsRef<Path>, card: &str, kind: Kind) -> Result<(), Error> {
        check_finite(&self.variables(), kind)?;
        replace_dir(path.as_ref(), |dir| self.write_as(dir, card, kind))
    }

    /// Writes the files of a checkpoint into an empty directory.
    pub fn write(&self, dir: &Path, card: &str) -> Result<(), Error> {
        self.write_as(dir, card, Kind::Float)
    }

    fn write_as(&self, dir: &Path, card: &str, kind: Kind) -> Result<(), Error> {
        let Parts { config, tokenizer, head, similarity, truncate_dim, prompts, pools_prompt, .. } =
            &self.encoder.parts;
        let architecture = config.architecture();
        let weights = self.variables().into_iter();
        let weights: BTreeMap<String, Tensor> =
            weights.map(|(name, variable)| (name, variable.detach().to_kind(kind))).collect();
        let of_encoder = architecture.variables().into_iter();
        let of_encoder = of_encoder.map(|variable| (variable.name.clone(), weights[&variable.name].shallow_clone()));
        self.write_transformer(dir, card, of_encoder.collect(), kind, architecture.class)?;
        let written = Written {
            head,
            is_static: config.is_static(),
            hidden: config.hidden_size(),
            max_seq_length: tokenizer.max_seq_length(),
            lowercase: tokenizer.lowercase(),
            similarity: *similarity,
            truncate_dim: *truncate_dim,
            // Whoever reads it gets what was used here.
            prompts: prompts.clone().with_default(tokenizer.prompt()),
            pools_prompt: *pools_prompt,
        };
        layout::write(dir, &written)?;
        write_modules(dir, &head.modules, &weights)
    }

    /// Writes what a checkpoint of transformers has: these weights, configuration, tokenizer and model card.
    pub(crate) fn write_transformer(
        &self,
        dir: &Path,
        card: &str,
        weights: BTreeMap<String, Tensor>,
        kind: Kind,
        class: &str,
    ) -> Result<(), Error> {
        let weights = weights.into_iter().map(|(name, variable)| (name, variable.detach().to_kind(kind)));
        write_safetensors(&dir.join("model.safetensors"), &weights.collect())?;
        let (config, path) = (self.config(), dir.join("config.json"));
        if !config.is_static() {
            let text =
                serde_json::to_string_pretty(&keys(config.clone(), kind, class)).expect("a configuration is JSON");
            std::fs::write(&path, text + "\n").map_err(Error::io(&path))?;
        }
        self.tokenizer().save(dir)?;
        let path = dir.join("README.md");
        std::fs::write(&path, card).map_err(Error::io(&path))
    }
}

/// The keys of a `config.json` beside weights of that number format.
fn keys(config: EncoderConfig, kind: Kind, class: &str) -> Keys {
    let mut config = Keys::from(config);
    config.insert("architectures".to_owned(), vec![class].into());
    // Of the weights that were read. Readers take a missing key for f32, which is what to compute in, however the weights are
    // stored.
    config.remove("dtype");
    config.remove("torch_dtype");
    if kind != Kind::Float {
        config.insert("dtype".to_owned(), "float32".into());
    }
    add_older_keys(&mut config);
    config
}

fn is_finite(tensor: &Tensor) -> bool {
    tensor.isfinite().all().int64_value(&[]) == 1
}

/// Fails where a weight that is to be handed on would not be a number there, in the number format of its file.
pub(crate) fn check_finite(weights: &BTreeMap<String, Tensor>, kind: Kind) -> Result<(), Error> {
    let Some((name, weight)) = weights.iter().find(|(_, weight)| !is_finite(&weight.detach().to_kind(kind))) else {
        return Ok(());
    };
    Err(Error::Unusable(match is_finite(weight) {
        true => {
            let largest = weight.abs().max().double_value(&[]);
            format!("tensor {name} holds {largest}, which is beyond {kind:?}: write the weights as bf16 or f32")
        }
        false => format!("tensor {name} holds values that are not finite: such weights are not written"),
    }))
}
