//! `sluice._alert`, `_alert_told` and `_alert_call`: event rules, and the calls that they make.

use super::{execute, returning, row, value};
use crate::pg::Oid;
use crate::pg::clock::Timestamp;
use crate::pg::spi::Row;
use pgrx::datum::TimestampWithTimeZone;
use sluice_core::alert::Callee;
use sluice_core::job::FunctionName;
use sluice_core::{Error, Result};
use std::time::Duration;

/// A rule to be made.
pub struct Rule<'a> {
    pub name: &'a str,
    pub events: Vec<String>,
    pub job: Option<i64>,
    pub after_failures: i32,
    pub callee: &'a Callee,
    pub function_owner: Option<String>,
    pub time_limit: Duration,
}

/// Stores a rule; None where its name is taken.
pub fn insert(rule: &Rule<'_>, by: &str) -> Result<Option<i64>> {
    let (schema, function, connection, path) = match rule.callee {
        Callee::Function(name) => (name.schema.clone(), Some(name.name.clone()), None, None),
        Callee::Webhook { connection, path } => (None, None, Some(connection.clone()), Some(path.clone())),
    };
    let args = [
        rule.name.into(),
        rule.events.clone().into(),
        rule.job.into(),
        rule.after_failures.into(),
        schema.into(),
        function.into(),
        rule.function_owner.clone().into(),
        connection.into(),
        path.into(),
        rule.time_limit.as_secs_f64().into(),
        by.into(),
    ];
    returning(include_str!("../../sql/query/insert_alert.sql"), &args, |r| r.need(1))
}

pub fn drop(name: &str) -> Result<bool> {
    Ok(execute("DELETE FROM sluice._alert WHERE name = $1", &[name.into()])? > 0)
}

/// A function (jsonb) of this name: its oid, its schema, and its owner, who may log in or not.
pub struct Function {
    pub oid: Oid,
    pub schema: String,
    pub owner: Oid,
    pub owner_name: String,
    pub may_login: bool,
}

pub fn function(name: &FunctionName, schemas: &[String]) -> Result<Option<Function>> {
    let args = [schemas.to_vec().into(), name.name.as_str().into()];
    row(include_str!("../../sql/query/find_alert_function.sql"), &args, |r| {
        Ok(Function {
            oid: r.need(1)?,
            schema: r.need(2)?,
            owner: r.need(3)?,
            owner_name: r.need(4)?,
            may_login: r.need(5)?,
        })
    })
}

/// Queues calls for what has changed; how many.
pub fn raise(now: Timestamp) -> Result<i64> {
    let sql = "SELECT sluice._raise_alerts($1)";
    Ok(returning(sql, &[stamp(now).into()], |r| r.need(1))?.unwrap_or(0))
}

/// Whether there is a rule at all.
pub fn any() -> Result<bool> {
    Ok(value::<bool>("SELECT EXISTS (SELECT FROM sluice._alert)", &[])?.unwrap_or(false))
}

/// What a call is, and as whom and how it is made.
#[derive(Debug, Clone)]
pub struct Call {
    pub id: i64,
    pub alert: i64,
    pub rule: String,
    pub callee: Callee,
    pub function_owner: Option<String>,
    pub time_limit: Duration,
    pub payload: String,
    pub attempts: u32,
}

fn read(r: &Row) -> Result<Call> {
    let callee = match r.get::<String>(5)? {
        Some(name) => Callee::Function(FunctionName {
            schema: r.get(4)?,
            name,
        }),
        None => Callee::Webhook {
            connection: r.need(7)?,
            path: r.need(8)?,
        },
    };
    Ok(Call {
        id: r.need(1)?,
        alert: r.need(2)?,
        rule: r.need(3)?,
        callee,
        function_owner: r.get(6)?,
        time_limit: Duration::from_secs_f64(r.need(9)?),
        payload: r.need(10)?,
        attempts: u32::try_from(r.need::<i32>(11)?).unwrap_or(0),
    })
}

/// The call that is due first, of one rule or of any. Calls of a rule for a job are made in their order.
pub fn due(alert: Option<i64>, now: Timestamp) -> Result<Option<Call>> {
    row(
        include_str!("../../sql/query/due_alert_call.sql"),
        &[stamp(now).into(), alert.into()],
        read,
    )
}

/// Begins a call; false where it is not there any more.
pub fn begin(id: i64) -> Result<bool> {
    let sql = "UPDATE sluice._alert_call SET status = 'processing', next_retry_at = NULL, attempts = attempts + 1, \
               updated_at = clock_timestamp() WHERE id = $1 AND status = 'pending'";
    Ok(execute(sql, &[id.into()])? == 1)
}

pub fn complete(id: i64) -> Result<()> {
    let sql = "UPDATE sluice._alert_call SET status = 'completed', next_retry_at = NULL, updated_at = clock_timestamp() WHERE id = $1";
    execute(sql, &[id.into()]).map(std::mem::drop)
}

/// A call failed: it is made again at this time; None: it is given up.
pub fn fail(id: i64, error: &Error, again: Option<Timestamp>) -> Result<()> {
    let sql = "UPDATE sluice._alert_call SET status = CASE WHEN $5::timestamptz IS NULL THEN 'dead' ELSE 'pending' END, \
               next_retry_at = $5, error_class = $2, sqlstate = $3, last_error_message = $4, updated_at = clock_timestamp() \
               WHERE id = $1";
    let args = [
        id.into(),
        error.class().as_str().into(),
        error.sqlstate().into(),
        crate::pg::catalog::storable(error.to_string()).into(),
        again.map(stamp).into(),
    ];
    execute(sql, &args).map(std::mem::drop)
}

/// Calls whose worker is gone, with what was begun of each.
pub fn abandoned() -> Result<Vec<(i64, i32)>> {
    super::rows(
        "SELECT id, attempts FROM sluice._alert_call WHERE status = 'processing' ORDER BY id",
        &[],
        |r| Ok((r.need(1)?, r.need(2)?)),
    )
}

/// Seconds until the next call is due, or a job's data will be too old; None: nothing is to come.
pub fn seconds_to_next(now: Timestamp) -> Result<Option<f64>> {
    value::<f64>(include_str!("../../sql/query/next_alert.sql"), &[stamp(now).into()])
}

/// Has the waiting calls of a job made now; how many.
pub fn hasten(job: i64, now: Timestamp) -> Result<u64> {
    let sql = "UPDATE sluice._alert_call SET next_retry_at = least(next_retry_at, $2), updated_at = clock_timestamp() \
               WHERE job_id = $1 AND status = 'pending'";
    execute(sql, &[job.into(), stamp(now).into()])
}

/// Puts calls of a job back that were given up; how many.
pub fn redrive(job: i64, now: Timestamp) -> Result<i64> {
    let sql = "UPDATE sluice._alert_call SET status = 'pending', attempts = 0, next_retry_at = $2, updated_at = clock_timestamp() \
               WHERE job_id = $1 AND status = 'dead'";
    Ok(i64::try_from(execute(sql, &[job.into(), stamp(now).into()])?).unwrap_or(0))
}

/// Drops the waiting calls of a job; how many there were.
pub fn clear(job: i64) -> Result<i64> {
    let sql = "DELETE FROM sluice._alert_call WHERE job_id = $1 AND status = 'pending'";
    Ok(i64::try_from(execute(sql, &[job.into()])?).unwrap_or(0))
}

fn stamp(time: Timestamp) -> TimestampWithTimeZone {
    time.into()
}
