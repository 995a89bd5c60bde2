//! Reading schemas: what kind of value, which properties, which column type.

use super::document::Document;
use super::fault::OpenApiFault;
use serde_json::{Map, Value};

/// Schemas in schemas (allOf, anyOf, oneOf) are followed so deep.
const MOST_NESTING: u32 = 8;
/// PostgreSQL's columns in a table.
const MOST_PROPERTIES: usize = 1_600;

/// What a schema says of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind<'d> {
    /// An array, with the schema of its elements.
    Array(&'d Value),
    Object,
    /// A type and a format, either may be empty.
    Scalar(&'d str, &'d str),
}

/// A property of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Property<'d> {
    pub name: &'d str,
    /// Resolved.
    pub schema: &'d Value,
}

/// The kind of a resolved schema.
pub(super) fn kind<'d>(document: &Document<'d>, schema: &'d Value) -> Result<Kind<'d>, OpenApiFault> {
    kind_at(document, schema, 0)
}

fn kind_at<'d>(document: &Document<'d>, schema: &'d Value, nesting: u32) -> Result<Kind<'d>, OpenApiFault> {
    let given = match schema.get("type") {
        Some(Value::String(name)) => Some(name.as_str()),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        _ => None,
    };
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    match given {
        Some("array") => return Ok(Kind::Array(items(document, schema)?)),
        Some("object") => return Ok(Kind::Object),
        Some(name) => return Ok(Kind::Scalar(name, format)),
        None if schema.get("items").is_some() => return Ok(Kind::Array(items(document, schema)?)),
        None if schema.get("properties").is_some() => return Ok(Kind::Object),
        None if lists_texts(schema) => return Ok(Kind::Scalar("string", format)),
        None => {}
    }
    for part in parts(schema).filter(|_| nesting < MOST_NESTING) {
        let part = document.resolve(part)?;
        match kind_at(document, part, nesting + 1)? {
            Kind::Scalar("" | "null", "") => {}
            found => return Ok(found),
        }
    }
    Ok(Kind::Scalar("", format))
}

/// Whether all values are listed, and are texts; null may be among them.
fn lists_texts(schema: &Value) -> bool {
    let values = schema.get("enum").and_then(Value::as_array);
    let mut values = values.into_iter().flatten().filter(|value| !value.is_null()).peekable();
    values.peek().is_some() && values.all(Value::is_string)
}

fn items<'d>(document: &Document<'d>, schema: &'d Value) -> Result<&'d Value, OpenApiFault> {
    schema
        .get("items")
        .map_or(Ok(&Value::Null), |items| document.resolve(items))
}

/// The schemas that a schema is made of.
fn parts(schema: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["allOf", "oneOf", "anyOf"]
        .into_iter()
        .filter_map(|key| schema.get(key)?.as_array());
    lists.flatten()
}

/// The properties of a resolved schema, with those of the schemas that it is made of.
pub(super) fn properties<'d>(document: &Document<'d>, schema: &'d Value) -> Result<Vec<Property<'d>>, OpenApiFault> {
    let mut found = Vec::new();
    collect(document, schema, 0, &mut found)?;
    Ok(found)
}

fn collect<'d>(
    document: &Document<'d>,
    schema: &'d Value,
    nesting: u32,
    found: &mut Vec<Property<'d>>,
) -> Result<(), OpenApiFault> {
    let own = schema.get("properties").and_then(Value::as_object);
    for (name, property) in own.into_iter().flat_map(Map::iter) {
        document.step()?;
        if found.len() < MOST_PROPERTIES && !found.iter().any(|known| known.name == name) {
            let schema = document.resolve(property)?;
            found.push(Property { name, schema });
        }
    }
    for part in parts(schema).filter(|_| nesting < MOST_NESTING) {
        collect(document, document.resolve(part)?, nesting + 1, found)?;
    }
    Ok(())
}

/// The type of a column for values of a schema.
pub(super) fn column_type(kind: Kind<'_>) -> &'static str {
    match kind {
        Kind::Array(_) | Kind::Object | Kind::Scalar("", "") => "jsonb",
        Kind::Scalar("integer", _) => "bigint",
        Kind::Scalar("number", _) => "numeric",
        Kind::Scalar("boolean", _) => "boolean",
        Kind::Scalar(_, "date-time") => "timestamptz",
        Kind::Scalar(_, "date") => "date",
        Kind::Scalar(_, "uuid" | "guid") => "uuid",
        Kind::Scalar(..) => "text",
    }
}
