//! Columns that a table got after a run: what somebody wrote into them is no business of the run's.
//!
//! PostgreSQL gives such a column a value in the rows that are there already: the default as it was computed then, or
//! NULL. While a row holds that, or what an immutable default gives now, nobody has filled it. Where the default gives
//! another value each time and the table was written anew this cannot be told, and the column is not looked at.

use crate::pg::relation::{Target, TargetColumn};
use crate::pg::{column_default, type_name};
use sluice_core::error::Result;
use sluice_core::sql_text::quote;

/// The conditions under which nobody has filled the columns that came after those of these numbers, on a row `o`.
/// `job_fills`: columns that the job itself fills.
pub(super) fn unfilled(target: &Target, attnums: &[i64], job_fills: &[String]) -> Result<Vec<String>> {
    let Some(last) = attnums.iter().max() else {
        return Ok(Vec::new());
    };
    let later = target.columns.iter().filter(|column| {
        let is_later = i64::from(column.attnum) > *last;
        is_later && !column.generated && !job_fills.contains(&column.name)
    });
    Ok(later.filter_map(|column| condition(target, column)).collect())
}

/// None where it cannot be told.
fn condition(target: &Target, column: &TargetColumn) -> Option<String> {
    let name = quote(&column.name);
    let text = |value: &str| format!("pg_catalog.format('%s', {value})");
    let own = text(&format!("o.{name}"));
    let stored = format!(
        "(SELECT (a.attmissingval::pg_catalog.text::pg_catalog.text[])[1] FROM pg_catalog.pg_attribute AS a \
         WHERE a.attrelid OPERATOR(pg_catalog.=) {}::pg_catalog.oid AND a.attnum OPERATOR(pg_catalog.=) {})",
        target.oid.to_u32(),
        column.attnum
    );
    let mut given = vec![
        format!("o.{name} IS NULL"),
        format!("coalesce({own} OPERATOR(pg_catalog.=) {stored}, false)"),
    ];
    let default = column_default::of(target.oid, column.attnum);
    match default.now {
        column_default::Expression::Changing if !default.is_stored => return None,
        column_default::Expression::None | column_default::Expression::Changing => {}
        column_default::Expression::Immutable(expression) => {
            let ty = type_name::sql(type_name::TypeName {
                oid: column.type_oid,
                typmod: column.typmod,
            });
            let now = text(&format!("({expression})::{ty}"));
            given.push(format!("{own} OPERATOR(pg_catalog.=) {now}"));
        }
    }
    Some(format!("({})", given.join(" OR ")))
}
