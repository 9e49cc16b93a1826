//! What passes of a column's values.

use std::{borrow::Borrow, ops::Bound};

use arrow_array::{
    Array, ArrayRef, BooleanArray,
    cast::AsArray,
    types::{
        Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type,
        Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
};
use arrow_buffer::{BooleanBuffer, NullBuffer, i256};
use arrow_schema::DataType;
use arrow_select::take::take;
use half::f16;
use serde_json::{Number, Value};

use super::{super::clock::Clock, number::scaled};

/// A bound's side, and whether it passes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Gte,
    Gt,
    Lte,
    Lt,
}

impl Operator {
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "gte" => Some(Self::Gte),
            "gt" => Some(Self::Gt),
            "lte" => Some(Self::Lte),
            "lt" => Some(Self::Lt),
            _ => None,
        }
    }

    /// What a value bounds that covers all from `first` to `last`, as a day does; where none of a column's values is the
    /// one that is meant, `first` is the next after it and `last` the one before.
    fn range<T>(self, (first, last): (T, T)) -> (Bound<T>, Bound<T>) {
        match self {
            Self::Gte => (Bound::Included(first), Bound::Unbounded),
            Self::Gt => (Bound::Excluded(last), Bound::Unbounded),
            Self::Lte => (Bound::Unbounded, Bound::Included(last)),
            Self::Lt => (Bound::Unbounded, Bound::Excluded(first)),
        }
    }
}

/// Values that are asked for.
#[derive(Debug)]
pub(super) enum Wanted<T> {
    /// Any of these, each from a first to a last; in order, and apart from each other.
    Listed(Vec<(T, T)>),
    /// What is within all of these.
    Within(Vec<(Bound<T>, Bound<T>)>),
}

impl<T: PartialOrd + Clone> Wanted<T> {
    fn listed(values: impl IntoIterator<Item = (T, T)>) -> Self {
        let mut values: Vec<(T, T)> = values.into_iter().filter(|(first, last)| first <= last).collect();
        values.sort_by(|a, b| a.0.partial_cmp(&b.0).expect("no value of JSON is without order"));
        values.dedup_by(|next, last| {
            let overlaps = next.0 <= last.1;
            if overlaps && next.1 > last.1 {
                last.1 = next.1.clone();
            }
            overlaps
        });
        Self::Listed(values)
    }

    fn has<Q>(&self, value: &Q) -> bool
    where
        Q: PartialOrd + ?Sized,
        T: Borrow<Q>,
    {
        match self {
            Self::Listed(values) => {
                let before = values.partition_point(|(first, _)| first.borrow() <= value);
                before > 0 && value <= values[before - 1].1.borrow()
            }
            Self::Within(ranges) => ranges.iter().all(|range| is_within(range, value)),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Listed(values) => values.is_empty(),
            Self::Within(ranges) => ranges.is_empty(),
        }
    }
}

fn is_within<T, Q>((from, to): &(Bound<T>, Bound<T>), value: &Q) -> bool
where
    T: Borrow<Q>,
    Q: PartialOrd + ?Sized,
{
    let is_above = match from {
        Bound::Included(from) => value >= from.borrow(),
        Bound::Excluded(from) => value > from.borrow(),
        Bound::Unbounded => true,
    };
    let is_below = match to {
        Bound::Included(to) => value <= to.borrow(),
        Bound::Excluded(to) => value < to.borrow(),
        Bound::Unbounded => true,
    };
    is_above && is_below
}

/// What passes of a column beside null.
#[derive(Debug)]
pub(super) enum Test {
    Nothing,
    Truth {
        yes: bool,
        no: bool,
    },
    /// Whole numbers, decimals by their digits, dates and times by their ticks.
    Whole(Wanted<i128>),
    Float(Wanted<f64>),
    /// A text by itself, or by the number that it is, as in a CSV file.
    Text {
        texts: Wanted<String>,
        numbers: Wanted<f64>,
    },
}

