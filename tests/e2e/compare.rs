//! Comparing a table with the API's truth. The expected values do not come from our code: PostgreSQL itself turns the
//! API's records into rows of the table's type.

use crate::db::{Db, literal};
use crate::reply::Rows;
use sample_api::SampleApi;

/// How many differences a failing comparison shows.
const SHOWN: usize = 10;

/// Panics unless the table holds exactly the API's records: the same ids, and every column the same text.
/// The table's columns are named as the records' members; members without a column are ignored.
pub fn assert_table_equals_source(db: &mut Db, table: &str, source: &SampleApi) {
    let records: Vec<String> = source.truth().into_values().collect();
    let found = differences(db, table, &records);
    assert!(
        found.is_empty(),
        "{table} differs from the source:\n{}",
        found.join("\n")
    );
}

/// How a table differs from records (JSON objects), at most a few lines; empty where it does not.
pub fn differences(db: &mut Db, table: &str, records: &[String]) -> Vec<String> {
    let records = literal(&format!("[{}]", records.join(",")));
    let actual = format!("SELECT t::text FROM {table} t ORDER BY 1");
    let expected = format!("SELECT t::text FROM json_populate_recordset(NULL::{table}, {records}::json) t ORDER BY 1");
    let (actual, expected) = (db.rows(&actual), db.rows(&expected));
    let mut found = Vec::new();
    if actual.rows.len() != expected.rows.len() {
        found.push(format!("{} rows, expected {}", actual.rows.len(), expected.rows.len()));
    }
    only_in_first(&actual, &expected, "unexpected", &mut found);
    only_in_first(&expected, &actual, "missing", &mut found);
    found
}

fn only_in_first(first: &Rows, second: &Rows, word: &str, found: &mut Vec<String>) {
    let others: std::collections::HashSet<&Vec<Option<String>>> = second.rows.iter().collect();
    let lines = first.rows.iter().filter(|row| !others.contains(row));
    found.extend(
        lines
            .take(SHOWN)
            .map(|row| format!("{word}: {}", row[0].as_deref().unwrap_or("NULL"))),
    );
}
