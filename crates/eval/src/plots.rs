//! Pictures of an evaluation: label against prediction, and the histograms of both.

use std::path::Path;

use data::{Histogram, MAX_SCORE};
use ground::{Staged, thousands};
use picture::{Axis, Failure, Mark, SERIES};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::{
    figures::{Figures, Interval, THRESHOLD},
    metrics::MetricError,
    report::Evaluation,
    scoring::Scored,
};

const NAME_CHARACTERS: usize = 60; // of a dataset, in a title

/// The pictures of one dataset, under way: each file is written whole or not at all.
pub struct Plots {
    scatter: Option<Staged>,
    histogram: Staged,
}

impl Plots {
    /// Starts `STEM.histogram.svg` and, for a dataset with labels, `STEM.scatter.svg` in `dir`.
    ///
    /// # Errors
    /// Where no file can be written there.
    pub fn create(dir: &Path, stem: &str, is_labelled: bool) -> Result<Self, picture::Error> {
        let start = |kind| Staged::create(&dir.join(format!("{stem}.{kind}.svg")));
        Ok(Self { scatter: is_labelled.then(|| start("scatter")).transpose()?, histogram: start("histogram")? })
    }

    /// Draws and writes them; files that are there are replaced.
    ///
    /// # Errors
    /// Where a picture cannot be drawn or written.
    pub fn write(self, evaluation: &Evaluation, scored: &Scored) -> Result<(), picture::Error> {
        let (data, labels, predictions) = (&evaluation.data, scored.labels.as_deref(), &scored.predictions);
        if let (Some(file), Some(labels), Some(figures)) = (self.scatter, labels, &evaluation.figures) {
            picture::save(file, scatter(data, labels, predictions, figures))?;
        }
        picture::save(self.histogram, histogram(data, labels, predictions))
    }
}

/// One dot per pair; right and above of the threshold lines lies what counts as alike for F1.
fn scatter(data: &str, labels: &[f64], predictions: &[f64], figures: &Figures) -> Result<String, Failure> {
    const MARGIN: f64 = 0.08; // Room for a dot that lies on the end of an axis.
    let correlation = |interval: &Result<Interval, MetricError>| {
        interval.as_ref().map_or("–".to_owned(), |interval| format!("{:.4}", interval.value))
    };
    let of = figures.similarity.map(|similarity| format!(" of {similarity}")).unwrap_or_default();
    let subtitle = format!(
        "n = {} · Pearson{of} {} · Spearman{of} {} · F1 {:.4}",
        thousands(labels.len()),
        correlation(&figures.pearson),
        correlation(&figures.spearman),
        figures.f1,
    );
    // The more dots, the fainter each: where many lie on each other, it is darker.
    let (radius, alpha) = match labels.len() {
        0..=800 => (3, 0.5),
        801..=2_500 => (3, 0.3),
        2_501..=6_000 => (2, 0.25),
        _ => (2, 0.15),
    };
    let lowest = predictions.iter().copied().filter(|score| score.is_finite()).fold(0.0, f64::min);
    let bottom = (lowest * 2.0).floor() / 2.0; // The next half below.
    let axis = |name, start| Axis::new(name, start - MARGIN..MAX_SCORE + MARGIN, 14);
    picture::svg(720, |root| {
        let area = picture::heading(root, &title("Label and prediction", data), &subtitle)?;
        let guide = picture::GUIDE;
        let threshold = format!("score {THRESHOLD:.1}, the threshold of F1");
        let legend = [("prediction = label", Mark::Line(guide.into(), 1)), (&threshold, Mark::Dashed(SERIES[1]))];
        let area = picture::legend(&area, &legend)?;
        let x = axis("label (0 = unrelated, 5 = the same meaning)", 0.0);
        let y = axis("prediction (5 · cosine)", bottom);
        let mut chart = picture::chart(&area, &x, &y)?;
        let diagonal = vec![(0.0, 0.0), (MAX_SCORE, MAX_SCORE)];
        chart.draw_series([PathElement::new(diagonal, guide.stroke_width(1))])?;
        let dots =
            labels.iter().copied().zip(predictions.iter().copied()).filter(|(_, prediction)| !prediction.is_nan());
        let style = SERIES[0].mix(alpha).filled();
        chart.draw_series(dots.map(|place| Circle::new(place, radius, style)))?;
        // Above the dots, so that they are seen where these are dense.
        picture::dashed(&mut chart, (x.range().start, THRESHOLD), (x.range().end, THRESHOLD), SERIES[1])?;
        picture::dashed(&mut chart, (THRESHOLD, y.range().start), (THRESHOLD, y.range().end), SERIES[1])
    })
}

