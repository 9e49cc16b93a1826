//! The curves of a run as an SVG picture: training loss, learning rate, and the dev figures of every epoch.

use std::{ops::Range, path::Path};

use ground::{Staged, thousands};
use picture::{Area, Axis, Chart, Failure, Mark, SERIES};
use plotters::prelude::*;

use crate::{
    epoch::{Best, Epoch},
    figures::Figure,
    log::StepPoint,
};

const TOP: u32 = 84; // heading and legend
const LOSS: u32 = 240;
const LEARNING_RATE: u32 = 188;
const DEV_LEGEND: u32 = 28;
const DEV: u32 = 185; // a row of two
const NAME: u32 = 22; // of the steps' axis, below the last
const NAME_CHARACTERS: usize = 60; // of the run, in the title
const STEP: &str = "optimizer step";

/// Draws the curves of the run named `run`, whose training loss is `loss`, into `path`; a picture that is there is replaced.
///
/// # Errors
/// Where the picture cannot be drawn or written.
pub(crate) fn write(
    path: &Path,
    run: &str,
    loss: &str,
    steps: &[StepPoint],
    epochs: &[Epoch],
    best: Best,
) -> Result<(), picture::Error> {
    picture::save(Staged::create(path)?, draw(run, loss, steps, epochs, best))
}

fn draw(run: &str, loss: &str, steps: &[StepPoint], epochs: &[Epoch], best: Best) -> Result<String, Failure> {
    let last = steps.last().map_or(0, |point| point.step).max(epochs.last().map_or(0, |epoch| epoch.step));
    let best_step = epochs.iter().find(|epoch| epoch.epoch == best.epoch).map(|epoch| epoch.step as f64);
    let frame = Frame { last: last.max(1) as f64, best: best_step };
    let title = format!("Training of {}", picture::shortened(run, NAME_CHARACTERS));
    let mut subtitle = format!("{} steps", thousands(last as usize));
    if best_step.is_some() {
        let chosen = format!("{:?}", best.select_by).to_lowercase();
        let plural = if epochs.len() == 1 { "" } else { "s" };
        subtitle += &format!(" · {} epoch{plural} · best: epoch {}, by {chosen} on dev", epochs.len(), best.epoch);
    }
    let figures = epochs.first().and_then(|epoch| epoch.dev.first()).map_or(&[][..], |dev| dev.figures());
    let rows = figures.len().div_ceil(2) as u32;
    let dev = if rows == 0 { 0 } else { DEV_LEGEND + rows * DEV + NAME };
    picture::svg(TOP + LOSS + LEARNING_RATE + dev + 8, |root| {
        let area = picture::heading(root, &title, &subtitle)?;
        let light = SERIES[0].mix(0.45);
        let mut legend =
            vec![("training loss, as logged", Mark::Line(light, 1)), ("smoothed", Mark::Line(SERIES[0].into(), 2))];
        if best_step.is_some() {
            legend.push(("best epoch", Mark::Dashed(picture::GUIDE)));
        }
        let area = picture::legend(&area, &legend)?;

        let (panel, area) = area.split_vertically(LOSS);
        let losses = finite(steps.iter().map(|point| (point.step, point.loss)));
        let (range, is_log) = loss_range(&losses);
        let name = format!("training loss ({}{})", loss, if is_log { ", log scale" } else { "" });
        let axis = if is_log { Axis::log(&name, range) } else { Axis::new(&name, range, 7) };
        let mut chart = frame.chart(&panel, "", 12, &axis)?;
        chart.draw_series([PathElement::new(losses.clone(), light.stroke_width(1))])?;
        chart.draw_series([PathElement::new(smoothed(&losses), SERIES[0].stroke_width(2))])?;

        let (panel, area) = area.split_vertically(LEARNING_RATE);
        let rates = finite(steps.iter().map(|point| (point.step, point.learning_rate)));
        let highest = rates.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
        let top = if highest > 0.0 { highest * 1.08 } else { 1.0 };
        let axis = Axis::new("learning rate", 0.0..top, 6).labelled(scientific);
        let mut chart = frame.chart(&panel, STEP, 12, &axis)?;
        chart.draw_series([PathElement::new(rates, SERIES[0].stroke_width(2))])?;

        if rows > 0 {
            dev_panels(&area, &frame, epochs, figures)?;
        }
        Ok(())
    })
}

