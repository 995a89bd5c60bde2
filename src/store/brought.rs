//! `sluice._brought`: the keys of the rows that upserts brought, and of tombstones.

use super::{execute, returning, row, rows};
use sluice_core::Result;

/// The keys of one batch.
pub struct Batch<'a> {
    pub job: i64,
    pub generation: i64,
    /// The batch's first page.
    pub number: i64,
    pub run: i64,
    /// Columns and types that the keys are written in.
    pub form: &'a str,
    pub records: i64,
    /// Compressed.
    pub keys: Vec<u8>,
    /// Compressed; None where there are none.
    pub gone: Option<Vec<u8>>,
    /// Made of several batches.
    pub merged: bool,
}

/// Keeps the keys of a batch, in the transaction that writes its rows.
pub fn keep(batch: Batch<'_>) -> Result<()> {
    let sql = "INSERT INTO sluice._brought (job_id, generation, number, run_id, key_form, records, keys, gone, merged) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let args = [
        batch.job.into(),
        batch.generation.into(),
        batch.number.into(),
        batch.run.into(),
        batch.form.into(),
        batch.records.into(),
        batch.keys.into(),
        batch.gone.into(),
        batch.merged.into(),
    ];
    execute(sql, &args).map(drop)
}

/// Takes the keys of a pass out of a read that begins again: their rows are the job's own, and their pages count no more.
/// Their numbers are below 0, and so before those of the next pass.
pub fn put_aside(job: i64, generation: i64, aside: i64) -> Result<()> {
    let sql = "UPDATE sluice._brought SET number = $3 * 1000000000 + number \
               WHERE job_id = $1 AND generation = $2 AND number > 0";
    execute(sql, &[job.into(), generation.into(), aside.into()]).map(drop)
}

/// Which batch, and what it is.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub generation: i64,
    pub number: i64,
    pub records: i64,
    pub has_gone: bool,
    /// The rows of its tombstones were removed.
    pub applied: bool,
}

/// The batches of all reads after one, in their order, as far as their keys have this form.
pub fn after(job: i64, generation: i64, form: &str) -> Result<Vec<Entry>> {
    let sql = "SELECT generation, number, records, gone IS NOT NULL, applied FROM sluice._brought \
               WHERE job_id = $1 AND generation > $2 AND key_form = $3 ORDER BY generation, number";
    rows(sql, &[job.into(), generation.into(), form.into()], |r| {
        Ok(Entry {
            generation: r.need(1)?,
            number: r.need(2)?,
            records: r.need(3)?,
            has_gone: r.need(4)?,
            applied: r.need(5)?,
        })
    })
}

/// Compressed keys, and those of tombstones.
type Keys = (Vec<u8>, Option<Vec<u8>>);

/// The compressed keys of a batch.
pub fn keys(job: i64, entry: &Entry) -> Result<Option<Keys>> {
    let sql = "SELECT keys, gone FROM sluice._brought WHERE job_id = $1 AND generation = $2 AND number = $3";
    let args = [job.into(), entry.generation.into(), entry.number.into()];
    row(sql, &args, |r| Ok((r.need(1)?, r.get(2)?)))
}

/// The rows of a read's tombstones are removed, or marked.
pub fn apply(job: i64, generation: i64) -> Result<()> {
    let sql = "UPDATE sluice._brought SET applied = true WHERE job_id = $1 AND generation = $2 AND gone IS NOT NULL";
    execute(sql, &[job.into(), generation.into()]).map(drop)
}

/// Forgets what runs after `run` brought: they are taken back.
pub fn forget_after(job: i64, run: i64) -> Result<()> {
    let sql = "DELETE FROM sluice._brought WHERE job_id = $1 AND run_id > $2";
    execute(sql, &[job.into(), run.into()]).map(drop)
}

/// Forgets what a read of the whole collection has seen since, and no rollback goes back to.
pub fn prune(job: i64) -> Result<()> {
    execute(include_str!("../../sql/query/prune_brought.sql"), &[job.into()]).map(drop)
}

/// What could be made into fewer batches, each key once: up to which generation, and how much more it is than what was
/// made so before. None where nothing is.
pub fn mergeable(job: i64) -> Result<Option<(i64, i64)>> {
    let sql = include_str!("../../sql/query/mergeable_brought.sql");
    let found = row(sql, &[job.into()], |r| Ok(r.get::<i64>(1)?.zip(r.get::<i64>(2)?)))?;
    Ok(found.flatten())
}

/// Takes the batches up to a generation away, to be put back as fewer; under which run they stand.
pub fn take_up_to(job: i64, generation: i64) -> Result<Option<i64>> {
    let sql = "WITH gone AS (DELETE FROM sluice._brought WHERE job_id = $1 AND generation <= $2 RETURNING run_id) \
               SELECT max(run_id) FROM gone";
    Ok(returning(sql, &[job.into(), generation.into()], |r| r.get(1))?.flatten())
}
