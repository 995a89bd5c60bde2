//! What was found, as rows that a person reads and a program takes.

use super::answer::{Page, ToldFormat};
use super::changes::Changes;
use super::columns::{self, ProposedColumn, Shape};
use super::key::Key;
use super::paging::Paging;
use super::statement::{Call, Member, create_job, object, wrapped};
use super::{Place, Subject};
use crate::counted::{agreed, counted};
use crate::data::{DataError, Format};
use crate::pagination::ParamPlace;
use crate::settings::OnMissing;
use crate::target::MOST_COLUMNS;
use serde_json::{Value, json};

/// One row: what it is about, the proposal (JSON text; None: it could not be told), why, and what speaks against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub aspect: &'static str,
    pub proposal: Option<String>,
    pub evidence: Option<String>,
    pub doubt: Option<String>,
}

/// Everything that was seen.
pub(super) struct Seen {
    pub told: ToldFormat,
    pub place: Place,
    /// None: there are no records to page through.
    pub pages: Option<Paging>,
    pub changes: Option<Changes>,
}

/// Lines of this length let a row fit into a terminal of 120 columns.
const EVIDENCE_WIDTH: usize = 29;
const DOUBT_WIDTH: usize = 20;
/// Fewer records prove little about a key and types.
const FEW: u64 = 20;

impl Finding {
    fn new(aspect: &'static str, proposal: Option<Value>) -> Finding {
        Finding {
            aspect,
            proposal: proposal.map(|value| value.to_string()),
            evidence: None,
            doubt: None,
        }
    }

    fn because(mut self, evidence: impl AsRef<str>) -> Finding {
        self.evidence = shown(evidence.as_ref(), EVIDENCE_WIDTH);
        self
    }

    fn but(mut self, doubt: Option<impl AsRef<str>>) -> Finding {
        self.doubt = doubt.and_then(|doubt| shown(doubt.as_ref(), DOUBT_WIDTH));
        self
    }
}

fn shown(text: &str, width: usize) -> Option<String> {
    Some(wrapped(text.trim(), width)).filter(|text| !text.is_empty())
}

/// The rows, in the order in which one fact rests on another.
pub(super) fn all(subject: &Subject<'_>, seen: &Seen) -> Result<Vec<Finding>, DataError> {
    let mut found = Vec::from_iter(subject.below.map(|parent| parent_row(subject, parent)));
    found.extend([format_row(&seen.told), records_row(&seen.place)]);
    let Some(paging) = &seen.pages else {
        for aspect in ["pagination", "page_size", "total", "key", "columns", "cursor", "mode"] {
            found.push(Finding::new(aspect, None).but(Some("It needs records.")));
        }
        found.push(Finding::new("create_job", None).but(Some("Where the records are is not known.")));
        return Ok(found);
    };
    found.extend([pagination_row(paging), size_row(paging), total_row(paging)]);
    let sample = paging.sample();
    let shape = columns::shape(&paging.first.text, &sample)?;
    let key = Key::find(&sample, &shape)?;
    let key_columns = key.as_ref().and_then(|key| key.columns(subject));
    found.push(key_row(subject, &shape, key.as_ref(), key_columns.as_deref()));
    found.extend(column_rows(&shape));
    found.push(cursor_row(seen.changes.as_ref()));
    let mode = Finding::new("mode", Some(json!("replace")));
    found.push(mode.because("Each read takes the whole collection; unchanged pages cost little."));
    found.push(statement_row(subject, seen, paging, &shape, key_columns)?);
    Ok(found)
}

/// Below which parent everything was seen.
fn parent_row(subject: &Subject<'_>, parent: &str) -> Finding {
    Finding::new("foreach", serde_json::from_str(parent).ok())
        .because(format!(
            "The query's first row: {} was asked.",
            subject.remote.first.path()
        ))
        .but(Some("Other parents may look otherwise."))
}

fn format_row(told: &ToldFormat) -> Finding {
    Finding::new("format", Some(json!(word(told.format))))
        .because(&told.evidence)
        .but(told.doubt.as_ref())
}

fn word(format: Format) -> &'static str {
    match format {
        Format::Json => "json",
        Format::Ndjson => "ndjson",
        Format::Csv => "csv",
    }
}

fn records_row(place: &Place) -> Finding {
    let path = place.path.as_ref().filter(|_| !place.is_rows);
    Finding::new("records", path.map(|path| json!(path.to_string())))
        .because(&place.evidence)
        .but(place.doubt.as_ref())
}

fn pagination_row(paging: &Paging) -> Finding {
    Finding::new("pagination", paging.scheme.clone())
        .because(&paging.evidence)
        .but(paging.doubt.as_ref())
}

fn size_row(paging: &Paging) -> Finding {
    match &paging.size {
        Some(size) => Finding::new("page_size", Some(json!({ (size.param.as_str()): size.size })))
            .because(&size.evidence)
            .but(size.doubt.as_ref()),
        None => Finding::new("page_size", None).but(paging.size_doubt.as_ref()),
    }
}

