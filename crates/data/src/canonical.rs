//! When two sentences are the same: the form in which they are compared.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// What may stand at the end of a sentence without making it another one.
const FINAL_PUNCTUATION: [char; 9] = ['.', '?', '!', '…', '。', '．', '？', '！', '～'];

/// A text as it is compared with others: two sentences are the same if they are equal here. It is in Unicode's composed form
/// (NFC), without white space and without punctuation at its end; case counts. What is nothing but punctuation keeps it.
pub fn canonical(text: &str) -> String {
    let spaceless = if is_nfc_quick(text.chars()) == IsNormalized::Yes {
        text.chars().filter(|letter| !letter.is_whitespace()).collect::<String>()
    } else {
        text.nfc().filter(|letter| !letter.is_whitespace()).collect()
    };
    let trimmed = spaceless.trim_end_matches(FINAL_PUNCTUATION);
    if trimmed.is_empty() { spaceless } else { trimmed.to_owned() }
}

/// A text without white space, in which the places are known where a word may begin or end.
pub(crate) struct Words {
    /// Composed, without white space.
    pub(crate) text: String,
    /// Of each byte of the text and of its end, whether a word may begin or end there.
    pub(crate) bounds: Vec<bool>,
}

impl Words {
    pub(crate) fn of(text: &str) -> Self {
        let (mut spaceless, mut bounds) = (String::with_capacity(text.len()), Vec::with_capacity(text.len() + 1));
        let mut before_is_letter = false;
        for letter in text.nfc() {
            if letter.is_whitespace() {
                before_is_letter = false;
                continue;
            }
            let is_letter = letter.is_alphanumeric();
            bounds.resize(spaceless.len() + 1, false);
            bounds[spaceless.len()] = !(before_is_letter && is_letter);
            spaceless.push(letter);
            before_is_letter = is_letter;
        }
        bounds.resize(spaceless.len(), false);
        bounds.push(true);
        Self { text: spaceless, bounds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_that_differ_in_spacing_final_punctuation_or_composition_are_the_same() {
        let same = ["비가 온다.", " 비가\t온다 ", "비가온다!", "비가 온다…", "\u{1107}\u{1175}가 온다 ?"];
        assert!(same.iter().all(|text| canonical(text) == "비가온다"), "{:?}", same.map(canonical));
        for other in ["비가 왔다.", "비가, 온다.", "\"비가 온다\"", "비가 온다 B", "비가 온다 b"] {
            assert!(canonical(other) != "비가온다", "{other}");
        }
        assert_ne!(canonical("비가 온다 B"), canonical("비가 온다 b"));
        // These are told apart, since nothing else is left of them.
        assert_eq!([".", " ?! "].map(canonical), [".", "?!"]);
    }

    #[test]
    fn words_begin_and_end_at_white_space_and_punctuation() {
        let Words { text, bounds } = Words::of("AB c.D");
        assert_eq!((text.as_str(), bounds), ("ABc.D", vec![true, false, true, true, true, true]));
        let Words { bounds, .. } = Words::of("");
        assert_eq!(bounds, [true]);
    }
}
