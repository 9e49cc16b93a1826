//! Models that a run learns from.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use tch::Tensor;

use crate::{named_model::NamedModel, nearest::scores, prepared::Prepared, progress::Progress};

/// Models whose mean score is learned from.
pub(crate) struct Teachers<'a> {
    encoders: Vec<NamedModel<'a>>,
    cross_encoders: Vec<NamedModel<'a>>,
}

/// Scores of pairs by one teacher, or by several that count together.
pub(crate) struct TeachersScores {
    /// How many teachers' they are.
    pub(crate) teachers: usize,
    /// On the labels' scale.
    pub(crate) scores: Vec<f64>,
}

impl<'a> Teachers<'a> {
    /// Finds all of them: one that is not there is told before hours of work. `key` is where they are named.
    pub(crate) fn find(key: &'static str, teachers: &'a [PathBuf]) -> anyhow::Result<Self> {
        let found = teachers.iter().map(|teacher| NamedModel::find(key, teacher));
        let found: Vec<NamedModel> = found.collect::<anyhow::Result<_>>()?;
        let (cross_encoders, encoders) = found.into_iter().partition(NamedModel::is_cross_encoder);
        Ok(Self { encoders, cross_encoders })
    }

    /// Fails where none of them can find pairs to score.
    pub(crate) fn check_find(&self) -> anyhow::Result<()> {
        let place = || self.cross_encoders.first().map(NamedModel::place).unwrap_or_default();
        ensure!(
            !self.encoders.is_empty(),
            "{}: a cross-encoder scores pairs and finds none: name a sentence encoder beside it",
            place()
        );
        Ok(())
    }

    /// Fails where one of them gives no embeddings.
    pub(crate) fn check_embed(&self) -> anyhow::Result<()> {
        match self.cross_encoders.first() {
            Some(model) => anyhow::bail!("{}: a cross-encoder gives no embeddings to be learned", model.place()),
            None => Ok(()),
        }
    }

    /// A row of length 1 for each sentence, (sentences, Σ hidden): the inner product of two is the mean of the sentence encoders'
    /// cosines.
    pub(crate) fn embeddings(
        &self,
        sentences: &[impl AsRef<str>],
        prepared: &Prepared<'_>,
        progress: &Progress,
    ) -> anyhow::Result<Tensor> {
        let (mut embeddings, share) = (Vec::new(), (self.encoders.len() as f64).sqrt());
        for teacher in &self.encoders {
            let task = format!("encoding by {}", teacher.model.display());
            let load = || teacher.load(prepared.environment);
            let encoded = prepared.unit_embeddings(&teacher.origin()?, load, sentences, &task, progress);
            let encoded = encoded.with_context(|| teacher.place())?;
            embeddings.push(encoded / share);
        }
        Ok(Tensor::cat(&embeddings, 1))
    }

    /// The scores of pairs of places among sentences, whose embeddings these are: of the sentence encoders together, and of each
    /// cross-encoder.
    pub(crate) fn scores(
        &self,
        sentences: &[impl AsRef<str>],
        embeddings: &Tensor,
        pairs: &[(usize, usize)],
        prepared: &Prepared<'_>,
        progress: &Progress,
    ) -> anyhow::Result<Vec<TeachersScores>> {
        let mut all = vec![TeachersScores { teachers: self.encoders.len(), scores: scores(embeddings, pairs)? }];
        for teacher in &self.cross_encoders {
            let task = format!("scoring by {}", teacher.model.display());
            let load = || teacher.load_cross_encoder(prepared.environment);
            let scores = prepared.pair_scores(&teacher.origin()?, load, sentences, pairs, &task, progress);
            all.push(TeachersScores { teachers: 1, scores: scores.with_context(|| teacher.place())? });
        }
        Ok(all)
    }

    /// What tells the sentence encoders from others.
    pub(crate) fn origins(&self) -> anyhow::Result<Vec<String>> {
        self.encoders.iter().map(NamedModel::origin).collect()
    }
}

/// The mean of all teachers' scores.
pub(crate) fn mean(all: &[TeachersScores]) -> Vec<f64> {
    let teachers: usize = all.iter().map(|own| own.teachers).sum();
    let weighted = |row: usize| all.iter().map(|own| own.teachers as f64 * own.scores[row]).sum::<f64>();
    (0..all[0].scores.len()).map(|row| weighted(row) / teachers as f64).collect()
}
