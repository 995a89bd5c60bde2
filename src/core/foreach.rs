//! Collections below each row of a local query: `/orders/{id}/items` for every order.
//!
//! A path or a parameter's value is a [`Template`]; a [`Parent`] fills it. In a path a value is one segment or a part of
//! one, whatever it holds: it is percent-encoded, and what could still be read as more than that (a slash, a dot segment,
//! nothing at all) makes the parent unusable instead of leading elsewhere. In a body a member's value is one of a parent's
//! values or none of our business: braces in other texts are theirs.

use crate::data::each_record;
use crate::data::path::{SingularQuery, Step};
use crate::error::DataError;
use crate::job::JobFault;
use crate::url_policy::join::holds_hidden_separator;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The member of a record in which a parent's values stand, for the columns that take them.
const MEMBER: &str = "sluice:parent";

/// A page's records with the values of their parent may be so long: a short record becomes longer by all of them.
const MOST_TEXT: usize = if cfg!(test) { 1 << 20 } else { 1 << 28 };

/// The setting `foreach`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreach {
    /// One SELECT; each of its rows is a parent.
    pub query: String,
    pub absent: Absent,
    /// How long the query may take.
    pub timeout: std::time::Duration,
}

/// What 404 or 410 for a parent's first page means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// The parent has failed: what it had stays, the others go on.
    Skip,
    /// It has no children.
    Empty,
    /// The run fails.
    Fail,
}

/// What became of a parent in a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParentState {
    Pending,
    /// Some of its pages are committed.
    Reading,
    Done,
    /// It could not be read; what it had before stays.
    Failed,
}

impl ParentState {
    pub fn as_str(self) -> &'static str {
        match self {
            ParentState::Pending => "pending",
            ParentState::Reading => "reading",
            ParentState::Done => "done",
            ParentState::Failed => "failed",
        }
    }

    pub fn parse(word: &str) -> Option<ParentState> {
        let all = [
            ParentState::Pending,
            ParentState::Reading,
            ParentState::Done,
            ParentState::Failed,
        ];
        all.into_iter().find(|state| state.as_str() == word)
    }
}

/// A text with `{name}` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(String),
}

impl Template {
    /// None where a brace has no partner, or stands around something that is no name.
    pub fn parse(text: &str) -> Option<Template> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, braced) = rest.split_at(at);
            let (name, after) = braced.strip_prefix('{')?.split_once('}')?;
            let is_name = !name.is_empty() && !name.contains(|c: char| c == '{' || c.is_control() || c == '/');
            if !is_name {
                return None;
            }
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Value(name.to_owned()));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Some(Template { parts })
    }

    /// The names in it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The path with a parent's values as parts of its segments.
    pub fn path(&self, parent: &Parent) -> Result<String, Unusable> {
        let filled = self.fill(parent, |name, value| match value.is_empty() {
            true => Err(Unusable::Empty { name: name.to_owned() }),
            false => Ok(encoded(value)),
        })?;
        match filled.split('/').any(|segment| segment == "." || segment == "..") {
            true => Err(Unusable::Dots),
            false if holds_hidden_separator(&filled) => Err(Unusable::Slash),
            false => Ok(filled),
        }
    }

    /// A parameter's value.
    pub fn value(&self, parent: &Parent) -> Result<String, Unusable> {
        self.fill(parent, |_, value| Ok(value.to_owned()))
    }

    fn fill(
        &self,
        parent: &Parent,
        written: impl Fn(&str, &str) -> Result<String, Unusable>,
    ) -> Result<String, Unusable> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Value(name) => {
                    let value = parent
                        .value(name)
                        .ok_or_else(|| Unusable::Null { name: name.clone() })?;
                    text.push_str(&written(name, &value)?);
                }
            }
        }
        Ok(text)
    }
}

/// Everything but the unreserved characters of RFC 3986.
fn encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' | b'.' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// What is wrong with a query of parents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryFault {
    #[error("is not one SELECT statement")]
    NotOneSelect,
    #[error("locks or changes rows")]
    Changes,
    #[error("has no column \"{name}\"")]
    NoColumn { name: String, columns: Vec<String> },
}

/// Where a parent's values go in a request.
#[derive(Debug, Clone)]
pub struct Places {
    path: Template,
    params: Vec<(String, Template)>,
    body: Option<Value>,
}

/// What a request below one parent carries.
#[derive(Debug, Clone, PartialEq)]
pub struct Filled {
    pub path: String,
    pub params: Vec<(String, String)>,
    pub body: Option<Value>,
}

impl Places {
    pub fn of(path: &str, params: &[(String, String)], body: Option<&Value>) -> Result<Places, JobFault> {
        let parse = |text: &str| Template::parse(text).ok_or_else(|| JobFault::Braces { text: text.to_owned() });
        let params = params.iter().map(|(name, value)| Ok((name.clone(), parse(value)?)));
        Ok(Places {
            path: parse(path)?,
            params: params.collect::<Result<_, JobFault>>()?,
            body: body.cloned(),
        })
    }

    pub fn fill(&self, parent: &Parent) -> Result<Filled, Unusable> {
        let params = self.params.iter();
        let params = params.map(|(name, value)| Ok((name.clone(), value.value(parent)?)));
        Ok(Filled {
            path: self.path.path(parent)?,
            params: params.collect::<Result<_, Unusable>>()?,
            body: self.body.as_ref().map(|body| filled(body, parent)).transpose()?,
        })
    }

