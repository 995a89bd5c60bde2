//! What can be wrong with the remote's content: the body as a whole, one record of it, one field of a record.

use super::kind::JsonKind;
use super::misfit::Misfit;
use crate::class::Class;
use crate::counted::{agreed, counted};
use crate::error::Explain;

/// A body, a record or a field that no row can be made of. Records are counted from 1 within their page.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    #[error("the answer is empty")]
    EmptyBody,
    #[error("the answer is an HTML page, not JSON")]
    Html { excerpt: String },
    #[error("the answer is not UTF-8 text")]
    NotUtf8 { at: usize },
    #[error("the answer begins with two byte order marks")]
    SecondMark,
    #[error("the answer is not valid JSON")]
    NotJson { at: usize, excerpt: String },
    #[error("the answer ends in the middle of a JSON document")]
    Truncated { length: usize },
    #[error("line {line} of the answer is not one JSON value")]
    BadLine { line: u64, excerpt: String },
    #[error("the answer is not CSV")]
    NotCsv { excerpt: String },
    #[error("field {field} of the answer's header is no name for a column")]
    BadHeader { field: u64, excerpt: String },
    #[error("line {line} of the answer has another number of fields")]
    FieldsDiffer { line: u64, found: u64, expected: u64 },
    #[error("the answer ends in the middle of line {line}")]
    CutLine { line: u64 },
    #[error("the answer is not text in {encoding}")]
    NotInEncoding { encoding: &'static str },
    #[error("the answer has no place for what pagination.next names")]
    NoNextInRows,
    #[error("the answer is nested more than {limit} levels deep")]
    TooDeep { limit: usize },
    #[error("{what} is larger than {limit} bytes")]
    TooLarge { what: &'static str, limit: usize },
    #[error("the answer has nothing at {}", self::excerpt(.path))]
    PathMissing { path: String },
    #[error("the answer has {found} at {}, not an array of records", self::excerpt(.path))]
    NotAnArray { path: String, found: JsonKind },
    #[error("record {record} is {found}, not an object")]
    NotAnObject { record: u64, found: JsonKind },
    #[error("record {record} has a member whose name is not text")]
    UnreadableRecord { record: u64, excerpt: String },
    #[error("{} of the read {} rejected, and max_rejects is {limit}", counted(*.rejected, "record"), agreed(.rejected, "was", "were"))]
    TooManyRejects {
        rejected: u64,
        limit: u64,
        /// What is wrong with the first of them.
        first: Vec<String>,
    },
    #[error("all {records} records of the read were rejected")]
    AllRejected { records: u64, first: Vec<String> },
    #[error("no member of the records is a column of the target")]
    NoColumns,
    #[error("record {record} has no value for key column \"{}\"", self::excerpt(.column))]
    KeyMissing { record: u64, column: String },
    #[error("record {record} does not fit column \"{}\" of type {type_name}", self::excerpt(.column))]
    DoesNotFit {
        record: u64,
        column: String,
        type_name: &'static str,
        excerpt: String,
        reason: Misfit,
    },
    #[error("a stored page cannot be read: {fault}")]
    BadStoredPage { fault: StoredPageFault },
}

/// What is wrong with a page that was stored before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoredPageFault {
    #[error("its compressed form is damaged")]
    Compression,
    #[error("it is not UTF-8 text")]
    Encoding,
}

impl Explain for DataError {
    fn class(&self) -> Class {
        match self {
            DataError::NoColumns => Class::Schema,
            DataError::BadStoredPage { .. } => Class::Internal,
            _ => Class::Data,
        }
    }

