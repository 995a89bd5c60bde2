//! Bodies that are not one JSON document: lines of JSON, and CSV (RFC 4180), as the array of records that they stand for.
//!
//! From here on all formats are one: what is hashed, stored and decoded is the array's text.

use super::decode::Sifted;
use super::error::{DataError, excerpt};
use super::kind::trim;
use super::page::{Located, locate_with, text_of};
use super::path::SingularQuery;
use super::records::only_objects;
use encoding_rs::Encoding;
use serde_json::value::RawValue;
use std::borrow::Cow;

mod csv_text;

pub(crate) use csv_text::MOST_FIELDS;
use csv_text::Ragged;

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
    /// Fields in whose place a column's default stands where they are empty.
    pub defaulted: Vec<String>,
}

impl Default for Csv {
    fn default() -> Csv {
        Csv {
            delimiter: b',',
            header: true,
            columns: None,
            encoding: encoding_rs::UTF_8,
            defaulted: Vec::new(),
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
            rows: self.rows(body, content_type)?,
        })
    }

    /// The records of a body; None where the body is JSON and holds them somewhere.
    fn rows(&self, body: &[u8], content_type: Option<&str>) -> Result<Option<Rows>, DataError> {
        match self.of(content_type) {
            Format::Json => Ok(None),
            Format::Ndjson => lines(text_of(body)?).map(Some),
            Format::Csv => self.csv.rows(body).map(Some),
        }
    }
}

/// Records as an array in JSON.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rows {
    array: String,
    /// Lines that are no records, in their order: a text stands for each in the array.
    ragged: Vec<Ragged>,
}

/// A body in any format.
pub struct Opened<'a> {
    body: &'a [u8],
    /// Where the format has nothing but records.
    rows: Option<Rows>,
}

impl Opened<'_> {
    /// Whether the format has nothing but records: no envelope with a total or a next page.
    pub fn is_rows(&self) -> bool {
        self.rows.is_some()
    }

    /// Finds the array of records, which `records` names in a JSON document, and the values of other queries.
    pub fn locate(&self, records: &SingularQuery, others: &[&SingularQuery]) -> Result<Located<'_>, DataError> {
        match &self.rows {
            Some(rows) => locate_with(rows.array.as_bytes(), &SingularQuery::root(), others),
            None => locate_with(self.body, records, others),
        }
    }

    fn ragged(&self) -> &[Ragged] {
        self.rows.as_ref().map_or(&[], |rows| &rows.ragged)
    }

    /// Says of each rejected record that is a line of CSV with too few or too many fields that it is one.
    pub fn name_ragged(&self, sifted: &mut Sifted) {
        for reject in &mut sifted.rejects {
            if let Some(error) = self.ragged_at(reject.record) {
                reject.error = error;
            }
        }
    }

    /// What is wrong with the line that stands in that record's place, where it is none.
    pub fn ragged_at(&self, record: u64) -> Option<DataError> {
        let ragged = self.ragged();
        let at = ragged.binary_search_by_key(&record, |line| line.record).ok()?;
        Some(ragged[at].error())
    }

    /// The located array without what is no record: a run rejects it, and it says nothing of columns.
    ///
    /// # Errors
    /// The first that is none, where there is no other.
    pub fn only_records<'t>(&self, records_text: &'t str) -> Result<Cow<'t, str>, DataError> {
        only_objects(records_text).map_err(|error| self.ragged_at(1).unwrap_or(error))
    }

    /// The body, where all of its lines are records.
    ///
    /// # Errors
    /// The first line that is none.
    pub fn without_ragged(self) -> Result<Self, DataError> {
        match self.ragged().first() {
            Some(line) => Err(line.error()),
            None => Ok(self),
        }
    }

    /// # Errors
    /// The last line, where it is no record: no next page can be asked for by it.
    pub fn ends_in_a_record(&self) -> Result<(), DataError> {
        let rows = self.rows.as_ref();
        // A record is an object.
        let last = rows.and_then(|rows| rows.ragged.last().filter(|_| rows.array.ends_with("\"]")));
        last.map_or(Ok(()), |line| Err(line.error()))
    }
}

/// Each line is checked by itself: what is no record must not become several by being put between commas.
fn lines(text: &str) -> Result<Rows, DataError> {
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
    Ok(Rows {
        array,
        ..Rows::default()
    })
}

fn separate(array: &mut String) {
    if array.len() > 1 {
        array.push(',');
    }
}

#[cfg(test)]
mod tests;
