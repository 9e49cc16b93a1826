//! JSON lines, an object a line, and an array of objects as the same.

use std::{collections::HashMap, sync::Arc};

use arrow_json::{ReaderBuilder, reader::Decoder};
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};
use serde::{
    Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::{
    batch::Batch,
    error::{Error, Problem},
    json_types::{self, Fields},
    objects::Objects,
    records::MAX_FIELDS,
    source::{Progress, Source},
    text::{Charset, Text},
};

/// The fields of all objects, in the order in which they appear. The whole file is read for them, since the last may have one
/// that no other has; what is no object, and what no type holds beside what came before, is found here, with its line.
pub(crate) fn schema(source: &Source, charset: Charset) -> Result<SchemaRef, Error> {
    let mut objects = Objects::new(Text::new(source, charset, None));
    let (mut order, mut fields) = (HashMap::new(), Fields::new());
    while let Some((line, text)) = objects.next_object()? {
        let object = object(text, line, &mut order)?;
        let failed = |what: String| Error::Line { line, problem: Problem::Json(what) };
        json_types::add(&mut fields, &object).map_err(failed)?;
        if fields.len() > MAX_FIELDS {
            return Err(failed(format!("more than {MAX_FIELDS} fields in all")));
        }
    }
    if fields.is_empty() {
        return Err(Error::file("the file is empty"));
    }
    let mut fields: Vec<Field> = fields.iter().map(|(name, kind)| Field::new(name, kind.arrow(), true)).collect();
    fields.sort_by_key(|field| order.get(field.name()).copied());
    Ok(Arc::new(Schema::new(fields)))
}

fn object(text: &[u8], line: u64, order: &mut HashMap<String, usize>) -> Result<Map<String, Value>, Error> {
    let failed = |what: String| Error::Line { line, problem: Problem::Json(what) };
    match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => {
            // The value's own map is sorted by name.
            let mut deserializer = serde_json::Deserializer::from_slice(text);
            let _ = deserializer.deserialize_map(Names(order));
            Ok(object)
        }
        Ok(_) => Err(failed("expected an object".to_owned())),
        Err(cause) => {
            // serde_json counts lines within the text that it was given, and columns in bytes.
            let (told, bytes) = (cause.to_string(), cause.column());
            let end = format!(" at line {} column {bytes}", cause.line());
            let told = told.strip_suffix(&end).unwrap_or(&told);
            if cause.line() > 1 {
                let line = line + cause.line() as u64 - 1;
                return Err(Error::Line { line, problem: Problem::Json(told.to_owned()) });
            }
            let column = text.get(..bytes).map_or(bytes, |before| String::from_utf8_lossy(before).chars().count());
            let hint = if cause.is_eof() { " (expected one object a line, or an array of objects)" } else { "" };
            Err(failed(format!("column {column}: {told}{hint}")))
        }
    }
}

/// Notes the names of an object's fields that were not seen before.
struct Names<'a>(&'a mut HashMap<String, usize>);

impl<'de> Visitor<'de> for Names<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
            let next = self.0.len();
            self.0.entry(name).or_insert(next);
        }
        Ok(())
    }
}

fn told(error: &ArrowError) -> String {
    match error {
        ArrowError::JsonError(what) => what.lines().next().unwrap_or_default().to_owned(),
        error => error.to_string(),
    }
}

/// Batches of some fields of a file.
pub(crate) struct Batches {
    objects: Objects,
    decoder: Decoder,
    rows: usize,
}

impl Batches {
    pub(crate) fn new(
        source: &Source,
        charset: Charset,
        schema: SchemaRef,
        rows: usize,
        progress: Option<Progress>,
    ) -> Result<Self, Error> {
        // A number is brought to text where other rows of the field have text.
        let builder = ReaderBuilder::new(schema).with_batch_size(rows).with_coerce_primitive(true);
        let decoder = builder.build_decoder().map_err(|error| Error::file(told(&error)))?;
        Ok(Self { objects: Objects::new(Text::new(source, charset, progress)), decoder, rows })
    }

    fn batch(&mut self) -> Result<Option<Batch>, Error> {
        let mut lines = Vec::new();
        while lines.len() < self.rows {
            let Some((line, text)) = self.objects.next_object()? else { break };
            let failed = |error: &ArrowError| Error::Line { line, problem: Problem::Json(told(error)) };
            self.decoder.decode(text).map_err(|error| failed(&error))?;
            self.decoder.decode(b"\n").map_err(|error| failed(&error))?;
            lines.push(line);
        }
        let first = lines.first().copied().unwrap_or_default();
        let rows = self.decoder.flush();
        let rows = rows.map_err(|error| Error::Line { line: first, problem: Problem::Json(told(&error)) })?;
        Ok(rows.map(|rows| Batch { rows, lines, blank: Vec::new() }))
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().transpose()
    }
}
