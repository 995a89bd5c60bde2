//! `sluice._run`: one execution of a job. States and who moves them: `sluice_core::run`.
//! Size: one table with many short statements.

use super::{execute, returning, row, rows, value};
use crate::pg::Oid;
use crate::pg::catalog::storable;
use crate::pg::clock::Timestamp;
use crate::pg::spi::Row;
use crate::pg::transaction;
use pgrx::datum::TimestampWithTimeZone;
use sluice_core::call::EndedWith;
use sluice_core::error::InternalError;
use sluice_core::guard;
use sluice_core::run::{RunSource, RunStatus, RunTask};
use sluice_core::{Error, Result};
use std::collections::HashSet;

/// A run as a worker or a call needs it.
#[derive(Debug, Clone)]
pub struct Run {
    pub id: i64,
    pub job: i64,
    pub status: String,
    pub generation: Option<i64>,
    pub approved_by: Option<String>,
    pub task: RunTask,
    /// The run to replay or to go back to, or the snapshot.
    pub subject: Option<i64>,
    /// For a rollback: whether the job goes on.
    pub resume_job: bool,
    /// For a snapshot: what it is called.
    pub label: Option<String>,
    pub requested_by: String,
    pub source: String,
    pub stopped_by: Option<String>,
}

const COLUMNS: &str = "r.id, r.job_id, r.status, r.generation, r.approved_by, r.task, \
     r.subject, r.resume_job, r.label, r.requested_by, r.source, r.stopped_by";

fn read(r: &Row) -> Result<Run> {
    Ok(Run {
        id: r.need(1)?,
        job: r.need(2)?,
        status: r.need(3)?,
        generation: r.get(4)?,
        approved_by: r.get(5)?,
        task: RunTask::parse(&r.need::<String>(6)?).ok_or_else(corrupt)?,
        subject: r.get(7)?,
        resume_job: r.need(8)?,
        label: r.get(9)?,
        requested_by: r.need(10)?,
        source: r.need(11)?,
        stopped_by: r.get(12)?,
    })
}

impl Run {
    /// Whether the run reads the remote: neither payloads, nor what a person asks for or has decided.
    pub fn is_read(&self) -> bool {
        self.task == RunTask::Sync && self.approved_by.is_none() && self.source != RunSource::Ingest.as_str()
    }
}

fn corrupt() -> Error {
    Error::Internal(InternalError::Corrupt {
        what: "the task of a run".into(),
    })
}

pub fn by_id(id: i64) -> Result<Option<Run>> {
    row(
        &format!("SELECT {COLUMNS} FROM sluice._run AS r WHERE r.id = $1"),
        &[id.into()],
        read,
    )
}

/// The run that occupies the job, if there is one.
pub fn open_of(job: i64) -> Result<Option<Run>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM sluice._run AS r WHERE r.job_id = $1 AND r.status IN ('scheduled', 'running', 'publishing')"
    );
    row(&sql, &[job.into()], read)
}

/// Asks for a run; the open one's id where there is one already. One that was asked for to write payloads and has not
/// begun gives its place: payloads come after a read.
pub fn request(job: i64, source: RunSource, by: &str, not_before: Option<Timestamp>) -> Result<i64> {
    let sql = include_str!("../../sql/query/request_run.sql");
    let at = not_before.map(TimestampWithTimeZone::from);
    let args = [job.into(), source.as_str().into(), by.into(), at.into()];
    Ok(returning(sql, &args, |r| r.need(1))?.expect("INSERT … RETURNING gives the id"))
}

/// Asks for a run where none is open; none where one is.
pub fn request_alone(job: i64, source: RunSource, by: &str) -> Result<Option<i64>> {
    let sql = "INSERT INTO sluice._run (job_id, source, requested_by, status) VALUES ($1, $2, $3, 'scheduled') \
               ON CONFLICT DO NOTHING RETURNING id";
    returning(sql, &[job.into(), source.as_str().into(), by.into()], |r| r.need(1))
}

/// Whether this run writes payloads and asks the remote for nothing.
pub fn is_ingest(id: i64) -> Result<bool> {
    let sql = "SELECT source = 'ingest' FROM sluice._run WHERE id = $1";
    Ok(value::<bool>(sql, &[id.into()])?.unwrap_or(false))
}

