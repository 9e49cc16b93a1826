//! A row of a table as a JSON object, in the order of the columns.

use std::fmt::Write;

use arrow_array::{
    Array, RecordBatch,
    cast::AsArray,
    types::{
        Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type,
        Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
};
use arrow_cast::{
    cast,
    display::{ArrayFormatter, FormatOptions},
};
use arrow_schema::DataType;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;

use super::clock::Clock;

/// The first `columns` of a row. What JSON has no form for becomes what it can show: a number that is not finite null, dates
/// and times text in ISO 8601, bytes base64.
pub(super) fn object(batch: &RecordBatch, columns: usize, row: usize) -> String {
    let mut out = String::from("{");
    let schema = batch.schema();
    for (place, (field, column)) in schema.fields().iter().zip(batch.columns()).take(columns).enumerate() {
        member(&mut out, place, field.name(), column, row);
    }
    out + "}"
}

fn member(out: &mut String, place: usize, name: &str, values: &dyn Array, row: usize) {
    if place > 0 {
        out.push(',');
    }
    json(out, name);
    out.push(':');
    value(out, values, row);
}

/// What serde_json writes of a text or a number.
fn json(out: &mut String, value: impl Serialize) {
    out.push_str(&serde_json::to_string(&value).expect("a text or a number is JSON"));
}

fn value(out: &mut String, array: &dyn Array, row: usize) {
    use DataType::*;
    macro_rules! number {
        ($kind:ty) => {
            json(out, array.as_primitive::<$kind>().value(row))
        };
    }
    // With all digits that the column has, which is JSON too.
    macro_rules! decimal {
        ($kind:ty) => {
            out.push_str(&array.as_primitive::<$kind>().value_as_string(row))
        };
    }
    if array.is_null(row) {
        return out.push_str("null");
    }
    match array.data_type() {
        Null => out.push_str("null"),
        Boolean => json(out, array.as_boolean().value(row)),
        Int8 => number!(Int8Type),
        Int16 => number!(Int16Type),
        Int32 => number!(Int32Type),
        Int64 => number!(Int64Type),
        UInt8 => number!(UInt8Type),
        UInt16 => number!(UInt16Type),
        UInt32 => number!(UInt32Type),
        UInt64 => number!(UInt64Type),
        Float16 => json(out, array.as_primitive::<Float16Type>().value(row).to_f32()),
        Float32 => number!(Float32Type),
        Float64 => number!(Float64Type),
        Decimal32(..) => decimal!(Decimal32Type),
        Decimal64(..) => decimal!(Decimal64Type),
        Decimal128(..) => decimal!(Decimal128Type),
        Decimal256(..) => decimal!(Decimal256Type),
        Utf8 => json(out, array.as_string::<i32>().value(row)),
        LargeUtf8 => json(out, array.as_string::<i64>().value(row)),
        Utf8View => json(out, array.as_string_view().value(row)),
        Binary => bytes(out, array.as_binary::<i32>().value(row)),
        LargeBinary => bytes(out, array.as_binary::<i64>().value(row)),
        BinaryView => bytes(out, array.as_binary_view().value(row)),
        FixedSizeBinary(_) => bytes(out, array.as_fixed_size_binary().value(row)),
        Date32 | Date64 | Time32(_) | Time64(_) | Timestamp(..) => time(out, array, row),
        List(_) => list(out, &array.as_list::<i32>().value(row)),
        LargeList(_) => list(out, &array.as_list::<i64>().value(row)),
        ListView(_) => list(out, &array.as_list_view::<i32>().value(row)),
        LargeListView(_) => list(out, &array.as_list_view::<i64>().value(row)),
        FixedSizeList(..) => list(out, &array.as_fixed_size_list().value(row)),
        Struct(fields) => {
            out.push('{');
            for (place, (field, column)) in fields.iter().zip(array.as_struct().columns()).enumerate() {
                member(out, place, field.name(), column, row);
            }
            out.push('}');
        }
        Map(..) => {
            let entries = array.as_map().value(row);
            out.push('{');
            for entry in 0..entries.len() {
                let mut key = String::new();
                value(&mut key, entries.column(0), entry);
                // A key is text in JSON; one that is already stands in quotes.
                let key = serde_json::from_str(&key).unwrap_or(key);
                member(out, entry, &key, entries.column(1), entry);
            }
            out.push('}');
        }
        Dictionary(_, held) => plain(out, array, row, held),
        RunEndEncoded(_, held) => plain(out, array, row, held.data_type()),
        Duration(_) | Interval(_) | Union(..) => shown(out, array, row),
    }
}

fn list(out: &mut String, values: &dyn Array) {
    out.push('[');
    for row in 0..values.len() {
        if row > 0 {
            out.push(',');
        }
        value(out, values, row);
    }
    out.push(']');
}

fn bytes(out: &mut String, bytes: &[u8]) {
    let _ = write!(out, "\"{}\"", BASE64_STANDARD.encode(bytes)); // a String takes whatever is written
}

fn time(out: &mut String, array: &dyn Array, row: usize) {
    let data = array.to_data();
    let ticks = match array.data_type().primitive_width() {
        Some(4) => i64::from(data.buffer::<i32>(0)[row]),
        _ => data.buffer::<i64>(0)[row],
    };
    match Clock::of(array.data_type()).and_then(|clock| clock.text(ticks)) {
        Some(text) => json(out, text),
        None => out.push_str("null"),
    }
}

/// A value that stands once for several rows.
fn plain(out: &mut String, array: &dyn Array, row: usize, held: &DataType) {
    match cast(&array.slice(row, 1), held) {
        Ok(one) => value(out, &one, 0),
        Err(_) => shown(out, array, row),
    }
}

/// Arrow's own text of a value.
fn shown(out: &mut String, array: &dyn Array, row: usize) {
    match ArrayFormatter::try_new(array, &FormatOptions::default()).and_then(|shown| shown.value(row).try_to_string()) {
        Ok(text) => json(out, text),
        Err(_) => out.push_str("null"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Int64Array,
        ListArray, NullArray, StringArray, StructArray, TimestampSecondArray,
        builder::{Int32Builder, MapBuilder, StringBuilder},
        types::Int32Type,
    };
    use arrow_schema::Field;

    use super::*;

    #[test]
    fn a_row_is_json_that_a_person_expects_in_the_order_of_the_columns() {
        let mut map = MapBuilder::new(None, Int32Builder::new(), StringBuilder::new());
        map.keys().append_value(7);
        map.values().append_value("일곱");
        map.append(true).unwrap();
        let fields = vec![Field::new("z", DataType::Int64, true), Field::new("a", DataType::Utf8, true)];
        let parts: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::from(vec![1])), Arc::new(StringArray::from(vec![None::<&str>]))];
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None])]);
        let columns: Vec<(&str, ArrayRef, &str)> = vec![
            ("z", Arc::new(BooleanArray::from(vec![true])), "true"),
            ("a\"", Arc::new(StringArray::from(vec!["줄\n바꿈"])), r#""줄\n바꿈""#),
            ("f", Arc::new(Float32Array::from(vec![0.1])), "0.1"),
            ("nan", Arc::new(Float32Array::from(vec![f32::NAN])), "null"),
            ("inf", Arc::new(Float32Array::from(vec![f32::INFINITY])), "null"),
            ("price", Arc::new(Decimal128Array::from(vec![1230]).with_precision_and_scale(9, 2).unwrap()), "12.30"),
            ("day", Arc::new(Date32Array::from(vec![19_753])), r#""2024-01-31""#),
            (
                "at",
                Arc::new(TimestampSecondArray::from(vec![0]).with_timezone("Asia/Seoul")),
                r#""1970-01-01T09:00:00+09:00""#,
            ),
            ("bytes", Arc::new(BinaryArray::from(vec![&b"\xff\x00"[..]])), r#""/wA=""#),
            ("dictionary", Arc::new(["가"].into_iter().collect::<DictionaryArray<Int32Type>>()), r#""가""#),
            ("list", Arc::new(lists), "[1,null]"),
            ("struct", Arc::new(StructArray::new(fields.into(), parts, None)), r#"{"z":1,"a":null}"#),
            ("map", Arc::new(map.finish()), r#"{"7":"일곱"}"#),
            ("none", Arc::new(NullArray::new(1)), "null"),
        ];
        let expected: Vec<String> =
            columns.iter().map(|(name, _, json)| format!("{}:{json}", serde_json::to_string(name).unwrap())).collect();
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.iter().map(|(name, column, _)| (*name, column.clone(), true)),
        )
        .unwrap();
        assert_eq!(object(&batch, batch.num_columns(), 0), format!("{{{}}}", expected.join(",")));
        assert_eq!(object(&batch, 1, 0), r#"{"z":true}"#);
        let _: Box<serde_json::value::RawValue> = serde_json::from_str(&object(&batch, 14, 0)).unwrap();
    }
}
