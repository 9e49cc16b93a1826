//! The weights of a model's directory: those of its encoder, and those of the head above it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use tch::Tensor;

use crate::{
    architecture::Variable,
    config::EncoderConfig,
    error::Error,
    head::{self, Module},
    layout::Layout,
    torch::Variables,
    weights::Weights,
};

/// Every variable of a model by its name.
#[derive(Debug)]
pub(crate) struct Stored {
    encoder: Weights,
    modules: BTreeMap<String, Weights>, // by what the names of their variables begin with
    classifier: BTreeSet<String>,       // names that stand beside the encoder's, as they are
}

impl Stored {
    /// Opens the weights of a directory, whose configuration is read from them where it has none.
    pub(crate) fn open(layout: &Layout) -> Result<(Self, EncoderConfig), Error> {
        let (encoder, config) = if layout.is_static {
            let (encoder, [rows, width]) = Weights::open_static(&layout.encoder)?;
            (encoder, EncoderConfig::static_embedding(rows, width))
        } else {
            let config = EncoderConfig::load(&layout.encoder.join("config.json"))?;
            (Weights::open(&layout.encoder, config.architecture())?, config)
        };
        encoder.check_size(config.architecture())?;
        let with_weights = |(_, (_, module)): &(usize, &(_, Module))| !module.variables().is_empty();
        let modules = layout.modules.iter().enumerate().filter(with_weights);
        let open = |(place, (dir, module)): (usize, &(PathBuf, Module))| {
            Ok((head::folder(place, module.class()), Weights::open_module(dir)?))
        };
        let modules = modules.map(open).collect::<Result<_, Error>>()?;
        Ok((Self { encoder, modules, classifier: BTreeSet::new() }, config))
    }

    /// Opens those of an encoder with the head of a classifier, whose variables these are.
    pub(crate) fn with_classifier(dir: &Path, config: &EncoderConfig, head: &[Variable]) -> Result<Self, Error> {
        let encoder = Weights::open(dir, config.architecture())?;
        encoder.check_size(config.architecture())?;
        let classifier = head.iter().map(|variable| variable.name.clone()).collect();
        Ok(Self { encoder, modules: BTreeMap::new(), classifier })
    }

    /// Reads one variable, in the number format that it was stored in.
    pub(crate) fn read(&self, name: &str, shape: &[i64]) -> Result<Tensor, Error> {
        let of_module = name.split_once('.').and_then(|(folder, own)| Some((self.modules.get(folder)?, own)));
        match of_module {
            Some((module, own)) => module.read(own, shape),
            None if self.classifier.contains(name) => self.encoder.read_whole(name, shape),
            None => self.encoder.read(name, shape),
        }
    }

    /// Fills every variable but those of a head, of which it fills those that are stored: a pretrained encoder may come with a
    /// part of it.
    pub(crate) fn load_but(&self, variables: &Variables, head: &[Variable]) -> Result<(), Error> {
        for (name, mut variable) in variables.by_name() {
            let stored = match head.iter().any(|other| other.name == name) {
                false => self.read(&name, &variable.size())?,
                true => match self.encoder.read_if_there(&name, &variable.size()) {
                    Some(stored) => stored?,
                    None => continue,
                },
            };
            tch::no_grad(|| variable.f_copy_(&stored))?;
        }
        Ok(())
    }

    /// Fills every variable, casting to its number format. Tensors that none asks for (heads) are ignored.
    pub(crate) fn load_into(&self, variables: &Variables) -> Result<(), Error> {
        for (name, mut variable) in variables.by_name() {
            let tensor = self.read(&name, &variable.size())?;
            let filled = tch::no_grad(|| variable.f_copy_(&tensor));
            filled.map_err(|error| Error::Torch(format!("tensor `{name}`: {}", Error::from(error))))?;
        }
        Ok(())
    }
}

/// Writes the weights of the modules behind the pooling beside the files of [`crate::layout::write`].
pub(crate) fn write_modules(dir: &Path, modules: &[Module], variables: &BTreeMap<String, Tensor>) -> Result<(), Error> {
    for (place, module) in modules.iter().enumerate().filter(|(_, module)| !module.variables().is_empty()) {
        let folder = head::folder(place, module.class());
        let own = |(name, tensor): (&String, &Tensor)| {
            let own = name.strip_prefix(folder.as_str())?.strip_prefix('.')?;
            Some((own.to_owned(), tensor.shallow_clone()))
        };
        let own = variables.iter().filter_map(own).collect();
        crate::weights::write_safetensors(&dir.join(&folder).join("model.safetensors"), &own)?;
    }
    Ok(())
}
