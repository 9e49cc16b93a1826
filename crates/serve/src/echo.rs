//! What a client sent, where an error quotes it.

/// Characters of a client's value that an error quotes.
const QUOTED: usize = 40;

/// Characters of an error, whatever it quotes.
const WHOLE: usize = 1000;

/// A message whose quoted values are cut: a megabyte that is no number need not come back.
pub(crate) fn shortened(message: &str) -> String {
    let mut text = String::with_capacity(message.len().min(WHOLE));
    let (mut quote, mut length, mut is_escaped) = (None, 0, false);
    for letter in message.chars().take(100 * WHOLE) {
        let closes = quote == Some(letter) && !is_escaped;
        match quote {
            None if letter == '"' || letter == '`' => (quote, length) = (Some(letter), 0),
            Some(_) if !closes => {
                length += 1;
                is_escaped = letter == '\\' && !is_escaped;
                if length > QUOTED {
                    if length == QUOTED + 1 {
                        text.push('…');
                    }
                    continue;
                }
            }
            Some(_) => quote = None,
            None => {}
        }
        text.push(letter);
    }
    cut(&text, WHOLE)
}

/// The beginning of a value.
pub(crate) fn beginning(value: &str) -> String {
    cut(value, QUOTED)
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_values_are_cut_and_what_stands_around_them_is_not() {
        let long = "가".repeat(500);
        let cut = format!("{}…", "가".repeat(40));
        assert_eq!(shortened(&format!("`x` is {long:?}, expected 1")), format!("`x` is \"{cut}\", expected 1"));
        assert_eq!(
            shortened(&format!("unknown field `{long}`, expected `a`")),
            format!("unknown field `{cut}`, expected `a`")
        );
        let quotes = format!("{:?} and `b`", "\"".repeat(30));
        assert_eq!(shortened(&quotes), format!("\"{}…\" and `b`", "\\\"".repeat(20)));
        assert_eq!(shortened("`top_k` is \"0\""), "`top_k` is \"0\"");
        assert_eq!(shortened(&"x".repeat(5000)).chars().count(), 1001);
        assert_eq!(beginning(&long), cut);
    }
}
