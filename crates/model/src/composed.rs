//! Text in Unicode's composed form (NFC), in which vocabularies are written.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The composed form of a text: 가 where macOS writes ᄀ and ᅡ. Text that is composed already costs one look.
pub(crate) fn composed(text: &str) -> Cow<'_, str> {
    // Before the tables of all characters are asked: these are composed, whatever stands beside them.
    let is_plain = |letter: char| letter < '\u{300}' || ('가'..='힣').contains(&letter);
    if text.chars().all(is_plain) || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.nfc().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_as_unicode_composes_it_and_untouched_where_it_is_so_already() {
        // unicodedata.normalize("NFC", text)
        for (text, expected) in [
            ("비가 온다. café", "비가 온다. café"),
            ("\u{1107}\u{1175}\u{1100}\u{1161}", "비가"),
            ("가\u{11a8}", "각"), // a syllable, and a letter that joins it
            ("cafe\u{301}", "café"),
            ("\u{212b}", "\u{c5}"), // the sign of ångström
            ("ㄱ", "ㄱ"),           // a letter that stands alone
        ] {
            assert_eq!(composed(text), expected);
            assert_eq!(matches!(composed(text), Cow::Borrowed(_)), text == expected, "{text}");
        }
        // Every character that is let through is its own composed form, and none joins the one before it.
        let plain = ('\0'..'\u{300}').chain('가'..='힣');
        let joins = |letter: char| format!("가{letter}").nfc().collect::<String>() != format!("가{letter}");
        assert!(plain.clone().all(|letter| letter.nfc().eq([letter])) && !plain.clone().any(joins));
    }
}
