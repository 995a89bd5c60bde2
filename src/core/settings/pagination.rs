//! The setting `pagination`: how the collection is paged, and where it ends.

use serde_json::Value;

use super::fault::SettingsFault;
use super::keys;
use super::reader::{Field, Object};
use crate::connection::{ConfigError, Subject, is_token};
use crate::pagination::{Pagination, Source, Stop};

const EXAMPLE: &str = "{\"type\": \"page\", \"param\": \"page\", \"size_param\": \"per_page\"}";
const LATER_TYPES: [&str; 3] = ["cursor", "next_url", "keyset"];

#[derive(Debug, Clone, Copy)]
enum Kind {
    None,
    Page,
    Offset,
    LinkHeader,
}

/// Reads the pagination, and whether `page_size` has a meaning beside it. Without the setting: one request.
pub(super) fn read(field: Option<Field<'_>>, page_size: Option<u64>) -> Result<Pagination, ConfigError> {
    let pagination = match field {
        Some(field) => read_object(&field)?,
        None => Pagination::None,
    };
    check_page_size(&pagination, page_size)?;
    check_stop(&pagination, page_size)?;
    Ok(pagination)
}

fn read_object(field: &Field<'_>) -> Result<Pagination, ConfigError> {
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
                total: total(&given)?,
                stop: stop(&given)?,
            }
        }
        Kind::Offset => {
            let given = field.object(&keys::OFFSET)?;
            Pagination::Offset {
                param: param(&given, "param")?.unwrap_or_else(|| "offset".to_owned()),
                limit_param: param(&given, "limit_param")?,
                total: total(&given)?,
                stop: stop(&given)?,
            }
        }
    })
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
    ];
    kind.choice(&words, &LATER_TYPES)
}

/// The name of a query parameter.
fn param(given: &Object<'_>, key: &str) -> Result<Option<String>, ConfigError> {
    let Some(field) = given.get(key) else { return Ok(None) };
    match field.value() {
        Value::String(name) if !name.is_empty() && !name.chars().any(|c| c.is_control() || c.is_whitespace()) => {
            Ok(Some(name))
        }
        _ => Err(field.wrong("the name of a parameter", "\"page\"")),
    }
}

/// `header:Name`, or a path into the body.
fn total(given: &Object<'_>) -> Result<Option<Source>, ConfigError> {
    let Some(field) = given.get("total") else {
        return Ok(None);
    };
    let text = field.text("a path into the body, or header:Name", "\"header:X-Total-Count\"")?;
    match text.strip_prefix("header:") {
        Some(name) if is_token(name.trim()) => Ok(Some(Source::Header(name.trim().to_owned()))),
        Some(_) => Err(field.wrong("a path into the body, or header:Name", "\"header:X-Total-Count\"")),
        None => Ok(Some(Source::Body(field.query()?))),
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
        Pagination::None | Pagination::LinkHeader if page_size.is_some() => {
            return Err(SettingsFault::NoEffect {
                subject: Subject::setting("page_size"),
                because: "Pagination of type \"none\" and \"link_header\" has no parameter for it.",
                instead: "Give the size as a parameter, for example: \"params\": {\"per_page\": 100}",
            }
            .into());
        }
        Pagination::None | Pagination::LinkHeader => return Ok(()),
        Pagination::Page { size_param, .. } => (size_param, "pagination.size_param"),
        Pagination::Offset { limit_param, .. } => (limit_param, "pagination.limit_param"),
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

fn check_stop(pagination: &Pagination, page_size: Option<u64>) -> Result<(), ConfigError> {
    let (Pagination::Page { stop, total, .. } | Pagination::Offset { stop, total, .. }) = pagination else {
        return Ok(());
    };
    match stop {
        Stop::Short if page_size.is_none() => Err(needs(
            "pagination.stop",
            "page_size",
            "A page is short only compared with the size that was asked for.",
        )),
        Stop::Total if total.is_none() => Err(needs(
            "pagination.stop",
            "pagination.total",
            "The end by total needs to know where the total is.",
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
