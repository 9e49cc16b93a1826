//! Which keys an objective has, and what they are by default.

use std::path::Path;

use anyhow::{bail, ensure};
use data::TextFile;

use super::raw::{RawData, RawModel, RawTrain};
use crate::{figures::SelectBy, loss::Loss, objective::Objective};

/// Refuses keys that do nothing under an objective, and fills in its defaults.
pub(super) fn check(
    objective: Objective,
    model: &RawModel,
    data: &mut RawData,
    train: &mut RawTrain,
) -> anyhow::Result<()> {
    let (name, example) = match objective {
        Objective::Sts => ("sts", "klue-sts:train"),
        Objective::CrossEncoder => ("cross-encoder", "klue-sts:train"),
        Objective::Contrastive => ("contrastive", "klue-nli:train"),
        Objective::Distillation => ("distillation", "klue-nli:train"),
        Objective::Mlm => ("mlm", "data:ko-wiki/ko-wiki-paragraphs.txt.zst"),
    };
    ensure!(!data.train.is_empty(), "data.train is empty: name at least one dataset, such as {example:?}");
    let is_sts = matches!(objective, Objective::Sts | Objective::CrossEncoder);
    let is_mlm = objective == Objective::Mlm;
    let misplaced = [
        ("model.pooling", model.pooling.is_some() && objective == Objective::CrossEncoder),
        ("model.prompt", model.prompt.is_some() && objective == Objective::CrossEncoder),
        ("model.prompt_name", model.prompt_name.is_some() && objective == Objective::CrossEncoder),
        ("train.loss", train.loss.is_some() && !is_sts),
        ("data.silver", data.silver.is_some() && !is_sts),
        ("data.hard_negatives", data.hard_negatives.is_some() && objective != Objective::Contrastive),
        ("data.teachers", !data.teachers.is_empty() && objective != Objective::Distillation),
        ("data.dev_fraction", data.dev_fraction.is_some() && !is_sts),
        ("data.dev_from", !data.dev_from.is_empty() && !is_sts),
        ("data.dev", !data.dev.is_empty() && is_mlm),
        ("data.test", !data.test.is_empty() && is_mlm),
        ("data.held_out", data.held_out.is_some() && !is_mlm),
        ("train.steps_per_epoch", train.steps_per_epoch.is_some() && !is_mlm),
        ("data.text_pairs", data.text_pairs.is_some() && objective != Objective::Contrastive),
    ];
    if let Some((key, _)) = misplaced.into_iter().find(|(_, is_misplaced)| *is_misplaced) {
        bail!("{key} does nothing with objective = \"{name}\": remove it");
    }
    let positive = |name: &str, value: usize| {
        ensure!(value > 0, "{name} is 0, expected at least 1");
        Ok(())
    };
    // The sets of which the sentences alone are read.
    let sets = match (objective, &data.silver) {
        (Objective::Distillation, _) => &data.train[..],
        (Objective::Sts | Objective::CrossEncoder, Some(silver)) => &silver.sentences,
        _ => &[],
    };
    let has_text = sets.iter().any(|spec| TextFile::is_text(Path::new(spec)));
    ensure!(
        data.text_sentences.is_none() || has_text,
        "data.text_sentences does nothing: neither distillation nor silver pairs have a text (.txt, .txt.zst)"
    );
    if has_text {
        positive("data.text_sentences", *data.text_sentences.get_or_insert(100_000))?;
    }
    let has_dev = !data.dev.is_empty();
    let needs_dev = || {
        let what = "data.dev is empty: name a scored set that picks the best epoch, such as \"kor-sts:dev\"";
        ensure!(has_dev, "{what}");
        Ok(())
    };
    match objective {
        Objective::Sts | Objective::CrossEncoder => {
            if data.dev.is_empty() && data.dev_fraction.is_none() {
                data.dev_fraction = Some(0.1);
            }
            let losses = Loss::of(objective);
            let loss = *train.loss.get_or_insert(losses[0]);
            let names = losses.iter().map(|loss| loss.key()).collect::<Vec<_>>().join(", ");
            ensure!(
                losses.contains(&loss),
                "train.loss is {}, which objective = \"{name}\" does not have: expected one of {names}",
                loss.key()
            );
            let ranks_one = loss.spans_batch() && train.batch_size == 1;
            ensure!(
                !ranks_one,
                "train.batch_size is 1: {} ranks the pairs of a batch, and needs 2 or more",
                loss.name()
            );
        }
        Objective::Contrastive => {
            needs_dev()?;
            positive("data.text_pairs", *data.text_pairs.get_or_insert(200_000))?;
            ensure!(train.batch_size > 1, "train.batch_size is 1: an anchor is told from the others of its batch");
        }
        Objective::Distillation => {
            needs_dev()?;
            let example = "such as \"checkpoints/my-model/best\"";
            ensure!(!data.teachers.is_empty(), "data.teachers is empty: name at least one model, {example}");
            let size = train.batch_size;
            ensure!(
                size >= 8,
                "train.batch_size is {size}, expected 8 or more: a sentence is compared with the others of its batch"
            );
        }
        Objective::Mlm => {
            positive("data.held_out", *data.held_out.get_or_insert(500))?;
            let steps = *train.steps_per_epoch.get_or_insert(1000);
            // The bound keeps the steps of all epochs within any integer.
            ensure!((1..=1 << 31).contains(&steps), "train.steps_per_epoch is {steps}, expected 1..=2147483648");
            let select_by = *train.select_by.get_or_insert(SelectBy::Loss);
            let expected = "train.select_by: a masked language model is chosen by loss";
            ensure!(select_by == SelectBy::Loss, "{expected}");
        }
    }
    train.select_by.get_or_insert_default();
    Ok(())
}
