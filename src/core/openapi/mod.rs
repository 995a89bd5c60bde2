//! Jobs proposed from an OpenAPI document (3.0, 3.1; Swagger 2.0): one for each GET that answers with a list.
//!
//! ```text
//! document ─► each GET ─► its 200 answer's schema ─► the array of objects in it ─► columns, key
//!                  └────► its parameters, the members beside the array ─► pagination
//! ```
//!
//! `document` follows references and is what bounds a hostile document: how deep, how many steps in all. `schema` reads
//! schemas, `listing` finds the array, `paging` reads names; this file puts a job together. Nothing is asked of a remote:
//! what a document does not say is a doubt.

mod document;
mod fault;
mod listing;
mod paging;
mod schema;
#[cfg(test)]
mod tests;

use crate::discover::{Call, Member, create_job, job_name, object};
use crate::error::Explain;
use crate::job::JobPath;
use document::Document;
use listing::Listing;
use paging::Paging;
use serde_json::{Map, Value, json};
use std::collections::HashSet;

pub use fault::OpenApiFault;

/// One proposed job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedJob {
    pub name: String,
    pub path: String,
    pub mode: &'static str,
    /// Empty: no key could be told.
    pub key: Vec<String>,
    /// JSON text.
    pub settings: String,
    pub evidence: String,
    pub doubt: Option<String>,
    /// None where something is missing that only a person knows.
    pub statement: Option<String>,
}

/// Documents with more paths are refused.
const MOST_PATHS: usize = 5_000;

/// The jobs that a document (JSON text) suggests, in the order of its paths.
///
/// # Errors
/// A text that is no OpenAPI document, or one that is too large or too deep to follow.
pub fn plan(text: &str) -> Result<Vec<PlannedJob>, OpenApiFault> {
    let root: Value = serde_json::from_str(text).map_err(|_| OpenApiFault::TooDeep)?;
    let document = Document::new(&root)?;
    let paths = document.paths()?;
    if paths.len() > MOST_PATHS {
        return Err(OpenApiFault::TooLarge);
    }
    let mut names = HashSet::new();
    let mut jobs = Vec::new();
    for (path, item) in paths {
        if let Some(operation) = Operation::of(&document, path, item)?
            && let Some(job) = operation.job(&mut names)?
        {
            jobs.push(job);
        }
    }
    Ok(jobs)
}

/// A GET of a path.
struct Operation<'d> {
    document: &'d Document<'d>,
    path: &'d str,
    get: &'d Map<String, Value>,
    params: Vec<Param<'d>>,
}

/// A parameter that a request may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Param<'d> {
    pub name: &'d str,
    pub place: &'d str,
    pub required: bool,
    /// Its schema; in Swagger 2.0 the parameter itself.
    pub schema: &'d Value,
}

