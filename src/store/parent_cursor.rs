//! `sluice._parent_cursor`: how far the records below each parent were read and published, a row for each change.

use super::parent::Totals;
use super::{execute, rows};
use sluice_core::Result;
use sluice_core::error::{Error, InternalError};
use sluice_core::foreach::ParentState;

/// The watermarks of a job's parents.
pub fn of_job(job: i64) -> Result<Vec<(Vec<u8>, String)>> {
    let sql = "SELECT c.identity, c.cursor FROM sluice._latest_parent_cursor AS c \
               WHERE c.job_id = $1 AND c.cursor IS NOT NULL";
    rows(sql, &[job.into()], |r| Ok((r.need(1)?, r.need(2)?)))
}

/// A parent of a read, and how far it was read.
pub struct Reached {
    pub identity: Vec<u8>,
    pub state: ParentState,
    pub pages: i64,
    pub records: i64,
    /// The highest value of its records in this read.
    pub reach: Option<String>,
    pub totals: Totals,
    /// A rule took one of its answers for the end.
    pub ignored: bool,
    /// Its watermark so far.
    pub cursor: Option<String>,
}

/// All parents of a read.
pub fn reached(job: i64, generation: i64) -> Result<Vec<Reached>> {
    let sql = include_str!("../../sql/query/parents_reached.sql");
    rows(sql, &[job.into(), generation.into()], |r| {
        let state = ParentState::parse(&r.need::<String>(2)?);
        Ok(Reached {
            identity: r.need(1)?,
            state: state.ok_or(Error::Internal(InternalError::Corrupt {
                what: "the state of a parent".into(),
            }))?,
            pages: r.need(3)?,
            records: r.need(4)?,
            reach: r.get(5)?,
            totals: Totals {
                first: r.get(6)?,
                last: r.get(7)?,
            },
            ignored: r.need(8)?,
            cursor: r.get(9)?,
        })
    })
}

const CHUNK: usize = 10_000;

/// Keeps watermarks that a run has changed.
pub fn keep(job: i64, run: i64, changed: &[(&[u8], Option<String>)]) -> Result<()> {
    let sql = "INSERT INTO sluice._parent_cursor (job_id, identity, run_id, cursor) \
               SELECT $1, c.identity, $2, c.cursor FROM unnest($3::bytea[], $4::text[]) AS c (identity, cursor) \
               ON CONFLICT (job_id, identity, run_id) DO UPDATE SET cursor = EXCLUDED.cursor";
    for chunk in changed.chunks(CHUNK) {
        let identities: Vec<Vec<u8>> = chunk.iter().map(|(identity, _)| identity.to_vec()).collect();
        let cursors: Vec<Option<String>> = chunk.iter().map(|(_, cursor)| cursor.clone()).collect();
        execute(sql, &[job.into(), run.into(), identities.into(), cursors.into()])?;
    }
    Ok(())
}

/// Parents that a read did not have have no watermark any more.
pub fn forget_absent(job: i64, generation: i64, run: i64) -> Result<()> {
    let sql = include_str!("../../sql/query/forget_absent_parents.sql");
    execute(sql, &[job.into(), generation.into(), run.into()]).map(drop)
}

/// No parent has a watermark any more.
pub fn forget_all(job: i64, run: i64) -> Result<()> {
    // No read has this generation.
    forget_absent(job, 0, run)
}

/// Takes back what runs after `run` have changed.
pub fn take_back(job: i64, run: i64) -> Result<()> {
    let sql = "DELETE FROM sluice._parent_cursor WHERE job_id = $1 AND run_id > $2";
    execute(sql, &[job.into(), run.into()]).map(drop)
}

/// Forgets what no rollback goes back to.
pub fn prune(job: i64) -> Result<()> {
    execute(include_str!("../../sql/query/prune_parent_cursors.sql"), &[job.into()]).map(drop)
}