/// One small panel per figure, with a line per dev set.
fn dev_panels(area: &Area<'_>, frame: &Frame, epochs: &[Epoch], figures: &[Figure]) -> Result<(), Failure> {
    let sets: Vec<&str> = epochs[0].dev.iter().map(|dev| dev.data.as_str()).collect();
    let colors = SERIES.into_iter().cycle();
    let legend: Vec<(&str, Mark)> =
        sets.iter().zip(colors.clone()).map(|(set, color)| (*set, Mark::Line(color.into(), 2))).collect();
    let area = picture::legend(area, &legend)?;
    let (mut panels, mut rest, rows) = (Vec::new(), area, figures.len().div_ceil(2));
    for row in 1..=rows {
        // The lowest ones name the step.
        let (step, height) = if row == rows { (STEP, DEV + NAME) } else { ("", DEV) };
        let (upper, lower) = rest.split_vertically(height);
        panels.extend(upper.split_evenly((1, 2)).into_iter().map(|panel| (step, panel)));
        rest = lower;
    }
    for ((step, panel), figure) in panels.into_iter().zip(figures) {
        let lines: Vec<Vec<(f64, f64)>> = (0..sets.len())
            .map(|set| {
                let values = epochs.iter().filter_map(|epoch| Some((epoch.step, (figure.value)(epoch.dev.get(set)?)?)));
                finite(values)
            })
            .collect();
        let values = lines.iter().flatten().map(|(_, value)| *value);
        let (lowest, highest) =
            (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max));
        let range = if lowest <= highest {
            let room = ((highest - lowest) * 0.15).max(0.005);
            lowest - room..highest + room
        } else {
            0.0..1.0 // undefined throughout
        };
        let mut chart = frame.chart(&panel, step, 5, &Axis::new(figure.axis, range, 6))?;
        for (line, color) in lines.into_iter().zip(colors.clone()) {
            chart.draw_series(line.iter().map(|place| Circle::new(*place, 3, color.filled())))?;
            chart.draw_series([PathElement::new(line, color.stroke_width(2))])?;
        }
    }
    Ok(())
}

/// What all panels have in common.
struct Frame {
    last: f64,         // step
    best: Option<f64>, // step
}

impl Frame {
    /// Axes over the optimizer steps, with the best epoch marked.
    fn chart<'a>(&self, area: &Area<'a>, name: &str, ticks: usize, y: &Axis<'_>) -> Result<Chart<'a>, Failure> {
        let x = Axis::count(name, self.last * 1.01, ticks);
        let mut chart = picture::chart(area, &x, y)?;
        if let Some(step) = self.best {
            picture::dashed(&mut chart, (step, y.range().start), (step, y.range().end), picture::GUIDE)?;
        }
        Ok(chart)
    }
}

/// The ends of the axis of the training loss, and whether it is logarithmic, as it is where the loss falls below a tenth,
/// since the end of a training is as interesting as its beginning.
fn loss_range(losses: &[(f64, f64)]) -> (Range<f64>, bool) {
    let values = losses.iter().map(|(_, loss)| *loss);
    let (lowest, highest) = (values.clone().fold(f64::INFINITY, f64::min), values.fold(0.0, f64::max));
    if lowest > 0.0 && highest > 10.0 * lowest {
        return (lowest * 0.9..highest * 1.1, true);
    }
    (0.0..if highest > 0.0 { highest * 1.05 } else { 1.0 }, false)
}

fn finite(points: impl Iterator<Item = (u64, f64)>) -> Vec<(f64, f64)> {
    points.filter(|(_, value)| value.is_finite()).map(|(step, value)| (step as f64, value)).collect()
}

