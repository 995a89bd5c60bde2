//! CSV (RFC 4180) as the array of the records that it stands for.
//!
//! A line with too few or too many fields is no record: in the array its text stands in a record's place. Where the text
//! ends within a line, it is not a whole answer.

use super::{Csv, Rows, separate};
use crate::data::error::{DataError, excerpt};
use crate::data::kind::trim;
use crate::data::pick::without_mark;
use std::borrow::Cow;
use std::collections::HashSet;

/// An array of a page's records may be so long: a short line of CSV becomes longer by the names of its columns.
const MOST_TEXT: usize = 1 << 28;
const MOST_NAME: usize = 1024;
/// A table has not nearly so many columns.
pub(crate) const MOST_FIELDS: usize = 10_000;

/// A line with another number of fields than there are columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ragged {
    /// Its place among the records, counted from 1.
    pub record: u64,
    line: u64,
    found: u64,
    expected: u64,
}

impl Ragged {
    pub fn error(&self) -> DataError {
        DataError::FieldsDiffer {
            line: self.line,
            found: self.found,
            expected: self.expected,
        }
    }
}

impl Csv {
    pub(super) fn rows(&self, body: &[u8]) -> Result<Rows, DataError> {
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
            .flexible(true)
            .from_reader(text.as_bytes());
        let mut record = csv::StringRecord::new();
        let mut last = 0;
        let header = match self.header && reader.read_record(&mut record).map_err(malformed)? {
            true => Some(record.clone()),
            false => None,
        };
        let names = self.names(header.as_ref());
        check_names(&names, header.as_ref().map(csv::StringRecord::len))?;
        let mut writer = Writer::new(&text, &names, &self.defaulted);
        while reader.read_record(&mut record).map_err(malformed)? {
            last = place(&record);
            writer.write(&record, reader.position().byte() as usize)?;
        }
        check_end(&text, self.delimiter, last)?;
        Ok(writer.finish())
    }

    fn names(&self, header: Option<&csv::StringRecord>) -> Vec<String> {
        match (&self.columns, header) {
            (Some(columns), _) => columns.clone(),
            // One more than there may be is enough to see that.
            (None, Some(header)) => {
                let names = header.iter().take(MOST_FIELDS + 1);
                names.map(|name| name.trim().to_owned()).collect()
            }
            (None, None) => Vec::new(),
        }
    }

    fn text<'a>(&self, body: &'a [u8]) -> Result<Cow<'a, str>, DataError> {
        if self.encoding == encoding_rs::UTF_8 {
            let text = std::str::from_utf8(body);
            let text = text.map_err(|error| DataError::NotUtf8 {
                at: error.valid_up_to(),
            })?;
            return without_mark(text).map(Cow::from);
        }
        let (text, has_errors) = self.encoding.decode_with_bom_removal(body);
        match has_errors {
            false if text.starts_with('\u{feff}') => Err(DataError::SecondMark),
            false => Ok(text),
            true => Err(DataError::NotInEncoding {
                encoding: self.encoding.name(),
            }),
        }
    }
}

fn check_names(names: &[String], in_header: Option<usize>) -> Result<(), DataError> {
    let is_bad = |name: &String| name.is_empty() || name.len() > MOST_NAME;
    let mut before = HashSet::new();
    let bad = names
        .iter()
        .enumerate()
        .find(|(at, name)| *at >= MOST_FIELDS || is_bad(name) || !before.insert(*name));
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

/// Makes the array.
struct Writer<'a> {
    text: &'a str,
    /// Of each column what stands before a value, and whether an empty one is missing in every record.
    labels: Vec<(String, bool)>,
    rows: Rows,
    places: u64,
    /// Where the record that was read last ends.
    end: usize,
    lines: Lines<'a>,
}

