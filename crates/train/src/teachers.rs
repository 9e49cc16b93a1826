//! Models that a run learns from.

use std::path::PathBuf;

use anyhow::Context;
use tch::Tensor;

use crate::{environment::Environment, named_model::NamedModel, nearest::unit_embeddings, progress::Progress};

/// Models whose mean cosine is learned from.
pub(crate) struct Teachers<'a>(Vec<NamedModel<'a>>);

impl<'a> Teachers<'a> {
    /// Finds all of them: one that is not there is told before hours of work. `key` is where they are named.
    pub(crate) fn find(key: &'static str, teachers: &'a [PathBuf]) -> anyhow::Result<Self> {
        teachers.iter().map(|teacher| NamedModel::find(key, teacher)).collect::<anyhow::Result<_>>().map(Self)
    }

    /// A row of length 1 for each sentence, (sentences, Σ hidden): the inner product of two is the mean of the teachers'
    /// cosines.
    pub(crate) fn embeddings(
        &self,
        sentences: &[impl AsRef<str>],
        environment: &Environment,
        progress: &Progress,
    ) -> anyhow::Result<Tensor> {
        let (mut embeddings, share) = (Vec::new(), (self.0.len() as f64).sqrt());
        for teacher in &self.0 {
            let encoder = teacher.load(environment)?;
            let task = format!("encoding by {}", teacher.model.display());
            let encoded = unit_embeddings(&encoder, sentences, &task, progress).with_context(|| teacher.place())?;
            embeddings.push(encoded / share);
        }
        Ok(Tensor::cat(&embeddings, 1))
    }
}
