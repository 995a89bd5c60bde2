//! `sluice._event`: what happened and is not told yet. Rows come from the triggers of `sql/schema/36_history.sql`.

use super::{execute, value};
use sluice_core::Result;

/// The most that waits to be told: where nobody can be told for long, the oldest are forgotten.
const MOST: i64 = 10_000;

/// Tells up to `most` events in the order in which they happened, at this transaction's commit; how many.
pub fn tell(most: i64) -> Result<u64> {
    execute(include_str!("../../sql/query/tell_events.sql"), &[most.into()])
}

/// Whether one waits to be told.
pub fn waits() -> Result<bool> {
    Ok(value::<bool>("SELECT EXISTS (SELECT FROM sluice._event)", &[])?.unwrap_or(false))
}

/// Forgets the oldest where too many wait.
pub fn forget_overflow() -> Result<u64> {
    let sql = "DELETE FROM sluice._event WHERE id <= (SELECT max(id) - $1 FROM sluice._event)";
    execute(sql, &[MOST.into()])
}

/// Tells how far a run is, at this transaction's commit.
pub fn tell_progress(run: i64, phase: &str, pages: (i64, i64), records: i64) -> Result<()> {
    let args = [run.into(), phase.into(), pages.0.into(), pages.1.into(), records.into()];
    execute(include_str!("../../sql/query/tell_progress.sql"), &args).map(drop)
}
