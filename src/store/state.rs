//! `sluice._job_state`: the durable position of a job. One row, changed in the same commit as the rows it speaks of.

use super::{execute, returning, row, rows, value};
use crate::pg::clock::Timestamp;
use crate::pg::spi::Row;
use pgrx::datum::TimestampWithTimeZone;
use sluice_core::Result;
use sluice_core::cursor::Reach;
use sluice_core::error::{Error, InternalError};

/// Where a job's read stands, and what its target holds.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub generation: i64,
    pub reading: bool,
    pub direct: bool,
    pub complete: bool,
    pub definition: Option<String>,
    pub longest_pause: f64,
    /// Seconds since the last page of this read.
    pub idle: Option<f64>,
    pub page_number: i64,
    pub page_token: Option<String>,
    pub total_first: Option<i64>,
    pub total_last: Option<i64>,
    /// The declared number of pages.
    pub total_pages: Option<i64>,
    /// How often this read was begun again for a lost token.
    pub restarts: u32,
    pub duplicates: i64,
    /// Complete reads in a row, up to the last one, that had no record.
    pub empty_reads: i32,
    /// Records of this read that are no rows.
    pub tombstones: i64,
    pub published_generation: Option<i64>,
    pub published_rows: i64,
    pub published_version: Option<Vec<u8>>,
    pub published_definition: Option<String>,
    /// The last published read of the whole collection.
    pub whole_generation: Option<i64>,
    pub skip_valid: bool,
    /// Seconds since every row was last compared.
    pub verified_ago: Option<f64>,
    /// Columns that an earlier first page had, for this shape of the target.
    pub mapped: Option<(Vec<String>, String)>,
    /// The watermark: how far the data was read and published.
    pub cursor: Option<String>,
    /// How far the read in progress reaches.
    pub reach: Reach,
    /// The mapping of the last published read of the whole collection.
    pub whole_version: Option<Vec<u8>>,
    /// Seconds since the last published read of everything began.
    pub whole_ago: Option<f64>,
    /// From where on the read in progress asks; None: for everything.
    pub bound: Option<String>,
}

fn read(r: &Row) -> Result<State> {
    Ok(State {
        generation: r.need(1)?,
        reading: r.need(2)?,
        direct: r.need(3)?,
        complete: r.need(4)?,
        definition: r.get(5)?,
        longest_pause: r.need(6)?,
        idle: r.get(7)?,
        page_number: r.need(8)?,
        page_token: r.get(9)?,
        total_first: r.get(10)?,
        total_last: r.get(11)?,
        duplicates: r.need(12)?,
        published_generation: r.get(13)?,
        published_rows: r.need(14)?,
        published_version: r.get(15)?,
        skip_valid: r.need(16)?,
        verified_ago: r.get(17)?,
        mapped: r.get::<Vec<String>>(18)?.zip(r.get::<String>(19)?),
        whole_generation: r.get(20)?,
        cursor: r.get(21)?,
        reach: Reach {
            highest: r.get(22)?,
            unreadable: unsigned(r.need(23)?),
            ahead: unsigned(r.need(24)?),
        },
        whole_ago: r.get(25)?,
        bound: r.get(26)?,
        total_pages: r.get(27)?,
        restarts: u32::try_from(r.need::<i32>(28)?).unwrap_or(0),
        published_definition: r.get(29)?,
        whole_version: r.get(30)?,
        tombstones: r.need(31)?,
        empty_reads: r.need(32)?,
    })
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// The job's state; `now` is what ages are counted to.
pub fn load(job: i64, now: Timestamp) -> Result<State> {
    let sql = include_str!("../../sql/query/load_state.sql");
    row(sql, &[job.into(), stamp(now).into()], read)?.ok_or_else(|| {
        Error::Internal(InternalError::Corrupt {
            what: "the state of a job".into(),
        })
    })
}

/// Takes the job's state until the transaction ends.
pub fn lock(job: i64) -> Result<()> {
    let sql = "SELECT job_id FROM sluice._job_state WHERE job_id = $1 FOR NO KEY UPDATE";
    returning(sql, &[job.into()], |r| r.need::<i64>(1)).map(drop)
}

fn stamp(time: Timestamp) -> TimestampWithTimeZone {
    time.into()
}

/// A read that begins.
pub struct Beginning<'a> {
    pub definition: &'a str,
    pub direct: bool,
    pub bound: Option<&'a str>,
    pub now: Timestamp,
}

