//! Bodies that are not one JSON document: lines of JSON, and CSV (RFC 4180), as the array of records that they stand for.
//!
//! From here on all formats are one: what is hashed, stored and decoded is the array's text.

use super::error::{DataError, excerpt};
use super::kind::trim;
use super::page::{Located, locate_with, text_of};
use super::path::SingularQuery;
use encoding_rs::Encoding;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// How a body holds its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    /// One JSON object a line.
    Ndjson,
    Csv,
}

/// What CSV does not say of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csv {
    pub delimiter: u8,
    /// Whether the first line names the columns.
    pub header: bool,
    /// The columns' names, in place of those of a header.
    pub columns: Option<Vec<String>>,
    pub encoding: &'static Encoding,
}

impl Default for Csv {
    fn default() -> Csv {
        Csv {
            delimiter: b',',
            header: true,
            columns: None,
            encoding: encoding_rs::UTF_8,
        }
    }
}

/// The formats that a job reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Formats {
    /// None: each answer's `Content-Type` says it.
    pub given: Option<Format>,
    pub csv: Csv,
}

/// An array of a page's records may be so long: a short line of CSV becomes longer by the names of its columns.
const MOST_TEXT: usize = 1 << 28;
const MOST_NAME: usize = 1024;

impl Formats {
    pub fn of(&self, content_type: Option<&str>) -> Format {
        self.given.unwrap_or_else(|| {
            let media = content_type
                .and_then(|value| value.split(';').next())
                .unwrap_or_default();
            match media.trim().to_ascii_lowercase().as_str() {
                "text/csv" | "application/csv" => Format::Csv,
                "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => {
                    Format::Ndjson
                }
                _ => Format::Json,
            }
        })
    }

    /// A body, ready to be looked into.
    pub fn open<'a>(&self, body: &'a [u8], content_type: Option<&str>) -> Result<Opened<'a>, DataError> {
        Ok(Opened {
            body,
            rows: self.array(body, content_type)?,
        })
    }

    /// The array of the records of a body; None where the body is JSON and holds it somewhere.
    fn array(&self, body: &[u8], content_type: Option<&str>) -> Result<Option<String>, DataError> {
        match self.of(content_type) {
            Format::Json => Ok(None),
            Format::Ndjson => lines(text_of(body)?).map(Some),
            Format::Csv => self.csv.array(body).map(Some),
        }
    }
}

/// A body in any format.
pub struct Opened<'a> {
    body: &'a [u8],
    /// Where the format has nothing but records: their array.
    rows: Option<String>,
}

impl Opened<'_> {
    /// Whether the format has nothing but records: no envelope with a total or a next page.
    pub fn is_rows(&self) -> bool {
        self.rows.is_some()
    }

    /// Finds the array of records, which `records` names in a JSON document, and the values of other queries.
    pub fn locate(&self, records: &SingularQuery, others: &[&SingularQuery]) -> Result<Located<'_>, DataError> {
        match &self.rows {
            Some(rows) => locate_with(rows.as_bytes(), &SingularQuery::root(), others),
            None => locate_with(self.body, records, others),
        }
    }
}

/// Each line is checked by itself: what is no record must not become several by being put between commas.
fn lines(text: &str) -> Result<String, DataError> {
    let mut array = String::with_capacity(text.len() + 2);
    array.push('[');
    for (number, line) in (1u64..).zip(text.lines()).filter(|(_, line)| !trim(line).is_empty()) {
        if serde_json::from_str::<&RawValue>(line).is_err() {
            return Err(DataError::BadLine {
                line: number,
                excerpt: excerpt(line),
            });
        }
        separate(&mut array);
        array.push_str(trim(line));
    }
    array.push(']');
    Ok(array)
}

fn separate(array: &mut String) {
    if array.len() > 1 {
        array.push(',');
    }
}