fn total_row(paging: &Paging) -> Finding {
    match &paging.total {
        Some(total) => Finding::new("total", Some(json!(total.place)))
            .because(format!("It is {}, and agrees with what came.", total.value)),
        None => Finding::new("total", None).but(paging.total_doubt.as_ref()),
    }
}

const SEEN_ONLY: &str = "Another pair may be meant: these two are distinct in what was seen.";

const OF_ONE_PARENT: &str = "Where it is distinct below one parent only, give columns, among them one of the parent's, and add that to the key.";

fn key_row(subject: &Subject<'_>, shape: &Shape, key: Option<&Key<'_>>, columns: Option<&[&str]>) -> Finding {
    let records = shape.records;
    let few = (records < FEW).then(|| {
        format!(
            "Only {} {} seen.",
            counted(records, "record"),
            agreed(&records, "was", "were")
        )
    });
    let few = match (key, few) {
        (Some(Key::Two(_)), few) => Some(format!("{SEEN_ONLY} {}", few.unwrap_or_default())),
        (_, few) => few,
    };
    let few = match subject.below {
        Some(_) => Some(format!("{} {OF_ONE_PARENT}", few.unwrap_or_default())),
        None => few,
    };
    match key {
        Some(key) => Finding::new("key", columns.map(|columns| json!(columns)))
            .because(key.evidence(records))
            .but(match columns {
                Some(_) => few,
                None => Some("The columns that were given leave it out.".into()),
            }),
        None if records == 0 => Finding::new("key", None).but(Some("It needs records.")),
        None => Finding::new("key", None).but(Some(
            "Neither one member nor two tell the records apart. Name the columns that do: key => ARRAY['shop', 'id'].",
        )),
    }
}

fn column_rows(shape: &Shape) -> Vec<Finding> {
    let row = |proposed: &ProposedColumn| {
        let column = &proposed.column;
        let name = columns::type_name(column.ty);
        let value = match proposed.is_plain {
            true => json!(name),
            false => json!({"path": column.query.to_string(), "type": name}),
        };
        let doubt = match proposed.present {
            0 => Some("It has no value in any record: text takes what may come."),
            _ => None,
        };
        Finding::new("columns", Some(json!({ (column.name.as_str()): value })))
            .because(format!("a value in {} of {}", proposed.present, shape.records))
            .but(doubt)
    };
    shape.columns.iter().map(row).collect()
}

fn cursor_row(changes: Option<&Changes>) -> Finding {
    let Some(changes) = changes else {
        return Finding::new("cursor", None).but(Some("No column looks like the time of the last change."));
    };
    let column = &changes.time.column;
    let row = Finding::new("cursor", Some(changes.setting()));
    match &changes.param {
        Some(param) => row
            .because(format!("{param} with the newest {column} leaves out what is older."))
            .but(Some(
                "It is for mode upsert, which reads changes only and does not see what is gone.",
            )),
        None => row
            .because(format!("{column} looks like the time of the last change."))
            .but(Some(
                "No parameter that filters by it was found: look one up to read changes only.",
            )),
    }
}

fn statement_row(
    subject: &Subject<'_>,
    seen: &Seen,
    paging: &Paging,
    shape: &Shape,
    key: Option<Vec<&str>>,
) -> Result<Finding, DataError> {
    let missing = match (paging.first.count, &paging.scheme, &key) {
        (0, ..) => Some("There are no records yet to make a table from."),
        (_, None, _) => Some("How the collection is paged is not known: give \"pagination\" in the settings."),
        (.., None) => Some("No key was found: add key => ARRAY[…] to a call of create_job."),
        _ => None,
    };
    if missing.is_some() {
        return Ok(Finding::new("create_job", None).but(missing));
    }
    let key: Vec<String> = key.into_iter().flatten().map(str::to_owned).collect();
    let call = Call {
        name: subject.name,
        connection: subject.connection,
        path: subject.path,
        mode: None,
        key: &key,
    };
    let most = MOST_COLUMNS - usize::from(subject.settings.on_missing == OnMissing::Mark);
    let statement = create_job(&call, &settings(subject, seen, paging, &shape.fitting(&key, most))?);
    let too_many = (shape.columns.len() > most && subject.settings.columns.is_none()).then(|| {
        format!(
            "A table has at most {MOST_COLUMNS} columns: of {} the first {most} are named. Choose those that matter.",
            counted(shape.columns.len(), "member")
        )
    });
    let row = Finding {
        aspect: "create_job",
        proposal: Some(json!({"name": subject.name}).to_string()),
        evidence: Some(statement),
        doubt: None,
    };
    Ok(row.but(too_many))
}

/// The settings that were given, and those that were found beside them.
fn settings(subject: &Subject<'_>, seen: &Seen, paging: &Paging, shape: &Shape) -> Result<Vec<Member>, DataError> {
    let mut members = subject.given()?;
    let has = |members: &[Member], key: &str| members.iter().any(|(name, _)| name == key);
    let is_rows = seen.place.is_rows;
    if is_rows && !has(&members, "format") {
        members.push(("format".into(), json!(word(seen.told.format)).to_string()));
    }
    members.extend(csv(&seen.told));
    let path = seen.place.path.as_ref().filter(|path| !path.steps.is_empty());
    if let Some(path) = path.filter(|_| !is_rows && !has(&members, "records")) {
        members.push(("records".into(), json!(path.to_string()).to_string()));
    }
    if !has(&members, "pagination") {
        paging.add_to(&mut members);
    }
    if !has(&members, "columns") && shape.needs_columns() {
        members.push(("columns".into(), columns_setting(shape)));
    }
    Ok(members)
}

