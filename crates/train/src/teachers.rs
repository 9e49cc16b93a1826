//! Models that a run learns from.

use std::path::PathBuf;

use anyhow::Context;
use tch::Tensor;

use crate::{named_model::NamedModel, prepared::Prepared, progress::Progress};

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
        prepared: &Prepared<'_>,
        progress: &Progress,
    ) -> anyhow::Result<Tensor> {
        let (mut embeddings, share) = (Vec::new(), (self.0.len() as f64).sqrt());
        for teacher in &self.0 {
            let task = format!("encoding by {}", teacher.model.display());
            let load = || teacher.load(prepared.environment);
            let encoded = prepared.unit_embeddings(&teacher.origin()?, load, sentences, &task, progress);
            let encoded = encoded.with_context(|| teacher.place())?;
            embeddings.push(encoded / share);
        }
        Ok(Tensor::cat(&embeddings, 1))
    }

    /// What tells them from others.
    pub(crate) fn origins(&self) -> anyhow::Result<Vec<String>> {
        self.0.iter().map(NamedModel::origin).collect()
    }
}