impl Test {
    /// Any of these values; an error is the one that a column of that type never has.
    pub(super) fn listed<'a>(kind: &DataType, values: &[&'a Value]) -> Result<Self, &'a Value> {
        if values.is_empty() {
            return Ok(Self::Nothing);
        }
        if tables::is_text(kind) {
            let (mut texts, mut numbers) = (Vec::new(), Vec::new());
            for &value in values {
                match value {
                    Value::String(text) => texts.push((text.clone(), text.clone())),
                    Value::Number(number) => numbers.push(float(number, kind)),
                    other => return Err(other),
                }
            }
            return Ok(Self::Text { texts: Wanted::listed(texts), numbers: Wanted::listed(numbers) });
        }
        if *kind == DataType::Boolean {
            let asked = values.iter().map(|&value| value.as_bool().ok_or(value));
            let asked: Vec<bool> = asked.collect::<Result<_, _>>()?;
            return Ok(Self::Truth { yes: asked.contains(&true), no: asked.contains(&false) });
        }
        if is_float(kind) {
            let numbers: Vec<_> = values.iter().map(|&value| number(value, kind)).collect::<Result<_, _>>()?;
            return Ok(Self::Float(Wanted::listed(numbers)));
        }
        let wholes: Vec<_> = values.iter().map(|&value| whole(value, kind)).collect::<Result<_, _>>()?;
        // 2.5 is no whole number, where 300 may be one that the column has no room for.
        let misfit = wholes.iter().zip(values).find(|((first, last), _)| kind.is_integer() && first > last);
        misfit.map_or_else(|| Ok(Self::Whole(Wanted::listed(wholes.iter().copied()))), |(_, value)| Err(*value))
    }

    /// What is within all of these bounds; an error is the one that a column of that type never has.
    pub(super) fn within<'a>(kind: &DataType, bounds: &[(Operator, &'a Value)]) -> Result<Self, &'a Value> {
        if tables::is_text(kind) {
            let (mut texts, mut numbers) = (Vec::new(), Vec::new());
            for &(operator, bound) in bounds {
                match bound {
                    Value::String(text) => texts.push(operator.range((text.clone(), text.clone()))),
                    Value::Number(number) => numbers.push(operator.range(float(number, kind))),
                    other => return Err(other),
                }
            }
            return Ok(Self::Text { texts: Wanted::Within(texts), numbers: Wanted::Within(numbers) });
        }
        if is_float(kind) {
            let ranges = bounds.iter().map(|&(operator, bound)| Ok(operator.range(number(bound, kind)?)));
            return Ok(Self::Float(Wanted::Within(ranges.collect::<Result<_, _>>()?)));
        }
        let ranges = bounds.iter().map(|&(operator, bound)| Ok(operator.range(whole(bound, kind)?)));
        Ok(Self::Whole(Wanted::Within(ranges.collect::<Result<_, _>>()?)))
    }

    /// For each value whether it passes, and null where JSON has null.
    pub(super) fn of(&self, values: &ArrayRef) -> BooleanArray {
        if let DataType::Dictionary(..) = values.data_type() {
            let dictionary = values.as_any_dictionary();
            let passes = self.of(dictionary.values()); // each value once
            return take(&passes, dictionary.keys(), None).expect("keys are within their values").as_boolean().clone();
        }
        let passes = match self {
            Self::Nothing => BooleanBuffer::new_unset(values.len()),
            Self::Truth { yes, no } => {
                let values = values.as_boolean();
                BooleanArray::from_unary(values, |value| if value { *yes } else { *no }).values().clone()
            }
            Self::Whole(wanted) => wholes(values, wanted),
            Self::Float(wanted) => floats(values, |value| wanted.has(&value)),
            Self::Text { texts, numbers } => {
                let number = |text: &str| number_of(text).is_some_and(|number| numbers.has(&number));
                let passes = |text: &str| match texts {
                    Wanted::Listed(_) => texts.has(text) || (!numbers.is_empty() && number(text)),
                    Wanted::Within(_) => texts.has(text) && (numbers.is_empty() || number(text)),
                };
                match values.data_type() {
                    DataType::Utf8 => BooleanArray::from_unary(values.as_string::<i32>(), passes),
                    DataType::LargeUtf8 => BooleanArray::from_unary(values.as_string::<i64>(), passes),
                    _ => BooleanArray::from_unary(values.as_string_view(), passes),
                }
                .values()
                .clone()
            }
        };
        let finite = is_float(values.data_type()).then(|| NullBuffer::new(floats(values, f64::is_finite)));
        BooleanArray::new(passes, NullBuffer::union(values.logical_nulls().as_ref(), finite.as_ref()))
    }
}

fn is_float(kind: &DataType) -> bool {
    matches!(kind, DataType::Float16 | DataType::Float32 | DataType::Float64)
}

/// A number as a column has it: 0.1 in f32 is what f32 makes of 0.1.
fn float(number: &Number, kind: &DataType) -> (f64, f64) {
    let number = number.as_f64().expect("a number of JSON is a float, perhaps a rounded one");
    let rounded = match kind {
        DataType::Float16 => f16::from_f64(number).to_f64(),
        DataType::Float32 => f64::from(number as f32),
        _ => number,
    };
    (rounded, rounded)
}

