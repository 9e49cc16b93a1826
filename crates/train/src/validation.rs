//! Dev figures after an epoch.

use data::Dataset;
use eval::{PairScorer, Scored, THRESHOLD, score};

use crate::{
    figures::{DevFigures, SelectBy},
    progress::Progress,
    ranks::Ranks,
};

/// Figures of every dev set, and after them, if there are several, of all pairs merged. The last entry picks the epoch.
pub(crate) fn validate(
    scorer: &dyn PairScorer,
    datasets: &[Dataset],
    ranks: &Ranks,
    progress: &Progress,
) -> anyhow::Result<Vec<DevFigures>> {
    let (mut figures, mut labels, mut predictions) = (Vec::new(), Vec::new(), Vec::new());
    for dataset in datasets {
        let expected = dataset.scores()?;
        let found = score_together(scorer, dataset, "dev", ranks, progress)?.predictions;
        figures.push(DevFigures::new(&dataset.name, &expected, &found));
        labels.extend(expected);
        predictions.extend(found);
    }
    if datasets.len() > 1 {
        figures.push(DevFigures::new("merged", &labels, &predictions));
    }
    Ok(figures)
}

/// Says before the first step where the dev sets cannot tell one epoch from another by the figure that is asked for.
pub(crate) fn warn_where_unranked(datasets: &[Dataset], select_by: SelectBy) -> anyhow::Result<()> {
    if let Some(why) = cannot_rank(datasets, select_by)? {
        let names = datasets.iter().map(|dataset| dataset.name.as_str()).collect::<Vec<_>>().join(", ");
        ground::say!(
            "warning: dev set {names}: {why}, so {select_by} cannot tell one epoch from another: the one with the lowest loss \
             (MSE of the predictions) is taken for the best"
        );
    }
    Ok(())
}

/// Why the figure is the same, or undefined, whatever the model.
fn cannot_rank(datasets: &[Dataset], select_by: SelectBy) -> anyhow::Result<Option<String>> {
    let mut labels = Vec::new();
    for dataset in datasets {
        labels.extend(dataset.scores()?);
    }
    if datasets.iter().flat_map(|dataset| &dataset.pairs).all(|pair| pair.sentence1 == pair.sentence2) {
        return Ok(Some("every pair is a sentence with itself, so predictions are constant".to_owned()));
    }
    let is_constant = labels.iter().all(|label| *label == labels[0]);
    Ok(match select_by {
        SelectBy::Pearson | SelectBy::Spearman if labels.len() < 3 => {
            Some(format!("a correlation needs at least 3 pairs, and there are {}", labels.len()))
        }
        SelectBy::Pearson | SelectBy::Spearman if is_constant => Some(format!("every label is {}", labels[0])),
        SelectBy::F1 if labels.iter().all(|&label| label < THRESHOLD) => {
            Some(format!("no label is {THRESHOLD} or more"))
        }
        _ => None,
    })
}

/// Scores a dataset, each rank a part of it; every rank has all scores.
pub(crate) fn score_together(
    scorer: &dyn PairScorer,
    dataset: &Dataset,
    part: &str,
    ranks: &Ranks,
    progress: &Progress,
) -> anyhow::Result<Scored> {
    if ranks.count() == 1 {
        return Ok(score(scorer, dataset, &mut progress.scoring(part, dataset))?);
    }
    let pairs = dataset.pairs[ranks.share(dataset.pairs.len())].to_vec();
    let own = Dataset { pairs, ..dataset.clone() };
    let scored = score(scorer, &own, &mut progress.scoring(part, &own))?;
    let predictions = ranks.gather(&scored.predictions).concat();
    let similarities = ranks.gather(&scored.similarities).concat();
    Ok(Scored { predictions, similarities, labels: dataset.scores().ok(), ..scored })
}
