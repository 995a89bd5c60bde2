//! The first records of a collection as they would be stored: `preview`. It writes nothing.

use super::connections::question;
use super::parents::first_look;
use super::target::resolve;
use super::{given, require_library};
use crate::pg::catalog::storable;
use crate::pg::relation::{self, Target};
use crate::pg::report::or_raise;
use crate::pipeline::preview::records::{Previewed, Wanted, records};
use pgrx::prelude::*;
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::job::TargetName;

type Row = (i64, Vec<String>, Option<String>, Option<String>);

/// What `sluice.preview` gives as jsonb, as text.
#[pg_extern(name = "_preview", volatile, parallel_unsafe)]
#[allow(clippy::too_many_arguments, clippy::type_complexity)] // the public signature, and a table function's columns
fn preview(
    connection: Option<&str>,
    path: Option<&str>,
    settings: Option<&str>,
    target: Option<&str>,
    key: Option<Vec<Option<String>>>,
    max_records: Option<i32>,
) -> TableIterator<
    'static,
    (
        name!(record_number, i64),
        name!(key_columns, Vec<String>),
        name!(row, Option<String>),
        name!(problem, Option<String>),
    ),
> {
    let asked = || {
        require_library()?;
        let path = given("path", path)?;
        let asked = question(given("connection", connection)?, path, given("settings", settings)?)?;
        let target = target.map(named).transpose()?;
        if target.is_some() {
            asked.settings().check_columns()?;
        }
        let question = first_look(asked, path)?;
        let key = match key {
            Some(key) => key
                .into_iter()
                .map(|column| given("key", column))
                .collect::<Result<_>>()?,
            None => target
                .as_ref()
                .map(|target| target.primary_key.clone())
                .unwrap_or_default(),
        };
        let wanted = Wanted {
            target: target.as_ref(),
            key: &key,
            most: most(given("max_records", max_records)?)?,
        };
        Ok(records(&question, &wanted)?
            .into_iter()
            .map(|record| row(record, &key))
            .collect::<Vec<Row>>())
    };
    TableIterator::new(or_raise(asked()))
}

fn row(record: Previewed, key: &[String]) -> Row {
    let number = i64::try_from(record.number).unwrap_or(i64::MAX);
    // Escapes of JSON where the encoding is not UTF8.
    (
        number,
        key.to_vec(),
        record.row.map(storable),
        record.problem.map(storable),
    )
}

fn named(name: &str) -> Result<Target> {
    let found = resolve(&TargetName::parse(name)?.to_string())?
        .map(relation::read_target)
        .transpose()?;
    found
        .flatten()
        .ok_or_else(|| CallError::UnknownTarget { name: name.to_owned() }.into())
}

fn most(records: i32) -> Result<usize> {
    match usize::try_from(records) {
        Ok(records @ 1..=1000) => Ok(records),
        _ => Err(CallError::RecordCount { found: records }.into()),
    }
}