/// What CSV does not say of itself.
fn csv(told: &ToldFormat) -> Option<Member> {
    let mut parts: Vec<Member> = Vec::new();
    if let Some(delimiter) = told.delimiter {
        parts.push(("delimiter".into(), json!(delimiter.to_string()).to_string()));
    }
    if let Some(names) = &told.numbered {
        parts.push(("header".into(), "false".into()));
        parts.push(("columns".into(), json!(names).to_string()));
    }
    (!parts.is_empty()).then(|| ("csv".into(), object(&parts)))
}

fn columns_setting(shape: &Shape) -> String {
    let members: Vec<String> = shape
        .columns
        .iter()
        .map(|proposed| {
            let column = &proposed.column;
            let place = json!({"path": column.query.to_string(), "type": columns::type_name(column.ty)});
            format!("{}: {place}", json!(column.name))
        })
        .collect();
    format!("{{{}}}", members.join(", "))
}

impl Paging {
    /// A paging that was given: the first page is all that is looked at.
    pub(super) fn given(first: Page, scheme: &str) -> Paging {
        Paging {
            scheme: Some(serde_json::from_str(scheme).unwrap_or_default()),
            evidence: "The settings say it.".into(),
            doubt: None,
            size: None,
            size_doubt: None,
            total: None,
            total_doubt: None,
            first,
            second: None,
            larger: None,
            place: ParamPlace::Query,
        }
    }

    /// Records that were seen, each once: those of the larger page, which has the first ones too, or of the first two.
    fn sample(&self) -> Vec<&str> {
        match &self.larger {
            Some(larger) => vec![&larger.text],
            None => std::iter::once(&self.first)
                .chain(&self.second)
                .map(|page| page.text.as_str())
                .collect(),
        }
    }

    /// Adds a parameter that is the same for all pages.
    fn add_param(&self, members: &mut Vec<Member>, name: &str, value: u64) {
        if self.place == ParamPlace::Query {
            return add_param(members, name, value);
        }
        let raw = body_of(members);
        let mut body = serde_json::from_str(raw).ok();
        if self
            .place
            .add((name, value.into()), &mut Vec::new(), &mut body)
            .is_some()
        {
            *raw = body.unwrap_or_default().to_string();
        }
    }

    /// Adds pagination, page size and the parameters that stand for one.
    fn add_to(&self, members: &mut Vec<Member>) {
        let Some(Value::Object(scheme)) = &self.scheme else {
            return;
        };
        let kind = scheme["type"].as_str().unwrap_or_default().to_owned();
        let mut parts: Vec<Member> = vec![("type".into(), json!(kind).to_string())];
        for key in ["param", "param_in", "start", "next", "column"] {
            parts.extend(scheme.get(key).map(|value| (key.to_owned(), value.to_string())));
        }
        let size_key = match kind.as_str() {
            "page" => Some("size_param"),
            "offset" => Some("limit_param"),
            _ => None,
        };
        match (&self.size, size_key) {
            (Some(size), Some(key)) => {
                members.push(("page_size".into(), size.size.to_string()));
                parts.push((key.into(), json!(size.param).to_string()));
            }
            (Some(size), None) => self.add_param(members, &size.param, size.size),
            _ => {}
        }
        let has_params = matches!(kind.as_str(), "page" | "offset" | "cursor" | "keyset");
        if self.place == ParamPlace::Body && has_params {
            // Where there is one, parameters are its members.
            body_of(members);
        }
        if let Some(total) = self
            .total
            .as_ref()
            .filter(|_| matches!(kind.as_str(), "page" | "offset" | "cursor" | "next_url"))
        {
            parts.push(("total".into(), json!(total.place).to_string()));
        }
        members.push(("pagination".into(), object(&parts)));
    }
}

/// The member `body`, an empty object where none was given.
fn body_of(members: &mut Vec<Member>) -> &mut String {
    let at = members.iter().position(|(name, _)| name == "body").unwrap_or_else(|| {
        members.push(("body".into(), "{}".into()));
        members.len() - 1
    });
    &mut members[at].1
}

/// Adds a parameter to those that were given.
fn add_param(members: &mut Vec<Member>, name: &str, value: u64) {
    let added = format!("{}: {}", json!(name), json!(value.to_string()));
    match members.iter_mut().find(|(key, _)| key == "params") {
        Some((_, raw)) => {
            let inner = raw
                .trim()
                .trim_start_matches('{')
                .trim_end_matches('}')
                .trim()
                .to_owned();
            let comma = if inner.is_empty() { "" } else { ", " };
            *raw = format!("{{{inner}{comma}{added}}}");
        }
        None => members.push(("params".into(), format!("{{{added}}}"))),
    }
}
