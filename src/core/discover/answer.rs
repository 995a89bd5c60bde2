//! What one answer shows by its structure: its format, the arrays in it, the values around its records.

use crate::data::path::{SingularQuery, Step};
use crate::data::{self, Csv, DataError, Format, Formats, JsonKind, members_of};
use crate::http::{Headers, Response};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How deep arrays of records and the names of a next page are looked for.
const DEPTH: usize = 4;
/// Values around the records that are looked at: an object with more members is a map, no envelope.
const MOST_VALUES: usize = 500;
/// Records of a page that types and keys are told from.
const MOST_LOOKED: usize = 20_000;
/// A longer value names no next page.
const LONGEST_VALUE: usize = 8 * 1024;

/// An array in an answer.
#[derive(Debug, Clone)]
pub(super) struct Array {
    pub path: SingularQuery,
    pub elements: usize,
    pub objects: usize,
}

/// A value beside the records: its place, and its raw text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    pub path: SingularQuery,
    pub raw: String,
}

impl Leaf {
    /// The last name of its place in small letters and digits alone: `next_page` and `nextPage` are one.
    pub fn word(&self) -> String {
        self.name(0).map(word).unwrap_or_default()
    }

    /// The name before the last.
    pub fn parent(&self) -> String {
        self.name(1).map(word).unwrap_or_default()
    }

    pub fn name(&self, from_end: usize) -> Option<&str> {
        match self.path.steps.iter().rev().nth(from_end) {
            Some(Step::Member(name)) => Some(name),
            _ => None,
        }
    }

    pub fn kind(&self) -> JsonKind {
        JsonKind::of(&self.raw)
    }

    /// A whole number, or a text that holds one.
    pub fn number(&self) -> Option<u64> {
        self.raw.trim_matches('"').parse().ok()
    }
}

/// A name without what spellings differ in.
pub(crate) fn word(name: &str) -> String {
    let letters = name.chars().filter(|c| c.is_ascii_alphanumeric());
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

/// The arrays and the values of a JSON document.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    pub arrays: Vec<Array>,
    pub leaves: Vec<Leaf>,
    /// What the document itself is.
    pub root: Option<JsonKind>,
}

pub(super) fn envelope(body: &[u8]) -> Result<Envelope, DataError> {
    let text = data::text_of(body)?;
    // One look at the whole: it is one JSON document, and not too deep.
    data::pick(text, &[&SingularQuery::root()])?;
    let text = data::trim(text);
    let mut envelope = Envelope {
        root: Some(JsonKind::of(text)),
        ..Envelope::default()
    };
    walk(text, &mut Vec::new(), &mut envelope)?;
    Ok(envelope)
}

fn walk(raw: &str, path: &mut Vec<Step>, out: &mut Envelope) -> Result<(), DataError> {
    if out.leaves.len() + out.arrays.len() > MOST_VALUES {
        return Ok(());
    }
    let here = SingularQuery { steps: path.clone() };
    match JsonKind::of(raw) {
        JsonKind::Array => {
            let elements = data::split_records(raw)?;
            let objects = elements.iter().filter(|e| JsonKind::of(e) == JsonKind::Object).count();
            out.arrays.push(Array {
                path: here,
                elements: elements.len(),
                objects,
            });
        }
        kind => {
            if raw.len() <= LONGEST_VALUE {
                let raw = raw.to_owned();
                out.leaves.push(Leaf { path: here, raw });
            }
            if kind == JsonKind::Object && path.len() < DEPTH {
                for member in members_of(raw)? {
                    path.push(Step::Member(member.name));
                    walk(member.raw, path, out)?;
                    path.pop();
                }
            }
        }
    }
    Ok(())
}

/// In which format the records are, and how that is known.
pub(super) struct ToldFormat {
    pub formats: Formats,
    pub format: Format,
    /// A delimiter that CSV does not say of itself.
    pub delimiter: Option<char>,
    /// Names for the columns of CSV without a header.
    pub numbered: Option<Vec<String>>,
    pub evidence: String,
    pub doubt: Option<String>,
}

/// The format by the settings, by `Content-Type`, else by what the body looks like.
pub(super) fn format(response: &Response, settings: &Formats) -> ToldFormat {
    let content_type = response.headers.get("content-type");
    let shown = content_type.map_or("no Content-Type".to_owned(), |value| {
        format!("Content-Type is {}", data::excerpt(value))
    });
    let by_header = settings.of(content_type);
    let told = |format, evidence: String, doubt: Option<&str>| ToldFormat {
        formats: Formats {
            given: Some(format),
            csv: settings.csv.clone(),
        },
        format,
        delimiter: None,
        numbered: None,
        evidence,
        doubt: doubt.map(str::to_owned),
    };
    if settings.given.is_some() {
        return told(by_header, "The settings say it.".into(), None);
    }
    let text = String::from_utf8_lossy(&response.body);
    let found = match by_header {
        Format::Json if looks_like_lines(&text) => told(
            Format::Ndjson,
            format!("Each line is a JSON object; {shown}."),
            Some("The remote should say it in Content-Type."),
        ),
        Format::Json if !begins_as_json(&text) && header_delimiter(&text).is_some() => told(
            Format::Csv,
            format!("The lines have equally many fields; {shown}."),
            Some("The remote should say it in Content-Type."),
        ),
        format => told(format, format!("{shown}."), None),
    };
    with_delimiter(found, &text)
}

