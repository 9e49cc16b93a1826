use std::{sync::Arc, time::Instant};

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Int8Array, Int64Array,
    LargeStringArray, ListArray, StringArray, Time32SecondArray, TimestampMicrosecondArray, UInt64Array,
    types::{Int32Type, Int64Type},
};
use serde_json::json;

use super::*;

/// Four rows; the last is null in most columns.
fn rows() -> RecordBatch {
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)]), None, None, None]);
    let at = [1_706_693_400_000_000, 1_706_659_200_000_000, 1_706_745_600_000_000]; // 09:30, 00:00, 24:00 in UTC
    let at = || TimestampMicrosecondArray::from(vec![Some(at[0]), Some(at[1]), Some(at[2]), None]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("city", Arc::new(StringArray::from(vec![Some("부산"), Some("서울"), Some("대구"), None]))),
        ("stars", Arc::new(StringArray::from(vec![Some("4"), Some(" 4.5"), Some("없음"), None]))),
        ("id", Arc::new(LargeStringArray::from(vec!["007", "7", "10", ""]))),
        (
            "kind",
            Arc::new([Some("가"), Some("나"), Some("가"), None].into_iter().collect::<DictionaryArray<Int32Type>>()),
        ),
        ("year", Arc::new(Int64Array::from(vec![Some(2003), Some(2004), Some(i64::MAX), None]))),
        ("small", Arc::new(Int8Array::from(vec![Some(-1), Some(0), Some(127), None]))),
        ("big", Arc::new(UInt64Array::from(vec![Some(0), Some(5), Some(u64::MAX), None]))),
        ("ratio", Arc::new(Float32Array::from(vec![Some(0.1), Some(-0.0), Some(f32::NAN), None]))),
        (
            "price",
            Arc::new(
                Decimal128Array::from(vec![Some(1230), Some(1299), Some(-5), None])
                    .with_precision_and_scale(9, 2)
                    .unwrap(),
            ),
        ),
        ("open", Arc::new(BooleanArray::from(vec![Some(true), Some(false), Some(true), None]))),
        ("day", Arc::new(Date32Array::from(vec![Some(19_753), Some(19_754), Some(0), None]))),
        ("at", Arc::new(at())),
        ("seoul", Arc::new(at().with_timezone("Asia/Seoul"))),
        ("time", Arc::new(Time32SecondArray::from(vec![Some(34_200), Some(0), Some(86_399), None]))),
        ("tags", Arc::new(lists)),
        ("\u{1100}\u{1161}", Arc::new(Int64Array::from(vec![1, 2, 3, 4]))), // 가, decomposed
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

fn filter(conditions: &Value) -> Result<Filter, FilterError> {
    Filter::new(conditions.as_object().unwrap(), rows().schema().fields())
}

/// The rows that pass.
fn passing(conditions: &Value) -> Vec<usize> {
    let mask = filter(conditions).unwrap_or_else(|error| panic!("{conditions}: {error}")).mask(&[rows()]);
    let mask = mask.unwrap_or_else(|| vec![true; 4]);
    (0..4).filter(|&row| mask[row]).collect()
}

#[test]
fn values_lists_and_bounds_pass_as_people_mean_them() {
    for (conditions, expected) in [
        (json!({}), &[0, 1, 2, 3][..]),
        (json!({"city": "부산"}), &[0]),
        (json!({"city": ["부산", "서울"]}), &[0, 1]),
        (json!({"city": ["부산", null]}), &[0, 3]),
        (json!({"city": null}), &[3]),
        (json!({"city": []}), &[]),
        (json!({"city": {"gte": "대구", "lt": "서울"}}), &[0, 2]),
        (json!({"kind": "가"}), &[0, 2]),
        (json!({"kind": ["나", null]}), &[1, 3]),
        (json!({"kind": {"gt": "가"}}), &[1]),
        // A column of a CSV file is text; a number asks for the number that stands there.
        (json!({"stars": {"gte": 4}}), &[0, 1]),
        (json!({"stars": {"gt": 4, "lte": 5}}), &[1]),
        (json!({"stars": 4}), &[0]),
        (json!({"stars": [4.5, "없음"]}), &[1, 2]),
        (json!({"id": 7}), &[0, 1]),
        (json!({"id": "7"}), &[1]),
        (json!({"id": "007"}), &[0]),
        (json!({"id": {"lt": "10"}}), &[0, 3]), // by code point
        (json!({"id": {"lt": 10}}), &[0, 1]),
        (json!({"year": 2004}), &[1]),
        (json!({"year": 2004.0}), &[1]),
        (json!({"year": [2003, 9_223_372_036_854_775_807_i64]}), &[0, 2]),
        (json!({"year": {"gt": 2003.5, "lt": 1e19}}), &[1, 2]),
        (json!({"year": {"gte": 2004, "lt": 2004}}), &[]),
        (json!({"year": {"gt": 2005, "lt": 2003}}), &[]),
        (json!({"small": {"gte": 0}}), &[1, 2]),
        (json!({"small": {"lte": 300}}), &[0, 1, 2]),
        (json!({"small": 300}), &[]),
        (json!({"big": u64::MAX}), &[2]),
        (json!({"big": {"gte": -1, "lt": 5}}), &[0]),
        (json!({"ratio": 0.1}), &[0]),
        (json!({"ratio": 0}), &[1]),
        (json!({"ratio": {"lte": 0.1}}), &[0, 1]),
        (json!({"ratio": {"gt": 0.1}}), &[]), // not NaN
        (json!({"ratio": null}), &[2, 3]),    // as it is shown
        (json!({"price": 12.3}), &[0]),
        (json!({"price": {"gt": 12.305, "lte": 12.99}}), &[1]),
        (json!({"price": {"lt": 0}}), &[2]),
        (json!({"open": true}), &[0, 2]),
        (json!({"open": [false, null]}), &[1, 3]),
        (json!({"day": "2024-01-31"}), &[0]),
        (json!({"day": {"gt": "2024-01-31"}}), &[1]),
        (json!({"day": {"gte": "1970-01-01", "lte": "2024-01-31"}}), &[0, 2]),
        (json!({"at": "2024-01-31T09:30:00"}), &[0]),
        (json!({"at": "2024-01-31 09:30"}), &[0]),
        (json!({"at": "2024-01-31"}), &[0, 1]),
        (json!({"at": {"lte": "2024-01-31"}}), &[0, 1]),
        (json!({"at": {"gt": "2024-01-31"}}), &[2]),
        (json!({"at": {"gte": "2024-01-31T00:00:00.000001"}}), &[0, 2]),
        (json!({"seoul": "2024-01-31T18:30:00+09:00"}), &[0]),
        (json!({"seoul": "2024-01-31T09:30:00Z"}), &[0]),
        (json!({"seoul": "2024-01-31"}), &[0, 1]),
        (json!({"seoul": {"gte": "2024-02-01"}}), &[2]),
        (json!({"time": {"gte": "09:30"}}), &[0, 2]),
        (json!({"tags": null}), &[1, 2, 3]),
        (json!({"city": {"gte": "가"}, "stars": {"gte": 4.5}}), &[1]),
        (json!({"가": {"gte": 3}}), &[2, 3]), // composed, where the column's name is not
    ] {
        assert_eq!(passing(&conditions), expected, "{conditions}");
    }
}

#[test]
fn what_a_column_never_has_is_one_clear_line() {
    for (conditions, expected) in [
        (json!({"year": 2.5}), "holds whole numbers: expected one such as 4, a list of them, or bounds, not 2.5"),
        (json!({"year": "4"}), "holds whole numbers: expected one such as 4, a list of them, or bounds, not \"4\""),
        (
            json!({"year": [4, "5"]}),
            "holds whole numbers: expected one such as 4, a list of them, or bounds, not \"5\"",
        ),
        (
            json!({"ratio": {"gte": null}}),
            "holds numbers: expected one such as 4.5, a list of them, or bounds, not null",
        ),
        (json!({"price": true}), "holds numbers: expected one such as 4.5, a list of them, or bounds, not true"),
        (json!({"city": true}), "holds text: expected a text or a number, a list of them, or bounds, not true"),
        (json!({"city": [["부"]]}), "holds text: expected a text or a number, a list of them, or bounds, not [\"부\"]"),
        (json!({"open": "예"}), "holds true or false: expected true, false, null or a list of them, not \"예\""),
        (
            json!({"open": {"gt": 1}}),
            "holds true or false: expected true, false, null or a list of them, not {\"gt\":1}",
        ),
        (
            json!({"day": "어제"}),
            "holds dates: expected one such as \"2024-01-31\", a list of them, or bounds, not \"어제\"",
        ),
        (json!({"day": 2024}), "holds dates: expected one such as \"2024-01-31\", a list of them, or bounds, not 2024"),
        (json!({"tags": 1}), "holds lists: expected null, since nothing else is compared, not 1"),
    ] {
        let name = conditions.as_object().unwrap().keys().next().unwrap();
        assert_eq!(filter(&conditions).unwrap_err().to_string(), format!("column {name:?} {expected}"));
    }
    for bounds in [json!({"ge": 4}), json!({})] {
        let expected = "column \"year\": expected bounds by gte, gt, lte or lt, such as {\"gte\": 4}, not ";
        assert_eq!(filter(&json!({"year": bounds})).unwrap_err().to_string(), format!("{expected}{bounds}"));
    }
    let error = filter(&json!({"who": 1})).unwrap_err().to_string();
    assert!(error.starts_with("no column is named \"who\"; there are city, stars, id, "), "{error}");
    let long = filter(&json!({"year": "가".repeat(500)})).unwrap_err().to_string();
    assert!(long.ends_with('…') && long.chars().count() < 200, "{long}");
}

#[test]
#[ignore = "takes times: cargo test --release --lib times_of_a_million_rows -- --ignored --nocapture"]
fn times_of_a_million_rows() {
    let batch = |start: i64| {
        let rows = start..start + 4096;
        let text = |row: i64| ["부산", "서울", "대구"][row as usize % 3];
        let stars = |row: i64| ((row % 50) as f64 / 10.0).to_string();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("city", Arc::new(rows.clone().map(|row| Some(text(row))).collect::<StringArray>())),
            ("stars", Arc::new(rows.clone().map(|row| Some(stars(row))).collect::<StringArray>())),
            ("year", Arc::new(rows.clone().map(|row| row % 2000).collect::<Int64Array>())),
            ("at", Arc::new(TimestampMicrosecondArray::from_iter_values(rows))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    };
    let batches: Vec<RecordBatch> = (0..245).map(|number| batch(number * 4096)).collect();
    let many: Vec<i64> = (0..1000).collect();
    for conditions in [
        json!({"city": "부산"}),
        json!({"city": ["부산", "서울"]}),
        json!({"stars": {"gte": 4}}),
        json!({"year": 7}),
        json!({"year": {"gte": 4, "lt": 100}}),
        json!({"year": many}),
        json!({"at": {"gte": "1970-01-01", "lt": "1970-01-02"}}),
    ] {
        let filter = Filter::new(conditions.as_object().unwrap(), batches[0].schema().fields()).unwrap();
        filter.mask(&batches);
        let start = Instant::now();
        let passed = filter.mask(&batches).unwrap().into_iter().filter(|passes| *passes).count();
        let shown = conditions.to_string().chars().take(60).collect::<String>();
        println!("{:6.1} ms  {passed} rows  {shown}", start.elapsed().as_secs_f64() * 1e3);
    }
}
