//! The setting `cursor`: what a job asks for when it has read the collection before.

use std::time::Duration;

use super::columns::ColumnSetting;
use super::fault::SettingsFault;
use super::field::Field;
use super::object::Object;
use super::{DAY, keys, pagination, request};
use crate::connection::{ConfigError, Subject, names_a_credential};
use crate::cursor::{Cursor, CursorFormat, PLACEHOLDER};
use crate::data::path::SingularQuery;
use crate::pagination::{Pagination, ParamPlace, share_a_member};
use serde_json::Value;

/// What else a request carries, and what a record has.
pub(super) struct Beside<'a> {
    pub columns: Option<&'a [ColumnSetting]>,
    pub params: &'a [(String, String)],
    pub pagination: &'a Pagination,
    pub body: Option<&'a Value>,
    pub place: ParamPlace,
}

pub(super) fn read(field: Option<Field<'_>>, beside: &Beside<'_>) -> Result<Option<Cursor>, ConfigError> {
    let Some(field) = field else { return Ok(None) };
    let given = field.object(&keys::DATA_CURSOR)?;
    let format = format(&given)?;
    Ok(Some(Cursor {
        query: query(&given, beside.columns)?,
        param: param(&given, beside)?,
        template: given.get("template").map(|field| template(&field)).transpose()?,
        format,
        lookback: lookback(&given, format)?,
    }))
}

/// A column's name stands for the member that fills it; a path, which begins with `$`, for itself.
fn query(given: &Object<'_>, columns: Option<&[ColumnSetting]>) -> Result<SingularQuery, ConfigError> {
    let Some(field) = given.get("column") else {
        let because = "It says which value of a record tells when it was last changed.";
        return Err(needs("cursor.column", because));
    };
    let text = field.text("a column or a path", "\"updated_at\"")?;
    if text.starts_with('$') {
        return field.query();
    }
    let name = field.name()?;
    match columns.map(|columns| columns.iter().find(|column| column.name == name)) {
        None => Ok(SingularQuery::member(&name)),
        Some(Some(column)) => Ok(column.query.clone()),
        Some(None) => Err(field.wrong(
            "one of the columns that the setting columns declares, or a path",
            "\"$.updated_at\"",
        )),
    }
}

fn param(given: &Object<'_>, beside: &Beside<'_>) -> Result<String, ConfigError> {
    let Some(field) = given.get("param") else {
        let because = "It is the parameter by which the remote is asked for what changed since.";
        return Err(needs("cursor.param", because));
    };
    let name = field.param("\"updated_since\"")?;
    if names_a_credential(&name) {
        let holder = "parameter";
        return Err(SettingsFault::Credential { holder, name }.into());
    }
    if pagination::is_misplaced(beside.place, &name, beside.body) {
        let key = "cursor.param";
        return Err(SettingsFault::ParamPlace { key, name }.into());
    }
    match is_taken(&name, beside) {
        true => Err(field.wrong(
            "a parameter that neither params nor the pagination sets",
            "\"updated_since\"",
        )),
        false => Ok(name),
    }
}

/// A keyset goes on from the very value that the first page begins with.
fn is_taken(name: &str, beside: &Beside<'_>) -> bool {
    let is_keyset = matches!(beside.pagination, Pagination::Keyset { .. });
    let is_paging = match beside.place {
        ParamPlace::Query => request::taken_by(name, beside.pagination).is_some() && !is_keyset,
        ParamPlace::Body => {
            let mut paging = pagination::params_of(beside.pagination).into_iter();
            paging.any(|(_, param)| share_a_member(param, name) && !(is_keyset && param == name))
        }
    };
    is_paging || (beside.place == ParamPlace::Query && beside.params.iter().any(|(known, _)| known == name))
}

fn template(field: &Field<'_>) -> Result<String, ConfigError> {
    let (expected, example) = ("a text around {cursor}", "\"updated_at ge '{cursor}'\"");
    let text = field.text(expected, example)?;
    match text.contains(PLACEHOLDER) && !text.chars().any(char::is_control) {
        true => Ok(text),
        false => Err(field.wrong(expected, example)),
    }
}

fn format(given: &Object<'_>) -> Result<CursorFormat, ConfigError> {
    let words = [
        ("iso8601", CursorFormat::Iso8601),
        ("http_date", CursorFormat::HttpDate),
        ("epoch_s", CursorFormat::EpochS),
        ("epoch_ms", CursorFormat::EpochMs),
        ("epoch_us", CursorFormat::EpochUs),
        ("text", CursorFormat::Text),
    ];
    Ok(given.choice("format", &words, &[])?.unwrap_or(CursorFormat::Iso8601))
}

/// Whole seconds, so that what is behind a value's seconds stays as the remote wrote it.
fn lookback(given: &Object<'_>, format: CursorFormat) -> Result<Duration, ConfigError> {
    let Some(field) = given.get("lookback") else {
        return Ok(Duration::ZERO);
    };
    let lookback = field.interval(Duration::ZERO..=366 * DAY)?;
    if format == CursorFormat::Text && !lookback.is_zero() {
        return Err(SettingsFault::NoEffect {
            subject: Subject::setting("cursor.lookback"),
            because: "A value of format \"text\" is no time, and no interval can be taken from it.",
            instead: "Leave it out, or give the format of the values.",
        }
        .into());
    }
    Ok(Duration::from_secs(lookback.as_millis().div_ceil(1000) as u64))
}

fn needs(needs: &str, because: &'static str) -> ConfigError {
    SettingsFault::Needs {
        subject: Subject::setting("cursor"),
        needs: needs.to_owned(),
        because,
    }
    .into()
}
