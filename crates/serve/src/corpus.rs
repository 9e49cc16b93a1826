//! The corpus that is searched: opened beside its model, which has to be the one that embedded it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use embed::Corpus;
use model::{Pooling, fingerprint};

use crate::settings::CorpusSettings;

/// Time between two lines of the log while the index is made.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Opens the corpus for the model in `model`.
pub(crate) fn open(settings: &CorpusSettings, model: &Path) -> anyhow::Result<Corpus> {
    let (path, started) = (settings.path.display(), Instant::now());
    let mut last = Instant::now();
    let mut told = |rows: usize| {
        if rows == 0 {
            tracing::info!(corpus = %path, "making the corpus's index");
        } else if last.elapsed() >= TOLD_EVERY {
            last = Instant::now();
            tracing::info!(rows, "making the corpus's index");
        }
    };
    if let Some(made) = embed::Settings::read(&settings.path)? {
        ensure!(
            made.model_sha256 == fingerprint(model).context("the model")?,
            "{path}: was embedded by another model, {}: serve that one by --model, or embed the corpus anew",
            made.model
        );
    }
    let corpus = Corpus::open(&settings.path, settings.index.as_deref(), settings.format, &mut told)?;
    let seconds = started.elapsed().as_secs_f64();
    tracing::info!(corpus = %path, rows = corpus.rows(), format = %settings.format, seconds, "the corpus is open");
    Ok(corpus)
}

/// Fails where a corpus has embeddings of another width or pooling than the model gives here; `pooling` is that of a model
/// whose directory has none of its own.
pub(crate) fn check_embeddings(
    made: &embed::Settings,
    dimensions: usize,
    pooling: Option<Pooling>,
) -> anyhow::Result<()> {
    ensure!(
        made.dimensions == dimensions,
        "the corpus's embeddings have {} numbers, and the model's {dimensions}: embed the corpus anew",
        made.dimensions
    );
    let (theirs, ours) = (made.pooling.unwrap_or_default(), pooling.unwrap_or_default());
    ensure!(
        theirs == ours,
        "the corpus was embedded with pooling {theirs}, and the model is served with {ours}: give --pooling {theirs}"
    );
    Ok(())
}