/// Whether the job's latest run wrote payloads.
pub fn latest_is_ingest(job: i64) -> Result<bool> {
    let sql = "SELECT source = 'ingest' FROM sluice._run WHERE job_id = $1 ORDER BY id DESC LIMIT 1";
    Ok(value::<bool>(sql, &[job.into()])?.unwrap_or(false))
}

/// Work on a job that is no read of the remote.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub task: RunTask,
    pub source: RunSource,
    pub subject: Option<i64>,
    pub resume_job: bool,
    pub label: Option<String>,
    pub not_before: Option<Timestamp>,
}

impl Wanted {
    pub fn new(task: RunTask, subject: Option<i64>) -> Wanted {
        Wanted {
            task,
            source: task.source(),
            subject,
            resume_job: false,
            label: None,
            not_before: None,
        }
    }
}

/// Asks for work on a job; None where the job is occupied.
pub fn request_work(job: i64, by: &str, wanted: &Wanted) -> Result<Option<i64>> {
    let sql = "INSERT INTO sluice._run (job_id, source, requested_by, status, task, subject, resume_job, label, not_before) \
               VALUES ($1, $2, $3, 'scheduled', $4, $5, $6, $7, $8) \
               ON CONFLICT (job_id) WHERE status IN ('scheduled', 'running', 'publishing') DO NOTHING RETURNING id";
    let args = [
        job.into(),
        wanted.source.as_str().into(),
        by.into(),
        wanted.task.as_str().into(),
        wanted.subject.into(),
        wanted.resume_job.into(),
        wanted.label.clone().into(),
        wanted.not_before.map(TimestampWithTimeZone::from).into(),
    ];
    returning(sql, &args, |r| r.need(1))
}

/// Releases a held run for publishing; false where it is not held any more, or another run occupies the job.
pub fn approve(run: &Run, by: &str) -> Result<bool> {
    let sql = "UPDATE sluice._run SET status = 'scheduled', approved_by = $2, approved_at = clock_timestamp() \
               WHERE id = $1 AND status = 'held' AND NOT EXISTS (SELECT FROM sluice._run AS o \
               WHERE o.job_id = $3 AND o.status IN ('scheduled', 'running', 'publishing'))";
    match transaction::attempt(|| execute(sql, &[run.id.into(), by.into(), run.job.into()])) {
        // Somebody else's began at the same moment.
        Err(Error::Database(met)) if met.sqlstate == UNIQUE_VIOLATION => Ok(false),
        outcome => Ok(outcome? == 1),
    }
}

const UNIQUE_VIOLATION: &str = "23505";

/// An interrupted run waits for another worker.
pub fn wait_again(id: i64, not_before: Timestamp) -> Result<()> {
    let sql = "UPDATE sluice._run SET status = 'scheduled', not_before = $2, finished_at = NULL WHERE id = $1";
    execute(sql, &[id.into(), TimestampWithTimeZone::from(not_before).into()]).map(drop)
}

/// A run gives its worker to others and waits behind them for another one; no attempt is counted. One that somebody stops
/// at this moment is closed by the scheduler.
pub fn end_turn(id: i64, now: Timestamp) -> Result<()> {
    let sql = "UPDATE sluice._run SET status = 'scheduled', not_before = $2, attempt = 0 \
               WHERE id = $1 AND status IN ('running', 'publishing') AND stopped_by IS NULL";
    execute(sql, &[id.into(), TimestampWithTimeZone::from(now).into()]).map(drop)
}

/// A run that has begun, or not yet, waits until a time for a reason of its remote's.
pub fn give_back(id: i64, until: Timestamp, reason: &str) -> Result<()> {
    let sql = include_str!("../../sql/query/give_run_back.sql");
    execute(
        sql,
        &[id.into(), TimestampWithTimeZone::from(until).into(), reason.into()],
    )
    .map(drop)
}

/// Runs that say a worker is on them.
pub fn running() -> Result<Vec<Run>> {
    let sql = format!("SELECT {COLUMNS} FROM sluice._run AS r WHERE r.status IN ('running', 'publishing')");
    rows(&sql, &[], read)
}

/// The jobs whose lock a process holds now.
pub fn locked_jobs() -> Result<HashSet<i64>> {
    let found = rows("SELECT job_id FROM sluice._running_job", &[], |r| r.need(1))?;
    Ok(found.into_iter().collect())
}

