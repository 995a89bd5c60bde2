//! The array of records in what an operation answers, and what stands beside it.

use super::document::Document;
use super::fault::OpenApiFault;
use super::schema::{Kind, Property, column_type, kind, properties};
use crate::data::SingularQuery;
use crate::data::path::Step;
use crate::discover::word;
use serde_json::{Map, Value};

/// Objects around an array of records that are looked into, by the names that they go by.
const ENVELOPES: [&str; 16] = [
    "data",
    "meta",
    "metadata",
    "links",
    "embedded",
    "paging",
    "pagination",
    "page",
    "result",
    "response",
    "cursors",
    "next",
    "hits",
    "info",
    "pageinfo",
    "responsemetadata",
];
const DEPTH: usize = 3;

/// A list that an operation answers with.
#[derive(Debug)]
pub(super) struct Listing {
    /// None: the whole answer.
    pub records: Option<String>,
    pub format: Option<&'static str>,
    pub columns: Vec<PlannedColumn>,
    pub key: Vec<String>,
    /// What stands beside the array.
    pub beside: Vec<Beside>,
    pub has_link_header: bool,
    pub evidence: String,
    pub doubt: Option<String>,
}

#[derive(Debug)]
pub(super) struct PlannedColumn {
    pub name: String,
    pub path: String,
    pub ty: &'static str,
}

/// A value beside the records.
#[derive(Debug)]
pub(super) struct Beside {
    pub path: String,
    pub name: String,
    pub word: String,
    pub parent: String,
    /// Whether it is said to be an address.
    pub is_address: bool,
    pub is_integer: bool,
}

/// An array of objects, and the schema of its elements.
struct Found<'d> {
    path: Vec<Step>,
    items: &'d Value,
}

/// The list that a GET answers with; None where it answers with something else.
pub(super) fn find<'d>(document: &Document<'d>, get: &'d Map<String, Value>) -> Result<Option<Listing>, OpenApiFault> {
    let Some((response, schema, format)) = answer(document, get)? else {
        return Ok(None);
    };
    let mut search = Search {
        document,
        found: Vec::new(),
        beside: Vec::new(),
    };
    match format {
        // A schema of lines is one of a line.
        Some(_) if !matches!(kind(document, schema)?, Kind::Array(_)) => search.found.push(Found {
            path: Vec::new(),
            items: schema,
        }),
        _ => search.walk(schema, &mut Vec::new())?,
    }
    let Some((found, doubt)) = choose(search.found) else {
        return Ok(None);
    };
    let properties = properties(document, found.items)?;
    let path = SingularQuery { steps: found.path };
    let headers = response.get("headers").and_then(Value::as_object);
    Ok(Some(Listing {
        records: (!path.steps.is_empty() && format.is_none()).then(|| path.to_string()),
        format,
        columns: columns(document, &properties)?,
        key: key(&properties),
        beside: search.beside,
        has_link_header: headers.is_some_and(|headers| headers.keys().any(|name| name.eq_ignore_ascii_case("link"))),
        evidence: format!("an array of objects at {path}"),
        doubt,
    }))
}

type Answer<'d> = (&'d Value, &'d Value, Option<&'static str>);

