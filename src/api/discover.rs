//! What a collection looks like, before anything is made of it: `discover`. It writes nothing.

use super::connections::question;
use super::parents::first_look;
use super::{given, require_library};
use crate::pg::report::or_raise;
use crate::pipeline::probe;
use crate::store::job;
use pgrx::prelude::*;
use sluice_core::Result;
use sluice_core::discover::{Finding, job_name};
use sluice_core::error::{Error, InternalError};

type Row = (String, Option<pgrx::JsonB>, Option<String>, Option<String>);

/// Looks at a collection with a few requests, and proposes how to read it. The last row has the statement.
#[pg_extern(volatile, parallel_unsafe)]
#[allow(clippy::type_complexity)] // the columns of a table function
fn discover(
    connection: Option<&str>,
    path: Option<&str>,
    settings: default!(Option<pgrx::JsonB>, "'{}'"),
) -> TableIterator<
    'static,
    (
        name!(aspect, String),
        name!(proposal, Option<pgrx::JsonB>),
        name!(evidence, Option<String>),
        name!(doubt, Option<String>),
    ),
> {
    let asked = || {
        let document = given("settings", settings)?.0.to_string();
        rows(given("connection", connection)?, given("path", path)?, &document)
    };
    TableIterator::new(or_raise(asked()))
}

fn rows(connection: &str, path: &str, document: &str) -> Result<Vec<Row>> {
    require_library()?;
    let question = first_look(question(connection, path, document)?, path)?;
    let name = free_name(&job_name(path, connection))?;
    probe::discover(&question, (path, document), &name)?
        .into_iter()
        .map(row)
        .collect()
}

fn row(finding: Finding) -> Result<Row> {
    let proposal = finding.proposal.as_deref().map(json).transpose()?;
    Ok((finding.aspect.to_owned(), proposal, finding.evidence, finding.doubt))
}

fn json(text: &str) -> Result<pgrx::JsonB> {
    let parsed = serde_json::from_str(text).map_err(|_| {
        Error::Internal(InternalError::Corrupt {
            what: "a proposal".into(),
        })
    })?;
    Ok(pgrx::JsonB(parsed))
}

/// The name, with a number where a job has it already.
fn free_name(name: &str) -> Result<String> {
    for number in 2..100 {
        let tried = if number == 2 {
            name.to_owned()
        } else {
            format!("{name}_{}", number - 1)
        };
        if !job::exists(&tried)? {
            return Ok(tried);
        }
    }
    Ok(name.to_owned())
}