/// Whether the run is still one that a worker has taken; it stays so until the transaction ends.
pub fn lock_running(id: i64) -> Result<bool> {
    let sql = "SELECT id FROM sluice._run WHERE id = $1 AND status IN ('running', 'publishing') FOR NO KEY UPDATE";
    Ok(returning(sql, &[id.into()], |r| r.need::<i64>(1))?.is_some())
}

/// A worker takes the run. False where it is no longer there to take.
pub fn start(id: i64, now: Timestamp) -> Result<bool> {
    let sql = "UPDATE sluice._run SET status = 'running', started_at = coalesce(started_at, $2), finished_at = NULL, rate_wait = NULL \
               WHERE id = $1 AND status = 'scheduled'";
    Ok(execute(sql, &[id.into(), TimestampWithTimeZone::from(now).into()])? == 1)
}

/// Counts a worker that is started for the run; how many there were.
pub fn count_attempt(id: i64) -> Result<i32> {
    let sql = "UPDATE sluice._run SET attempt = attempt + 1 WHERE id = $1 RETURNING attempt";
    Ok(returning(sql, &[id.into()], |r| r.need(1))?.unwrap_or(0))
}

pub fn set_generation(id: i64, generation: i64) -> Result<()> {
    execute(
        "UPDATE sluice._run SET generation = $2 WHERE id = $1",
        &[id.into(), generation.into()],
    )
    .map(drop)
}

pub fn set_status(id: i64, status: RunStatus) -> Result<()> {
    execute(
        "UPDATE sluice._run SET status = $2 WHERE id = $1",
        &[id.into(), status.as_str().into()],
    )
    .map(drop)
}

/// What a batch adds to a run's counters.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    pub pages: i64,
    pub records: i64,
    pub inserted: i64,
    pub updated: i64,
    pub deleted: i64,
    pub unchanged: i64,
    pub bytes: i64,
    pub rejected: i64,
}

pub fn add_counts(id: i64, add: &Counts) -> Result<()> {
    let sql = "UPDATE sluice._run SET pages = pages + $2, records = records + $3, inserted = inserted + $4, \
               updated = updated + $5, deleted = deleted + $6, unchanged = unchanged + $7, bytes = bytes + $8, \
               rejected = rejected + $9 WHERE id = $1";
    let args = [
        id.into(),
        add.pages.into(),
        add.records.into(),
        add.inserted.into(),
        add.updated.into(),
        add.deleted.into(),
        add.unchanged.into(),
        add.bytes.into(),
        add.rejected.into(),
    ];
    execute(sql, &args).map(drop)
}

/// Ends a run without an error of its own.
pub fn finish(id: i64, status: RunStatus, now: Timestamp) -> Result<()> {
    let sql = "UPDATE sluice._run SET status = $2, finished_at = $3 WHERE id = $1";
    execute(
        sql,
        &[
            id.into(),
            status.as_str().into(),
            TimestampWithTimeZone::from(now).into(),
        ],
    )
    .map(drop)
}

/// Ends a run with the error that ended it; false where it had ended before.
pub fn fail(id: i64, status: RunStatus, error: &Error, now: Timestamp) -> Result<bool> {
    let sql = "UPDATE sluice._run SET status = $2, finished_at = $3, error_class = $4, sqlstate = $5, \
               error_message = $6, error_detail = $7, error_hint = $8 \
               WHERE id = $1 AND status IN ('scheduled', 'running', 'publishing')";
    let args = [
        id.into(),
        status.as_str().into(),
        TimestampWithTimeZone::from(now).into(),
        error.class().as_str().into(),
        error.sqlstate().into(),
        storable(error.to_string()).into(),
        error.detail().map(storable).into(),
        error.hint().map(storable).into(),
    ];
    Ok(execute(sql, &args)? == 1)
}

/// Holds a run for a person's decision; older held runs of the job are superseded.
pub fn hold(id: i64, job: i64, reason: &str, now: Timestamp) -> Result<()> {
    supersede_held(job, id)?;
    let sql = "UPDATE sluice._run AS r SET status = 'held', finished_at = $3, held_reason = $2, \
               total_first = t.total_first, total_last = t.total_last, longest_pause = t.longest_pause, \
               direct = t.direct \
               FROM sluice._job_state AS t WHERE r.id = $1 AND t.job_id = r.job_id";
    execute(
        sql,
        &[id.into(), reason.into(), TimestampWithTimeZone::from(now).into()],
    )
    .map(drop)
}

