//! From a paragraph to its sentences.

/// The sentences of a paragraph, split where a full stop, a question or an exclamation mark is followed by a space, and the
/// word before it is longer than an initial or a number.
pub(crate) fn sentences(paragraph: &str) -> Vec<&str> {
    let (mut sentences, mut start) = (Vec::new(), 0);
    for (index, mark) in paragraph.match_indices(['.', '?', '!']) {
        let end = index + mark.len();
        let is_end = paragraph[end..].starts_with(char::is_whitespace);
        let is_word = paragraph[start..index].chars().next_back().is_some_and(|last| last.is_alphabetic())
            && paragraph[start..index].chars().rev().take_while(|last| last.is_alphabetic()).count() > 1;
        if is_end && is_word {
            sentences.push(paragraph[start..end].trim());
            start = end;
        }
    }
    sentences.push(paragraph[start..].trim());
    sentences.retain(|sentence| !sentence.is_empty());
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_ends_at_its_mark_and_not_at_a_number_or_an_initial() {
        let text = "서울은 1394년에 수도가 되었다. 인구는 9.4 백만이다! 제 1. 항은 J. 김이 썼다? 끝";
        let expected = ["서울은 1394년에 수도가 되었다.", "인구는 9.4 백만이다!", "제 1. 항은 J. 김이 썼다?", "끝"];
        assert_eq!(sentences(text), expected);
    }
}
