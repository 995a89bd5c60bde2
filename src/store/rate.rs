//! `sluice._rate` and `sluice._run_pace`: what of a rate budget survives a crash, and how the requests of runs went.

use super::{execute, returning, row, rows, value};
use crate::pg::Oid;
use crate::pg::clock::Timestamp;
use crate::pg::spi::Row;
use pgrx::datum::TimestampWithTimeZone;
use sluice_core::Result;
use sluice_core::rate::{Breaker, Kept};

const COLUMNS: &str = "r.budget, (date_part('epoch', r.not_before - '2000-01-01 00:00+00'::timestamptz) * 1e6)::bigint, \
     r.breaker, (date_part('epoch', r.open_since - '2000-01-01 00:00+00'::timestamptz) * 1e6)::bigint, r.failures";

fn read(r: &Row) -> Result<(i64, Kept)> {
    let since: i64 = r.get(4)?.unwrap_or(0);
    let kept = Kept {
        not_before: r.get(2)?,
        breaker: match r.need::<String>(3)?.as_str() {
            "closed" => Breaker::Closed,
            _ => Breaker::Open { since },
        },
        failures: u64::try_from(r.need::<i64>(5)?).unwrap_or(0),
    };
    Ok((r.need(1)?, kept))
}

/// The budget that a connection shares; None where the connection is gone.
pub fn budget_of(server: Oid) -> Result<Option<i64>> {
    value::<i64>("SELECT sluice._budget($1)", &[server.into()])
}

/// The same for a role that may use the connection, or that sees them all.
pub fn budget_seen_by(seer: Oid, server: Oid) -> Result<Option<i64>> {
    let sql = "SELECT sluice._budget($1) WHERE has_server_privilege($2, $1, 'USAGE') OR pg_has_role($2, 'pg_monitor', 'USAGE') \
               OR has_function_privilege($2, 'sluice._monitor_level()', 'EXECUTE') \
               OR has_function_privilege($2, 'sluice._operator_level()', 'EXECUTE')";
    value::<i64>(sql, &[server.into(), seer.into()])
}

/// The budgets of all connections that jobs of this database use.
pub fn budgets_here() -> Result<Vec<i64>> {
    let sql = "SELECT DISTINCT b.budget FROM (SELECT DISTINCT j.server_oid FROM sluice._job AS j) AS s, \
               LATERAL (SELECT sluice._budget(s.server_oid) AS budget) AS b WHERE b.budget IS NOT NULL";
    rows(sql, &[], |r| r.need(1))
}

/// What is kept of a budget.
pub fn kept(budget: i64) -> Result<Option<Kept>> {
    let sql = format!("SELECT {COLUMNS} FROM sluice._rate AS r WHERE r.budget = $1");
    row(&sql, &[budget.into()], |r| Ok(read(r)?.1))
}

/// The budgets of this database that hold something up.
pub fn troubled(now: Timestamp) -> Result<Vec<(i64, Kept)>> {
    let sql = format!("SELECT {COLUMNS} FROM sluice._rate AS r WHERE r.breaker <> 'closed' OR r.not_before > $1");
    rows(&sql, &[TimestampWithTimeZone::from(now).into()], read)
}

/// Keeps what has to survive; whether the breaker was open and is not any more.
pub fn keep(budget: i64, kept: &Kept, reason: Option<&str>, now: Timestamp) -> Result<bool> {
    let sql = "SELECT breaker <> 'closed' FROM sluice._rate WHERE budget = $1 FOR UPDATE";
    let was_open = returning(sql, &[budget.into()], |r| r.need::<bool>(1))?.unwrap_or(false);
    let time = |at: i64| TimestampWithTimeZone::from(Timestamp(at));
    let since = match kept.breaker {
        Breaker::Closed => None,
        Breaker::Open { since } | Breaker::HalfOpen { since } => Some(since),
    };
    let args = [
        budget.into(),
        kept.not_before.map(time).into(),
        kept.breaker.as_str().into(),
        since.map(time).into(),
        i64::try_from(kept.failures).unwrap_or(0).into(),
        reason.into(),
        TimestampWithTimeZone::from(now).into(),
    ];
    execute(include_str!("../../sql/query/keep_rate.sql"), &args)?;
    Ok(was_open && kept.breaker == Breaker::Closed)
}

/// Makes the waiting retries of a budget's jobs due, and lets their waiting runs begin.
pub fn release(budget: i64, now: Timestamp) -> Result<()> {
    let at = TimestampWithTimeZone::from(now);
    execute(
        include_str!("../../sql/query/release_retries.sql"),
        &[budget.into(), at.into()],
    )?;
    execute(include_str!("../../sql/query/release_runs.sql"), &[budget.into()]).map(drop)
}

/// Jobs of a budget that may run in this database, those that wait first.
pub fn jobs_of(budget: i64, here: (i64, Oid)) -> Result<Vec<i64>> {
    let sql = include_str!("../../sql/query/jobs_of_budget.sql");
    rows(sql, &[budget.into(), here.0.into(), here.1.into()], |r| r.need(1))
}

/// How the requests of a run went.
#[derive(Debug, Clone, Copy)]
pub struct RunPace {
    pub requests: i64,
    pub retries: i64,
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub page_size: Option<i64>,
    pub concurrency: i32,
}

/// Writes that down. A run that went on after a wait has one row: its requests are added up, the rest is the latest.
pub fn note_run(run: i64, pace: &RunPace) -> Result<()> {
    let args = [
        run.into(),
        pace.requests.into(),
        pace.retries.into(),
        pace.p50_ms.into(),
        pace.p95_ms.into(),
        pace.page_size.into(),
        pace.concurrency.into(),
    ];
    execute(include_str!("../../sql/query/note_run_pace.sql"), &args).map(drop)
}
