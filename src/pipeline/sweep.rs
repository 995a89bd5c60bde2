//! Removes rows that are gone, as the job's `on_missing` says, and keeps what they were.

use super::Work;
use super::apply::{Applier, KeepUndo, Outcome};
use super::batch::keep_undo_set;
use super::plan::Plan;
use sluice_core::Result;
use sluice_core::settings::OnMissing;

/// Keys that are removed by one statement.
const KEYS_PER_STATEMENT: usize = 10_000;

/// Removes or marks the rows with these keys; with `on_missing` keep none.
pub fn sweep(work: &Work, plan: &Plan, applier: &Applier, doomed: &[&Vec<u8>]) -> Result<Outcome> {
    let keep = keep_undo(plan);
    let mut total = Outcome::default();
    for keys in doomed.chunks(KEYS_PER_STATEMENT) {
        let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
        let outcome = match plan.settings.on_missing {
            OnMissing::Keep => Outcome::default(),
            OnMissing::Delete => applier.delete_keys(&keys, keep)?,
            OnMissing::Mark => applier.mark_keys(&keys, keep)?,
        };
        keep_undo_set(work, &outcome)?;
        total.deleted += outcome.deleted;
    }
    Ok(total)
}

/// Whether former images are kept.
pub fn keep_undo(plan: &Plan) -> KeepUndo {
    match plan.settings.undo.keep_runs {
        0 => KeepUndo::No,
        _ => KeepUndo::Yes,
    }
}
