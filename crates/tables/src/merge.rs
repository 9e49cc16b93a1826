//! Several tables as one: columns by name, types wide enough for all.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use unicode_normalization::UnicodeNormalization;

use crate::{
    error::Error,
    table::{Format, Table},
    values::{in_words, is_text},
    words::list,
};

/// The columns of several tables, in the order of the first.
///
/// # Errors
/// Where a table has a column that another lacks (but of JSON, where a field that is missing is null), two columns of one name,
/// or one name for what cannot be one column. The text names the tables by `names`.
pub fn merge(names: &[String], tables: &[&Table]) -> Result<SchemaRef, String> {
    let mut merged: Vec<(FieldRef, usize)> = Vec::new(); // with the table that it comes from
    for (number, table) in tables.iter().enumerate() {
        let fields = table.schema().fields();
        for (place, field) in fields.iter().enumerate() {
            if fields[..place].iter().any(|other| is_same(other.name(), field.name())) {
                return Err(format!("{}: two columns are named {:?}", names[number], field.name()));
            }
            match merged.iter_mut().find(|(known, _)| is_same(known.name(), field.name())) {
                Some((known, first)) => {
                    let kind = widen(known.data_type(), field.data_type()).ok_or_else(|| {
                        let (here, there) = (in_words(field.data_type()), in_words(known.data_type()));
                        let (name, here_name, there_name) = (field.name(), &names[number], &names[*first]);
                        format!("{here_name}: column {name:?} holds {here}, and in {there_name} {there}: that cannot be one column")
                    })?;
                    *known = Arc::new(Field::new(known.name(), kind, known.is_nullable() || field.is_nullable()));
                }
                None => merged.push((field.clone(), number)),
            }
        }
    }
    for (number, table) in tables.iter().enumerate() {
        let missing: Vec<String> = merged
            .iter()
            .filter(|(field, _)| !fields_of(table).any(|own| is_same(own, field.name())))
            .map(|(field, _)| field.name().clone())
            .collect();
        if missing.is_empty() {
            continue;
        }
        if table.layout().format != Format::JsonLines {
            let has = merged.iter().find(|(field, _)| *field.name() == missing[0]).map_or(0, |(_, first)| *first);
            let there: Vec<&str> = missing
                .iter()
                .map(String::as_str)
                .filter(|name| fields_of(tables[has]).any(|own| is_same(own, name)))
                .collect();
            let (lacks, listed) = (&names[number], list(there.iter().copied()));
            return Err(format!("{lacks}: lacks the columns {listed} that {} has", names[has]));
        }
        for (field, _) in &mut merged {
            if missing.contains(field.name()) {
                *field = Arc::new(field.as_ref().clone().with_nullable(true));
            }
        }
    }
    let metadata = tables.first().map(|table| table.schema().metadata().clone()).unwrap_or_default();
    let fields: Fields = merged.into_iter().map(|(field, _)| field).collect();
    Ok(Arc::new(Schema::new_with_metadata(fields, metadata)))
}

/// Brings a batch of one table to the columns of several.
///
/// # Errors
/// Where a value does not fit the wider type.
pub fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Error> {
    if batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    let column = |field: &FieldRef| -> Result<ArrayRef, Error> {
        let place = batch.schema_ref().fields().iter().position(|own| is_same(own.name(), field.name()));
        match place.map(|place| batch.column(place)) {
            Some(column) => widened(column, field),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        }
    };
    let columns = schema.fields().iter().map(column).collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(|error| Error::file(error.to_string()))
}

/// Whether two names are one, however Hangul is composed in them.
fn is_same(a: &str, b: &str) -> bool {
    a == b || a.nfc().eq(b.nfc())
}

fn fields_of(table: &Table) -> impl Iterator<Item = &str> {
    table.schema().fields().iter().map(|field| field.name().as_str())
}

