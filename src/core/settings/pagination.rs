//! The setting `pagination`: how the collection is paged, and where it ends.

use serde_json::Value;

use super::columns::ColumnSetting;
use super::fault::SettingsFault;
use super::field::Field;
use super::keys;
use super::object::Object;
use super::request::Sent;
use crate::connection::{ConfigError, Subject, is_token};
use crate::data::path::{SingularQuery, Step};
use crate::foreach::parent_column;
use crate::pagination::{Pagination, ParamPlace, Source, Stop, Totals, can_hold};

const EXAMPLE: &str = "{\"type\": \"page\", \"param\": \"page\", \"size_param\": \"per_page\"}";

#[derive(Debug, Clone, Copy)]
enum Kind {
    None,
    Page,
    Offset,
    LinkHeader,
    Cursor,
    NextUrl,
    Keyset,
}

/// Where records and their columns are found.
pub(super) struct Places<'a> {
    pub records: &'a SingularQuery,
    pub columns: Option<&'a [ColumnSetting]>,
}

/// Where the pages' parameters go: as `param_in` says, else into the body where that is an object.
pub(super) fn param_place(
    field: Option<&Field<'_>>,
    pagination: &Pagination,
    sent: &Sent,
) -> Result<ParamPlace, ConfigError> {
    let members = field
        .map(|field| field.members(EXAMPLE))
        .transpose()?
        .unwrap_or_default();
    let given = members.into_iter().find(|(key, _)| key == "param_in");
    let is_object = sent.body.as_ref().is_some_and(Value::is_object);
    let words = [("query", ParamPlace::Query), ("body", ParamPlace::Body)];
    let place = match given.filter(|(_, field)| field.raw.get() != "null") {
        Some((_, field)) => field.choice(&words, &[])?,
        None if is_object => ParamPlace::Body,
        None => ParamPlace::Query,
    };
    if place == ParamPlace::Body && !is_object {
        let because = "Parameters become members of the body, so that must be an object; it may be empty.";
        return Err(needs("pagination.param_in", "body", because));
    }
    let (body, names) = (sent.body.as_ref(), params_of(pagination));
    match names.into_iter().find(|(_, name)| is_misplaced(place, name, body)) {
        Some((key, name)) => Err(SettingsFault::ParamPlace {
            key,
            name: name.to_owned(),
        }
        .into()),
        None => Ok(place),
    }
}

/// Whether the parameter cannot go there: a query has names and no paths, and in the body objects must lead to it.
pub(super) fn is_misplaced(place: ParamPlace, name: &str, body: Option<&Value>) -> bool {
    match place {
        ParamPlace::Query => name.starts_with('$') && body.is_some(),
        ParamPlace::Body => !body.is_some_and(|body| can_hold(body, name)),
    }
}

/// The parameters that the pages set, with the keys that name them.
pub(super) fn params_of(pagination: &Pagination) -> Vec<(&'static str, &str)> {
    let (param, size) = match pagination {
        Pagination::Page { param, size_param, .. } => {
            (param, size_param.as_ref().map(|name| ("pagination.size_param", name)))
        }
        Pagination::Offset { param, limit_param, .. } => {
            (param, limit_param.as_ref().map(|name| ("pagination.limit_param", name)))
        }
        Pagination::Cursor { param, .. } | Pagination::Keyset { param, .. } => (param, None),
        Pagination::None | Pagination::LinkHeader | Pagination::NextUrl { .. } => return Vec::new(),
    };
    let size = size.map(|(key, name)| (key, name.as_str()));
    [("pagination.param", param.as_str())].into_iter().chain(size).collect()
}

/// Reads the pagination, and whether `page_size` has a meaning beside it. Without the setting: one request.
pub(super) fn read(
    field: Option<&Field<'_>>,
    page_size: Option<u64>,
    places: &Places<'_>,
) -> Result<Pagination, ConfigError> {
    let pagination = match field {
        Some(field) => read_object(field, places)?,
        None => Pagination::None,
    };
    check_page_size(&pagination, page_size)?;
    check_stop(&pagination)?;
    Ok(pagination)
}

fn read_object(field: &Field<'_>, places: &Places<'_>) -> Result<Pagination, ConfigError> {
    Ok(match kind(field)? {
        Kind::None => {
            field.object(&keys::NO_PAGINATION)?;
            Pagination::None
        }
        Kind::LinkHeader => {
            field.object(&keys::NO_PAGINATION)?;
            Pagination::LinkHeader
        }
        Kind::Page => {
            let given = field.object(&keys::PAGE)?;
            Pagination::Page {
                param: param(&given, "param")?.unwrap_or_else(|| "page".to_owned()),
                start: given
                    .get("start")
                    .map_or(Ok(1), |field| field.whole(0..=1_000_000_000))?,
                size_param: param(&given, "size_param")?,
                totals: totals(&given)?,
                stop: stop(&given)?,
            }
        }
        Kind::Offset => {
            let given = field.object(&keys::OFFSET)?;
            Pagination::Offset {
                param: param(&given, "param")?.unwrap_or_else(|| "offset".to_owned()),
                limit_param: param(&given, "limit_param")?,
                totals: totals(&given)?,
                stop: stop(&given)?,
            }
        }
        Kind::Cursor => {
            let given = field.object(&keys::CURSOR)?;
            Pagination::Cursor {
                param: param(&given, "param")?.unwrap_or_else(|| "cursor".to_owned()),
                next: next(&given)?,
                totals: totals(&given)?,
            }
        }
        Kind::NextUrl => {
            let given = field.object(&keys::NEXT_URL)?;
            Pagination::NextUrl {
                next: next(&given)?,
                param: param(&given, "param")?,
                totals: totals(&given)?,
            }
        }
        Kind::Keyset => {
            let given = field.object(&keys::KEYSET)?;
            let (column, last) = last_key(&given, places)?;
            Pagination::Keyset {
                param: param(&given, "param")?.ok_or_else(|| {
                    let because = "It takes the last record's key to the next request.";
                    needs("pagination.type", "pagination.param", because)
                })?,
                column,
                last,
            }
        }
    })
}

