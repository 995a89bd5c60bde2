//! The document that says what an error rule looks for: `{"status": "5xx"}`, `{"status": 200, "body": "$.error"}`.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::field::Field;
use super::object::{Members, Object};
use super::{SettingsFault, keys};
use crate::connection::{ConfigError, Subject};
use crate::error_rule::{Action, BodyPattern, HeaderPattern, Pattern};

const STATUS_EXAMPLE: &str = "\"5xx\", \"400-499\" or [404, 410]";

impl Pattern {
    /// Reads the document, and refuses what could never hold.
    ///
    /// # Errors
    /// What is wrong with it, by its place in the document.
    pub fn parse(document: &str) -> Result<Pattern, ConfigError> {
        let Ok(Members(members)) = serde_json::from_str(document) else {
            return Err(nothing());
        };
        let given = Object::checked("match".into(), members, &keys::ERROR_MATCH)?;
        let header = given.get("header").map(|field| header(&field)).transpose()?;
        let pattern = Pattern {
            status: given.get("status").map_or(Ok(Vec::new()), |field| statuses(&field))?,
            header,
            body: given.get("body").map(|field| body(&field)).transpose()?,
            sqlstate: given
                .get("sqlstate")
                .map_or(Ok(Vec::new()), |field| sqlstates(&field))?,
        };
        let of_answers = !pattern.status.is_empty() || pattern.header.is_some() || pattern.body.is_some();
        match (of_answers, pattern.sqlstate.is_empty()) {
            (false, true) => Err(nothing()),
            (true, false) => Err(SettingsFault::NoEffect {
                subject: Subject::setting("match.sqlstate"),
                because: "An answer of the remote has no SQLSTATE, and what the database refuses is no answer.",
                instead: "Make a rule for each.",
            }
            .into()),
            _ => Ok(pattern),
        }
    }

    /// Refuses an action that has no meaning for what the rule looks for.
    ///
    /// # Errors
    /// Answers can be ignored and tokens renewed for them; errors of the database cannot.
    pub fn check(&self, action: Action) -> Result<(), ConfigError> {
        if !self.sqlstate.is_empty() && matches!(action, Action::Ignore | Action::RefreshTokenThenRetry) {
            return Err(ConfigError::WrongValue {
                subject: Subject::argument("action"),
                expected: "one that fits an SQLSTATE".into(),
                found: Some(format!("\"{}\" is about an answer of the remote.", action.as_str())),
                example: "action => 'retry_later'".into(),
            });
        }
        Ok(())
    }
}

fn nothing() -> ConfigError {
    ConfigError::WrongValue {
        subject: Subject::argument("match"),
        expected: "an object that says what to look for".into(),
        found: Some("It has status, header, body or sqlstate; all that are given must hold.".into()),
        example: "'{\"status\": 200, \"body\": \"$.error\"}'".into(),
    }
}

/// One value, or an array of them.
fn each(field: &Field<'_>) -> Vec<Value> {
    match field.value() {
        Value::Array(values) => values,
        value => vec![value],
    }
}

fn statuses(field: &Field<'_>) -> Result<Vec<RangeInclusive<u16>>, ConfigError> {
    let wrong = || field.wrong("a status, a range of them, or an array of these", STATUS_EXAMPLE);
    let all: Option<Vec<_>> = each(field).iter().map(status).collect();
    all.filter(|ranges| !ranges.is_empty()).ok_or_else(wrong)
}

fn status(value: &Value) -> Option<RangeInclusive<u16>> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    let range = match text.strip_suffix("xx") {
        Some(hundred) => {
            let first = hundred.parse::<u16>().ok().filter(|n| *n < 10)? * 100;
            first..=first + 99
        }
        None => match text.split_once('-') {
            Some((first, last)) => first.trim().parse().ok()?..=last.trim().parse().ok()?,
            None => {
                let one = text.parse().ok()?;
                one..=one
            }
        },
    };
    let is_status = |n: &u16| (100..=599).contains(n);
    (is_status(range.start()) && is_status(range.end()) && !range.is_empty()).then_some(range)
}

fn header(field: &Field<'_>) -> Result<HeaderPattern, ConfigError> {
    let part = field.object(&keys::ERROR_HEADER)?;
    let example = "{\"name\": \"X-Error\", \"value\": \"quota\"}";
    let name = part
        .get("name")
        .ok_or_else(|| field.wrong("an object with a name", example))?;
    let value = part
        .get("value")
        .map(|value| value.text("a text", "\"quota\""))
        .transpose()?;
    Ok(HeaderPattern {
        name: name.param("\"X-Error\"")?,
        value: value.map(|value| value.trim().to_owned()),
    })
}

fn body(field: &Field<'_>) -> Result<BodyPattern, ConfigError> {
    let (expected, example) = (
        "a path, or a logical expression of RFC 9535 on the answer $",
        "\"$.error.code == 'quota'\"",
    );
    let text = field.text(expected, example)?;
    BodyPattern::parse(&text).ok_or_else(|| field.wrong(expected, example))
}

fn sqlstates(field: &Field<'_>) -> Result<Vec<String>, ConfigError> {
    let wrong = || {
        field.wrong(
            "an SQLSTATE, a class of them, or an array of these",
            "[\"40001\", \"53\"]",
        )
    };
    let is_code =
        |text: &str| matches!(text.len(), 2 | 5) && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    let all: Option<Vec<String>> = each(field)
        .iter()
        .map(|value| value.as_str().filter(|text| is_code(text)).map(str::to_owned))
        .collect();
    all.filter(|codes| !codes.is_empty()).ok_or_else(wrong)
}
