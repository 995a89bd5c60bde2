//! What `repair_sync` looks at and mends: `sql/schema/67_repair.sql`.

use super::{all_returning, jobs_table};
use crate::pg::clock::Timestamp;
use crate::pg::lock;
use crate::pg::spi::Row;
use pgrx::datum::TimestampWithTimeZone;
use sluice_core::Result;

/// One thing that was not as it should be.
#[derive(Debug, Clone)]
pub struct Finding {
    pub checked: String,
    /// `mended`, or `needs_you`.
    pub result: String,
    pub found: String,
    pub done: Option<String>,
    /// What a person must do.
    pub action: Option<String>,
}

fn read(r: &Row) -> Result<Finding> {
    Ok(Finding {
        checked: r.need(1)?,
        result: r.need(2)?,
        found: r.need(3)?,
        done: r.get(4)?,
        action: r.get(5)?,
    })
}

/// Keeps workers from the job until the transaction ends; false where one is on it.
pub fn try_lock(job: i64) -> Result<bool> {
    Ok(lock::try_lock_job_for_transaction(jobs_table()?, job))
}

/// Looks at a job and mends it. Where it is not `free`, a worker changes its position: then only the definition is looked
/// at.
pub fn job(id: i64, free: bool, now: Timestamp) -> Result<Vec<Finding>> {
    let args = [id.into(), free.into(), TimestampWithTimeZone::from(now).into()];
    all_returning("SELECT * FROM sluice._repair_job($1, $2, $3)", &args, read)
}

/// Looks at what belongs to no job, and at our processes.
pub fn system(now: Timestamp) -> Result<Vec<Finding>> {
    let args = [TimestampWithTimeZone::from(now).into()];
    all_returning("SELECT * FROM sluice._repair_system($1)", &args, read)
}
