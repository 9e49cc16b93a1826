//! Names and values of a file in a message, of which there may be many, or long ones.

const SHOWN: usize = 40; // characters of a value
const LISTED: usize = 20; // names in a message

/// The first of many names.
pub(crate) fn list<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = if names.len() > LISTED { ", …" } else { "" };
    let shown: Vec<String> = names.take(LISTED).map(|name| format!("{:?}", cut(name))).collect();
    format!("{}{more}", shown.join(", "))
}

/// The beginning of a long one.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}
