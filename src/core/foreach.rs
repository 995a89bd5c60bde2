//! Collections below each row of a local query: `/orders/{id}/items` for every order.
//!
//! A path or a parameter's value is a [`Template`]; a [`Parent`] fills it. In a path a value is one segment or a part of
//! one, whatever it holds: it is percent-encoded, and what could still be read as more than that (a slash, a dot segment,
//! nothing at all) makes the parent unusable instead of leading elsewhere.

use crate::data::path::{SingularQuery, Step};
use crate::error::DataError;
use crate::job::JobFault;
use crate::url_policy::join::holds_hidden_separator;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The member of a record in which a parent's values stand, for the columns that take them.
const MEMBER: &str = "sluice:parent";

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

/// The names that a path, parameters and columns take from a parent.
pub fn wanted<'a>(
    path: &str,
    params: &[(String, String)],
    columns: impl Iterator<Item = &'a SingularQuery>,
) -> Result<Vec<String>, JobFault> {
    let mut names = Vec::new();
    for text in std::iter::once(path).chain(params.iter().map(|(_, value)| value.as_str())) {
        let template = Template::parse(text).ok_or_else(|| JobFault::Braces { text: text.to_owned() })?;
        names.extend(template.names().map(str::to_owned));
    }
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

    /// The array of a page's records, each with this parent's values. They stand last, so that nothing in the record
    /// takes their place.
    pub fn put_into(&self, records_text: &str) -> Result<String, DataError> {
        let records: Vec<&RawValue> =
            serde_json::from_str(records_text).map_err(|error| DataError::from_json(records_text, &error))?;
        let mut out = String::with_capacity(records_text.len() + records.len() * (self.text.len() + MEMBER.len() + 6));
        out.push('[');
        for (at, record) in records.into_iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            match record.get().strip_suffix('}') {
                Some(open) => {
                    let comma = if open.trim_end().ends_with('{') { "" } else { "," };
                    out.push_str(open);
                    out.push_str(&format!("{comma}\"{MEMBER}\":{}}}", self.text));
                }
                // No object: decoding says what is wrong with it.
                None => out.push_str(record.get()),
            }
        }
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
mod tests {
    use super::*;
    use proptest::prelude::*;
    use url::Url;

    fn parent(value: &str) -> Parent {
        Parent::parse(&serde_json::json!({ "id": value, "number": 7, "none": null }).to_string()).unwrap()
    }

    fn path(template: &str, value: &str) -> Result<String, Unusable> {
        Template::parse(template).unwrap().path(&parent(value))
    }

    #[test]
    fn values_stand_where_their_names_stood() {
        assert_eq!(path("/orders/{id}/items", "a b"), Ok("/orders/a%20b/items".into()));
        assert_eq!(path("/o/{number}-{id}", "x"), Ok("/o/7-x".into()));
        assert_eq!(
            path("/o/{id}", "größe?#%&"),
            Ok("/o/gr%C3%B6%C3%9Fe%3F%23%25%26".into())
        );
        let number = Template::parse("{number}").unwrap();
        assert_eq!(number.value(&parent("")), Ok("7".into()));
        assert_eq!(
            Template::parse("/a/{id}/{b}").unwrap().names().collect::<Vec<_>>(),
            ["id", "b"]
        );
    }

    #[test]
    fn what_would_be_more_or_less_than_a_segment_is_unusable() {
        for value in [
            "..", ".", "a/b", "../..", "a\\b", "%2f", "%2e%2e", "\n", "\u{0}", "%5C", "/",
        ] {
            assert!(path("/orders/{id}/items", value).is_err(), "{value:?}");
        }
        assert_eq!(path("/{id}", ""), Err(Unusable::Empty { name: "id".into() }));
        assert_eq!(path("/{none}", ""), Err(Unusable::Null { name: "none".into() }));
        assert_eq!(path("/.{id}", "."), Err(Unusable::Dots));
        assert_eq!(path("/{other}", ""), Err(Unusable::Null { name: "other".into() }));
    }

    #[test]
    fn a_brace_without_its_partner_is_no_template() {
        for text in ["{", "}", "a{b", "a}b", "{}", "{a{b}}", "{a/b}"] {
            assert!(Template::parse(text).is_none(), "{text}");
        }
        assert!(Template::parse("plain").unwrap().names().next().is_none());
    }

    #[test]
    fn a_parents_values_are_put_last_into_each_record() {
        let parent = Parent::parse(r#"{"id": 5}"#).unwrap();
        let put = |text: &str| parent.put_into(text).unwrap();
        assert_eq!(put("[]"), "[]");
        assert_eq!(
            put(r#"[{"a": 1}, { }, 7]"#),
            r#"[{"a": 1,"sluice:parent":{"id": 5}},{ "sluice:parent":{"id": 5}},7]"#
        );
        let hostile = put(r#"[{"sluice:parent": {"id": 6}, "a": "}"}]"#);
        let query = parent_query("id");
        let record = &hostile[1..hostile.len() - 1];
        assert_eq!(crate::data::pick(record, &[&query]).unwrap(), [Some("5")]);
        assert_eq!(parent_column(&query), Some("id"));
        assert!(parent.put_into("{").is_err());
    }

    proptest! {
        /// The crate `url` is the judge: one value is one segment, and the remote reads it as it was.
        #[test]
        fn a_value_is_one_segment_or_unusable(value in "\\PC{0,12}|[./%2fFeE\\\\?#&;:@ \\n]{0,8}") {
            if let Ok(path) = path("/orders/{id}/items", &value) {
                let base = Url::parse("https://api.example/v1").unwrap();
                let url = crate::url_policy::join::join(&base, &path).unwrap();
                let segments: Vec<&str> = url.path_segments().unwrap().collect();
                prop_assert_eq!(segments.len(), 4);
                let read = percent_decoded(segments[2]);
                prop_assert_eq!(read, value);
                prop_assert_eq!(url.query(), None);
                prop_assert_eq!(url.fragment(), None);
            }
        }
    }

    fn percent_decoded(text: &str) -> String {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            match (first, after.get(..2)) {
                (b'%', Some(code)) => {
                    bytes.push(u8::from_str_radix(std::str::from_utf8(code).unwrap(), 16).unwrap());
                    rest = &after[2..];
                }
                _ => {
                    bytes.push(*first);
                    rest = after;
                }
            }
        }
        String::from_utf8(bytes).unwrap()
    }
}
