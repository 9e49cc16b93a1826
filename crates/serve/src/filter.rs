//! The filter of a search, as the description of the routes has it.

use std::borrow::Cow;

use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Ref, RefOr, Schema,
        schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, SchemaType, Type},
    },
};

/// What a filter asks of each column.
pub(crate) struct Filter;

impl PartialSchema for Filter {
    fn schema() -> RefOr<Schema> {
        let column = AdditionalProperties::RefOr(Ref::from_schema_name(Condition::name()).into());
        ObjectBuilder::new()
            .description(Some(
                "What columns of a row have to hold; a row passes that meets all of it. Names are compared in NFC.",
            ))
            .additional_properties(Some(column))
            .examples([
                json!({}),
                json!({"city": "부산", "stars": {"gte": 4}}),
                json!({"city": ["부산", "서울", null], "written": {"gte": "2024-01-01", "lt": "2024-07-01"}}),
            ])
            .into()
    }
}

impl ToSchema for Filter {
    fn name() -> Cow<'static, str> {
        "Filter".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Condition::name().into_owned(), Condition::schema()));
    }
}

/// What a filter asks of one column.
struct Condition;

const CONDITION: &str = "A value, any of a list, or what is within bounds. \
    Text is compared as it is, and ordered by code point; a number on a column of text, as all columns of a CSV file are, passes \
    the texts that are that number, or a number within the bounds. \
    Dates and times are asked for by the text that `row` shows; `2024-01-31` on a column with times is that whole day, in the \
    column's time zone. `null` passes what `row` shows as null; bounds never do. \
    An empty list, or bounds with nothing between them, pass no row.";

impl PartialSchema for Condition {
    fn schema() -> RefOr<Schema> {
        let types = |types: &[Type]| ObjectBuilder::new().schema_type(SchemaType::Array(types.to_vec()));
        let value = || types(&[Type::String, Type::Number, Type::Boolean, Type::Null]);
        let bounds = ["gte", "gt", "lte", "lt"].into_iter().fold(ObjectBuilder::new(), |bounds, operator| {
            bounds.property(operator, types(&[Type::String, Type::Number]))
        });
        let bounds = bounds
            .additional_properties(Some(AdditionalProperties::FreeForm(false)))
            .min_properties(Some(1))
            .description(Some("At least, above, at most, below; those that are given have to hold together."));
        OneOfBuilder::new()
            .item(value())
            .item(ArrayBuilder::new().items(value()))
            .item(bounds)
            .description(Some(CONDITION))
            .examples([json!("부산"), json!(["부산", "서울"]), json!({"gte": 4, "lt": 5}), json!(null)])
            .into()
    }
}

impl Condition {
    fn name() -> Cow<'static, str> {
        "Condition".into()
    }
}