impl<'a> Writer<'a> {
    fn new(text: &'a str, names: &[String], defaulted: &[String]) -> Self {
        let mut array = String::with_capacity(text.len() * 2);
        array.push('[');
        Writer {
            text,
            labels: names
                .iter()
                .map(|name| (format!("{}:", json(name)), defaulted.contains(name)))
                .collect(),
            rows: Rows {
                array,
                ragged: Vec::new(),
            },
            places: 0,
            end: 0,
            lines: Lines::of(text),
        }
    }

    fn write(&mut self, record: &csv::StringRecord, end: usize) -> Result<(), DataError> {
        self.places += 1;
        self.end = end;
        separate(&mut self.rows.array);
        match record.len() == self.labels.len() {
            true => self.write_record(record),
            false => self.pass_over(record)?,
        }
        match self.rows.array.len() > MOST_TEXT {
            true => Err(DataError::TooLarge {
                what: "the page as records",
                limit: MOST_TEXT,
            }),
            false => Ok(()),
        }
    }

    /// The first record has every member, so that each column is known; later ones leave empty ones out, and all of them
    /// do where a column's default is to stand in.
    fn write_record(&mut self, record: &csv::StringRecord) {
        let is_first = self.places == 1 + self.rows.ragged.len() as u64;
        let array = &mut self.rows.array;
        array.push('{');
        let start = array.len();
        let fields = self.labels.iter().zip(record);
        for ((label, _), field) in fields.filter(|((_, may_lack), field)| is_first && !may_lack || !field.is_empty()) {
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

    #[cold]
    fn pass_over(&mut self, record: &csv::StringRecord) -> Result<(), DataError> {
        let start = begin(self.text, place(record));
        let line = self.lines.number_at(start);
        let text = self.text[start..self.end].trim_end_matches(LINE_END);
        let is_short = record.len() < self.labels.len();
        if is_short && start + text.len() == self.text.len() {
            return Err(DataError::CutLine { line });
        }
        self.rows.ragged.push(Ragged {
            record: self.places,
            line,
            found: record.len() as u64,
            expected: self.labels.len() as u64,
        });
        self.rows.array.push_str(&json(text));
        Ok(())
    }

    fn finish(mut self) -> Rows {
        self.rows.array.push(']');
        self.rows
    }
}

const LINE_END: [char; 2] = ['\r', '\n'];

fn place(record: &csv::StringRecord) -> usize {
    record.position().map_or(0, |at| at.byte() as usize)
}

/// Where a record's own text begins: the parser counts the ends of lines before it as its own.
fn begin(text: &str, from: usize) -> usize {
    text.len() - text[from..].trim_start_matches(LINE_END).len()
}

/// Numbers of lines, which end in CR, LF or both. Asked for places in their order, it looks at the text once.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    number: u64,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        Lines { text, at: 0, number: 1 }
    }

    fn number_at(&mut self, place: usize) -> u64 {
        let bytes = self.text.as_bytes();
        let ends = (self.at..place).filter(|&at| match bytes[at] {
            b'\n' => at == 0 || bytes[at - 1] != b'\r',
            byte => byte == b'\r',
        });
        self.number += ends.count() as u64;
        self.at = place;
        self.number
    }
}

/// A quoted field that is not closed takes in all that follows, and the parser does not mind.
fn check_end(text: &str, delimiter: u8, last: usize) -> Result<(), DataError> {
    let start = begin(text, last);
    // The empty line keeps the parser from taking a mark in the text for one of the order of bytes.
    let and_another = ["\n", &text[start..], "\nx"].concat();
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(and_another.as_bytes());
    match reader.byte_records().count() {
        1 => Err(DataError::CutLine {
            line: Lines::of(text).number_at(start),
        }),
        _ => Ok(()),
    }
}

/// A number that JSON writes the same: not `007`, which is a code, nor `1e5`, which may be one.
pub(super) fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').map_or((digits, "0"), |parts| parts);
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    all_digits(whole) && all_digits(fraction) && (whole == "0" || !whole.starts_with('0'))
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn malformed(error: csv::Error) -> DataError {
    DataError::NotCsv {
        excerpt: excerpt(&error.to_string()),
    }
}