impl Csv {
    fn array(&self, body: &[u8]) -> Result<String, DataError> {
        let text = self.text(body)?;
        if trim(&text).is_empty() {
            return Err(DataError::EmptyBody);
        }
        // What an API sends instead of its data is mostly JSON or HTML, and both can be read as CSV.
        if trim(&text).starts_with(['<', '{', '[']) {
            return Err(DataError::NotCsv {
                excerpt: excerpt(trim(&text)),
            });
        }
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(self.delimiter)
            .has_headers(false)
            .from_reader(text.as_bytes());
        let mut records = reader.records();
        let header = match self.header {
            true => records.next().transpose().map_err(malformed)?,
            false => None,
        };
        let names: Vec<String> = match (&self.columns, &header) {
            (Some(columns), _) => columns.clone(),
            (None, Some(header)) => header.iter().map(|name| name.trim().to_owned()).collect(),
            (None, None) => Vec::new(),
        };
        check_names(&names, header.as_ref().map(csv::StringRecord::len))?;
        let labels: Vec<String> = names.iter().map(|name| format!("{}:", json(name))).collect();
        let mut array = String::with_capacity(text.len() * 2);
        array.push('[');
        for record in records {
            let record = record.map_err(malformed)?;
            if record.len() != labels.len() {
                return Err(fields_differ(&record, labels.len()));
            }
            separate(&mut array);
            write_record(&mut array, &labels, &record);
            if array.len() > MOST_TEXT {
                return Err(DataError::TooLarge {
                    what: "the page as records",
                    limit: MOST_TEXT,
                });
            }
        }
        array.push(']');
        Ok(array)
    }

    fn text<'a>(&self, body: &'a [u8]) -> Result<Cow<'a, str>, DataError> {
        if self.encoding == encoding_rs::UTF_8 {
            let text = std::str::from_utf8(body);
            let text = text.map_err(|error| DataError::NotUtf8 {
                at: error.valid_up_to(),
            })?;
            return Ok(text.strip_prefix('\u{feff}').unwrap_or(text).into());
        }
        let (text, has_errors) = self.encoding.decode_with_bom_removal(body);
        match has_errors {
            false => Ok(text),
            true => Err(DataError::NotInEncoding {
                encoding: self.encoding.name(),
            }),
        }
    }
}

fn check_names(names: &[String], in_header: Option<usize>) -> Result<(), DataError> {
    let is_bad = |name: &String| name.is_empty() || name.len() > MOST_NAME;
    let bad = names
        .iter()
        .enumerate()
        .find(|(at, name)| is_bad(name) || names[..*at].contains(name));
    if let Some((at, name)) = bad {
        return Err(DataError::BadHeader {
            field: at as u64 + 1,
            excerpt: excerpt(name),
        });
    }
    match in_header {
        Some(found) if found != names.len() => Err(DataError::FieldsDiffer {
            line: 1,
            found: found as u64,
            expected: names.len() as u64,
        }),
        _ => Ok(()),
    }
}

/// The first record has every member, so that each column is known; later ones leave empty ones out.
fn write_record(array: &mut String, labels: &[String], record: &csv::StringRecord) {
    let is_first = array.len() == 1;
    array.push('{');
    let start = array.len();
    for (label, field) in labels
        .iter()
        .zip(record)
        .filter(|(_, field)| is_first || !field.is_empty())
    {
        if array.len() > start {
            array.push(',');
        }
        array.push_str(label);
        match field {
            "" => array.push_str("null"),
            "true" | "false" => array.push_str(field),
            number if is_plain_number(number) => array.push_str(number),
            text => array.push_str(&json(text)),
        }
    }
    array.push('}');
}

/// A number that JSON writes the same: not `007`, which is a code, nor `1e5`, which may be one.
fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').map_or((digits, "0"), |parts| parts);
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    all_digits(whole) && all_digits(fraction) && (whole == "0" || !whole.starts_with('0'))
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn fields_differ(record: &csv::StringRecord, expected: usize) -> DataError {
    DataError::FieldsDiffer {
        line: record.position().map_or(0, csv::Position::line),
        found: record.len() as u64,
        expected: expected as u64,
    }
}

fn malformed(error: csv::Error) -> DataError {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => DataError::FieldsDiffer {
            line: pos.as_ref().map_or(0, csv::Position::line),
            found: *len,
            expected: *expected_len,
        },
        _ => DataError::NotCsv {
            excerpt: excerpt(&error.to_string()),
        },
    }
}

#[cfg(test)]
mod tests;
