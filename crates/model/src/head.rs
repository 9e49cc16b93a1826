//! From the embeddings of a sentence's tokens to the sentence's: pooling, and the modules of sentence-transformers that may
//! stand behind it.

use crate::{
    architecture::{Affine, Classifier, Norm, Variable},
    config::Activation,
    pooling::Pooling,
};

/// What one module does with a sentence's embedding. Source: sentence-transformers, the modules of these names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Module {
    /// A product, and a function of each number.
    Dense {
        affine: Affine,
        /// None where it is the identity.
        activation: Option<Activation>,
    },
    LayerNorm(Norm),
    /// In training alone.
    Dropout(f64),
    /// Divides by the norm.
    Normalize,
}

impl Module {
    /// Its class.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            Self::Dense { .. } => "Dense",
            Self::LayerNorm(_) => "LayerNorm",
            Self::Dropout(_) => "Dropout",
            Self::Normalize => "Normalize",
        }
    }

    /// The width that it takes and the one that it gives, where it has any of its own.
    pub(crate) fn widths(&self) -> Option<(usize, usize)> {
        match self {
            Self::Dense { affine, .. } => Some((affine.input as usize, affine.output as usize)),
            Self::LayerNorm(norm) => Some((norm.width as usize, norm.width as usize)),
            Self::Dropout(_) | Self::Normalize => None,
        }
    }

    pub(crate) fn variables(&self) -> Vec<Variable> {
        match self {
            Self::Dense { affine, .. } => affine.variables(),
            Self::LayerNorm(norm) => norm.variables(),
            Self::Dropout(_) | Self::Normalize => Vec::new(),
        }
    }
}

/// Name of a module's folder, and what its variables' names begin with: those of the transformer are none of these.
/// `place` counts the modules behind the pooling.
pub(crate) fn folder(place: usize, class: &str) -> String {
    format!("{}_{class}", place + 2) // behind the transformer and the pooling
}

/// What is done with the embeddings of tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Head {
    pub(crate) pooling: Pooling,
    /// First tokens that pooling leaves out: those of a prompt, where they do not count.
    pub(crate) skipped: usize,
    pub(crate) modules: Vec<Module>,
}

impl Head {
    /// Width of a sentence's embedding, of tokens with `hidden` numbers.
    pub(crate) fn width(&self, hidden: usize) -> usize {
        let last = self.modules.iter().rev().find_map(Module::widths);
        last.map_or(self.pooling.width(hidden), |(_, output)| output)
    }

    /// That of a classifier: it gives a number for each label.
    pub(crate) fn of_classifier(classifier: &Classifier) -> Self {
        let Classifier { reads_mean, input_dropout, dense, activation, norm, output_dropout, output, .. } = classifier;
        let dropout = |p: f64| (p > 0.0).then_some(Module::Dropout(p));
        let modules = [
            dropout(*input_dropout),
            Some(Module::Dense { affine: dense.clone(), activation: Some(*activation) }),
            norm.clone().map(Module::LayerNorm),
            dropout(*output_dropout),
            Some(Module::Dense { affine: output.clone(), activation: None }),
        ];
        let pooling = if *reads_mean { Pooling::MEAN } else { Pooling::CLS };
        Self { pooling, skipped: 0, modules: modules.into_iter().flatten().collect() }
    }

    /// Whether embeddings have the norm 1.
    pub(crate) fn normalizes(&self) -> bool {
        let last = self.modules.iter().rfind(|module| !matches!(module, Module::Dropout(_)));
        last == Some(&Module::Normalize)
    }

    pub(crate) fn has_dropout(&self) -> bool {
        self.modules.iter().any(|module| matches!(module, Module::Dropout(_)))
    }

    pub(crate) fn variables(&self) -> Vec<Variable> {
        self.modules.iter().flat_map(Module::variables).collect()
    }

    /// Fails where a module takes another width than the one before it gives.
    pub(crate) fn check(&self, hidden: usize) -> Result<(), String> {
        let mut width = self.pooling.width(hidden);
        for (place, module) in self.modules.iter().enumerate() {
            let Some((input, output)) = module.widths() else { continue };
            if input != width {
                let folder = folder(place, module.class());
                return Err(format!("module {folder} takes {input} numbers, and what stands before it gives {width}"));
            }
            width = output;
        }
        Ok(())
    }
}
