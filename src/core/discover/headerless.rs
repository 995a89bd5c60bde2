//! CSV whose first line is a record and names nothing.

use super::answer::ToldFormat;
use crate::data::{self, Csv, DataError, Format, InferredType, MOST_FIELDS, SingularQuery};
use crate::http::Response;

/// The format, with names in place of a header's where the first line looks like those below it.
pub(super) fn see(mut told: ToldFormat, response: &Response) -> ToldFormat {
    if told.format == Format::Csv
        && told.formats.csv.header
        && told.formats.csv.columns.is_none()
        && let Some(names) = names_for(&told, response)
    {
        told.evidence = format!(
            "{} The first line has values of the same types as the lines below.",
            told.evidence
        );
        told.doubt = Some(
            "The columns are numbered: name them, or give \"csv\": {\"header\": true} where the first line names them."
                .into(),
        );
        told.formats.csv.header = false;
        told.formats.csv.columns = Some(names.clone());
        told.numbered = Some(names);
    }
    told
}

fn names_for(told: &ToldFormat, response: &Response) -> Option<Vec<String>> {
    let width = width(told, response)?;
    let names: Vec<String> = (1..=width).map(|number| format!("column_{number}")).collect();
    let mut formats = told.formats.clone();
    formats.csv = Csv {
        header: false,
        columns: Some(names.clone()),
        ..formats.csv
    };
    let opened = formats
        .open(&response.body, None)
        .and_then(data::Opened::without_ragged);
    let opened = opened.ok()?;
    let rows = opened.locate(&SingularQuery::root(), &[]).ok()?.text;
    looks_like_data(rows).ok()?.then_some(names)
}

/// How many fields the first line has.
fn width(told: &ToldFormat, response: &Response) -> Option<usize> {
    // Names one after the other, until their number is right: the error says it.
    let mut formats = told.formats.clone();
    formats.csv.header = false;
    formats.csv.columns = Some(vec!["column_1".to_owned()]);
    match formats
        .open(&response.body, None)
        .and_then(data::Opened::without_ragged)
    {
        Ok(_) => Some(1),
        Err(DataError::FieldsDiffer { line: 1, found, .. }) => {
            usize::try_from(found).ok().filter(|found| *found <= MOST_FIELDS)
        }
        Err(_) => None,
    }
}

/// Whether each column that has a type below has a value of it in the first line, and there is one.
fn looks_like_data(rows: &str) -> Result<bool, DataError> {
    let records = data::split_records(rows)?;
    let Some((first, below)) = records.split_first().filter(|(_, below)| !below.is_empty()) else {
        return Ok(false);
    };
    let below = data::infer(&format!("[{}]", below.join(",")), u64::MAX)?.columns;
    let typed: Vec<_> = below.iter().filter(|column| column.ty != InferredType::Text).collect();
    let queries: Vec<_> = typed.iter().map(|column| &column.query).collect();
    let values = data::pick(first, &queries)?;
    let fits = |(column, raw): &(&&data::InferredColumn, &str)| {
        let own = data::infer(&format!("[{{\"a\":{raw}}}]"), 1);
        own.is_ok_and(|own| own.columns.iter().all(|own| own.ty.join(column.ty) == column.ty))
    };
    let filled = typed
        .iter()
        .zip(values)
        .filter_map(|(column, raw)| Some((column, raw?)));
    let filled: Vec<_> = filled.filter(|(_, raw)| *raw != "null").collect();
    // The years above the columns of a table are names.
    let are_years = filled.iter().all(|(_, raw)| is_year(raw));
    Ok(!are_years && filled.iter().all(fits))
}

fn is_year(raw: &str) -> bool {
    raw.len() == 4 && raw.parse().is_ok_and(|year: u16| (1800..2200).contains(&year))
}
