//! What work would do, seen from a session and without writing anything: a rollback, or a read (`records`).

pub mod columns;
pub mod records;

pub use super::apply::dropped_message;
use super::apply::{Reverted, preview_revert};
use super::rollback;
use crate::pg::relation;
use crate::store::job::Job;
use crate::store::undo;
use sluice_core::Result;
use sluice_core::target::TargetError;

/// The rows that a rollback to the state after run `after` would change. The rows of a first load are not among them:
/// they are looked at only when they are removed.
pub fn rollback(job: &Job, after: i64) -> Result<Reverted> {
    let target = relation::read_target(job.target).ok_or(TargetError::Missing {
        oid: job.target.to_u32(),
    })?;
    let batches = undo::after(job.id, after)?;
    let images = batches
        .iter()
        .filter(|batch| !batch.first_load)
        .map(rollback::text)
        .collect::<Result<Vec<_>>>()?;
    preview_revert(&target, &images)
}