/// Mean over each point and as many neighbours on either side, a fortieth of all points; fewer towards the ends, so
/// that the line starts and ends where the points do, and nowhere lags behind them.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let widest = (points.len() / 40).max(2);
    let mean = |index: usize| {
        let reach = widest.min(index).min(points.len() - 1 - index);
        let window = &points[index - reach..=index + reach];
        window.iter().map(|(_, value)| value).sum::<f64>() / window.len() as f64
    };
    points.iter().enumerate().map(|(index, (step, _))| (*step, mean(index))).collect()
}

fn scientific(rate: &f64) -> String {
    if *rate == 0.0 { "0".to_owned() } else { format!("{rate:.1e}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        figures::{DevFigures, SelectBy},
        speed::Speed,
    };

    fn steps(losses: &[f64]) -> Vec<StepPoint> {
        let point = |(index, loss): (usize, &f64)| StepPoint {
            epoch: 1,
            step: 10 * (index as u64 + 1),
            loss: *loss,
            learning_rate: 1e-5 * (losses.len() - index) as f64,
            grad_norm: 1.0,
            speed: Speed::Pairs(100.0),
        };
        losses.iter().enumerate().map(point).collect()
    }

    fn epoch(epoch: u32, sets: &[&str], pearson: Option<f64>) -> Epoch {
        let dev = |set: &&str| DevFigures {
            data: (*set).to_owned(),
            pairs: 100,
            pearson,
            spearman: pearson,
            f1: Some(0.5 + 0.1 * f64::from(epoch)),
            accuracy: None,
            loss: 1.0,
        };
        let dev = sets.iter().map(dev).collect();
        Epoch { epoch, step: 20 * u64::from(epoch), train_loss: Some(1.0), speed: Some(Speed::Pairs(100.0)), dev }
    }

    fn best(epoch: u32) -> Best {
        Best { epoch, select_by: SelectBy::Pearson, value: None }
    }

    /// The coordinates of every line of this colour and width.
    fn lines(svg: &str, color: RGBColor, width: u32) -> Vec<Vec<(i32, i32)>> {
        let style =
            format!("stroke=\"#{:02X}{:02X}{:02X}\" stroke-width=\"{width}\" points=\"", color.0, color.1, color.2);
        let place = |place: &str| place.split_once(',').map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap())).unwrap();
        let points = |text: &str| text.split('"').next().unwrap().split_whitespace().map(place).collect();
        svg.split(&style).skip(1).map(points).collect()
    }

    /// The line of the loss as logged, which comes after its sign in the legend.
    fn as_logged(svg: &str) -> Vec<(i32, i32)> {
        let mut lines = lines(svg, SERIES[0], 1);
        assert_eq!(lines.len(), 2);
        lines.remove(1)
    }

    #[test]
    fn every_logged_step_and_every_epoch_of_every_dev_set_is_drawn() {
        let epochs = [1, 2, 3].map(|number| epoch(number, &["a:dev", "b<c>.csv"], Some(0.1 * f64::from(number))));
        let steps = steps(&[3.0, 2.0, 1.5, 1.2, 1.1, 1.0]);
        let svg = draw("checkpoints/x", "MSE", &steps, &epochs, best(2)).unwrap();
        let loss = as_logged(&svg);
        assert_eq!(loss.len(), 6);
        let lengths: Vec<usize> = lines(&svg, SERIES[0], 2).iter().map(Vec::len).collect();
        // The sign of «smoothed», the smoothed loss, the learning rate, the sign of the first dev set and its four lines.
        assert_eq!(lengths, [2, 6, 6, 2, 3, 3, 3, 3]);
        assert_eq!(lines(&svg, SERIES[1], 2).iter().map(Vec::len).collect::<Vec<_>>(), [2, 3, 3, 3, 3]);
        assert_eq!(svg.matches("<circle").count(), 2 * 4 * 3);
        // The loss falls to the right and downwards, that is to greater x and y.
        assert!(loss.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1), "{loss:?}");
        for text in ["Training of checkpoints/x", "60 steps · 3 epochs · best: epoch 2, by pearson on dev", "a:dev"] {
            assert!(svg.contains(&format!("\n{text}\n")), "{text}");
        }
        for text in [
            "training loss (MSE)",
            "learning rate",
            "dev Pearson",
            "dev Spearman",
            "dev F1 (score ≥ 3)",
            "b&lt;c&gt;.csv",
        ] {
            assert!(svg.contains(&format!("\n{text}\n")), "{text}");
        }
    }

    #[test]
    fn the_best_epoch_is_marked_at_its_step_in_every_panel() {
        let epochs = [1, 2, 3].map(|number| epoch(number, &["a:dev"], Some(0.1 * f64::from(number))));
        let svg = draw("x", "MSE", &steps(&[3.0, 2.0, 1.5, 1.2, 1.1, 1.0]), &epochs, best(2)).unwrap();
        let marks = lines(&svg, picture::GUIDE, 1);
        // After the sign of «smoothed»: the smoothed loss and the learning rate; after the sign of the dev set: its figures.
        let heavy = lines(&svg, SERIES[0], 2);
        let (step_40, epoch_2) = (3, 1);
        let places = heavy[1..3].iter().map(|line| line[step_40]).chain(heavy[4..].iter().map(|line| line[epoch_2]));
        for (x, y) in places {
            // A dash of a line that is upright there is never farther than a dash and a gap.
            let is_near = |mark: &Vec<(i32, i32)>| mark.iter().all(|place| place.0 == x && (place.1 - y).abs() <= 12);
            assert!(marks.iter().any(is_near), "{x} {y} {marks:?}");
        }
    }

    #[test]
    fn the_same_run_gives_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["a.svg", "new/b.svg"].map(|name| {
            let path = folder.path().join(name);
            write(&path, "x", "MSE", &steps(&[8.0, 0.5, 0.1]), &[epoch(1, &["a:dev"], Some(0.5))], best(1)).unwrap();
            std::fs::read_to_string(path).unwrap()
        });
        assert!(first.ends_with("</svg>\n") && first == second);
    }

    #[test]
    fn a_loss_that_falls_below_a_tenth_is_drawn_on_a_logarithmic_scale() {
        let svg = draw("x", "MSE", &steps(&[10.0, 1.0, 0.1]), &[], best(0)).unwrap();
        let line = as_logged(&svg);
        let falls = (line[1].1 - line[0].1, line[2].1 - line[1].1);
        assert!((falls.0 - falls.1).abs() <= 1, "{line:?}"); // equal ratios, equal distances; to a pixel
        assert!(svg.contains("\ntraining loss (MSE, log scale)\n"));
    }

    #[test]
    fn what_is_undefined_or_missing_leaves_a_picture_all_the_same() {
        let no_epoch = draw("x", "MSE", &[], &[], best(0)).unwrap();
        assert!(no_epoch.contains("\n0 steps\n") && !no_epoch.contains("<circle"), "{no_epoch}");
        let undefined = draw("x", "MSE", &steps(&[0.0, f64::NAN]), &[epoch(1, &["a:dev"], None)], best(1)).unwrap();
        assert_eq!(undefined.matches("<circle").count(), 2); // F1 and loss
        assert_eq!(as_logged(&undefined).len(), 1);
        let no_dev = draw("x", "MSE", &steps(&[1.0]), &[epoch(1, &[], None)], best(1)).unwrap();
        assert!(!no_dev.contains("<circle"));
    }

    #[test]
    fn the_smoothed_line_keeps_its_ends_and_does_not_lag() {
        let points: Vec<(f64, f64)> = (0..200).map(|step| (f64::from(step), 500.0 - f64::from(step))).collect();
        for (smooth, point) in smoothed(&points).iter().zip(&points) {
            assert!(smooth.0 == point.0 && (smooth.1 - point.1).abs() < 1e-9, "{smooth:?} {point:?}");
        }
        let noisy: Vec<(f64, f64)> = (0..200).map(|step| (f64::from(step), f64::from(step % 2))).collect();
        let middle = smoothed(&noisy)[100].1;
        assert!((middle - 0.5).abs() < 0.05, "{middle}");
    }
}