/// A new read begins at the first page. Its generation number.
pub fn begin_read(job: i64, read: &Beginning<'_>) -> Result<i64> {
    let sql = include_str!("../../sql/query/begin_read.sql");
    let args = [
        job.into(),
        read.definition.into(),
        read.direct.into(),
        stamp(read.now).into(),
        read.bound.into(),
    ];
    Ok(returning(sql, &args, |r| r.need(1))?.expect("UPDATE … RETURNING of an existing row"))
}

/// What the read declared, and its longest pause in seconds.
pub fn note_declared(job: i64, first: Option<i64>, last: Option<i64>, longest_pause: f64) -> Result<()> {
    let sql = "UPDATE sluice._job_state SET total_first = $2, total_last = $3, longest_pause = $4 WHERE job_id = $1";
    execute(sql, &[job.into(), first.into(), last.into(), longest_pause.into()]).map(drop)
}

/// Keeps the columns that the first page had.
pub fn set_mapped(job: i64, columns: &[String], target: &str) -> Result<()> {
    let sql = "UPDATE sluice._job_state SET mapped_columns = $2, mapped_target = $3 WHERE job_id = $1";
    execute(sql, &[job.into(), columns.to_vec().into(), target.into()]).map(drop)
}

/// The read in progress goes on under another definition.
pub fn set_definition(job: i64, definition: &str) -> Result<()> {
    let sql = "UPDATE sluice._job_state SET definition = $2 WHERE job_id = $1";
    execute(sql, &[job.into(), definition.into()]).map(drop)
}

/// A first load that is given up: what it wrote is the job's own, and the next read is compared with its pages.
pub fn adopt_half_load(job: i64) -> Result<()> {
    let sql = "UPDATE sluice._job_state SET published_generation = generation, whole_generation = generation, \
               whole_version = NULL, skip_valid = false, \
               published_rows = coalesce((SELECT sum(p.records) FROM sluice._page AS p \
               WHERE p.job_id = $1 AND p.generation = _job_state.generation), 0) WHERE job_id = $1";
    execute(sql, &[job.into()]).map(drop)
}

/// What a batch of pages changes in the position.
pub struct Advance {
    pub job: i64,
    pub generation: i64,
    /// The page that the checkpoint stood at; another value means that another worker moved it.
    pub from_page: i64,
    pub next_page: i64,
    pub next_token: Option<String>,
    pub complete: bool,
    pub total: Option<i64>,
    pub total_pages: Option<i64>,
    pub duplicates: i64,
    pub tombstones: i64,
    /// How far the read reaches with this batch, and the batch's records that say nothing of it.
    pub reach: Reach,
    pub now: Timestamp,
}

