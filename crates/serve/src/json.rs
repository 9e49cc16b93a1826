//! Values of JSON bodies that serde reads too broadly or explains too badly, and how they are described.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Type},
    },
};

/// A value that is written as an object; serde's own reading of a struct takes a list too.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// A whole number, if there is one. As JSON Schema's `integer`, it may be written with a fraction of zero, as some languages
/// write every number.
pub(crate) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    deserializer.deserialize_any(WholeVisitor)
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number from 0")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Option<usize>, E> {
        Ok(None)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Option<usize>, E> {
        usize::try_from(number).map(Some).map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Option<usize>, E> {
        match number.fract() == 0.0 && number >= 0.0 {
            true => Ok(Some(number as usize)), // the largest that there is, for what is larger
            false => Err(E::invalid_value(de::Unexpected::Float(number), &self)),
        }
    }
}

/// One sentence or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sentences(pub(crate) Vec<String>);

impl<'de> Deserialize<'de> for Sentences {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SentencesVisitor)
    }
}

/// By hand, because serde's untagged enums do not say what is wrong.
struct SentencesVisitor;

impl<'de> Visitor<'de> for SentencesVisitor {
    type Value = Sentences;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_str<E: de::Error>(self, sentence: &str) -> Result<Sentences, E> {
        Ok(Sentences(vec![sentence.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Sentences, A::Error> {
        let mut sentences = Vec::new();
        while let Some(sentence) = list.next_element()? {
            sentences.push(sentence);
        }
        Ok(Sentences(sentences))
    }
}

impl PartialSchema for Sentences {
    fn schema() -> RefOr<Schema> {
        let list = ArrayBuilder::new().items(Sentence::schema()).min_items(Some(1)).build();
        let example = serde_json::json!(["비가 온다.", "비가 내린다."]);
        OneOfBuilder::new().item(Sentence::schema()).item(list).examples([example]).into()
    }
}

impl ToSchema for Sentences {
    fn name() -> Cow<'static, str> {
        "Sentences".into()
    }
}

/// A character that is not white space. Spelled out, because languages differ in what `\S` is; this is Unicode's.
const NOT_BLANK: &str = r"[^\u0009-\u000d\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]";

/// A sentence, for the documentation: a text that is not blank.
pub(crate) struct Sentence;

impl PartialSchema for Sentence {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).pattern(Some(NOT_BLANK));
        text.examples([serde_json::json!("비가 온다.")]).into()
    }
}

impl ToSchema for Sentence {
    fn name() -> Cow<'static, str> {
        "Sentence".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Body {
        #[serde(default, deserialize_with = "whole")]
        top_k: Option<usize>,
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_fraction_of_zero_and_nothing_else_is_one() {
        let read = |text: &str| serde_json::from_str::<Body>(text).map(|body| body.top_k);
        for (text, expected) in [
            ("{}", None),
            (r#"{"top_k": null}"#, None),
            (r#"{"top_k": 7}"#, Some(7)),
            (r#"{"top_k": 7.0}"#, Some(7)),
            (r#"{"top_k": 7e0}"#, Some(7)),
            (r#"{"top_k": 1e300}"#, Some(usize::MAX)),
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
        for text in ["-1", "-1.0", "7.5", r#""7""#, "true", "[7]"] {
            let error = read(&format!("{{\"top_k\": {text}}}")).unwrap_err().to_string();
            assert!(error.contains("expected a whole number from 0"), "{text}: {error}");
        }
    }
}
