//! The settings `method`, `body`, `params` and `headers`: what each request is, and what it carries besides what
//! connection and pagination add.

use serde_json::Value;

use super::fault::SettingsFault;
use super::field::Field;
use super::object::Object;
use crate::connection::{ConfigError, Subject, is_reserved_header, is_token, names_a_credential};
use crate::http::Method;
use crate::pagination::{Pagination, ParamPlace};

/// The method, and what is sent with it.
pub(super) struct Sent {
    pub method: Method,
    pub body: Option<Value>,
}

/// Reads method and body. An answer to HEAD would hold no records, whatever the connection allows.
pub(super) fn sent(given: &Object<'_>) -> Result<Sent, ConfigError> {
    let field = given.get("method");
    if let Some(field) = field.as_ref().filter(|field| field.value() == "HEAD") {
        return Err(field.wrong("GET or POST, since an answer to HEAD holds no records", "\"POST\""));
    }
    let words = [("GET", Method::Get), ("POST", Method::Post)];
    let method = field.map_or(Ok(Method::Get), |field| field.choice(&words, &[]))?;
    let body = given.get("body");
    if let Some(field) = body.as_ref().filter(|_| method != Method::Post) {
        return Err(SettingsFault::Needs {
            subject: field.subject(),
            needs: "method".to_owned(),
            because: "Only a request with \"method\": \"POST\" has a body.",
        }
        .into());
    }
    let body = body.map(|field| field.value());
    Ok(Sent { method, body })
}

/// Reads the query parameters, in the order of the text. Numbers keep their digits.
pub(super) fn params(
    field: Option<Field<'_>>,
    pagination: &Pagination,
    place: ParamPlace,
) -> Result<Vec<(String, String)>, ConfigError> {
    let Some(field) = field else { return Ok(Vec::new()) };
    let mut params = Vec::new();
    for (name, member) in field.members("{\"status\": \"active\"}")? {
        if let Some(by) = taken_by(&name, pagination).filter(|_| place == ParamPlace::Query) {
            return Err(SettingsFault::ParamTaken { name, by }.into());
        }
        if names_a_credential(&name) {
            return Err(SettingsFault::Credential {
                holder: "parameter",
                name,
            }
            .into());
        }
        let value = scalar(&member)?;
        push_once(&mut params, name, value, &member)?;
    }
    Ok(params)
}

/// Reads the request headers. Names are tokens of RFC 9110, values are visible ASCII, blanks and tabs.
pub(super) fn headers(field: Option<Field<'_>>) -> Result<Vec<(String, String)>, ConfigError> {
    let Some(field) = field else { return Ok(Vec::new()) };
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, member) in field.members("{\"Accept-Language\": \"en\"}")? {
        if is_reserved_header(&name) {
            return Err(SettingsFault::ReservedHeader { name }.into());
        }
        if names_a_credential(&name) {
            return Err(SettingsFault::Credential { holder: "header", name }.into());
        }
        if !is_token(&name) {
            return Err(wrong_header(
                &member,
                "the name of a header (letters, digits and hyphens)",
            ));
        }
        let value = scalar(&member)?;
        if !value.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b)) {
            return Err(wrong_header(&member, "a header's value in visible ASCII, on one line"));
        }
        push_once(&mut headers, name, value, &member)?;
    }
    Ok(headers)
}

fn push_once(
    list: &mut Vec<(String, String)>,
    name: String,
    value: String,
    member: &Field<'_>,
) -> Result<(), ConfigError> {
    if list.iter().any(|(known, _)| *known == name) {
        return Err(SettingsFault::Twice {
            path: member.path.clone(),
        }
        .into());
    }
    list.push((name, value));
    Ok(())
}

/// A text, number or boolean as text. What was found instead is not shown: it may be a credential.
fn scalar(member: &Field<'_>) -> Result<String, ConfigError> {
    match member.value() {
        Value::String(text) => Ok(text),
        Value::Number(_) | Value::Bool(_) => Ok(member.raw.get().to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(ConfigError::WrongValue {
            subject: Subject::setting(&member.path),
            expected: "a text, a number or a boolean".to_owned(),
            found: None,
            example: "\"params\": {\"status\": \"active\", \"limit\": 100}".to_owned(),
        }),
    }
}

fn wrong_header(member: &Field<'_>, expected: &str) -> ConfigError {
    ConfigError::WrongValue {
        subject: Subject::setting(&member.path),
        expected: expected.to_owned(),
        found: None,
        example: "\"headers\": {\"Accept-Language\": \"en\"}".to_owned(),
    }
}

/// The pagination's setting that sets a parameter of this name.
pub(super) fn taken_by(name: &str, pagination: &Pagination) -> Option<&'static str> {
    let is = |param: &Option<String>| param.as_deref() == Some(name);
    match pagination {
        Pagination::Page { param, .. } if param == name => Some("pagination.param"),
        Pagination::Page { size_param, .. } if is(size_param) => Some("pagination.size_param"),
        Pagination::Offset { param, .. } if param == name => Some("pagination.param"),
        Pagination::Offset { limit_param, .. } if is(limit_param) => Some("pagination.limit_param"),
        Pagination::Cursor { param, .. } | Pagination::Keyset { param, .. } if param == name => {
            Some("pagination.param")
        }
        Pagination::NextUrl { param, .. } if is(param) => Some("pagination.param"),
        _ => None,
    }
}