/// Labels, where there are any, and predictions side by side, in ten bins of 0.5 and one of all below 0.
fn histogram(data: &str, labels: Option<&[f64]>, predictions: &[f64]) -> Result<String, Failure> {
    const BELOW: f64 = -0.5; // Where the bin of all scores below 0 starts in the picture.
    let all = [("labels", labels, SERIES[0]), ("predictions", Some(predictions), SERIES[1])];
    let shown: Vec<(&str, Bins, RGBColor)> =
        all.into_iter().filter_map(|(name, scores, color)| Some((name, bins(scores?), color))).collect();
    let highest = shown.iter().flat_map(|(_, bins, _)| bins).max().copied().unwrap_or(0).max(1);
    let what = if labels.is_some() { "Labels and predictions" } else { "Predictions" };
    let subtitle = format!("n = {} pairs", thousands(predictions.len()));
    picture::svg(480, |root| {
        let area = picture::heading(root, &title(what, data), &subtitle)?;
        let legend: Vec<_> = shown.iter().map(|(name, _, color)| (*name, Mark::Bar(*color))).collect();
        let area = picture::legend(&area, &legend)?;
        let edge = |score: &f64| if *score < 0.0 { String::new() } else { format!("{score:.1}") };
        let x = Axis::new("score", BELOW..MAX_SCORE, Histogram::BINS + 2).labelled(edge);
        let top = highest as f64 * 1.1; // Room for the count above the highest bar.
        let mut chart = picture::chart(&area, &x, &Axis::count("pairs", top, 8))?;
        for (series, (_, bins, color)) in shown.iter().enumerate() {
            let width = 0.44 / shown.len() as f64;
            let bars = bins.iter().enumerate().map(|(bin, count)| {
                let left = BELOW + 0.5 * bin as f64 + 0.03 + width * series as f64;
                (left, left + width, *count)
            });
            picture::bars(&mut chart, &bars.collect::<Vec<_>>(), *color)?;
        }
        let (middle, axis) = chart.backend_coord(&(BELOW / 2.0, 0.0));
        let style = picture::text(picture::LABEL).pos(Pos::new(HPos::Center, VPos::Bottom));
        root.draw(&Text::new("< 0", (middle, axis + 22), style))?;
        Ok(())
    })
}

/// Counts, first of the scores below 0, then per bin of 0.5.
type Bins = [usize; Histogram::BINS + 1];

fn bins(scores: &[f64]) -> Bins {
    let mut bins = Bins::default();
    for score in scores.iter().filter(|score| !score.is_nan()) {
        bins[if *score < 0.0 { 0 } else { Histogram::bin(*score) + 1 }] += 1;
    }
    bins
}