/// The generation that a run published or was to publish.
pub fn replay_source(id: i64) -> Result<Option<i64>> {
    value::<i64>("SELECT generation FROM sluice._run WHERE id = $1", &[id.into()])
}

/// What the read of a run declared on its first and on its last page, and its longest pause in seconds.
pub fn read_facts(id: i64) -> Result<(Option<i64>, Option<i64>, f64)> {
    let sql = "SELECT total_first, total_last, coalesce(longest_pause, 0) FROM sluice._run WHERE id = $1";
    let facts = row(sql, &[id.into()], |r| Ok((r.get(1)?, r.get(2)?, r.need(3)?)))?;
    Ok(facts.unwrap_or_default())
}

/// Whether the rows of a held run were in the target when it was held.
pub fn held_direct(id: i64) -> Result<bool> {
    let sql = "SELECT direct FROM sluice._run WHERE id = $1";
    Ok(value::<bool>(sql, &[id.into()])?.unwrap_or(false))
}

/// Takes an approval back that came to nothing, whatever ended it; whether there was one.
pub fn hold_again(id: i64) -> Result<bool> {
    let sql = "UPDATE sluice._run SET status = 'held', approved_by = NULL, approved_at = NULL, stopped_by = NULL \
               WHERE id = $1 AND approved_by IS NOT NULL \
               AND status IN ('scheduled', 'running', 'publishing', 'retryable', 'failed', 'stopped', 'interrupted')";
    Ok(execute(sql, &[id.into()])? == 1)
}

/// A newer run was published or held: what waits for approval is out of date.
pub fn supersede_held(job: i64, by: i64) -> Result<()> {
    let sql = "UPDATE sluice._run SET status = 'superseded' WHERE job_id = $1 AND id <> $2 AND status = 'held'";
    execute(sql, &[job.into(), by.into()]).map(drop)
}

/// The job reads otherwise from now on: what waits for approval, or for its worker after it, is of the former definition.
pub fn supersede_former(job: i64) -> Result<()> {
    let sql = "UPDATE sluice._run SET status = 'superseded' WHERE job_id = $1 \
               AND (status = 'held' OR status = 'scheduled' AND approved_by IS NOT NULL)";
    execute(sql, &[job.into()]).map(drop)
}

/// Keeps the position that a rollback of this run puts back, what could not be removed yet and why, and what its read
/// declared.
pub fn note_published(id: i64, before: &str, unconfirmed: i64, removals: Option<&str>) -> Result<()> {
    let sql = "UPDATE sluice._run AS r SET before = $2::jsonb, unconfirmed = $3, removals = $4, \
               total_first = t.total_first, total_last = t.total_last, longest_pause = t.longest_pause \
               FROM sluice._job_state AS t WHERE r.id = $1 AND t.job_id = r.job_id";
    execute(sql, &[id.into(), before.into(), unconfirmed.into(), removals.into()]).map(drop)
}

/// Keeps the position that a rollback of this run puts back.
pub fn keep_position(id: i64, before: &str) -> Result<()> {
    let sql = "UPDATE sluice._run SET before = $2::jsonb WHERE id = $1";
    execute(sql, &[id.into(), before.into()]).map(drop)
}

/// Notes what the guards took the read for.
pub fn note_answer(id: i64, answer: guard::ReadState) -> Result<()> {
    let sql = "UPDATE sluice._run SET answer = $2 WHERE id = $1";
    execute(sql, &[id.into(), answer.as_str().into()]).map(drop)
}

/// Somebody wants the open run of this job to end; how many there were. One that no worker has taken ends at once, and
/// with it the retry that it stood for; one that was approved waits for a decision again.
pub fn ask_stop(job: i64, open: Option<i64>, by: &str) -> Result<u64> {
    let sql = include_str!("../../sql/query/ask_stop.sql");
    execute(sql, &[job.into(), by.into(), open.into()])
}

/// Takes the locks by which runs are looked at and stopped, without waiting; false where somebody has the tables, as
/// DROP EXTENSION has.
pub fn try_lock_tables() -> Result<bool> {
    let sql = "SELECT pg_catalog.unnest('{sluice._job,sluice._run}'::pg_catalog.regclass[])::oid";
    let tables: Vec<Oid> = rows(sql, &[], |r| r.need(1))?;
    Ok(tables.into_iter().all(crate::pg::lock::try_lock_to_write))
}

