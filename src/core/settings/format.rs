//! The settings `format` and `csv`: how answers hold their records.

use encoding_rs::Encoding;
use serde_json::Value;

use super::columns::ColumnSetting;
use super::fault::SettingsFault;
use super::field::Field;
use super::keys;
use super::object::Object;
use crate::connection::{ConfigError, Subject};
use crate::data::{Csv, Format, Formats, Step};

const COLUMNS: &str = "[\"id\", \"name\"]";

pub(super) fn read(given: &Object<'_>, columns: Option<&[ColumnSetting]>) -> Result<Formats, ConfigError> {
    let words = [("json", Format::Json), ("ndjson", Format::Ndjson), ("csv", Format::Csv)];
    let formats = Formats {
        given: given.choice("format", &words, &[])?,
        csv: Csv {
            defaulted: columns.map(defaulted).unwrap_or_default(),
            ..csv(&given.object("csv", &keys::CSV)?)?
        },
    };
    let is_rows = matches!(formats.given, Some(Format::Ndjson | Format::Csv));
    if is_rows && given.get("records").is_some() {
        return Err(without_effect(
            "records",
            "Lines of JSON and CSV hold records and nothing beside them.",
        ));
    }
    if given.get("csv").is_some() && !matches!(formats.given, None | Some(Format::Csv)) {
        return Err(without_effect("csv", "The setting format says another format."));
    }
    Ok(formats)
}

/// The members that columns with a default are filled from.
fn defaulted(columns: &[ColumnSetting]) -> Vec<String> {
    let with_default = columns.iter().filter(|column| column.default.is_some());
    with_default
        .filter_map(|column| match column.query.steps.as_slice() {
            [Step::Member(name)] => Some(name.clone()),
            _ => None,
        })
        .collect()
}

fn without_effect(key: &str, because: &'static str) -> ConfigError {
    SettingsFault::NoEffect {
        subject: Subject::setting(key),
        because,
        instead: "Leave one of the two out.",
    }
    .into()
}

fn csv(given: &Object<'_>) -> Result<Csv, ConfigError> {
    let default = Csv::default();
    let csv = Csv {
        delimiter: given
            .get("delimiter")
            .map_or(Ok(default.delimiter), |field| delimiter(&field))?,
        header: given.get("header").map_or(Ok(default.header), |field| field.truth())?,
        columns: given.get("columns").map(|field| columns(&field)).transpose()?,
        encoding: given
            .get("encoding")
            .map_or(Ok(default.encoding), |field| encoding(&field))?,
        defaulted: default.defaulted,
    };
    if !csv.header && csv.columns.is_none() {
        return Err(SettingsFault::Needs {
            subject: Subject::setting("csv.header"),
            needs: "csv.columns".to_owned(),
            because: "Without a header nothing else names the columns.",
        }
        .into());
    }
    Ok(csv)
}

/// One ASCII character that is neither a quote nor the end of a line.
fn delimiter(field: &Field<'_>) -> Result<u8, ConfigError> {
    match field.value() {
        Value::String(text) => match text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n' | 0) => Ok(*byte),
            _ => Err(field.wrong("one ASCII character, other than a quote", "\";\"")),
        },
        _ => Err(field.wrong("one ASCII character, other than a quote", "\";\"")),
    }
}

fn columns(field: &Field<'_>) -> Result<Vec<String>, ConfigError> {
    let wrong = || field.wrong("an array of different names", COLUMNS);
    let Value::Array(values) = field.value() else {
        return Err(wrong());
    };
    let mut names: Vec<String> = Vec::with_capacity(values.len());
    for value in values {
        match value {
            Value::String(name) if !name.is_empty() && !names.contains(&name) => names.push(name),
            _ => return Err(wrong()),
        }
    }
    if names.is_empty() { Err(wrong()) } else { Ok(names) }
}

/// A label of the WHATWG Encoding Standard.
fn encoding(field: &Field<'_>) -> Result<&'static Encoding, ConfigError> {
    const EXPECTED: &str = "the name of an encoding";
    let label = field.text(EXPECTED, "\"windows-1252\"")?;
    Encoding::for_label(label.as_bytes()).ok_or_else(|| field.wrong(EXPECTED, "\"windows-1252\""))
}