fn title(what: &str, data: &str) -> String {
    format!("{what} of {}", picture::shortened(data, NAME_CHARACTERS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [f64; 5] = [0.0, 3.0, 5.0, 1.0, 4.0];
    const PREDICTIONS: [f64; 5] = [0.0, 3.0, 5.0, -0.4, 2.0];

    fn picture(labels: &[f64], predictions: &[f64]) -> String {
        scatter("kor-sts:test", labels, predictions, &Figures::new(labels, predictions)).unwrap()
    }

    /// The number that an attribute of an element holds.
    fn number(element: &str, name: &str) -> i32 {
        let value = element.split(&format!(" {name}=\"")).nth(1).unwrap();
        value.split('"').next().unwrap().parse().unwrap()
    }

    fn dots(svg: &str) -> Vec<(i32, i32)> {
        svg.lines()
            .filter(|line| line.starts_with("<circle"))
            .map(|dot| (number(dot, "cx"), number(dot, "cy")))
            .collect()
    }

    /// The polylines of this colour, as their points.
    fn lines(svg: &str, color: RGBColor) -> Vec<Vec<(i32, i32)>> {
        let stroke = format!("stroke=\"#{:02X}{:02X}{:02X}\"", color.0, color.1, color.2);
        let place = |place: &str| place.split_once(',').map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap())).unwrap();
        svg.lines()
            .filter(|line| line.starts_with("<polyline") && line.contains(&stroke))
            .map(|line| line.split("points=\"").nth(1).unwrap().split('"').next().unwrap())
            .map(|points| points.split_whitespace().map(place).collect())
            .collect()
    }

    #[test]
    fn every_pair_has_a_dot_at_its_label_and_prediction() {
        let dots = dots(&picture(&LABELS, &PREDICTIONS));
        let (origin, far) = (dots[0], dots[2]);
        let place = |label: f64, prediction: f64| {
            let x = f64::from(origin.0) + f64::from(far.0 - origin.0) * label / 5.0;
            let y = f64::from(origin.1) + f64::from(far.1 - origin.1) * prediction / 5.0;
            (x, y)
        };
        assert_eq!(dots.len(), 5);
        assert!(origin.0 < far.0 && origin.1 > far.1, "{dots:?}"); // to the right and up
        for ((label, prediction), dot) in LABELS.iter().zip(PREDICTIONS).zip(&dots) {
            let (x, y) = place(*label, prediction);
            assert!((x - f64::from(dot.0)).abs() <= 1.0 && (y - f64::from(dot.1)).abs() <= 1.0, "{dots:?}");
        }
    }

    #[test]
    fn the_diagonal_joins_0_and_5_and_the_threshold_lines_cross_at_3() {
        let svg = picture(&LABELS, &PREDICTIONS);
        let dots = dots(&svg);
        assert!(lines(&svg, picture::GUIDE).contains(&vec![dots[0], dots[2]]));
        // The dashes of the legend come first; all others lie on one of the two lines.
        let dashes = &lines(&svg, SERIES[1])[3..];
        let (x, y) = dots[1];
        assert!(dashes.iter().any(|dash| dash.iter().all(|place| place.0 == x)));
        assert!(dashes.iter().any(|dash| dash.iter().all(|place| place.1 == y)));
        assert!(dashes.iter().flatten().all(|place| place.0 == x || place.1 == y), "{dashes:?}");
    }

    #[test]
    fn the_title_tells_dataset_pairs_and_correlations() {
        let svg = picture(&LABELS, &PREDICTIONS);
        let figures = Figures::new(&LABELS, &PREDICTIONS);
        let (pearson, spearman) = (figures.pearson.unwrap().value, figures.spearman.unwrap().value);
        assert!(svg.contains("\nLabel and prediction of kor-sts:test\n"));
        let expected = format!("\nn = 5 · Pearson {pearson:.4} · Spearman {spearman:.4} · F1 {:.4}\n", figures.f1);
        assert!(svg.contains(&expected), "{expected}");
        let constant = picture(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]);
        assert!(constant.contains("\nn = 3 · Pearson – · Spearman – · F1 0.0000\n"));
    }

    #[test]
    fn the_same_scores_give_the_same_bytes() {
        assert_eq!(picture(&LABELS, &PREDICTIONS), picture(&LABELS, &PREDICTIONS));
        let bars = || histogram("x", Some(&LABELS), &PREDICTIONS).unwrap();
        assert_eq!(bars(), bars());
    }

    #[test]
    fn a_picture_of_1500_pairs_is_smaller_than_a_megabyte() {
        let labels: Vec<f64> = (0..1_500).map(|index| f64::from(index % 26) / 5.0).collect();
        let predictions: Vec<f64> = (0..1_500).map(|index| f64::from(index % 97) / 20.0).collect();
        let svg = picture(&labels, &predictions);
        assert_eq!(dots(&svg).len(), 1_500);
        assert!(svg.len() < 1_000_000, "{}", svg.len());
    }

    #[test]
    fn a_bin_is_half_a_score_wide_and_one_holds_all_below_0() {
        let counts = bins(&[-5.0, -0.1, 0.0, 0.49, 0.5, 2.5, 4.99, 5.0]);
        assert_eq!(counts, [2, 2, 1, 0, 0, 0, 1, 0, 0, 0, 2]);
    }

    #[test]
    fn labels_and_predictions_stand_side_by_side_as_high_as_their_counts() {
        let svg = histogram("x", Some(&[1.2, 1.3, 1.4, 4.0]), &[1.1, -1.0, -2.0, 4.2]).unwrap();
        // The bars of a colour as (x, width, height), after the one of the legend.
        let bars = |color: RGBColor| {
            let fill = format!("fill=\"#{:02X}{:02X}{:02X}\"", color.0, color.1, color.2);
            let bars = svg.lines().filter(|line| line.starts_with("<rect") && line.contains(&fill)).skip(1);
            bars.map(|bar| (number(bar, "x"), number(bar, "width"), number(bar, "height"))).collect::<Vec<_>>()
        };
        let (labels, predictions) = (bars(SERIES[0]), bars(SERIES[1]));
        assert_eq!((labels.len(), predictions.len()), (11, 11));
        for (bin, (label, prediction)) in labels.iter().zip(&predictions).enumerate() {
            assert!(label.0 + label.1 < prediction.0, "bin {bin}: {label:?} {prediction:?}");
        }
        let ratio = f64::from(labels[3].2) / f64::from(predictions[3].2); // 3 labels and 1 prediction in 1.0..1.5
        assert!((ratio - 3.0).abs() < 0.1, "{labels:?} {predictions:?}");
        assert!(predictions[0].2 > predictions[3].2 && labels[0].2 == 0, "{labels:?} {predictions:?}");
    }

    #[test]
    fn a_prediction_that_is_no_number_is_nowhere() {
        assert_eq!(dots(&picture(&[1.0, 2.0, 3.0], &[1.0, f64::NAN, 2.0])).len(), 2);
        assert_eq!(bins(&[f64::NAN, 1.0]).iter().sum::<usize>(), 1);
    }

    #[test]
    fn without_labels_there_are_predictions_alone() {
        let svg = histogram("x", None, &[1.0, 2.0]).unwrap();
        assert!(svg.contains("\nPredictions of x\n") && svg.contains("\npredictions\n"));
        assert!(!svg.contains("labels"));
    }
}
