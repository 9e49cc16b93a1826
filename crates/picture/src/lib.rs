//! The look that all pictures of the workspace share: SVG, 800 pixels wide.

#![cfg_attr(test, allow(clippy::unwrap_used))] // A test may panic.

use std::{io::Write, ops::Range, path::PathBuf};

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::coord::types::RangedCoordf64;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use ground::{Staged, thousands};

/// Width of a picture in pixels.
pub const WIDTH: u32 = 800;
/// Size of a picture's title.
pub const TITLE: u32 = 20;
/// Size of what is said beside the axes: subtitles, legends, the names of axes.
pub const NOTE: u32 = 15;
/// Size of the labels at ticks and bars.
pub const LABEL: u32 = 14;
/// Colour of texts and axes.
pub const TEXT: RGBColor = RGBColor(40, 40, 40);
/// Colour of grid lines.
pub const GRID: RGBColor = RGBColor(225, 225, 225);
/// Colour of lines that are no data.
pub const GUIDE: RGBColor = RGBColor(120, 120, 120);
/// Colours of the series, told apart by the colour-blind too.
pub const SERIES: [RGBColor; 6] = [
    RGBColor(52, 101, 164),
    RGBColor(213, 94, 0),
    RGBColor(0, 140, 105),
    RGBColor(170, 80, 150),
    RGBColor(190, 140, 0),
    RGBColor(60, 160, 210),
];

const LEGEND_HEIGHT: i32 = 28;
const MARK_WIDTH: i32 = 26;
const MARK_GAP: i32 = 6;
const ENTRY_GAP: i32 = 28;
const DASHED_WIDTH: u32 = 1;
const CHARACTER: f64 = 0.44; // mean width of a character per size; an SVG backend cannot measure a font

/// A picture that is not in its file. One line that names the file; there is no `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It could not be drawn.
    #[error("{}: cannot draw the chart: {reason}", path.display())]
    Drawing {
        /// The file it was meant for.
        path: PathBuf,
        /// The drawing library's reason.
        reason: String,
    },
    /// It could not be written.
    #[error(transparent)]
    File(#[from] ground::Error),
}

/// Why a picture could not be drawn.
pub type Failure = Box<dyn std::error::Error>;
/// A part of a picture, in pixels.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// Two axes under way, in the units of the data.
pub type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Scale, Scale>>;

/// The numbers along an axis, with ticks at chosen ones.
#[derive(Clone)]
pub struct Scale {
    range: Range<f64>,
    ticks: Vec<f64>,
    is_log: bool,
}

impl Ranged for Scale {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let place = |value: f64| if self.is_log { value.log10() } else { value };
        let (start, end) = (place(self.range.start), place(self.range.end));
        RangedCoordf64::from(start..end).map(&place(*value), limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

/// One axis of a chart.
pub struct Axis<'a> {
    name: &'a str,
    scale: Scale,
    label: Box<dyn Fn(&f64) -> String>,
}

impl<'a> Axis<'a> {
    /// An axis that shows what its name says, with `most` round ticks at most. Without a name it is narrower.
    pub fn new(name: &'a str, range: Range<f64>, most: usize) -> Self {
        let (ticks, step) = ticks(&range, most, 0.0);
        let decimals = (-step.log10() - 1e-9).ceil().clamp(0.0, 9.0) as usize;
        let scale = Scale { range, ticks, is_log: false };
        Self { name, scale, label: Box::new(move |value| format!("{value:.decimals$}")) }
    }

    /// An axis of whole numbers from 0.
    pub fn count(name: &'a str, end: f64, most: usize) -> Self {
        let (ticks, _) = ticks(&(0.0..end), most, 1.0);
        let scale = Scale { range: 0.0..end, ticks, is_log: false };
        Self { name, scale, label: Box::new(|count| thousands(count.round() as usize)) }
    }

    /// An axis of positive numbers on a logarithmic scale.
    pub fn log(name: &'a str, range: Range<f64>) -> Self {
        let powers = range.start.log10().floor() as i32..=range.end.log10().ceil() as i32;
        let numbers = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)));
        let ticks = numbers.filter(|tick| range.contains(tick)).collect();
        Self { name, scale: Scale { range, ticks, is_log: true }, label: Box::new(|tick| short(*tick)) }
    }

    /// Other labels at the ticks.
    pub fn labelled(self, label: impl Fn(&f64) -> String + 'static) -> Self {
        Self { label: Box::new(label), ..self }
    }

    /// Its two ends.
    pub fn range(&self) -> Range<f64> {
        self.scale.range()
    }
}

/// The sign that stands for a series in a legend.
#[derive(Clone, Copy)]
pub enum Mark {
    /// A line of a width in pixels.
    Line(RGBAColor, u32),
    /// A dashed line.
    Dashed(RGBColor),
    /// A bar of a histogram.
    Bar(RGBColor),
}