    fn sqlstate(&self) -> &'static str {
        match self {
            DataError::NotUtf8 { .. } | DataError::NotInEncoding { .. } => "22021",
            DataError::TooDeep { .. } => "54001",
            DataError::TooLarge { .. } => "54000",
            DataError::NoColumns => "42703",
            DataError::KeyMissing { .. } => "23502",
            DataError::UnreadableRecord { .. } => "22P02",
            DataError::DoesNotFit { reason, .. } => reason.sqlstate(),
            DataError::BadStoredPage { .. } => "XX001",
            _ => "22032",
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            DataError::Html { excerpt } => Some(format!("It begins with: {excerpt}")),
            DataError::NotUtf8 { at } => Some(format!("The first wrong byte is byte {at}.")),
            DataError::NotJson { at, excerpt } => Some(format!("At byte {at}: {excerpt}")),
            DataError::BadLine { excerpt, .. } | DataError::NotCsv { excerpt } => {
                Some(format!("It begins with: {excerpt}"))
            }
            DataError::BadHeader { excerpt, .. } => Some(format!("It is \"{excerpt}\".")),
            DataError::FieldsDiffer { found, expected, .. } => {
                let (are, columns) = (agreed(expected, "is", "are"), counted(*expected, "column"));
                Some(format!(
                    "It has {}, and there {are} {columns}.",
                    counted(*found, "field")
                ))
            }
            DataError::NoNextInRows => Some("Lines of JSON and CSV hold records and nothing beside them.".into()),
            DataError::Truncated { length } => Some(format!("It ends after {}.", counted(*length, "byte"))),
            DataError::UnreadableRecord { excerpt, .. } => Some(format!("It begins with: {excerpt}")),
            DataError::TooManyRejects { first, .. } | DataError::AllRejected { first, .. } => Some(first.join(" ")),
            DataError::DoesNotFit { excerpt, reason, .. } => Some(format!("The value is {excerpt}: {reason}.")),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            DataError::EmptyBody => "The remote must answer with records, or with an empty list of them.".into(),
            DataError::Truncated { .. } => "The remote must answer with one whole JSON document in UTF-8.".into(),
            DataError::NotUtf8 { .. } => {
                "The remote must answer in UTF-8; for CSV the setting \"csv\" can name another encoding.".into()
            }
            DataError::SecondMark => "The remote must send one byte order mark, or better none.".into(),
            DataError::Html { .. } => {
                "A login page, a proxy or a wrong path often answers so: check the job's path and the base URL.".into()
            }
            DataError::BadLine { .. } => "Each line must be one JSON object.".into(),
            DataError::NotCsv { .. } | DataError::FieldsDiffer { .. } => {
                "Look at what the remote answers, and check the settings \"format\" and \"csv\".".into()
            }
            DataError::CutLine { .. } => {
                "The remote must answer with whole lines: each quoted field closed, and as many fields as columns."
                    .into()
            }
            DataError::BadHeader { .. } => {
                "Names must be there and differ; the setting \"csv\" can give them: {\"columns\": [\"id\", \"name\"]}"
                    .into()
            }
            DataError::NotInEncoding { .. } => {
                "Check the setting \"csv\", for example: {\"encoding\": \"windows-1252\"}".into()
            }
            DataError::NoNextInRows => {
                "Take it from a header: \"next\": \"header:Name\", or use another pagination.type.".into()
            }
            DataError::NotJson { .. } => "Look at what the remote answers, and check the job's path.".into(),
            DataError::PathMissing { .. } | DataError::NotAnArray { .. } | DataError::NotAnObject { .. } => {
                "Check the setting \"records\": it names the array of records in the answer.".into()
            }
            DataError::NoColumns => "Say in the setting \"columns\" which member goes into which column.".into(),
            DataError::KeyMissing { .. } => {
                "Check the job's \"key\" and the paths of its columns: every record needs a value in each.".into()
            }
            DataError::UnreadableRecord { .. } => "Mend the record at the remote.".into(),
            DataError::TooManyRejects { .. } => {
                "Mend what the first of them have in common, or raise the setting \"max_rejects\".".into()
            }
            DataError::AllRejected { .. } => {
                "Check the settings \"records\" and \"columns\" and the table's types and constraints.".into()
            }
            DataError::DoesNotFit { reason, .. } => reason.hint().into(),
            DataError::TooLarge { .. } | DataError::TooDeep { .. } => {
                "Ask the remote for smaller pages, or for records without the large member.".into()
            }
            DataError::BadStoredPage { .. } => "Read the collection anew from its first page.".into(),
        })
    }
}

/// The characters of remote text that a message may carry.
const EXCERPT_CHARS: usize = 100;

/// The beginning of remote text as it may stand in a message or a log: at most 100 characters, control characters
/// and other invisible ones escaped, so that it stays one line and cannot steer a terminal.
pub fn excerpt(text: &str) -> String {
    excerpt_of(text, EXCERPT_CHARS)
}

/// The same with another number of characters.
pub(crate) fn excerpt_of(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let mut left = most;
    for character in text.chars() {
        let piece: String = match character {
            '"' | '\'' | '\\' => character.into(),
            _ => character.escape_debug().collect(),
        };
        let length = piece.chars().count();
        if length + 1 > left {
            shown.push('…');
            return shown;
        }
        left -= length;
        shown.push_str(&piece);
    }
    shown
}

impl DataError {
    /// The error of a record that was decoded by itself, with its number on the page.
    pub fn of_record(mut self, number: u64) -> DataError {
        match &mut self {
            DataError::NotAnObject { record, .. }
            | DataError::UnreadableRecord { record, .. }
            | DataError::KeyMissing { record, .. }
            | DataError::DoesNotFit { record, .. } => *record = number,
            _ => {}
        }
        self
    }

    /// The error with another text in the place of what it shows of the answer.
    pub(crate) fn with_excerpt(mut self, other: impl FnOnce(&str) -> String) -> DataError {
        match &mut self {
            DataError::Html { excerpt }
            | DataError::NotJson { excerpt, .. }
            | DataError::BadLine { excerpt, .. }
            | DataError::NotCsv { excerpt }
            | DataError::BadHeader { excerpt, .. }
            | DataError::UnreadableRecord { excerpt, .. }
            | DataError::DoesNotFit { excerpt, .. } => *excerpt = other(excerpt),
            _ => {}
        }
        self
    }

    /// The column that a record does not fit.
    pub fn column(&self) -> Option<&str> {
        match self {
            DataError::DoesNotFit { column, .. } | DataError::KeyMissing { column, .. } => Some(column),
            _ => None,
        }
    }

    /// Bytes of the texts in the error of a record.
    pub(super) fn text_bytes(&self) -> usize {
        match self {
            DataError::DoesNotFit { column, excerpt, .. } => column.len() + excerpt.len(),
            DataError::KeyMissing { column, .. } => column.len(),
            DataError::UnreadableRecord { excerpt, .. } => excerpt.len(),
            _ => 0,
        }
    }

    /// The line of the answer that is no record.
    pub fn line(&self) -> Option<u64> {
        match self {
            DataError::FieldsDiffer { line, .. } => Some(*line),
            _ => None,
        }
    }

    /// Where and how a text is not JSON, as the parser tells it.
    pub(crate) fn from_json(text: &str, error: &serde_json::Error) -> DataError {
        if error.is_eof() {
            return DataError::Truncated { length: text.len() };
        }
        let at = byte_offset(text, error.line(), error.column());
        DataError::NotJson {
            at,
            excerpt: excerpt(&text[at..]),
        }
    }
}

/// The offset of line and column (both from 1, columns in bytes), moved back to the start of a character.
fn byte_offset(text: &str, line: usize, column: usize) -> usize {
    let line_start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let mut at = (line_start + column.saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