/// A column in a wider type, with every value as it was.
fn widened(column: &ArrayRef, field: &Field) -> Result<ArrayRef, Error> {
    let failed = |what: String| Error::file(format!("column {:?}: {what}", field.name()));
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let wide = cast_with_options(column, field.data_type(), &strict).map_err(|error| failed(error.to_string()))?;
    // Whole numbers beyond 2^53 have neighbours that f64 does not tell apart.
    if column.data_type().is_integer() && *field.data_type() == DataType::Float64 {
        let back = cast_with_options(&wide, column.data_type(), &strict).map_err(|error| failed(error.to_string()))?;
        if back.as_ref() != column.as_ref() {
            return Err(failed("a whole number here is too large to stand beside decimals of another file".to_owned()));
        }
    }
    Ok(wide)
}

/// A type for the values of both, if there is one; [`conform`] refuses the few that it does not hold exactly.
fn widen(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::{
        Boolean, Date32, Date64, Dictionary, FixedSizeList, Float16, Float32, Float64, Int8, Int16, Int32, Int64,
        LargeList, LargeUtf8, List, Null, Struct, Timestamp, UInt8, UInt16, UInt32, UInt64, Utf8, Utf8View,
    };
    const SIGNED: [DataType; 4] = [Int8, Int16, Int32, Int64];
    const UNSIGNED: [DataType; 4] = [UInt8, UInt16, UInt32, UInt64];
    const FLOATS: [DataType; 3] = [Float16, Float32, Float64];
    let place = |kinds: &[DataType], kind: &DataType| kinds.iter().position(|known| known == kind);
    Some(match (a, b) {
        _ if a == b => a.clone(),
        (Null, kind) | (kind, Null) => kind.clone(),
        (Dictionary(_, values), kind) | (kind, Dictionary(_, values)) => widen(values, kind)?,
        (LargeUtf8, kind) | (kind, LargeUtf8) if has_text_form(kind) => LargeUtf8,
        (Utf8 | Utf8View, kind) | (kind, Utf8 | Utf8View) if has_text_form(kind) => Utf8,
        (Date32, Date64) | (Date64, Date32) => Date64,
        (Date32 | Date64, Timestamp(unit, zone)) | (Timestamp(unit, zone), Date32 | Date64) => {
            Timestamp(*unit, zone.clone())
        }
        (Timestamp(a, zone), Timestamp(b, other)) if zone == other => Timestamp((*a).max(*b), zone.clone()), // the finer unit
        (List(a), List(b)) => List(widen_field(a, b)?),
        (LargeList(a), LargeList(b) | List(b)) | (List(a), LargeList(b)) => LargeList(widen_field(a, b)?),
        (FixedSizeList(a, width), FixedSizeList(b, other)) if width == other => {
            FixedSizeList(widen_field(a, b)?, *width)
        }
        (Struct(a), Struct(b)) if a.len() == b.len() => {
            let both = a.iter().zip(b).map(|(a, b)| if a.name() == b.name() { widen_field(a, b) } else { None });
            Struct(both.collect::<Option<Vec<FieldRef>>>()?.into())
        }
        (Boolean, _) | (_, Boolean) => return None,
        (a, b) => match (place(&SIGNED, a), place(&SIGNED, b), place(&UNSIGNED, a), place(&UNSIGNED, b)) {
            (Some(x), Some(y), ..) => SIGNED[x.max(y)].clone(),
            (.., Some(x), Some(y)) => UNSIGNED[x.max(y)].clone(),
            // One bit more for the sign; whole numbers of 64 bits with and without a sign have no type of both.
            (Some(x), _, _, Some(y)) | (_, Some(x), Some(y), _) => SIGNED.get(x.max(y + 1))?.clone(),
            _ => match (place(&FLOATS, a), place(&FLOATS, b)) {
                (Some(x), Some(y)) => FLOATS[x.max(y)].clone(),
                (Some(_), None) if b.is_integer() => Float64,
                (None, Some(_)) if a.is_integer() => Float64,
                _ => return None,
            },
        },
    })
}

