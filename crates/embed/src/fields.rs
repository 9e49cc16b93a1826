//! Columns of a table by their names.

use arrow_schema::{Field, FieldRef};

/// The column of that name: written so, else in NFC (some systems write Hangul decomposed), else without case and spaces.
pub(crate) fn find<'a>(fields: &'a [FieldRef], name: &str) -> Option<(usize, &'a Field)> {
    let place = tables::find_name(fields.iter().map(|field| field.name().as_str()), name)?;
    Some((place, &fields[place]))
}

/// The names of columns, for a message.
pub(crate) fn names(fields: &[FieldRef]) -> String {
    fields.iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ")
}
