//! Jobs proposed from an OpenAPI document: `plan_from_openapi`. Nothing is asked of a remote and nothing is written.

use super::given;
use crate::pg::report::or_raise;
use pgrx::prelude::*;
use sluice_core::openapi::{self, PlannedJob};

type Row = (
    String,
    String,
    String,
    Option<Vec<String>>,
    String,
    String,
    Option<String>,
    Option<String>,
);

/// What `sluice.plan_from_openapi` gives, with the settings as text.
#[pg_extern(name = "_plan_from_openapi", immutable, parallel_safe)]
#[allow(clippy::type_complexity)] // the columns of a table function
fn plan(
    document: Option<&str>,
) -> TableIterator<
    'static,
    (
        name!(name, String),
        name!(path, String),
        name!(mode, String),
        name!(key, Option<Vec<String>>),
        name!(settings, String),
        name!(evidence, String),
        name!(doubt, Option<String>),
        name!(statement, Option<String>),
    ),
> {
    let jobs = or_raise(given("document", document).and_then(|text| Ok(openapi::plan(text)?)));
    TableIterator::new(jobs.into_iter().map(row))
}

fn row(job: PlannedJob) -> Row {
    let key = Some(job.key).filter(|key| !key.is_empty());
    let mode = job.mode.to_owned();
    (
        job.name,
        job.path,
        mode,
        key,
        job.settings,
        job.evidence,
        job.doubt,
        job.statement,
    )
}
