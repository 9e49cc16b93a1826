//! The sentence pair: two sentences with the score that says how alike they are.

use crate::canonical::canonical;
use crate::error::Problem;
use crate::scale::{MAX_SCORE, Scale};

/// The score that a cosine stands for, on the labels' scale: 5 · cosine. Rounding may carry a cosine a little beyond ±1; the
/// score stays within ±5.
pub fn score_of(cosine: f64) -> f64 {
    MAX_SCORE * cosine.clamp(-1.0, 1.0)
}

/// A warning where no score of a set, meant to be 0 to 5, is above 1, as of cosines or of labels that are 0 or 1.
pub fn doubt_of_scale(name: &str, scores: &[f64]) -> Option<String> {
    let is_odd = !scores.is_empty() && scores.iter().all(|&score| score <= 1.0);
    is_odd.then(|| {
        format!(
            "{name}: no score is above 1, where scores go from 0 to {MAX_SCORE}: if yours go from 0 to 1, set data.scale = [0, 1] (--scale 0,1)"
        )
    })
}

/// Two sentences, kept byte for byte as the file has them.
#[derive(Debug, Clone, PartialEq)]
pub struct SentencePair {
    /// The first sentence, never blank.
    pub sentence1: String,
    /// The second sentence, never blank.
    pub sentence2: String,
    /// The similarity on a scale of 0 to 5; `None` where the file has no scores.
    pub score: Option<f64>,
}

impl SentencePair {
    /// The two sentences as [`canonical`] compares them, in an order of their own, so that a pair equals its mirror image.
    pub fn unordered(&self) -> (String, String) {
        let (a, b) = (canonical(&self.sentence1), canonical(&self.sentence2));
        if a <= b { (a, b) } else { (b, a) }
    }

    /// A pair from a file, refused where a sentence is blank.
    pub(crate) fn checked(
        [sentence1, sentence2]: [&str; 2],
        columns: [&str; 2],
        score: Option<f64>,
    ) -> Result<Self, Problem> {
        for (column, sentence) in columns.into_iter().zip([sentence1, sentence2]) {
            if sentence.trim().is_empty() {
                return Err(Problem::EmptySentence { column: column.to_owned() });
            }
        }
        Ok(SentencePair { sentence1: sentence1.to_owned(), sentence2: sentence2.to_owned(), score })
    }
}

/// Reads the score in a cell of `column`, and brings it to 0 to 5.
pub(crate) fn parse_score(column: &str, cell: &str, scale: Scale) -> Result<f64, Problem> {
    let text = cell.trim();
    if text.is_empty() {
        return Err(Problem::EmptyScore { column: column.to_owned(), scale });
    }
    let no_number = |_| Problem::ScoreNotANumber { column: column.to_owned(), text: shown(text), scale };
    let score: f64 = text.parse().map_err(no_number)?;
    check_score(column, score, scale, || shown(text))
}

/// Refuses a score that is not finite or outside of its scale; `text` shows it as the file has it.
pub(crate) fn check_score(
    column: &str,
    score: f64,
    scale: Scale,
    text: impl FnOnce() -> String,
) -> Result<f64, Problem> {
    let column = column.to_owned();
    if !score.is_finite() {
        return Err(Problem::ScoreNotANumber { column, text: text(), scale });
    }
    scale.label(score).ok_or_else(|| Problem::ScoreOutside { column, text: text(), scale })
}

/// A cell's text in quotes, escaped and cut, so that a message stays one short line.
fn shown(text: &str) -> String {
    const LONGEST: usize = 40;
    if text.chars().count() <= LONGEST {
        format!("{text:?}")
    } else {
        format!("{:?}…", text.chars().take(LONGEST).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_a_finite_number_from_0_to_5() {
        for (cell, score) in [("0", 0.0), ("5.000", 5.0), (" 3.5 ", 3.5), ("-0", 0.0), ("1e0", 1.0)] {
            assert_eq!(parse_score("score", cell, Scale::default()), Ok(score), "{cell}");
        }
        for cell in ["5.0001", "-0.1", "1e300"] {
            assert!(
                matches!(parse_score("score", cell, Scale::default()), Err(Problem::ScoreOutside { .. })),
                "{cell}"
            );
        }
        for cell in ["NaN", "inf", "-inf", "3,5", "넷", "0x1"] {
            assert!(
                matches!(parse_score("score", cell, Scale::default()), Err(Problem::ScoreNotANumber { .. })),
                "{cell}"
            );
        }
        assert!(matches!(parse_score("score", "  ", Scale::default()), Err(Problem::EmptyScore { .. })));
    }

    #[test]
    fn a_message_about_a_long_or_broken_cell_is_one_short_line() {
        let message =
            parse_score("label", &format!("a\nb{}", "가".repeat(500)), Scale::default()).unwrap_err().to_string();
        assert!(!message.contains('\n') && message.chars().count() < 120, "{message}");
    }
}