/// Moves the checkpoint behind a batch. Fails where another worker has moved it: then this one must not commit.
pub fn advance(step: &Advance) -> Result<()> {
    let sql = include_str!("../../sql/query/advance_checkpoint.sql");
    let args = [
        step.job.into(),
        step.generation.into(),
        step.from_page.into(),
        step.next_page.into(),
        step.next_token.clone().into(),
        step.complete.into(),
        step.total.into(),
        step.duplicates.into(),
        stamp(step.now).into(),
        step.reach.highest.clone().into(),
        signed(step.reach.unreadable).into(),
        signed(step.reach.ahead).into(),
        step.total_pages.into(),
        step.tombstones.into(),
    ];
    match execute(sql, &args)? {
        1 => Ok(()),
        _ => Err(Error::Internal(InternalError::Corrupt {
            what: "the checkpoint of a running job".into(),
        })),
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What the target holds after a publish.
pub struct Published {
    pub job: i64,
    pub generation: i64,
    pub run: i64,
    pub rows: i64,
    /// Whether the read was one of the whole collection.
    pub whole: bool,
    /// Whether nothing bounded the read, however its rows were written.
    pub unbounded: bool,
    /// The watermark from now on.
    pub cursor: Option<String>,
    pub version: Vec<u8>,
    /// None where that is not known for certain.
    pub definition: Option<String>,
    pub skip_valid: bool,
    pub verified: bool,
    /// Whether it has come from the remote since the publish before it.
    pub fresh: bool,
    pub now: Timestamp,
}

/// The read is visible: its generation is what the target holds now.
pub fn publish(done: &Published) -> Result<()> {
    let sql = include_str!("../../sql/query/publish_state.sql");
    let args = [
        done.job.into(),
        done.generation.into(),
        done.run.into(),
        done.rows.into(),
        done.version.clone().into(),
        done.skip_valid.into(),
        done.verified.into(),
        stamp(done.now).into(),
        done.whole.into(),
        done.cursor.clone().into(),
        done.unbounded.into(),
        done.definition.clone().into(),
        done.fresh.into(),
    ];
    execute(sql, &args).map(drop)
}

/// A run beside the reads has brought rows of the published one.
pub fn add_rows(job: i64, run: i64, rows: i64) -> Result<()> {
    let sql = "UPDATE sluice._job_state SET published_rows = published_rows + $3, published_run = $2, updated_at = now() \
               WHERE job_id = $1";
    execute(sql, &[job.into(), run.into(), rows.into()]).map(drop)
}

/// The read has ended without being published (held, kept back, failed for good): the next one begins anew.
pub fn end_read(job: i64) -> Result<()> {
    let sql = "UPDATE sluice._job_state SET reading = false, complete = false, updated_at = now() WHERE job_id = $1";
    execute(sql, &[job.into()]).map(drop)
}

/// Whether a run has left the reads as it found them: it has none, or its read began before it and goes on after it.
pub fn goes_on(job: i64, run: i64) -> Result<bool> {
    let sql = "SELECT r.generation IS NULL OR t.reading AND t.generation_started_at < r.started_at \
               FROM sluice._run AS r JOIN sluice._job_state AS t ON t.job_id = r.job_id WHERE r.job_id = $1 AND r.id = $2";
    Ok(value::<bool>(sql, &[job.into(), run.into()])?.unwrap_or(true))
}

/// The read in progress is not gone on with: the next one begins anew, and knows what this one wrote.
pub fn give_up_read(job: i64) -> Result<()> {
    let sql = "UPDATE sluice._job_state SET definition = NULL, complete = false, updated_at = now() WHERE job_id = $1";
    execute(sql, &[job.into()]).map(drop)
}

/// The read in progress begins again at its first page, in its generation.
pub fn restart_read(job: i64, now: Timestamp) -> Result<()> {
    let sql = include_str!("../../sql/query/restart_read.sql");
    execute(sql, &[job.into(), stamp(now).into()]).map(drop)
}

/// The read in progress goes on at a former page of it: that one and all after it are forgotten.
pub fn go_back(job: i64, generation: i64, page: i64) -> Result<()> {
    let sql = include_str!("../../sql/query/go_back.sql");
    execute(sql, &[job.into(), generation.into(), page.into()]).map(drop)
}

/// What was declared of the number of pages does not hold any more.
pub fn forget_pages(job: i64) -> Result<()> {
    let sql = "UPDATE sluice._job_state SET total_pages = NULL WHERE job_id = $1";
    execute(sql, &[job.into()]).map(drop)
}

pub fn note_restarts(job: i64, restarts: u32) -> Result<()> {
    let sql = "UPDATE sluice._job_state SET restarts = $2 WHERE job_id = $1";
    execute(sql, &[job.into(), i64::from(restarts).into()]).map(drop)
}

/// Notes how many records the read had, published or not.
pub fn note_read(job: i64, records: i64) -> Result<()> {
    execute(
        "UPDATE sluice._job_state SET read_records = $2 WHERE job_id = $1",
        &[job.into(), records.into()],
    )
    .map(drop)
}

/// Counts reads without a record that follow each other.
pub fn count_empty_reads(job: i64, records: i64) -> Result<()> {
    let sql = "UPDATE sluice._job_state SET empty_reads = CASE WHEN $2 = 0 THEN empty_reads + 1 ELSE 0 END \
               WHERE job_id = $1";
    execute(sql, &[job.into(), records.into()]).map(drop)
}

/// A run failed, or an answer was kept back.
pub fn note_failure(job: i64, now: Timestamp) -> Result<()> {
    let sql = "UPDATE sluice._job_state SET last_failure_at = $2, consecutive_failures = consecutive_failures + 1, \
               updated_at = $2 WHERE job_id = $1";
    execute(sql, &[job.into(), stamp(now).into()]).map(drop)
}

/// The watermark belongs to another definition: the next read is one of everything.
pub fn forget_cursor(job: i64) -> Result<()> {
    let sql = "UPDATE sluice._job_state SET cursor = NULL, whole_at = NULL, updated_at = now() WHERE job_id = $1";
    execute(sql, &[job.into()]).map(drop)
}

/// When the job runs next; None: nothing planned.
pub fn plan_next(job: i64, at: Option<Timestamp>) -> Result<()> {
    let sql = "UPDATE sluice._job_state SET next_run_at = $2 WHERE job_id = $1";
    execute(sql, &[job.into(), at.map(stamp).into()]).map(drop)
}

/// A page can no longer be taken as applied: the target was changed behind the ledger's back.
pub fn void_skip(job: i64) -> Result<()> {
    execute(
        "UPDATE sluice._job_state SET skip_valid = false WHERE job_id = $1",
        &[job.into()],
    )
    .map(drop)
}

/// The target is empty: the next read begins at the first page of the whole collection.
pub fn read_all_anew(job: i64) -> Result<()> {
    give_up_read(job)?;
    execute(
        "UPDATE sluice._job_state SET cursor = NULL WHERE job_id = $1",
        &[job.into()],
    )
    .map(drop)
}

/// Payloads of webhooks were written. Pages that were applied before say nothing of these rows any more.
pub fn note_ingest(job: i64) -> Result<()> {
    let sql = "UPDATE sluice._job_state SET skip_valid = false, ingested = reading, crashes = 0, updated_at = now() \
               WHERE job_id = $1";
    execute(sql, &[job.into()]).map(drop)
}

/// Counts an interrupted run; how many there were without a committed page between them.
pub fn count_crash(job: i64) -> Result<i32> {
    let sql = "UPDATE sluice._job_state SET crashes = crashes + 1 WHERE job_id = $1 RETURNING crashes";
    Ok(returning(sql, &[job.into()], |r| r.need(1))?.unwrap_or(1))
}

pub fn forget_crashes(job: i64) -> Result<()> {
    execute(
        "UPDATE sluice._job_state SET crashes = 0 WHERE job_id = $1",
        &[job.into()],
    )
    .map(drop)
}

/// What a rollback puts back: the position as it was kept before a run was published.
pub fn position(job: i64) -> Result<String> {
    let sql = include_str!("../../sql/query/position.sql");
    Ok(value::<String>(sql, &[job.into()])?.unwrap_or_else(|| "{}".into()))
}

/// Puts a position back; the next read begins anew and compares every row.
pub fn restore_position(job: i64, position: &str) -> Result<()> {
    let sql = include_str!("../../sql/query/restore_position.sql");
    execute(sql, &[job.into(), position.into()]).map(drop)
}

/// The position stays; the next read begins anew and compares every row.
pub fn forget_read(job: i64) -> Result<()> {
    end_read(job)?;
    void_skip(job)
}

/// Generations whose pages must stay: the read in progress, the published one, held ones and those of kept undo sets.
pub fn kept_generations(job: i64) -> Result<Vec<i64>> {
    rows(
        include_str!("../../sql/query/kept_generations.sql"),
        &[job.into()],
        |r| r.need(1),
    )
}