fn widen_field(a: &FieldRef, b: &FieldRef) -> Option<FieldRef> {
    let kind = widen(a.data_type(), b.data_type())?;
    Some(Arc::new(Field::new(a.name(), kind, a.is_nullable() || b.is_nullable())))
}

/// Whether each value has one form as text, by which it is known again.
fn has_text_form(kind: &DataType) -> bool {
    kind.is_numeric() || kind.is_temporal() || *kind == DataType::Boolean || is_text(kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Source};

    fn table(text: &str) -> Table {
        Table::open(Source::memory(text.to_owned()), &Options::default()).unwrap()
    }

    fn merged(texts: &[&str]) -> Result<(SchemaRef, Vec<String>), String> {
        let tables: Vec<Table> = texts.iter().map(|text| table(text)).collect();
        let names: Vec<String> = (0..texts.len()).map(|number| format!("file{number}")).collect();
        let schema = merge(&names, &tables.iter().collect::<Vec<_>>())?;
        let mut rows = Vec::new();
        for table in &tables {
            let all: Vec<usize> = (0..table.columns().len()).collect();
            for batch in table.batches(&all, 2, None).unwrap() {
                let batch = conform(&batch.unwrap().rows, &schema).unwrap();
                for row in 0..batch.num_rows() {
                    let cell =
                        |column| crate::texts(column).unwrap().iter().nth(row).flatten().unwrap_or("-").to_owned();
                    rows.push(batch.columns().iter().map(cell).collect::<Vec<_>>().join(" "));
                }
            }
        }
        Ok((schema, rows))
    }

    #[test]
    fn columns_are_merged_by_name_with_types_that_hold_all() {
        let (schema, rows) = merged(&["id,text\n1,비\n", "text,id\n눈,2\n"]).unwrap();
        assert_eq!((schema.field(0).name().as_str(), rows), ("id", vec!["1 비".to_owned(), "2 눈".to_owned()]));
        // macOS writes 문 as three letters.
        assert_eq!(merged(&["문장\n비\n", "\u{1106}\u{116E}\u{11AB}장\n눈\n"]).unwrap().1, ["비", "눈"]);
        let lines = [
            "{\"n\": 1, \"memo\": null, \"text\": \"비\"}\n",
            "{\"text\": \"눈\", \"n\": 2.5, \"memo\": \"x\"}\n",
            "{\"text\": \"밥\"}\n",
        ];
        let (schema, rows) = merged(&lines).unwrap();
        assert_eq!(schema.field(0).data_type(), &DataType::Float64);
        assert_eq!(rows, ["1.0 - 비", "2.5 x 눈", "- - 밥"]);
        assert_eq!(merged(&["{\"n\": 7, \"text\": \"비\"}\n", "n,text\n007,눈\n"]).unwrap().1, ["7 비", "007 눈"]);
    }

    #[test]
    fn a_value_that_the_wider_type_does_not_hold_is_refused() {
        let tables =
            [table("{\"n\": 9007199254740993, \"text\": \"비\"}\n"), table("{\"n\": 1.5, \"text\": \"눈\"}\n")];
        let schema = merge(&["a".into(), "b".into()], &tables.each_ref()).unwrap();
        let batch = tables[0].batches(&[0, 1], 2, None).unwrap().next().unwrap().unwrap();
        let error = conform(&batch.rows, &schema).unwrap_err().to_string();
        assert_eq!(error, "column \"n\": a whole number here is too large to stand beside decimals of another file");
    }

    #[test]
    fn what_cannot_be_merged_is_told_with_the_difference() {
        let difference = |texts: &[&str]| merged(texts).unwrap_err();
        assert_eq!(
            difference(&["id,text\n1,비\n", "id,text,more\n1,비,x\n"]),
            r#"file0: lacks the columns "more" that file1 has"#
        );
        assert_eq!(
            difference(&["{\"text\": [1]}\n", "{\"text\": \"비\"}\n"]),
            r#"file1: column "text" holds text, and in file0 lists: that cannot be one column"#
        );
        assert_eq!(difference(&["text,text\n1,비\n"]), r#"file0: two columns are named "text""#);
    }
}
