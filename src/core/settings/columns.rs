//! The setting `columns`: which column is filled from where.

use serde_json::Value;

use super::fault::SettingsFault;
use super::field::Field;
use super::keys;
use super::object::Object;
use super::type_name::{TypeFault, is_serial};
use crate::connection::ConfigError;
use crate::data::SYSTEM_NAMES;
use crate::data::path::SingularQuery;
use crate::foreach::parent_query;
use crate::job::LONGEST_NAME;

/// One column as the document gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnSetting {
    pub name: String,
    pub query: SingularQuery,
    /// The name of a type, as in CREATE TABLE; not looked up here.
    pub type_name: Option<String>,
    /// The JSON text of the value that a record without the member gets.
    pub default: Option<String>,
}

const EXAMPLE: &str = "{\"id\": \"$.id\", \"price\": {\"path\": \"$.price.amount\", \"type\": \"numeric\"}}";

/// Reads the columns in the order of the text.
pub(super) fn read(field: Field<'_>) -> Result<Vec<ColumnSetting>, ConfigError> {
    let members = field.members(EXAMPLE)?;
    if members.is_empty() {
        return Err(SettingsFault::NoColumns.into());
    }
    let mut columns: Vec<ColumnSetting> = Vec::with_capacity(members.len());
    for (name, member) in members {
        if columns.iter().any(|column| column.name == name) {
            return Err(SettingsFault::Twice { path: member.path }.into());
        }
        columns.push(read_one(name, &member)?);
    }
    Ok(columns)
}

fn read_one(name: String, field: &Field<'_>) -> Result<ColumnSetting, ConfigError> {
    let fits = (1..=LONGEST_NAME).contains(&name.len()) && !name.chars().any(char::is_control);
    if !fits || SYSTEM_NAMES.contains(&name.as_str()) {
        return Err(SettingsFault::ColumnName { name }.into());
    }
    match field.value() {
        Value::String(_) => Ok(ColumnSetting {
            name,
            query: field.query()?,
            type_name: None,
            default: None,
        }),
        Value::Object(_) => read_object(name, field),
        _ => Err(field.wrong("a path, or an object with \"path\"", &format!("\"$.{name}\""))),
    }
}

fn read_object(name: String, field: &Field<'_>) -> Result<ColumnSetting, ConfigError> {
    let object = field.object(&keys::COLUMN)?;
    let type_name = match object.get("type") {
        Some(field) => Some(type_name(&name, &field)?),
        None => None,
    };
    if let Some(parent) = object.get("parent") {
        return of_parent(name, type_name, &object, &parent);
    }
    let Some(path) = object.get("path") else {
        let because = "Each column says which value of a record fills it.";
        let needs = format!("{}.path", field.path);
        return Err(SettingsFault::Needs {
            subject: field.subject(),
            needs,
            because,
        }
        .into());
    };
    let default = object.get("default").map(|field| field.raw.get().to_owned());
    Ok(ColumnSetting {
        name,
        query: path.query()?,
        type_name,
        default,
    })
}

/// A column that takes a value of the row below which its record was read.
fn of_parent(
    name: String,
    type_name: Option<String>,
    object: &Object<'_>,
    parent: &Field<'_>,
) -> Result<ColumnSetting, ConfigError> {
    if let Some(other) = object.get("path").or_else(|| object.get("default")) {
        return Err(SettingsFault::NoEffect {
            subject: other.subject(),
            because: "The column takes its value from the parent.",
            instead: "Leave it away, or take \"parent\" away.",
        }
        .into());
    }
    Ok(ColumnSetting {
        name,
        query: parent_query(&parent.name()?),
        type_name,
        default: None,
    })
}

/// The text of a type's name; it is looked up, and never part of a statement.
fn type_name(column: &str, field: &Field<'_>) -> Result<String, ConfigError> {
    let text = field.text("the name of a type", "\"numeric(12,2)\"")?;
    if is_serial(&text) {
        return Err(SettingsFault::ColumnType {
            column: column.to_owned(),
            type_name: text,
            fault: TypeFault::Serial,
        }
        .into());
    }
    match text.len() <= 200 && !text.chars().any(char::is_control) {
        true => Ok(text),
        false => Err(field.wrong("the name of a type", "\"numeric(12,2)\"")),
    }
}
