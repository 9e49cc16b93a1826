//! Score histograms as an SVG picture.

use std::io::Write;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::error::Error;
use crate::histogram::Histogram;
use crate::staged::Staged;

const WIDTH: u32 = 800;
/// The height of one dataset's panel.
const HEIGHT: u32 = 400;
const BAR: RGBColor = RGBColor(52, 101, 164);
const GRID: RGBColor = RGBColor(225, 225, 225);
const TEXT: RGBColor = RGBColor(40, 40, 40);

type Failure = Box<dyn std::error::Error>;

/// Draws one histogram per dataset, one above the other, 800 pixels wide. A file that is there is replaced.
///
/// # Errors
/// Where the picture cannot be drawn or written.
pub fn write_histograms(path: &Path, datasets: &[(&str, &Histogram)]) -> Result<(), Error> {
    let svg = draw(datasets).map_err(|error| Error::Chart { path: path.to_owned(), reason: error.to_string() })?;
    let mut staged = Staged::create(path)?;
    staged.file().write_all(svg.as_bytes()).map_err(|cause| staged.failed(cause))?;
    staged.commit(true)
}

fn draw(datasets: &[(&str, &Histogram)]) -> Result<String, Failure> {
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT * datasets.len() as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, (name, histogram)) in root.split_evenly((datasets.len(), 1)).iter().zip(datasets) {
        panel(area, name, histogram)?;
    }
    root.present()?;
    drop(root);
    Ok(svg)
}

fn panel<B: DrawingBackend>(area: &DrawingArea<B, Shift>, name: &str, histogram: &Histogram) -> Result<(), Failure>
where
    B::ErrorType: 'static,
{
    let highest = histogram.counts.into_iter().max().unwrap_or(0).max(1);
    let top = highest as f64 * 1.1; // Room for the count above the highest bar.
    let title = format!("Scores of {name} ({} pairs)", histogram.total());
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .caption(title, ("sans-serif", 20).into_font().color(&TEXT))
        .x_label_area_size(48)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..5.0, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(TEXT)
        .x_desc("score (0 = unrelated, 5 = the same meaning)")
        .y_desc("pairs")
        .x_labels(Histogram::BINS + 1)
        .x_label_formatter(&|score| format!("{score:.1}"))
        .y_label_formatter(&|count| format!("{count:.0}"))
        .label_style(("sans-serif", 14).into_font().color(&TEXT))
        .axis_desc_style(("sans-serif", 15).into_font().color(&TEXT))
        .draw()?;
    let bars = histogram.counts.into_iter().enumerate();
    chart.draw_series(bars.clone().map(|(bin, count)| {
        let (left, right) = Histogram::bounds(bin);
        let mut bar = Rectangle::new([(left, 0.0), (right, count as f64)], BAR.filled());
        bar.set_margin(0, 0, 2, 2);
        bar
    }))?;
    let centred = plotters::style::text_anchor::Pos::new(
        plotters::style::text_anchor::HPos::Center,
        plotters::style::text_anchor::VPos::Bottom,
    );
    let style = ("sans-serif", 13).into_font().color(&TEXT).pos(centred);
    chart.draw_series(bars.map(|(bin, count)| {
        let (left, right) = Histogram::bounds(bin);
        let place = EmptyElement::at(((left + right) / 2.0, count as f64));
        place + Text::new(count.to_string(), (0, -4), style.clone())
    }))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dataset_has_a_panel_with_title_axes_and_all_counts() {
        let first = Histogram { counts: [11, 12, 13, 14, 15, 16, 17, 18, 19, 20] };
        let second = Histogram { counts: [0; 10] };
        let svg = draw(&[("sample:train", &first), ("a<b>.csv", &second)]).unwrap();
        assert!(svg.contains("width=\"800\" height=\"800\""), "{svg}");
        for text in ["Scores of sample:train (155 pairs)", "Scores of a&lt;b&gt;.csv (0 pairs)", "score (0 =", "pairs"]
        {
            assert!(svg.contains(text), "{text}");
        }
        for count in first.counts {
            assert!(svg.contains(&format!("\n{count}\n")), "{count}");
        }
    }
}
