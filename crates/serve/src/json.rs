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
