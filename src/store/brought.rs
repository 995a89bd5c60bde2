//! `sluice._brought`: the keys of the rows that upserts brought.

use super::{execute, rows};
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
}

/// Keeps the keys of a batch, in the transaction that writes its rows.
pub fn keep(batch: Batch<'_>) -> Result<()> {
    let sql = "INSERT INTO sluice._brought (job_id, generation, number, run_id, key_form, records, keys) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let args = [
        batch.job.into(),
        batch.generation.into(),
        batch.number.into(),
        batch.run.into(),
        batch.form.into(),
        batch.records.into(),
        batch.keys.into(),
    ];
    execute(sql, &args).map(drop)
}

/// Takes the keys of a pass out of a read that begins again, as its pages.
pub fn put_aside(job: i64, generation: i64, aside: i64) -> Result<()> {
    let sql = "UPDATE sluice._brought SET generation = $3 WHERE job_id = $1 AND generation = $2";
    execute(sql, &[job.into(), generation.into(), aside.into()]).map(drop)
}

/// The batches of a read in order, as far as their keys have this form: the first page of each, and its records.
pub fn of_generation(job: i64, generation: i64, form: &str) -> Result<Vec<(i64, i64)>> {
    let sql = "SELECT number, records FROM sluice._brought WHERE job_id = $1 AND generation = $2 AND key_form = $3 \
               ORDER BY number";
    rows(sql, &[job.into(), generation.into(), form.into()], |r| {
        Ok((r.need(1)?, r.need(2)?))
    })
}

/// The compressed keys of a batch.
pub fn keys(job: i64, generation: i64, number: i64) -> Result<Option<Vec<u8>>> {
    let sql = "SELECT keys FROM sluice._brought WHERE job_id = $1 AND generation = $2 AND number = $3";
    super::value::<Vec<u8>>(sql, &[job.into(), generation.into(), number.into()])
}
