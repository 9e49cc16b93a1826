//! Dev figures after an epoch.

use data::Dataset;
use eval::{Scored, score};
use model::SentenceEncoder;

use crate::{figures::DevFigures, progress::Progress, ranks::Ranks};

/// Figures of every dev set, and after them, if there are several, of all pairs merged. The last entry picks the epoch.
pub(crate) fn validate(
    encoder: &SentenceEncoder,
    datasets: &[Dataset],
    ranks: &Ranks,
    progress: &Progress,
) -> anyhow::Result<Vec<DevFigures>> {
    let (mut figures, mut labels, mut predictions) = (Vec::new(), Vec::new(), Vec::new());
    for dataset in datasets {
        let expected = dataset.scores()?;
        let found = score_together(encoder, dataset, "dev", ranks, progress)?.predictions;
        figures.push(DevFigures::new(&dataset.name, &expected, &found));
        labels.extend(expected);
        predictions.extend(found);
    }
    if datasets.len() > 1 {
        figures.push(DevFigures::new("merged", &labels, &predictions));
    }
    Ok(figures)
}

/// Scores a dataset, each rank a part of it; every rank has all scores.
pub(crate) fn score_together(
    encoder: &SentenceEncoder,
    dataset: &Dataset,
    part: &str,
    ranks: &Ranks,
    progress: &Progress,
) -> anyhow::Result<Scored> {
    if ranks.count() == 1 {
        return Ok(score(encoder, dataset, &mut progress.scoring(part, dataset))?);
    }
    let pairs = dataset.pairs[ranks.share(dataset.pairs.len())].to_vec();
    let own = Dataset { pairs, ..dataset.clone() };
    let scored = score(encoder, &own, &mut progress.scoring(part, &own))?;
    let predictions = ranks.gather(&scored.predictions).concat();
    let similarities = ranks.gather(&scored.similarities).concat();
    Ok(Scored { predictions, similarities, labels: dataset.scores().ok(), ..scored })
}