/// Takes a run's row for a change, without waiting; false where somebody else is changing it.
pub fn try_lock(id: i64) -> Result<bool> {
    let sql = "SELECT id FROM sluice._run WHERE id = $1 FOR NO KEY UPDATE SKIP LOCKED";
    Ok(returning(sql, &[id.into()], |r| r.need::<i64>(1))?.is_some())
}

/// The published runs of a job from `after` on, newest first.
pub fn published_after(job: i64, after: i64) -> Result<Vec<i64>> {
    let sql = "SELECT id FROM sluice._run WHERE job_id = $1 AND id > $2 AND status = 'succeeded' \
               AND publishes ORDER BY id DESC";
    rows(sql, &[job.into(), after.into()], |r| r.need(1))
}

/// Marks runs as undone, and where their job stood before the oldest of them that changed something; None where none did.
pub fn undo(job: i64, after: i64, by: i64) -> Result<Option<String>> {
    let sql = include_str!("../../sql/query/undo_runs.sql");
    Ok(returning(sql, &[job.into(), after.into(), by.into()], |r| r.get(1))?.flatten())
}

/// How a run ended: status and error, as far as `reader` may read it. Of one that waits for a budget the message says so.
pub fn ending(id: i64, reader: Oid) -> Result<Option<(String, EndedWith)>> {
    let sql = include_str!("../../sql/query/run_ending.sql");
    row(sql, &[id.into(), reader.into()], |r| {
        let error = EndedWith {
            sqlstate: r.get(2)?,
            message: r.get(3)?,
            detail: r.get(4)?,
            hint: r.get(5)?,
        };
        Ok((r.need(1)?, error))
    })
}

/// Says what is to be known of a run that did not fail; `keys` are data.
pub fn note(id: i64, message: &str, keys: Option<&str>) -> Result<()> {
    execute(
        "UPDATE sluice._run SET error_message = $2, error_detail = $3 WHERE id = $1",
        &[id.into(), message.into(), keys.into()],
    )
    .map(drop)
}

/// Whether a run changed rows.
pub fn changed(id: i64) -> Result<bool> {
    let sql = "SELECT inserted + updated + deleted > 0 FROM sluice._run WHERE id = $1";
    Ok(value::<bool>(sql, &[id.into()])?.unwrap_or(false))
}

/// Whether a published run after `after` changed rows and no longer keeps what is needed to take that back.
pub fn changed_without_undo(job: i64, after: i64) -> Result<bool> {
    let sql = include_str!("../../sql/query/changed_without_undo.sql");
    Ok(value::<bool>(sql, &[job.into(), after.into()])?.unwrap_or(false))
}

/// A run's counters.
pub fn counts(id: i64) -> Result<Counts> {
    let sql =
        "SELECT pages, records, inserted, updated, deleted, unchanged, bytes, rejected FROM sluice._run WHERE id = $1";
    let found = row(sql, &[id.into()], |r| {
        Ok(Counts {
            pages: r.need(1)?,
            records: r.need(2)?,
            inserted: r.need(3)?,
            updated: r.need(4)?,
            deleted: r.need(5)?,
            unchanged: r.need(6)?,
            bytes: r.need(7)?,
            rejected: r.need(8)?,
        })
    })?;
    Ok(found.unwrap_or_default())
}

/// How many rows first loads brought that a rollback to the state after run `after` takes back.
pub fn loaded_first(job: i64, after: i64) -> Result<i64> {
    let sql = include_str!("../../sql/query/rows_of_first_load.sql");
    Ok(value::<i64>(sql, &[job.into(), after.into()])?.unwrap_or(0))
}

/// What a rollback to the state after run `after` would take back, newest first.
#[allow(clippy::type_complexity)] // the columns of preview_rollback
pub fn undone_by_rollback(
    job: i64,
    after: i64,
) -> Result<Vec<(i64, Option<TimestampWithTimeZone>, i64, i64, i64, String)>> {
    let sql = include_str!("../../sql/query/undone_by_rollback.sql");
    rows(sql, &[job.into(), after.into()], |r| {
        Ok((r.need(1)?, r.get(2)?, r.need(3)?, r.need(4)?, r.need(5)?, r.need(6)?))
    })
}
