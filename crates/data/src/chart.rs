//! Score histograms as an SVG picture.

use std::path::Path;

use ground::{Staged, thousands};
use picture::{Area, Axis, Failure};

use crate::error::Error;
use crate::histogram::Histogram;
use crate::scale::MAX_SCORE;

/// The height of one dataset's panel.
const HEIGHT: u32 = 400;
const NAME_CHARACTERS: usize = 60; // of a dataset, in a title

/// Draws one histogram per dataset, one above the other, 800 pixels wide. A file that is there is replaced.
///
/// # Errors
/// Where the picture cannot be drawn or written.
pub fn write_histograms(path: &Path, datasets: &[(&str, &Histogram)]) -> Result<(), Error> {
    Ok(picture::save(Staged::create(path)?, draw(datasets))?)
}

fn draw(datasets: &[(&str, &Histogram)]) -> Result<String, Failure> {
    picture::svg(HEIGHT * datasets.len() as u32, |root| {
        let areas = root.split_evenly((datasets.len(), 1));
        areas.iter().zip(datasets).try_for_each(|(area, (name, histogram))| panel(area, name, histogram))
    })
}

fn panel(area: &Area<'_>, name: &str, histogram: &Histogram) -> Result<(), Failure> {
    let highest = histogram.counts.into_iter().max().unwrap_or(0).max(1);
    let top = highest as f64 * 1.1; // Room for the count above the highest bar.
    let name = picture::shortened(name, NAME_CHARACTERS);
    let pairs = thousands(histogram.total());
    let area = picture::heading(area, &format!("Scores of {name} ({pairs} pairs)"), "")?;
    let x = Axis::new("score (0 = unrelated, 5 = the same meaning)", 0.0..MAX_SCORE, Histogram::BINS + 1);
    let mut chart = picture::chart(&area, &x, &Axis::count("pairs", top, 8))?;
    let bars = histogram.counts.into_iter().enumerate().map(|(bin, count)| {
        let (left, right) = Histogram::bounds(bin);
        (left + 0.02, right - 0.02, count)
    });
    picture::bars(&mut chart, &bars.collect::<Vec<_>>(), picture::SERIES[0])
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