/// The answer of a good request: the response, its schema, and its format where that is not JSON.
fn answer<'d>(document: &Document<'d>, get: &'d Map<String, Value>) -> Result<Option<Answer<'d>>, OpenApiFault> {
    let responses = get.get("responses");
    let good = ["200", "2XX", "2xx", "default"];
    let Some(response) = good.iter().find_map(|status| responses?.get(status)) else {
        return Ok(None);
    };
    let response = document.resolve(response)?;
    if let Some(schema) = response.get("schema") {
        return Ok(Some((response, document.resolve(schema)?, None)));
    }
    let content = response.get("content").and_then(Value::as_object);
    let mut media: Vec<(u8, Option<&'static str>, &Value)> = content
        .into_iter()
        .flatten()
        .filter_map(|(name, media)| {
            let (rank, format) = rank(&name.to_ascii_lowercase())?;
            Some((rank, format, media))
        })
        .collect();
    media.sort_by_key(|(rank, ..)| *rank);
    let Some((_, format, media)) = media.first() else {
        return Ok(None);
    };
    let schema = media.get("schema").unwrap_or(&Value::Null);
    Ok(Some((response, document.resolve(schema)?, *format)))
}

/// How much a media type is wanted, and the format that it is.
fn rank(media: &str) -> Option<(u8, Option<&'static str>)> {
    match media.split(';').next().unwrap_or_default().trim() {
        "application/json" => Some((0, None)),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Some((3, Some("ndjson"))),
        other if other.ends_with("json") => Some((1, None)),
        "*/*" => Some((2, None)),
        "text/csv" => Some((4, Some("csv"))),
        _ => None,
    }
}

struct Search<'a, 'd> {
    document: &'a Document<'d>,
    found: Vec<Found<'d>>,
    beside: Vec<Beside>,
}

impl<'d> Search<'_, 'd> {
    fn walk(&mut self, schema: &'d Value, path: &mut Vec<Step>) -> Result<(), OpenApiFault> {
        self.document.step()?;
        let document = self.document;
        match kind(document, schema)? {
            Kind::Array(items) => {
                if kind(document, items)? == Kind::Object {
                    let path = path.clone();
                    self.found.push(Found { path, items });
                }
            }
            Kind::Scalar(name, format) => self.add(path, name, format, schema),
            Kind::Object => {
                self.add(path, "object", "", schema);
                let properties = properties(document, schema)?;
                // What has an id of its own is a record that holds a list, no page of a list.
                let is_record = properties.iter().any(|property| property.name == "id");
                let may_enter = path.last().is_none_or(is_envelope);
                if is_record || !may_enter || path.len() >= DEPTH {
                    return Ok(());
                }
                for property in properties {
                    path.push(Step::Member(property.name.to_owned()));
                    self.walk(property.schema, path)?;
                    path.pop();
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &[Step], name: &str, format: &str, schema: &Value) {
        let named = |from_end: usize| match path.iter().rev().nth(from_end) {
            Some(Step::Member(name)) => name.as_str(),
            _ => "",
        };
        let says_address = |key| {
            let text = schema.get(key).and_then(Value::as_str).unwrap_or_default();
            text.contains("://") || text.starts_with('/')
        };
        self.beside.push(Beside {
            path: SingularQuery { steps: path.to_vec() }.to_string(),
            name: named(0).to_owned(),
            word: word(named(0)),
            parent: word(named(1)),
            is_address: matches!(format, "uri" | "url" | "uri-reference") || says_address("example"),
            is_integer: name == "integer" || name == "number",
        });
    }
}

fn is_envelope(step: &Step) -> bool {
    matches!(step, Step::Member(name) if ENVELOPES.contains(&word(name).as_str()))
}

/// The array that holds the records: the only one, else one whose name says so.
fn choose(mut found: Vec<Found<'_>>) -> Option<(Found<'_>, Option<String>)> {
    const NAMES: [&str; 9] = [
        "data", "items", "results", "records", "value", "entries", "rows", "hits", "content",
    ];
    let shown: Vec<String> = found
        .iter()
        .map(|found| {
            let steps = found.path.clone();
            SingularQuery { steps }.to_string()
        })
        .collect();
    let is_named = |found: &Found<'_>| matches!(found.path.last(), Some(Step::Member(name)) if NAMES.contains(&word(name).as_str()));
    match found.len() {
        0 => None,
        1 => found.pop().map(|only| (only, None)),
        _ => {
            let at = found.iter().position(is_named)?;
            let doubt = format!("There are several arrays: {}.", shown.join(", "));
            Some((found.swap_remove(at), Some(doubt)))
        }
    }
}

fn columns<'d>(document: &Document<'d>, properties: &[Property<'d>]) -> Result<Vec<PlannedColumn>, OpenApiFault> {
    let names = crate::data::column_names(properties.iter().map(|property| property.name));
    let both = properties
        .iter()
        .zip(names)
        .filter(|(property, _)| !is_write_only(property.schema));
    both.map(|(property, name)| {
        Ok(PlannedColumn {
            name,
            path: SingularQuery::member(property.name).to_string(),
            ty: column_type(kind(document, property.schema)?),
        })
    })
    .collect()
}

fn is_write_only(schema: &Value) -> bool {
    schema.get("writeOnly") == Some(&Value::Bool(true))
}

/// The properties that are marked as a key, else the one that is named as one.
fn key(properties: &[Property<'_>]) -> Vec<String> {
    let is_marked = |property: &&Property<'_>| {
        let marks = ["x-primary-key", "x-primaryKey", "x-primary", "x-key", "x-id"];
        marks
            .iter()
            .any(|mark| property.schema.get(*mark) == Some(&Value::Bool(true)))
    };
    let marked: Vec<String> = properties.iter().filter(is_marked).map(|p| p.name.to_owned()).collect();
    if !marked.is_empty() {
        return marked;
    }
    let named = ["id", "uuid", "guid", "key"]
        .into_iter()
        .find_map(|wanted| properties.iter().find(|property| word(property.name) == wanted));
    named.map(|property| property.name.to_owned()).into_iter().collect()
}
