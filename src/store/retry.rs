//! `sluice._retry`: the durable retry queue. States and who moves them: `sluice_core::retry_queue`.

use super::{all_returning, execute, row, value};
use crate::pg::Oid;
use crate::pg::clock::Timestamp;
use pgrx::datum::TimestampWithTimeZone;
use sluice_core::Result;
use std::time::Duration;

/// The open entry of a job.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub retries: u32,
}

/// An entry that became a run.
#[derive(Debug, Clone)]
pub struct Claimed {
    pub id: i64,
    pub job: i64,
    pub operation: String,
    pub retries: i32,
}

pub fn open_of(job: i64) -> Result<Option<Entry>> {
    let sql = "SELECT retry_count FROM sluice._retry WHERE job_id = $1 AND operation = 'sync' \
               AND status IN ('pending', 'processing')";
    row(sql, &[job.into()], |r| {
        Ok(Entry {
            retries: u32::try_from(r.need::<i32>(1)?).unwrap_or(0),
        })
    })
}

/// Has a failed run tried again; its row has its error already.
pub fn queue(run: i64, retries: u32, most: u32, at: Timestamp) -> Result<()> {
    let args = [
        run.into(),
        i32::try_from(retries).unwrap_or(i32::MAX).into(),
        i32::try_from(most).unwrap_or(i32::MAX).into(),
        stamp(at).into(),
    ];
    execute(include_str!("../../sql/query/queue_retry.sql"), &args).map(drop)
}

/// Ends the open entry of a job: what it stood for was done, or was asked for by somebody else.
pub fn complete(job: i64) -> Result<()> {
    let sql = "UPDATE sluice._retry SET status = 'completed', next_retry_at = NULL, updated_at = clock_timestamp() \
               WHERE job_id = $1 AND operation = 'sync' AND status IN ('pending', 'processing')";
    execute(sql, &[job.into()]).map(drop)
}

/// Gives the open entry of a job up, with the error of the run that was its last.
pub fn bury(job: i64, run: i64) -> Result<()> {
    let sql = "UPDATE sluice._retry AS q SET status = 'dead', next_retry_at = NULL, run_id = r.id, \
               error_class = coalesce(r.error_class, q.error_class), sqlstate = coalesce(r.sqlstate, q.sqlstate), \
               last_error_message = coalesce(r.error_message, q.last_error_message), updated_at = clock_timestamp() \
               FROM sluice._run AS r WHERE q.job_id = $1 AND q.operation = 'sync' \
               AND q.status IN ('pending', 'processing') AND r.id = $2";
    execute(sql, &[job.into(), run.into()]).map(drop)
}

/// A run that somebody asked for takes the place of the one that waits; it is no retry, and counts as none.
pub fn take_place(job: i64) -> Result<()> {
    let sql = "UPDATE sluice._retry SET status = 'processing', next_retry_at = NULL, updated_at = clock_timestamp() \
               WHERE job_id = $1 AND operation = 'sync' AND status = 'pending'";
    execute(sql, &[job.into()]).map(drop)
}

/// The job's run is gone and the entry did not learn how it ended: it is tried again at once. Whether there is a run is
/// seen with the entry: between two looks somebody else may have taken the entry and asked for one.
pub fn wait_again(job: i64, now: Timestamp) -> Result<()> {
    let sql = "UPDATE sluice._retry SET status = 'pending', next_retry_at = $2, updated_at = clock_timestamp() \
               WHERE job_id = $1 AND operation = 'sync' AND status = 'processing' AND NOT EXISTS (SELECT FROM sluice._run AS r \
               WHERE r.job_id = $1 AND r.status IN ('scheduled', 'running', 'publishing'))";
    execute(sql, &[job.into(), stamp(now).into()]).map(drop)
}

/// Makes the waiting retry of a job due; false where none waits.
pub fn hasten(job: i64, now: Timestamp) -> Result<bool> {
    let sql = "UPDATE sluice._retry SET next_retry_at = least(next_retry_at, $2), updated_at = clock_timestamp() \
               WHERE job_id = $1 AND status = 'pending'";
    Ok(execute(sql, &[job.into(), stamp(now).into()])? > 0)
}

/// Makes the waiting retries of every job of a connection due: its remote answers again. How many.
pub fn make_due_for_connection(server: Oid, now: Timestamp) -> Result<u64> {
    let sql = "UPDATE sluice._retry AS q SET next_retry_at = $2, updated_at = clock_timestamp() FROM sluice._job AS j \
               WHERE j.id = q.job_id AND j.server_oid = $1 AND q.status = 'pending' AND q.next_retry_at > $2";
    execute(sql, &[server.into(), stamp(now).into()])
}

/// Puts the newest dead letter of each kind of work back, as if nothing had been tried; how many.
pub fn redrive(job: i64, now: Timestamp) -> Result<i64> {
    let sql = "UPDATE sluice._retry AS q SET status = 'pending', retry_count = 0, next_retry_at = $2, \
               updated_at = clock_timestamp() WHERE q.job_id = $1 AND q.status = 'dead' \
               AND q.id = (SELECT max(d.id) FROM sluice._retry AS d WHERE d.job_id = $1 AND d.operation = q.operation) ";
    Ok(i64::try_from(execute(sql, &[job.into(), stamp(now).into()])?).unwrap_or(0))
}

/// Drops the waiting retries of a job; how many there were.
pub fn clear(job: i64) -> Result<i64> {
    let sql = "DELETE FROM sluice._retry WHERE job_id = $1 AND status = 'pending'";
    Ok(i64::try_from(execute(sql, &[job.into()])?).unwrap_or(0))
}

/// Takes the entries whose time came before `until`, the most urgent first.
pub fn claim(until: Timestamp, here: (i64, Oid), most: i64) -> Result<Vec<Claimed>> {
    let sql = include_str!("../../sql/query/claim_retries.sql");
    all_returning(
        sql,
        &[stamp(until).into(), here.0.into(), here.1.into(), most.into()],
        |r| {
            Ok(Claimed {
                id: r.need(1)?,
                job: r.need(2)?,
                operation: r.need(3)?,
                retries: r.need(4)?,
            })
        },
    )
}

/// How long entries stay that have ended.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

/// Forgets what has ended for longer than that; how many entries.
pub fn prune(now: Timestamp) -> Result<u64> {
    let sql = "DELETE FROM sluice._retry WHERE status IN ('completed', 'dead') AND updated_at < $1";
    execute(sql, &[stamp(now.minus(KEPT)).into()])
}

/// Whether pg_cron of this database runs the job that processes retries. Only its own table is looked at: one that
/// somebody else has made could run code.
pub fn is_processed_by_cron() -> Result<bool> {
    let sql = "SELECT count(*) = 1 FROM pg_catalog.pg_depend AS d \
               JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'pg_cron' \
               WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
               AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e' \
               AND d.objid = pg_catalog.to_regclass('cron.job')";
    if !value::<bool>(sql, &[])?.unwrap_or(false) {
        return Ok(false);
    }
    let sql = "SELECT EXISTS (SELECT FROM cron.job AS c JOIN sluice._cron_jobs() AS w ON c.jobname IN (w.jobname, w.elsewhere) \
               WHERE w.jobname = 'process-sync-retries' AND c.active AND c.database = pg_catalog.current_database())";
    Ok(value::<bool>(sql, &[])?.unwrap_or(false))
}

fn stamp(time: Timestamp) -> TimestampWithTimeZone {
    time.into()
}