/// The column, and where the last record of a page has its value.
fn last_key(given: &Object<'_>, places: &Places<'_>) -> Result<(String, Source), ConfigError> {
    let Some(field) = given.get("column") else {
        let because = "Each page begins behind the value that the last record has in it.";
        return Err(needs("pagination.type", "pagination.column", because));
    };
    let name = field.name()?;
    let declared = places
        .columns
        .map(|columns| columns.iter().find(|column| column.name == name));
    let within = match declared {
        None => SingularQuery::member(&name),
        Some(Some(column)) if parent_column(&column.query).is_some() => {
            return Err(field.wrong("a column that a record fills, not its parent", "\"id\""));
        }
        Some(Some(column)) => column.query.clone(),
        Some(None) => return Err(field.wrong("one of the columns that the setting columns declares", "\"id\"")),
    };
    let last = places.records.steps.iter().cloned().chain([Step::Element(-1)]);
    let steps = last.chain(within.steps).collect();
    Ok((name, Source::Body(SingularQuery { steps })))
}

/// The type decides which other keys there are, so it is read first.
fn kind(field: &Field<'_>) -> Result<Kind, ConfigError> {
    let members = field.members(EXAMPLE)?;
    let Some((_, kind)) = members.into_iter().find(|(key, _)| key == "type") else {
        let because = "The other settings of the pagination depend on its type.";
        let needs = "pagination.type".to_owned();
        return Err(SettingsFault::Needs {
            subject: field.subject(),
            needs,
            because,
        }
        .into());
    };
    let words = [
        ("none", Kind::None),
        ("page", Kind::Page),
        ("offset", Kind::Offset),
        ("link_header", Kind::LinkHeader),
        ("cursor", Kind::Cursor),
        ("next_url", Kind::NextUrl),
        ("keyset", Kind::Keyset),
    ];
    kind.choice(&words, &[])
}

/// The name of a query parameter.
fn param(given: &Object<'_>, key: &str) -> Result<Option<String>, ConfigError> {
    given.get(key).map(|field| field.param("\"page\"")).transpose()
}

fn totals(given: &Object<'_>) -> Result<Totals, ConfigError> {
    let of = |key, example| given.get(key).map(|field| source(&field, example)).transpose();
    Ok(Totals {
        records: of("total", "\"header:X-Total-Count\"")?,
        pages: of("total_pages", "\"$.meta.total_pages\"")?,
    })
}

fn next(given: &Object<'_>) -> Result<Source, ConfigError> {
    match given.get("next") {
        Some(field) => source(&field, "\"$.meta.next\""),
        None => Err(needs(
            "pagination.type",
            "pagination.next",
            "It says where a response names the next page.",
        )),
    }
}

/// `header:Name`, or a path into the body.
fn source(field: &Field<'_>, example: &str) -> Result<Source, ConfigError> {
    const EXPECTED: &str = "a path into the body, or header:Name";
    let text = field.text(EXPECTED, example)?;
    match text.strip_prefix("header:") {
        Some(name) if is_token(name.trim()) => Ok(Source::Header(name.trim().to_owned())),
        Some(_) => Err(field.wrong(EXPECTED, example)),
        None => Ok(Source::Body(field.query()?)),
    }
}

fn stop(given: &Object<'_>) -> Result<Stop, ConfigError> {
    let words = [
        ("empty", Stop::Empty),
        ("short", Stop::Short),
        ("not_found", Stop::NotFound),
        ("total", Stop::Total),
    ];
    Ok(given.choice("stop", &words, &[])?.unwrap_or(Stop::Empty))
}

fn check_page_size(pagination: &Pagination, page_size: Option<u64>) -> Result<(), ConfigError> {
    let (size_param, key) = match pagination {
        Pagination::Page { size_param, .. } => (size_param, "pagination.size_param"),
        Pagination::Offset { limit_param, .. } => (limit_param, "pagination.limit_param"),
        _ if page_size.is_some() => {
            return Err(SettingsFault::NoEffect {
                subject: Subject::setting("page_size"),
                because: "Only pagination of type \"page\" and \"offset\" has a parameter for it.",
                instead: "Give the size as a parameter, for example: \"params\": {\"per_page\": 100}",
            }
            .into());
        }
        _ => return Ok(()),
    };
    match (size_param, page_size) {
        (Some(_), None) => Err(needs(
            key,
            "page_size",
            "The parameter has no value without a page size.",
        )),
        _ => Ok(()),
    }
}

fn check_stop(pagination: &Pagination) -> Result<(), ConfigError> {
    let is_declared = pagination.total().is_some() || pagination.total_pages().is_some();
    match pagination.stop() {
        Some(Stop::Total) if !is_declared => Err(needs(
            "pagination.stop",
            "pagination.total",
            "The end by total needs to know where the total, or total_pages, is.",
        )),
        _ => Ok(()),
    }
}

fn needs(setting: &str, needs: &str, because: &'static str) -> ConfigError {
    SettingsFault::Needs {
        subject: Subject::setting(setting),
        needs: needs.to_owned(),
        because,
    }
    .into()
}
