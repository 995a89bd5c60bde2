//! A body and the path to its records: found where serde_json has them, decoded into rows that hold the same values.
//!
//! Input: the path, a line's end, the body.

use crate::oracle::{depth, first_line, select, well_told};
use crate::targets::fields;
use serde_json::Value;
use serde_json::value::RawValue;
use sluice_core::data::{
    self, Column, ColumnType, DataError, DecodedPage, Former, Inferred, InferredType, MAX_DEPTH, Mapping, Misfit,
    SingularQuery,
};
use std::collections::BTreeMap;

pub fn check(input: &[u8]) {
    let Some((path, body)) = first_line(input) else { return };
    let Ok(query) = SingularQuery::parse_records(path) else {
        return;
    };
    let located = data::locate(body, &query).map(|located| located.text);
    check_place(body, &query, &located);
    match located {
        Ok(records) => check_rows(records),
        Err(error) => well_told(&error),
    }
}

/// The records are the array that a tree of values has at the path.
fn check_place(body: &[u8], query: &SingularQuery, located: &Result<&str, DataError>) {
    let Ok(text) = std::str::from_utf8(body) else {
        assert!(matches!(located, Err(DataError::NotUtf8 { .. })), "{located:?}");
        return;
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() < body.len() && text.starts_with('\u{feff}') {
        assert_eq!(*located, Err(DataError::SecondMark));
        return;
    }
    if serde_json::from_str::<&RawValue>(text).is_err() {
        assert!(located.is_err(), "{located:?}");
        return;
    }
    // Numbers beyond a double and halves of surrogate pairs are JSON, and no tree can hold them.
    let Ok(tree) = serde_json::from_str::<Value>(text) else {
        return;
    };
    match select(&tree, query) {
        _ if depth(&tree) > MAX_DEPTH => assert_eq!(*located, Err(DataError::TooDeep { limit: MAX_DEPTH })),
        Some(Value::Array(elements)) => {
            let records = located.as_ref().expect("there is an array at the path");
            assert_eq!(
                &serde_json::from_str::<Vec<Value>>(records).expect("an array"),
                elements
            );
            assert!(text.contains(records), "a piece of the body");
        }
        Some(_) => assert!(matches!(located, Err(DataError::NotAnArray { .. })), "{located:?}"),
        None => assert!(matches!(located, Err(DataError::PathMissing { .. })), "{located:?}"),
    }
}

/// An array of records becomes rows of the columns that it proposes, each field with the value of its member.
pub fn check_rows(records: &str) {
    let inferred = match data::infer(records, u64::MAX) {
        Ok(inferred) => inferred,
        Err(error) => return well_told(&error),
    };
    let objects: Vec<BTreeMap<String, Box<RawValue>>> = serde_json::from_str(records).expect("an array of objects");
    assert_eq!(inferred.records, objects.len() as u64);
    check_columns(records, &objects, &columns(&inferred, |_| ColumnType::Text));
    check_columns(records, &objects, &columns(&inferred, InferredType::encoding));
    check_former(records, objects.len());
}

fn columns(inferred: &Inferred, ty: fn(InferredType) -> ColumnType) -> Vec<Column> {
    let column = |column: &data::InferredColumn| Column {
        name: column.name.clone(),
        query: column.query.clone(),
        ty: ty(column.ty),
        default: None,
    };
    inferred.columns.iter().map(column).collect()
}

type Object = BTreeMap<String, Box<RawValue>>;

fn check_columns(records: &str, objects: &[Object], columns: &[Column]) {
    let always = |name: &&Column| objects.iter().all(|object| fields::raw_of(object, name).is_some());
    let key: Vec<usize> = columns.iter().position(|column| always(&column)).into_iter().collect();
    let mapping = Mapping::new(SingularQuery::root(), columns.to_vec(), key.clone(), "");
    match data::decode(records, &mapping) {
        Ok(page) => check_page(&page, objects, &mapping),
        Err(error) => {
            well_told(&error);
            assert!(may_be_refused(&error), "{error:?}");
        }
    }
}

/// What no column of a proposed type can hold.
fn may_be_refused(error: &DataError) -> bool {
    match error {
        DataError::DoesNotFit { reason, type_name, .. } => match reason {
            Misfit::Nul | Misfit::LoneSurrogate | Misfit::TooDeep => true,
            Misfit::OutOfRange => *type_name == ColumnType::Numeric.name(),
            _ => false,
        },
        _ => false,
    }
}

fn check_page(page: &DecodedPage, objects: &[Object], mapping: &Mapping) {
    assert_eq!(page.records as usize, objects.len());
    let rows: Vec<&[u8]> = data::split_rows(&page.rows, mapping.columns.len()).collect();
    assert_eq!((rows.len(), rows.concat()), (objects.len(), page.rows.clone()));
    for (row, object) in rows.iter().zip(objects) {
        let row: Vec<Option<&[u8]>> = data::fields(row).collect();
        assert_eq!(row.len(), mapping.columns.len());
        for (column, field) in mapping.columns.iter().zip(&row) {
            fields::check_field(column.ty, fields::raw_of(object, column), *field);
        }
    }
    if !mapping.key.is_empty() {
        let keys: Vec<&[u8]> = data::split_keys(&page.keys, mapping.key.len()).collect();
        assert_eq!((keys.len(), keys.concat()), (objects.len(), page.keys.clone()));
    }
}

/// A page that came before has nothing new.
fn check_former(records: &str, count: usize) {
    let mut former = Former::new(count + 1);
    former.add(records, &[]).expect("an array");
    assert_eq!(former.without(records), Ok(None));
}