impl<'d> Operation<'d> {
    fn of(document: &'d Document<'d>, path: &'d str, item: &'d Value) -> Result<Option<Operation<'d>>, OpenApiFault> {
        let item = document.resolve(item)?;
        let Some(get) = item.get("get").and_then(Value::as_object) else {
            return Ok(None);
        };
        let mut params = Vec::new();
        let lists = [get.get("parameters"), item.get("parameters")];
        for given in lists.into_iter().flatten().filter_map(Value::as_array).flatten() {
            let given = document.resolve(given)?;
            let text = |key| given.get(key).and_then(Value::as_str).unwrap_or_default();
            let known = |param: &Param<'_>| param.name == text("name") && param.place == text("in");
            if !params.iter().any(known) {
                params.push(Param {
                    name: text("name"),
                    place: text("in"),
                    required: given.get("required") == Some(&Value::Bool(true)),
                    schema: match given.get("schema") {
                        Some(schema) => document.resolve(schema)?,
                        None => given,
                    },
                });
            }
        }
        Ok(Some(Operation {
            document,
            path,
            get,
            params,
        }))
    }

    fn job(&self, names: &mut HashSet<String>) -> Result<Option<PlannedJob>, OpenApiFault> {
        let Some(listing) = listing::find(self.document, self.get)? else {
            return Ok(None);
        };
        let paging = paging::find(&self.params, &listing);
        let (required, missing) = self.required_params(&paging);
        let name = free_name(&job_name(&plain(self.path), "job"), names);
        let settings = settings(&listing, &paging, required);
        let path = encoded(self.path);
        let mut doubts = self.doubts(&listing, &paging, &missing);
        let statement = if doubts.forbid_statement {
            None
        } else {
            let call = Call {
                name: &name,
                connection: &self.document.connection,
                path: &path,
                mode: None,
                key: &listing.key,
            };
            Some(create_job(&call, &settings))
        };
        doubts.texts.extend(
            self.document
                .is_slow()
                .then(|| "The document is very large.".to_owned()),
        );
        Ok(Some(PlannedJob {
            name,
            path,
            mode: "replace",
            key: listing.key.clone(),
            settings: crate::discover::document(&settings),
            evidence: self.evidence(&listing, &paging),
            doubt: Some(doubts.texts.join(" ")).filter(|text| !text.is_empty()),
            statement,
        }))
    }

    /// Parameters that a request must have: those with a value that the document gives, and the names of the others.
    fn required_params(&self, paging: &Paging) -> (Vec<Member>, Vec<&'d str>) {
        let mut known = Vec::new();
        let mut missing = Vec::new();
        let wanted = self
            .params
            .iter()
            .filter(|param| param.required && param.place == "query");
        for param in wanted.filter(|param| !paging.params.iter().any(|name| name == param.name)) {
            let value = param.schema.get("default").or_else(|| param.schema.get("enum")?.get(0));
            match value.filter(|value| value.is_string() || value.is_number() || value.is_boolean()) {
                Some(value) => known.push((param.name.to_owned(), value.to_string())),
                None => missing.push(param.name),
            }
        }
        (known, missing)
    }

    fn doubts(&self, listing: &Listing, paging: &Paging, missing: &[&str]) -> Doubts {
        let mut texts = Vec::new();
        let mut forbid_statement = false;
        let places: Vec<&str> = self
            .path
            .split('{')
            .skip(1)
            .filter_map(|part| part.split('}').next())
            .collect();
        if let Err(error) = JobPath::parse(&encoded(self.path)) {
            forbid_statement = true;
            texts.push(format!(
                "No job can have this path: {}",
                error.detail().unwrap_or_else(|| error.to_string())
            ));
        }
        if !places.is_empty() {
            forbid_statement = true;
            texts.push(format!(
                "The path needs values for {}: one read for each of them (foreach).",
                places.join(", ")
            ));
        }
        if !missing.is_empty() {
            forbid_statement = true;
            texts.push(format!("Give \"params\" values for {}.", missing.join(", ")));
        }
        if listing.key.is_empty() {
            forbid_statement = true;
            texts.push("No member is named as a key: name the columns, key => ARRAY[…].".to_owned());
        }
        texts.extend(listing.doubt.clone());
        texts.extend(paging.doubt.clone());
        if self.get.get("deprecated") == Some(&Value::Bool(true)) {
            texts.push("It is deprecated.".to_owned());
        }
        Doubts {
            texts,
            forbid_statement,
        }
    }

    fn evidence(&self, listing: &Listing, paging: &Paging) -> String {
        let id = self.get.get("operationId").and_then(Value::as_str);
        let operation = id.map_or_else(String::new, |id| format!(" ({})", crate::data::excerpt(id)));
        let mut texts = vec![
            format!(
                "GET {}{operation}: {}.",
                crate::data::excerpt(self.path),
                listing.evidence
            ),
            paging.evidence.clone(),
        ];
        texts.extend(self.document.security(self.get));
        texts.extend(self.document.server.clone());
        texts.retain(|text| !text.is_empty());
        texts.join(" ")
    }
}

struct Doubts {
    texts: Vec<String>,
    forbid_statement: bool,
}

/// The path as a job takes it: blanks as a URL has them.
fn encoded(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for character in path.chars() {
        match character.is_whitespace() && !character.is_control() {
            true => {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    encoded.push_str(&format!("%{byte:02X}"));
                }
            }
            false => encoded.push(character),
        }
    }
    encoded
}

/// The path without the names in braces.
fn plain(path: &str) -> String {
    let outside = |segment: &&str| !segment.contains('{');
    path.split('/').filter(outside).collect::<Vec<_>>().join("/")
}

fn free_name(name: &str, names: &mut HashSet<String>) -> String {
    let mut free = name.to_owned();
    let mut number = 1;
    while !names.insert(free.clone()) {
        number += 1;
        let suffix = format!("_{number}");
        let end = name.floor_char_boundary(crate::job::LONGEST_NAME - suffix.len());
        free = format!("{}{suffix}", &name[..end]);
    }
    free
}

fn settings(listing: &Listing, paging: &Paging, mut params: Vec<Member>) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    if let Some(format) = listing.format {
        members.push(("format".into(), json!(format).to_string()));
    }
    if let Some(path) = &listing.records {
        members.push(("records".into(), json!(path).to_string()));
    }
    params.extend(paging.extra.clone());
    if !params.is_empty() {
        members.push(("params".into(), object(&params)));
    }
    members.extend(paging.size.map(|size| ("page_size".to_owned(), size.to_string())));
    if !paging.setting.is_empty() {
        members.push(("pagination".into(), object(&paging.setting)));
    }
    if !listing.columns.is_empty() {
        let columns: Vec<Member> = listing
            .columns
            .iter()
            .map(|column| {
                (
                    column.name.clone(),
                    json!({"path": column.path, "type": column.ty}).to_string(),
                )
            })
            .collect();
        members.push(("columns".into(), object(&columns)));
    }
    members
}
