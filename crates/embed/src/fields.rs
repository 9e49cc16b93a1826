//! Columns of a table: which one a name means, and what it holds in plain words.

use arrow_schema::{DataType, Field, FieldRef};
use unicode_normalization::UnicodeNormalization;

/// The column of that name. Names are compared in NFC, since some systems write Hangul decomposed; a column with the very
/// name comes first.
pub(crate) fn find<'a>(fields: &'a [FieldRef], name: &str) -> Option<(usize, &'a Field)> {
    let exact = fields.iter().position(|field| field.name() == name);
    let place = exact.or_else(|| fields.iter().position(|field| field.name().nfc().eq(name.nfc())))?;
    Some((place, &fields[place]))
}

/// The names of columns, for a message.
pub(crate) fn names(fields: &[FieldRef]) -> String {
    fields.iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ")
}

/// What a column of this type holds, for a message.
pub(crate) fn in_words(kind: &DataType) -> &'static str {
    use DataType::*;
    match kind {
        Dictionary(_, held) => in_words(held),
        RunEndEncoded(_, held) => in_words(held.data_type()),
        Null => "nothing but null",
        Boolean => "true or false",
        kind if kind.is_integer() => "whole numbers",
        kind if kind.is_numeric() => "numbers",
        Utf8 | LargeUtf8 | Utf8View => "text",
        Date32 | Date64 => "dates",
        Timestamp(_, None) => "dates with times",
        Timestamp(_, Some(_)) => "dates with times and a time zone",
        Time32(_) | Time64(_) => "times of day",
        Duration(_) | Interval(_) => "durations",
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => "bytes",
        List(_) | LargeList(_) | FixedSizeList(..) | ListView(_) | LargeListView(_) => "lists",
        Struct(_) | Map(..) => "objects",
        _ => "values of several kinds",
    }
}

/// Whether a column of this type holds text.
pub(crate) fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, held) => is_text(held),
        kind => matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
    }
}
