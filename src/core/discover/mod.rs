//! What an unknown collection looks like: settings proposed from a few answers, each with its evidence and its doubt.
//!
//! ```text
//! first answer ─► format ─► records ─► key ─► paging (asks again, a few times) ─► columns, key, cursor ─► create_job
//! ```
//!
//! `answer` reads one answer by its structure, `headerless` CSV that names no columns; `hints` says what its names suggest;
//! `trial`, `paging`, `place` and `size` try that on the remote; `columns` looks at the records, `composite` for a key of two members,
//! `changes` for what tells of changes; `findings` says it all. Nothing here does I/O: [`discover`] is given the
//! first answer, and a function that sends further requests.

mod answer;
mod changes;
mod columns;
mod composite;
mod findings;
mod headerless;
mod hints;
mod key;
mod paging;
mod place;
mod prober;
mod size;
mod statement;
#[cfg(test)]
mod tests;
mod trial;

use crate::counted::counted;
use crate::data::{DataError, Formats, JsonKind, SingularQuery, members_of};
use crate::http::Response;
use crate::settings::Settings;
use answer::{Array, Envelope, Page, View};
use findings::Seen;
use paging::{LastKey, Paging};
use prober::Prober;

pub(crate) use answer::word;
pub use findings::Finding;
pub use paging::Remote;
pub use prober::Send;
pub use statement::{Call, Member, create_job, document, job_name, object};

/// What is discovered, and what its asker has said of it already.
pub struct Subject<'a> {
    pub remote: Remote,
    pub connection: &'a str,
    pub path: &'a str,
    /// The parent that was looked below, as JSON text, where the job has parents.
    pub below: Option<&'a str>,
    /// The name for the job.
    pub name: &'a str,
    pub settings: &'a Settings,
    /// The text that the settings came from.
    pub document: &'a str,
}

impl Subject<'_> {
    /// The settings that were given, but for those that are null.
    fn given(&self) -> Result<Vec<Member>, DataError> {
        let members = members_of(self.document)?;
        let told = members.into_iter().filter(|member| member.raw != "null");
        Ok(told.map(|member| (member.name, member.raw.to_owned())).collect())
    }

    fn has_given(&self, key: &str) -> Result<bool, DataError> {
        Ok(self.given()?.iter().any(|(name, _)| name == key))
    }
}

/// Looks at a collection. `first` is the answer to the job's own request; `send` asks for more.
///
/// # Errors
/// Where the first answer is nothing that records could be in.
pub fn discover(subject: &Subject<'_>, first: &Response, send: &mut Send<'_>) -> Result<Vec<Finding>, DataError> {
    let mut told = answer::format(first, &subject.settings.formats);
    if !subject.has_given("csv")? {
        told = headerless::see(told, first);
    }
    let place = records(subject, &told.formats, first)?;
    let mut seen = Seen {
        told,
        place,
        pages: None,
        changes: None,
    };
    let Some(records) = seen.place.path.clone() else {
        return findings::all(subject, &seen);
    };
    let mut view = View {
        formats: seen.told.formats.clone(),
        records,
        identity: None,
    };
    let page = view.page(first)?;
    let key = first_key(&page)?;
    view.identity = key.as_ref().map(|key| key.query.clone());
    let page = view.page(first)?;
    let mut prober = Prober::new(send, &view, &subject.remote);
    let given = subject.given()?.into_iter().find(|(name, _)| name == "pagination");
    let paging = match given {
        Some((_, scheme)) => Paging::given(page, &scheme),
        None => paging::find(&mut prober, page, &subject.remote, key.as_ref()),
    };
    if !subject.has_given("cursor")? {
        seen.changes = changes::find(&mut prober, &paging.first)?;
    }
    seen.pages = Some(paging);
    findings::all(subject, &seen)
}

/// The likeliest key by the first page alone.
fn first_key(page: &Page) -> Result<Option<LastKey>, DataError> {
    let texts = [page.text.as_str()];
    let (shape, unique) = (columns::shape(&page.text, &texts)?, columns::unique(&texts)?);
    Ok(columns::likeliest_key(&unique, &shape).map(|proposed| LastKey {
        column: proposed.column.name.clone(),
        query: proposed.column.query.clone(),
    }))
}

/// Where the records are.
struct Place {
    /// None: nowhere that could be seen.
    path: Option<SingularQuery>,
    evidence: String,
    doubt: Option<String>,
    /// Whether the format has records and nothing else.
    is_rows: bool,
}

fn records(subject: &Subject<'_>, formats: &Formats, first: &Response) -> Result<Place, DataError> {
    let body = formats
        .open(&first.body, first.headers.get("content-type"))?
        .without_ragged()?;
    let place = |path, evidence: String, doubt| Place {
        path,
        evidence,
        doubt,
        is_rows: body.is_rows(),
    };
    if body.is_rows() {
        let evidence = "The format has records and nothing beside them.".to_owned();
        return Ok(place(Some(SingularQuery::root()), evidence, None));
    }
    if subject.has_given("records")? {
        body.locate(&subject.settings.records, &[])?;
        let given = Some(subject.settings.records.clone());
        return Ok(place(given, "The settings say it.".to_owned(), None));
    }
    let envelope = answer::envelope(&first.body)?;
    let ranked = ranked(&envelope.arrays, subject.path);
    let Some(best) = ranked.first() else {
        return Ok(place(None, String::new(), Some(nowhere(&envelope))));
    };
    let others: Vec<String> = ranked[1..]
        .iter()
        .filter(|array| array.objects > 0)
        .map(|array| format!("{} ({})", array.path, array.objects))
        .take(3)
        .collect();
    let doubt = match (best.elements, others.is_empty()) {
        (0, _) => Some("The array is empty: ask again when there are records.".to_owned()),
        (_, true) => None,
        (_, false) => Some(format!("There are other arrays: {}.", others.join(", "))),
    };
    let evidence = format!("{} in the array at {}.", counted(best.objects, "object"), best.path);
    Ok(place(Some(best.path.clone()), evidence, doubt))
}

/// Arrays of objects, the likeliest first: one whose name says records, then the longest, then the outermost. Empty
/// arrays come last.
fn ranked<'a>(arrays: &'a [Array], path: &str) -> Vec<&'a Array> {
    const NAMES: [&str; 13] = [
        "data",
        "items",
        "results",
        "records",
        "value",
        "entries",
        "rows",
        "hits",
        "objects",
        "features",
        "resources",
        "content",
        "list",
    ];
    let own = path.rsplit('/').find(|segment| !segment.is_empty()).map(answer::word);
    let is_named = |array: &Array| match array.path.steps.last() {
        Some(crate::data::Step::Member(name)) => {
            let word = answer::word(name);
            NAMES.contains(&word.as_str()) || own.as_ref() == Some(&word)
        }
        _ => true,
    };
    let mut fitting: Vec<&Array> = arrays.iter().filter(|array| array.objects == array.elements).collect();
    fitting.sort_by_key(|array| {
        let rank = (array.objects > 0, is_named(array), array.objects);
        (std::cmp::Reverse(rank), array.path.steps.len())
    });
    fitting
}

fn nowhere(envelope: &Envelope) -> String {
    let what = match envelope.root {
        Some(JsonKind::Array) => "The array holds no objects",
        Some(JsonKind::Object) => "The answer is one object without an array of objects",
        _ => "The answer is one value",
    };
    format!("{what}: give a path whose answer holds an array of records.")
}