    /// The names in them.
    fn names(&self) -> Vec<String> {
        let templates = std::iter::once(&self.path).chain(self.params.iter().map(|(_, value)| value));
        let mut names: Vec<String> = templates.flat_map(Template::names).map(str::to_owned).collect();
        if let Some(body) = &self.body {
            names_in(body, &mut names);
        }
        names
    }
}

/// The name that a text of a body consists of: `{name}` and nothing else.
fn whole_name(text: &str) -> Option<&str> {
    let name = text.strip_prefix('{')?.strip_suffix('}')?;
    let is_name =
        !name.is_empty() && name.trim() == name && !name.contains(|c: char| "{}/\"".contains(c) || c.is_control());
    is_name.then_some(name)
}

fn names_in(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::String(text) => names.extend(whole_name(text).map(str::to_owned)),
        Value::Array(items) => items.iter().for_each(|item| names_in(item, names)),
        Value::Object(members) => members.values().for_each(|member| names_in(member, names)),
        _ => {}
    }
}

/// A body with a parent's values: each keeps its kind, so that a number is a number.
fn filled(value: &Value, parent: &Parent) -> Result<Value, Unusable> {
    Ok(match value {
        Value::String(text) => match whole_name(text) {
            Some(name) => parent.json(name)?,
            None => value.clone(),
        },
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| filled(item, parent))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(key, member)| Ok((key.clone(), filled(member, parent)?)));
            Value::Object(members.collect::<Result<_, Unusable>>()?)
        }
        other => other.clone(),
    })
}

/// The names that a job's requests and columns take from a parent.
pub fn wanted<'a>(
    path: &str,
    params: &[(String, String)],
    body: Option<&Value>,
    columns: impl Iterator<Item = &'a SingularQuery>,
) -> Result<Vec<String>, JobFault> {
    let mut names = Places::of(path, params, body)?.names();
    if names.is_empty() {
        return Err(JobFault::NoPlace);
    }
    names.extend(columns.filter_map(parent_column).map(str::to_owned));
    Ok(names)
}

/// Checks that a query's columns give every name that `wanted` asks for.
pub fn covers(columns: &[String], mut wanted: impl Iterator<Item = String>) -> Result<(), QueryFault> {
    match wanted.find(|name| !columns.contains(name)) {
        Some(name) => Err(QueryFault::NoColumn {
            name,
            columns: columns.to_vec(),
        }),
        None => Ok(()),
    }
}

/// Why a parent cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("the value of \"{name}\" is NULL")]
    Null { name: String },
    #[error("the value of \"{name}\" is empty")]
    Empty { name: String },
    #[error("a value makes a segment of the path a dot segment")]
    Dots,
    #[error("a value holds a slash, a backslash or a control character")]
    Slash,
}

/// A row of the query: its columns and their values as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// The row as one JSON object.
    pub text: String,
    values: BTreeMap<String, String>,
}

impl Parent {
    /// None where the text is no object.
    pub fn parse(text: &str) -> Option<Parent> {
        #[derive(Deserialize)]
        struct Row<'a>(#[serde(borrow)] BTreeMap<String, &'a RawValue>);
        let Row(row) = serde_json::from_str(text).ok()?;
        let values = row.into_iter().map(|(name, raw)| (name, raw.get().to_owned()));
        Some(Parent {
            text: text.to_owned(),
            values: values.collect(),
        })
    }

    /// What makes two parents the same one.
    pub fn identity(&self) -> [u8; 32] {
        blake3::hash(self.text.as_bytes()).into()
    }

    /// A column's value as text; None for NULL and for a column that is not there.
    fn value(&self, name: &str) -> Option<String> {
        let raw = self.values.get(name)?;
        match raw.as_bytes().first() {
            Some(b'n') => None,
            Some(b'"') => serde_json::from_str(raw).ok(),
            _ => Some(raw.clone()),
        }
    }

    /// A column's value as it stands in a body.
    fn json(&self, name: &str) -> Result<Value, Unusable> {
        let raw = self.values.get(name);
        let value = raw.and_then(|raw| serde_json::from_str(raw).ok());
        value
            .filter(|value: &Value| !value.is_null())
            .ok_or_else(|| Unusable::Null { name: name.to_owned() })
    }

    /// The array of a page's records, each with this parent's values. They stand last, so that nothing in the record
    /// takes their place.
    pub fn put_into(&self, records_text: &str) -> Result<String, DataError> {
        let mut out = String::with_capacity(records_text.len());
        out.push('[');
        each_record(records_text, |record| {
            if out.len() > 1 {
                out.push(',');
            }
            match record.strip_suffix('}') {
                Some(open) => {
                    let comma = if open.trim_end().ends_with('{') { "" } else { "," };
                    out.push_str(open);
                    out.push_str(&format!("{comma}\"{MEMBER}\":{}}}", self.text));
                }
                // No object: decoding says what is wrong with it.
                None => out.push_str(record),
            }
            match out.len() > MOST_TEXT {
                true => Err(DataError::TooLarge {
                    what: "the page with its parent's values",
                    limit: MOST_TEXT,
                }),
                false => Ok(()),
            }
        })?;
        out.push(']');
        Ok(out)
    }
}

/// Where a column that takes a parent's value finds it.
pub fn parent_query(name: &str) -> SingularQuery {
    SingularQuery {
        steps: vec![Step::Member(MEMBER.to_owned()), Step::Member(name.to_owned())],
    }
}

/// The parent's column that a column takes; None where it takes something of the record.
pub fn parent_column(query: &SingularQuery) -> Option<&str> {
    match query.steps.as_slice() {
        [Step::Member(member), Step::Member(name)] if member == MEMBER => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
