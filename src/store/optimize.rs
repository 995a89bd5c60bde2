//! What `optimize_sync` judges by: how the last runs of a job went.

use super::{rows, value};
use sluice_core::Result;
use sluice_core::optimize::{LOOKED_AT, Ran};

/// The last runs that succeeded, the latest first.
pub fn runs(job: i64) -> Result<Vec<Ran>> {
    let sql = include_str!("../../sql/query/paces_of_runs.sql");
    rows(sql, &[job.into(), LOOKED_AT.into()], |r| {
        let count = |at: usize| Ok::<u64, sluice_core::Error>(u64::try_from(r.need::<i64>(at)?).unwrap_or(0));
        Ok(Ran {
            page_size: r.get::<i64>(1)?.and_then(|size| u64::try_from(size).ok()),
            pages: count(2)?,
            records: count(3)?,
            requests: count(4)?,
            p95_ms: r.get(5)?,
            concurrency: u32::try_from(r.need::<i32>(6)?).unwrap_or(1),
            changed: count(7)?,
        })
    })
}

/// Records of the job's last whole read.
pub fn read_records(job: i64) -> Result<u64> {
    let sql = "SELECT coalesce((SELECT t.read_records FROM sluice._job_state AS t WHERE t.job_id = $1), 0)";
    let records: Option<i64> = value(sql, &[job.into()])?;
    Ok(records.and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
}

/// Whether no read can be continued, and no run is open or waits to be approved: nothing that was read depends on the present
/// settings.
pub fn is_between_reads(job: i64) -> Result<bool> {
    let sql = "SELECT NOT EXISTS (SELECT FROM sluice._job_state AS t WHERE t.job_id = $1 AND t.reading) \
               AND NOT EXISTS (SELECT FROM sluice._run AS r WHERE r.job_id = $1 \
                               AND r.status IN ('scheduled', 'running', 'publishing', 'held'))";
    Ok(value(sql, &[job.into()])?.unwrap_or(false))
}
