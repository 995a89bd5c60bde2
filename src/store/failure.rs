//! `sluice._failure`: what failed, what decided about it, and what came next; and the error budget of a run.

use super::{execute, row, value};
use crate::pg::catalog::storable;
use crate::pg::clock::Timestamp;
use pgrx::datum::TimestampWithTimeZone;
use sluice_core::failure::{self, NextStep};
use sluice_core::retry::Spent;
use sluice_core::{Error, Result};

/// Where a run was when it failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    pub page: Option<i64>,
    /// Requests for that page, this one included.
    pub attempt: Option<i32>,
}

/// A failure of a job's run. Without a next step it is what has been planned for the job in this transaction.
#[derive(Debug)]
pub struct Failure<'a> {
    pub job: i64,
    pub run: i64,
    pub at: Timestamp,
    pub place: Place,
    pub error: &'a Error,
    pub next: Option<(NextStep, Option<Timestamp>)>,
}

pub fn record(failed: &Failure<'_>) -> Result<()> {
    let sql = include_str!("../../sql/query/record_failure.sql");
    let error = failed.error;
    let ruling = error.ruling();
    let (step, at) = failed.next.unzip();
    let args = [
        failed.job.into(),
        failed.run.into(),
        TimestampWithTimeZone::from(failed.at).into(),
        failed.place.page.into(),
        failed.place.attempt.into(),
        error.class().as_str().into(),
        error.sqlstate().into(),
        failure::http_status(error).map(i32::from).into(),
        storable(error.to_string()).into(),
        error.detail().map(storable).into(),
        error.hint().map(storable).into(),
        failure::excerpt(error).map(|text| storable(text.to_owned())).into(),
        error.cause().class().as_str().into(),
        storable(failure::basis(error)).into(),
        ruling.map(|ruling| ruling.rule).into(),
        ruling.map(|ruling| ruling.name.as_str()).into(),
        ruling.map(|ruling| ruling.matched.as_str()).into(),
        ruling.map(|ruling| ruling.action.as_str()).into(),
        step.map(NextStep::as_str).into(),
        at.flatten().map(TimestampWithTimeZone::from).into(),
    ];
    execute(sql, &args).map(drop)
}

/// An error's message as it is told to those without the rights of the job's owner.
pub fn told_to_all(error: &Error) -> Result<String> {
    let args = [
        storable(error.to_string()).into(),
        error.sqlstate().into(),
        error.class().as_str().into(),
    ];
    Ok(value::<String>("SELECT sluice._told($1, $2, $3, false)", &args)?.unwrap_or_default())
}

/// What earlier attempts of a run have spent of its error budget.
pub fn spent(run: i64) -> Result<Spent> {
    let sql = include_str!("../../sql/query/spent_budget.sql");
    let unsigned = |count: i32| u32::try_from(count).unwrap_or(0);
    let found = row(sql, &[run.into()], |r| {
        Ok(Spent {
            in_all: unsigned(r.need(1)?),
            in_row: unsigned(r.need(2)?),
        })
    })?;
    Ok(found.unwrap_or_default())
}

pub fn note_spent(run: i64, spent: Spent) -> Result<()> {
    let sql = "UPDATE sluice._run SET failed_requests = $2, failed_in_row = $3 WHERE id = $1";
    let signed = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    execute(
        sql,
        &[run.into(), signed(spent.in_all).into(), signed(spent.in_row).into()],
    )
    .map(drop)
}
