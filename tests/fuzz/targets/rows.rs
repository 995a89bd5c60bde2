//! CSV and lines of JSON: the records that the csv crate, or a look at each line, finds in the same body.
//!
//! Input of CSV: a line of the delimiter, `h` where the body has a header, a number of given columns and the name of an
//! encoding (`,h`, `;2 windows-1252`); then the body.

use crate::oracle::{first_line, well_told};
use crate::targets::pages;
use serde_json::value::RawValue;
use sluice_core::data::{Csv, DataError, Format, Formats, SingularQuery};
use std::collections::BTreeMap;

pub fn check_csv(input: &[u8]) {
    let Some((how, body)) = first_line(input) else { return };
    let Some(csv) = read_how(how) else { return };
    let records = records_of(body, Format::Csv, csv.clone());
    match (expected(body, &csv), records) {
        (Some(rows), Ok(records)) => check_records(&rows, &records),
        (None, Err(error)) => well_told(&error),
        (Some(rows), Err(error)) => panic!("{error} ({error:?}), where there is {rows:?}"),
        (None, Ok(records)) => panic!("{records}, where there is no CSV"),
    }
}

fn read_how(how: &str) -> Option<Csv> {
    let (marks, label) = how.split_once(' ').unwrap_or((how, "utf-8"));
    let delimiter = *marks
        .as_bytes()
        .first()
        .filter(|byte| byte.is_ascii() && !b"\"\r\n\0".contains(byte))?;
    let count = marks[1..].trim_start_matches('h').parse::<u8>().ok();
    let columns = count.map(|count| (1..=count).map(|n| format!("c{n}")).collect());
    let header = marks[1..].starts_with('h');
    let encoding = encoding_rs::Encoding::for_label(label.as_bytes())?;
    let has_names = header
        || columns
            .as_ref()
            .is_some_and(|columns: &Vec<String>| !columns.is_empty());
    has_names.then_some(Csv {
        delimiter,
        header,
        columns,
        encoding,
        ..Csv::default()
    })
}

fn records_of(body: &[u8], format: Format, csv: Csv) -> Result<String, DataError> {
    let formats = Formats {
        given: Some(format),
        csv,
    };
    let opened = formats.open(body, None)?.without_ragged()?;
    assert!(opened.is_rows());
    Ok(opened.locate(&SingularQuery::root(), &[])?.text.to_owned())
}

type Row = BTreeMap<String, String>;

/// The rows as the csv crate reads them; None where a column has no name of its own, a row another length, or a quoted
/// field no end.
fn expected(body: &[u8], csv: &Csv) -> Option<Vec<Row>> {
    let (text, has_errors) = match csv.encoding == encoding_rs::UTF_8 {
        true => (
            std::str::from_utf8(body).ok()?.trim_start_matches('\u{feff}').into(),
            false,
        ),
        false => csv.encoding.decode_with_bom_removal(body),
    };
    let content = text.trim_matches([' ', '\t', '\n', '\r']);
    if has_errors || content.is_empty() || content.starts_with(['<', '{', '[']) {
        return None;
    }
    let read = |text: &str| {
        let mut reader = csv::ReaderBuilder::new();
        let mut reader = reader
            .delimiter(csv.delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        reader.records().collect::<Result<Vec<_>, _>>().ok()
    };
    let mut lines = read(&text)?;
    if read(&format!("{text}\nx"))?.len() == lines.len() {
        return None;
    }
    let header = if csv.header { Some(lines.remove(0)) } else { None };
    let in_header = || header.iter().flatten().map(|name| name.trim().to_owned()).collect();
    let names: Vec<String> = csv.columns.clone().unwrap_or_else(in_header);
    let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
    let are_names = distinct.len() == names.len() && names.iter().all(|name| (1..=1024).contains(&name.len()));
    let same_length = header.iter().chain(&lines).all(|line| line.len() == names.len());
    let row = |line: &csv::StringRecord| names.iter().cloned().zip(line.iter().map(str::to_owned)).collect();
    (are_names && same_length).then(|| lines.iter().map(row).collect())
}

fn check_records(rows: &[Row], records: &str) {
    let objects: Vec<BTreeMap<String, Box<RawValue>>> = serde_json::from_str(records).expect("an array of objects");
    assert_eq!(objects.len(), rows.len());
    for (place, (object, row)) in objects.iter().zip(rows).enumerate() {
        assert!(
            place > 0 || object.len() == row.len(),
            "the first record has every member"
        );
        assert!(object.keys().all(|name| row.contains_key(name)));
        for (name, field) in row {
            let value = object.get(name).map_or("null", |raw| raw.get());
            let content = serde_json::from_str::<String>(value).unwrap_or_else(|_| value.to_owned());
            match field.as_str() {
                "" => assert_eq!(value, "null"),
                field => assert_eq!((content.as_str(), value == "null"), (field, false)),
            }
        }
    }
    pages::check_rows(records);
}

/// Each line that is not blank is one value, and the values are the records.
pub fn check_lines(input: &[u8]) {
    let records = records_of(input, Format::Ndjson, Csv::default());
    if let Err(error) = &records {
        well_told(error);
    }
    let Ok(text) = std::str::from_utf8(input) else {
        assert!(records.is_err());
        return;
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines: Vec<&str> = text
        .split('\n')
        .map(|line| line.trim_matches([' ', '\t', '\r']))
        .collect();
    let values: Option<Vec<&RawValue>> = lines
        .into_iter()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str(line).ok())
        .collect();
    match (values, records) {
        (Some(values), Ok(records)) => {
            let found: Vec<&RawValue> = serde_json::from_str(&records).expect("an array");
            assert_eq!(raw(&found), raw(&values));
            pages::check_rows(&records);
        }
        // The array around the lines is one level more.
        (Some(_), Err(error)) => assert!(matches!(error, DataError::TooDeep { .. }), "{error:?}"),
        (None, Err(_)) => {}
        (None, Ok(records)) => panic!("{records}, where a line is no value"),
    }
}

fn raw<'r>(values: &[&'r RawValue]) -> Vec<&'r str> {
    values.iter().map(|value| value.get()).collect()
}