/// Draws a picture of `height` pixels and gives its SVG text; the same drawing gives the same bytes.
///
/// # Errors
/// Where the drawing fails.
pub fn svg(height: u32, draw: impl FnOnce(&Area<'_>) -> Result<(), Failure>) -> Result<String, Failure> {
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    draw(&root)?;
    root.present()?;
    drop(root);
    Ok(svg)
}

/// Puts a picture into its file, which is replaced if it is there.
///
/// # Errors
/// Where the picture could not be drawn, or cannot be written.
pub fn save(mut file: Staged, svg: Result<String, Failure>) -> Result<(), Error> {
    let failed = |error: Failure| Error::Drawing { path: file.target().to_owned(), reason: error.to_string() };
    let svg = svg.map_err(failed)?;
    file.file().write_all(svg.as_bytes()).map_err(|cause| file.failed(cause))?;
    Ok(file.commit(true)?)
}

/// The style of a text.
pub fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&TEXT)
}

/// A name that fits `characters`: of a long one, such as a path, its end tells more than its beginning.
pub fn shortened(name: &str, characters: usize) -> String {
    let length = name.chars().count();
    if length <= characters {
        return name.to_owned();
    }
    let end: String = name.chars().skip(length + 1 - characters).collect();
    format!("…{end}")
}

/// Draws a title, and under it a line that says more, at the top of a picture; gives what is left below.
///
/// # Errors
/// Where the drawing fails.
pub fn heading<'a>(root: &Area<'a>, title: &str, subtitle: &str) -> Result<Area<'a>, Failure> {
    let area = root.margin(12, 8, 8, 0).titled(title, text(TITLE))?;
    Ok(if subtitle.is_empty() { area } else { area.titled(subtitle, text(NOTE))? })
}

/// Draws two axes with a grid in the whole of `area`.
///
/// # Errors
/// Where the drawing fails.
pub fn chart<'a>(area: &Area<'a>, x: &Axis<'_>, y: &Axis<'_>) -> Result<Chart<'a>, Failure> {
    let mut chart = ChartBuilder::on(area)
        .margin_top(10)
        .margin_right(20)
        .x_label_area_size(if x.name.is_empty() { 26 } else { 48 })
        .y_label_area_size(68)
        .build_cartesian_2d(x.scale.clone(), y.scale.clone())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(TEXT)
        .x_desc(x.name)
        .y_desc(y.name)
        .x_labels(x.scale.ticks.len())
        .y_labels(y.scale.ticks.len())
        .x_label_formatter(&x.label)
        .y_label_formatter(&y.label)
        .label_style(text(LABEL))
        .axis_desc_style(text(NOTE))
        .draw()?;
    Ok(chart)
}

/// Draws a legend in one line at the top of `area`; gives what is left below it.
///
/// # Errors
/// Where the drawing fails.
pub fn legend<'a>(area: &Area<'a>, entries: &[(&str, Mark)]) -> Result<Area<'a>, Failure> {
    let (strip, rest) = area.split_vertically(LEGEND_HEIGHT);
    let width = strip.dim_in_pixel().0 as i32;
    // What each entry may take if all are long.
    let share = (width + ENTRY_GAP) / entries.len().max(1) as i32 - ENTRY_GAP - MARK_WIDTH - MARK_GAP;
    let longest = (f64::from(share.max(0)) / (f64::from(NOTE) * CHARACTER)) as usize;
    let names: Vec<String> = entries.iter().map(|(name, _)| shortened(name, longest)).collect();
    let widths: Vec<i32> = names.iter().map(|name| MARK_WIDTH + MARK_GAP + text_width(name, NOTE)).collect();
    let total = widths.iter().sum::<i32>() + ENTRY_GAP * (entries.len() as i32 - 1);
    let mut left = (width - total) / 2;
    let middle = LEGEND_HEIGHT / 2;
    for ((name, (_, mark)), width) in names.into_iter().zip(entries).zip(widths) {
        let line = |from, to| vec![(left + from, middle), (left + to, middle)];
        match mark {
            Mark::Line(color, width) => {
                strip.draw(&PathElement::new(line(0, MARK_WIDTH), color.stroke_width(*width)))?;
            }
            Mark::Dashed(color) => {
                for start in [0, 10, 20] {
                    strip.draw(&PathElement::new(line(start, start + 6), color.stroke_width(DASHED_WIDTH)))?;
                }
            }
            Mark::Bar(color) => {
                strip.draw(&Rectangle::new(
                    [(left + 12, middle - 6), (left + MARK_WIDTH, middle + 6)],
                    color.filled(),
                ))?;
            }
        }
        let style = text(NOTE).pos(Pos::new(HPos::Left, VPos::Center));
        strip.draw(&Text::new(name, (left + MARK_WIDTH + MARK_GAP, middle), style))?;
        left += width + ENTRY_GAP;
    }
    Ok(rest)
}

/// Draws the bars of a histogram, `(left, right, count)` each, with their counts above.
///
/// # Errors
/// Where the drawing fails.
pub fn bars(chart: &mut Chart<'_>, bars: &[(f64, f64, usize)], color: RGBColor) -> Result<(), Failure> {
    chart.draw_series(bars.iter().map(|(left, right, count)| {
        let mut bar = Rectangle::new([(*left, 0.0), (*right, *count as f64)], color.filled());
        bar.set_margin(0, 0, 1, 1);
        bar
    }))?;
    // A count of four digits is as wide as the narrowest bars.
    let size = if bars.iter().all(|(_, _, count)| *count < 1_000) { 13 } else { 12 };
    let style = text(size).pos(Pos::new(HPos::Center, VPos::Bottom));
    chart.draw_series(bars.iter().map(|(left, right, count)| {
        let place = EmptyElement::at(((left + right) / 2.0, *count as f64));
        place + Text::new(count.to_string(), (0, -4), style.clone())
    }))?;
    Ok(())
}