fn number<'a>(value: &'a Value, kind: &DataType) -> Result<(f64, f64), &'a Value> {
    match value {
        Value::Number(number) => Ok(float(number, kind)),
        other => Err(other),
    }
}

/// The number that a text is, if it is one; thousands may be set apart by commas, as spreadsheets write them.
fn number_of(text: &str) -> Option<f64> {
    let text = text.trim();
    let number = text.parse().ok().or_else(|| ungrouped(text)?.parse().ok());
    number.filter(|number: &f64| number.is_finite())
}

/// `1,234.5` without its commas, if each stands before three digits.
fn ungrouped(text: &str) -> Option<String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut groups = whole.trim_start_matches(['-', '+']).split(',');
    let is_first = (1..=3).contains(&groups.next()?.len());
    let is_grouped = is_first && whole.contains(',') && !fraction.contains(',') && groups.all(|group| group.len() == 3);
    is_grouped.then(|| text.replace(',', ""))
}

/// A value by the whole numbers that a column of that type stores.
fn whole<'a>(value: &'a Value, kind: &DataType) -> Result<(i128, i128), &'a Value> {
    use DataType::{Decimal32, Decimal64, Decimal128, Decimal256};
    match (value, kind) {
        (
            Value::Number(number),
            Decimal32(_, scale) | Decimal64(_, scale) | Decimal128(_, scale) | Decimal256(_, scale),
        ) => Ok(scaled(number, *scale)),
        (Value::Number(number), kind) if kind.is_integer() => Ok(scaled(number, 0)),
        (Value::String(text), kind) => Clock::of(kind).and_then(|clock| clock.ticks(text)).ok_or(value),
        (other, _) => Err(other),
    }
}

fn floats(values: &ArrayRef, passes: impl Fn(f64) -> bool) -> BooleanBuffer {
    let passes = match values.data_type() {
        DataType::Float16 => BooleanArray::from_unary(values.as_primitive::<Float16Type>(), |x| passes(x.to_f64())),
        DataType::Float32 => BooleanArray::from_unary(values.as_primitive::<Float32Type>(), |x| passes(x.into())),
        _ => BooleanArray::from_unary(values.as_primitive::<Float64Type>(), passes),
    };
    passes.values().clone()
}

fn wholes(values: &ArrayRef, wanted: &Wanted<i128>) -> BooleanBuffer {
    use DataType::*;
    macro_rules! of {
        ($kind:ty) => {
            BooleanArray::from_unary(values.as_primitive::<$kind>(), |value| wanted.has(&i128::from(value)))
                .values()
                .clone()
        };
    }
    match values.data_type() {
        Int8 => of!(Int8Type),
        Int16 => of!(Int16Type),
        Int32 => of!(Int32Type),
        Int64 => of!(Int64Type),
        UInt8 => of!(UInt8Type),
        UInt16 => of!(UInt16Type),
        UInt32 => of!(UInt32Type),
        UInt64 => of!(UInt64Type),
        Decimal32(..) => of!(Decimal32Type),
        Decimal64(..) => of!(Decimal64Type),
        Decimal128(..) => of!(Decimal128Type),
        Decimal256(..) => {
            let values = values.as_primitive::<Decimal256Type>();
            // One of more than 128 bits is beyond all that a filter can name.
            let end = |value: &i256| if value.is_negative() { i128::MIN + 1 } else { i128::MAX - 1 };
            let passes = |value: i256| wanted.has(&value.to_i128().unwrap_or_else(|| end(&value)));
            BooleanArray::from_unary(values, passes).values().clone()
        }
        kind => {
            // Dates and times, by their ticks.
            let data = values.to_data();
            match kind.primitive_width() {
                Some(4) => {
                    let ticks: &[i32] = &data.buffer(0)[..values.len()];
                    BooleanBuffer::collect_bool(ticks.len(), |row| wanted.has(&i128::from(ticks[row])))
                }
                _ => {
                    let ticks: &[i64] = &data.buffer(0)[..values.len()];
                    BooleanBuffer::collect_bool(ticks.len(), |row| wanted.has(&i128::from(ticks[row])))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_texts_may_have_their_thousands_set_apart() {
        for (text, expected) in [
            ("1,200", Some(1200.0)),
            (" -12,345,678.5 ", Some(-12_345_678.5)),
            ("007", Some(7.0)),
            ("1,20", None),
            ("1234,567", None),
            (",200", None),
            ("1.5,000", None),
            ("없음", None),
            ("inf", None),
        ] {
            assert_eq!(number_of(text), expected, "{text:?}");
        }
    }
}
