//! The values of a column, and its type in words.

use arrow_array::{Array, ArrayRef, LargeStringArray, cast::AsArray};
use arrow_cast::cast;
use arrow_schema::DataType;

use crate::error::Error;

/// The values of a column as text, whatever its type.
///
/// # Errors
/// Where the type has no form as text: lists, structures.
pub fn texts(column: &ArrayRef) -> Result<LargeStringArray, Error> {
    if !is_flat(column.data_type()) {
        let found = in_words(column.data_type());
        return Err(Error::file(format!("the column holds {found}, expected text")));
    }
    let cast = cast(column, &DataType::LargeUtf8);
    cast.map(|texts| texts.as_string::<i64>().clone()).map_err(|error| Error::file(error.to_string()))
}

/// Whether a value of this type is one and not several.
pub(crate) fn is_flat(kind: &DataType) -> bool {
    !kind.is_nested()
}

/// Whether a column is of text.
pub fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_text(values),
        kind => matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
    }
}

/// What a column of this type holds, for a message.
pub fn in_words(kind: &DataType) -> &'static str {
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