/// A dashed line between two points of a chart.
///
/// # Errors
/// Where the drawing fails.
pub fn dashed(chart: &mut Chart<'_>, from: (f64, f64), to: (f64, f64), color: RGBColor) -> Result<(), Failure> {
    let line = DashedPathElement::new([from, to], 6, 4, color.stroke_width(DASHED_WIDTH));
    chart.draw_series([line])?;
    Ok(())
}

/// Ticks that are whole multiples of a step of 1, 2 or 5 times a power of ten, no smaller than `least`; and the step.
fn ticks(range: &Range<f64>, most: usize, least: f64) -> (Vec<f64>, f64) {
    let width = (range.end - range.start).max(f64::MIN_POSITIVE);
    let power = (width / most as f64).log10().floor() as i32;
    let steps = (power..).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)));
    let bounds = |step: f64| ((range.start / step - 1e-9).ceil() as i64, (range.end / step + 1e-9).floor() as i64);
    let fits = |step: &f64| *step >= least && bounds(*step).1 - bounds(*step).0 < most as i64;
    let step = steps.take(99).find(fits).unwrap_or(width);
    let (first, last) = bounds(step);
    ((first..=last).map(|tick| tick as f64 * step).collect(), step)
}

/// A positive number in as few digits as tell it, in scientific notation where it is far from 1.
fn short(number: f64) -> String {
    let text = format!("{number:.0e}");
    if (1e-3..1e4).contains(&number) { text.parse::<f64>().map_or(text, |number| number.to_string()) } else { text }
}

fn text_width(text: &str, size: u32) -> i32 {
    (text.chars().count() as f64 * f64::from(size) * CHARACTER).round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_within_the_range_and_no_more_than_asked_for() {
        assert_eq!(ticks(&(-0.08..5.08), 14, 0.0), ((0..=10).map(|tick| f64::from(tick) * 0.5).collect(), 0.5));
        assert_eq!(ticks(&(0.0..1.1), 8, 1.0), (vec![0.0, 1.0], 1.0)); // whole numbers
        for (range, most) in
            [(0.0..2_201.8, 12), (0.655..0.741, 6), (-5.08..5.08, 14), (0.0..5.4e-4, 6), (7.0..7.01, 5)]
        {
            let (ticks, step) = ticks(&range, most, 0.0);
            let room = (range.end - range.start) * 1e-6;
            assert!((2..=most).contains(&ticks.len()), "{range:?}: {ticks:?}");
            assert!(ticks.iter().all(|tick| (range.start - room..=range.end + room).contains(tick)), "{ticks:?}");
            assert!(ticks.windows(2).all(|pair| ((pair[1] - pair[0]) / step - 1.0).abs() < 1e-6), "{ticks:?}");
        }
    }

    #[test]
    fn labels_have_the_decimals_that_their_step_needs() {
        let labels = |axis: Axis<'_>| axis.scale.ticks.iter().map(|tick| (axis.label)(tick)).collect::<Vec<_>>();
        assert_eq!(labels(Axis::new("", 0.0..1.0, 3)), ["0.0", "0.5", "1.0"]);
        assert_eq!(labels(Axis::new("", 0.61..0.64, 4)), ["0.61", "0.62", "0.63", "0.64"]);
        assert_eq!(labels(Axis::new("", 0.0..20.0, 3)), ["0", "10", "20"]);
        assert_eq!(labels(Axis::count("", 2_200.0, 3)), ["0", "1,000", "2,000"]);
        assert_eq!(labels(Axis::log("", 0.04..12.0)), ["0.05", "0.1", "0.2", "0.5", "1", "2", "5", "10"]);
        assert_eq!(labels(Axis::log("", 0.9e-4..3e-4)), ["1e-4", "2e-4"]);
    }

    #[test]
    fn a_long_name_keeps_its_end() {
        assert_eq!(shortened("kor-sts:test", 12), "kor-sts:test");
        assert_eq!(shortened("/data/문장/pairs.csv", 10), "…pairs.csv");
    }

    #[test]
    fn a_legend_of_long_names_stays_within_the_picture() {
        let name = "x".repeat(80);
        let entries = [(name.as_str(), Mark::Bar(SERIES[0])); 5];
        let svg = svg(100, |root| legend(root, &entries).map(|_| ())).unwrap();
        let starts: Vec<i32> =
            svg.split("<text x=\"").skip(1).map(|text| text.split('"').next().unwrap().parse().unwrap()).collect();
        assert_eq!(starts.len(), 5);
        assert!(starts[0] > 0 && starts[4] + text_width(&shortened(&name, 12), NOTE) <= WIDTH as i32, "{starts:?}");
    }
}