fn with_delimiter(mut found: ToldFormat, text: &str) -> ToldFormat {
    let delimiter = header_delimiter(text).filter(|delimiter| *delimiter != ',');
    if found.format == Format::Csv
        && found.formats.csv == Csv::default()
        && let Some(delimiter) = delimiter
    {
        found.formats.csv.delimiter = delimiter as u8;
        found.delimiter = Some(delimiter);
    }
    found
}

fn begins_as_json(text: &str) -> bool {
    text.trim_start_matches('\u{feff}')
        .trim_start()
        .starts_with(['{', '[', '"', '<'])
}

/// Whether there are several lines and the first ones are JSON objects each.
fn looks_like_lines(text: &str) -> bool {
    let mut lines = text
        .lines()
        .map(data::trim)
        .filter(|line| !line.is_empty())
        .take(3)
        .peekable();
    let first_is_object = lines.peek().is_some_and(|line| line.starts_with('{'));
    let mut seen = 0;
    let all = lines.all(|line| {
        seen += 1;
        serde_json::from_str::<&serde_json::value::RawValue>(line).is_ok()
    });
    first_is_object && all && seen > 1
}

/// The character that splits the first two lines into equally many fields.
fn header_delimiter(text: &str) -> Option<char> {
    let mut lines = text.lines();
    let (first, second) = (lines.next()?, lines.next().unwrap_or_default());
    let count = |line: &str, delimiter: char| line.matches(delimiter).count();
    [',', ';', '\t', '|']
        .into_iter()
        .filter(|delimiter| count(first, *delimiter) > 0)
        .filter(|delimiter| second.is_empty() || count(second, *delimiter) >= count(first, *delimiter))
        .max_by_key(|delimiter| count(first, *delimiter))
}

/// One page of records, as far as finding its way through the collection needs it.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// The array of records, of a very long one the beginning.
    pub text: String,
    pub count: u64,
    /// A hash of each record, or of its identity where one is known.
    ids: Vec<u64>,
    pub leaves: Vec<Leaf>,
    pub headers: Headers,
}

/// How another page stands to the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    /// The same records.
    Same,
    /// No records.
    Empty,
    /// None of the first page's records.
    Others,
    /// Some of them.
    Some,
}

/// Where records are, once that is known.
pub(super) struct View {
    pub formats: Formats,
    pub records: SingularQuery,
    /// A member whose value tells records apart.
    pub identity: Option<SingularQuery>,
}

impl View {
    pub fn page(&self, response: &Response) -> Result<Page, DataError> {
        let body = self
            .formats
            .open(&response.body, response.headers.get("content-type"))?
            .without_ragged()?;
        let text = body.locate(&self.records, &[])?.text.to_owned();
        let leaves = match body.is_rows() {
            true => Vec::new(),
            false => envelope(&response.body)?.leaves,
        };
        let (count, ids) = self.ids(&text)?;
        Ok(Page {
            text: beginning(text)?,
            count,
            ids,
            leaves,
            headers: response.headers.clone(),
        })
    }

    fn ids(&self, text: &str) -> Result<(u64, Vec<u64>), DataError> {
        let records = data::split_records(text)?;
        let id = |record: &&str| {
            let picked = self.identity.as_ref().and_then(|query| {
                let found = data::pick(record, &[query]).ok()?;
                found.first().copied().flatten()
            });
            let mut hasher = DefaultHasher::new();
            picked.unwrap_or(record).hash(&mut hasher);
            hasher.finish()
        };
        Ok((records.len() as u64, records.iter().map(id).collect()))
    }
}

/// The first records of an array: as many as are looked into.
fn beginning(text: String) -> Result<String, DataError> {
    let records = data::split_records(&text)?;
    Ok(match records.get(..MOST_LOOKED) {
        Some(first) if first.len() < records.len() => format!("[{}]", first.join(",")),
        _ => text,
    })
}

impl Page {
    /// How this page stands to the first one.
    pub fn beside(&self, first: &Page) -> Beside {
        let known: HashSet<&u64> = first.ids.iter().collect();
        let again = self.ids.iter().filter(|id| known.contains(id)).count();
        match () {
            () if self.ids.is_empty() => Beside::Empty,
            () if again == 0 => Beside::Others,
            () if self.ids == first.ids || again == self.ids.len() && again == known.len() => Beside::Same,
            () => Beside::Some,
        }
    }

    /// Whether this page begins with the first page's first record.
    pub fn begins_as(&self, first: &Page) -> bool {
        !self.ids.is_empty() && self.ids.first() == first.ids.first()
    }
}
