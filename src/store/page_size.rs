//! `sluice._page_size`: the size of pages of a job that sets bounds for it.

use super::{execute, row};
use crate::pg::clock::Timestamp;
use pgrx::datum::TimestampWithTimeZone;
use sluice_core::Result;
use sluice_core::page_size::Sample;
use std::time::Duration;

/// How long a size that failed is not tried again, in seconds.
const LATELY: f64 = 86_400.0;

/// The size in use; None: none was chosen yet.
pub fn in_use(job: i64) -> Result<Option<u64>> {
    let sql = "SELECT size FROM sluice._page_size WHERE job_id = $1";
    Ok(row(sql, &[job.into()], |r| r.need::<i64>(1))?.map(unsigned))
}

/// The smallest size that failed lately.
pub fn failed(job: i64, now: Timestamp) -> Result<Option<u64>> {
    let sql = "SELECT failed FROM sluice._page_size WHERE job_id = $1 AND date_part('epoch', $2 - failed_at) < $3";
    let args = [job.into(), TimestampWithTimeZone::from(now).into(), LATELY.into()];
    Ok(row(sql, &args, |r| r.need::<i64>(1))?.map(unsigned))
}

/// Chooses a size for a read that begins.
pub fn choose(job: i64, size: u64) -> Result<()> {
    let sql = "INSERT INTO sluice._page_size AS p (job_id, size) VALUES ($1, $2) \
               ON CONFLICT (job_id) DO UPDATE SET size = excluded.size";
    execute(sql, &[job.into(), signed(size).into()]).map(drop)
}

/// A size has failed, and another takes its place.
pub fn shrink(job: i64, failed: u64, size: u64, now: Timestamp) -> Result<()> {
    let sql = "UPDATE sluice._page_size SET size = $3, failed = $2, failed_at = $4 WHERE job_id = $1";
    let at = TimestampWithTimeZone::from(now);
    execute(
        sql,
        &[job.into(), signed(failed).into(), signed(size).into(), at.into()],
    )
    .map(drop)
}

/// What has failed did not fail for its size.
pub fn forget_failed(job: i64) -> Result<()> {
    let sql = "UPDATE sluice._page_size SET failed = NULL, failed_at = NULL WHERE job_id = $1";
    execute(sql, &[job.into()]).map(drop)
}

/// How the latest good run went that asked for pages of that size, or of another one.
pub fn sample(job: i64, size: u64, is_other: bool) -> Result<Option<Sample>> {
    let sql = "SELECT p.page_size, p.p95_ms FROM sluice._run_pace AS p JOIN sluice._run AS r ON r.id = p.run_id \
               WHERE r.job_id = $1 AND r.status = 'succeeded' AND p.p95_ms IS NOT NULL \
               AND p.page_size IS NOT NULL AND (p.page_size <> $2) = $3 ORDER BY r.id DESC LIMIT 1";
    row(sql, &[job.into(), signed(size).into(), is_other.into()], |r| {
        Ok(Sample {
            size: unsigned(r.need(1)?),
            took: Duration::from_secs_f64(r.need::<f64>(2)?.max(0.0) / 1000.0),
        })
    })
}

fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn unsigned(size: i64) -> u64 {
    u64::try_from(size).unwrap_or(0)
}
