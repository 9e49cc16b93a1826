//! Types of JSON values that hold every value of a field as it stands.

use std::{collections::BTreeMap, sync::Arc};

use arrow_schema::{DataType, Field};
use serde_json::{Map, Value};

/// Whole numbers beyond this are not all among those of f64.
const EXACT: u64 = 1 << 53;

/// The types of an object's fields.
pub(crate) type Fields = BTreeMap<String, Type>;

/// The type of a field, as far as its values tell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type {
    Null,
    Bool,
    /// Within i64; whether all are within [`EXACT`].
    Whole {
        is_small: bool,
    },
    Decimal,
    /// Text, or values that have no other type in common: each is written as it stands.
    Text,
    List(Box<Type>),
    Object(Fields),
}

impl Type {
    fn of(value: &Value) -> Result<Self, String> {
        Ok(match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Number(number) => match (number.as_i64(), number.is_f64()) {
                (Some(whole), _) => Self::Whole { is_small: whole.unsigned_abs() <= EXACT },
                (None, true) => Self::Decimal,
                (None, false) => Self::Text, // too large for i64
            },
            Value::String(_) => Self::Text,
            Value::Array(items) => {
                let mut element = Self::Null;
                for item in items {
                    element = element.with(Self::of(item)?)?;
                }
                Self::List(Box::new(element))
            }
            Value::Object(object) => {
                let mut fields = Fields::new();
                add(&mut fields, object)?;
                Self::Object(fields)
            }
        })
    }

    /// The type that holds the values of both.
    fn with(self, other: Self) -> Result<Self, String> {
        Ok(match (self, other) {
            (Self::Null, kind) | (kind, Self::Null) => kind,
            (Self::Whole { is_small: a }, Self::Whole { is_small: b }) => Self::Whole { is_small: a && b },
            (Self::Whole { is_small }, Self::Decimal) | (Self::Decimal, Self::Whole { is_small }) => {
                if is_small {
                    Self::Decimal
                } else {
                    Self::Text
                }
            }
            (Self::List(a), Self::List(b)) => Self::List(Box::new(a.with(*b)?)),
            (Self::Object(mut a), Self::Object(b)) => {
                for (name, kind) in b {
                    merge(&mut a, name, kind)?;
                }
                Self::Object(a)
            }
            (a, b) if a == b => a,
            (a, b) if a.is_scalar() && b.is_scalar() => Self::Text,
            (a, b) => {
                return Err(format!("{} here and {} before: that cannot be one column", b.in_words(), a.in_words()));
            }
        })
    }

    fn is_scalar(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Object(_))
    }

    fn in_words(&self) -> &'static str {
        match self {
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
            _ => "a value",
        }
    }

    /// Arrow's type; a field whose every value is null is one of text.
    pub(crate) fn arrow(&self) -> DataType {
        match self {
            Self::Null | Self::Text => DataType::Utf8,
            Self::Bool => DataType::Boolean,
            Self::Whole { .. } => DataType::Int64,
            Self::Decimal => DataType::Float64,
            Self::List(element) => DataType::List(Arc::new(Field::new_list_field(element.arrow(), true))),
            Self::Object(fields) => {
                DataType::Struct(fields.iter().map(|(name, kind)| Field::new(name, kind.arrow(), true)).collect())
            }
        }
    }
}

/// Adds the fields of an object to those of others.
pub(crate) fn add(fields: &mut Fields, object: &Map<String, Value>) -> Result<(), String> {
    for (name, value) in object {
        merge(fields, name.clone(), Type::of(value).map_err(|what| format!("field {name:?}: {what}"))?)?;
    }
    Ok(())
}

fn merge(fields: &mut Fields, name: String, kind: Type) -> Result<(), String> {
    let known = fields.remove(&name).unwrap_or(Type::Null);
    let merged = known.with(kind).map_err(|what| format!("field {name:?}: {what}"))?;
    fields.insert(name, merged);
    Ok(())
}
