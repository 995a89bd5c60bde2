//! The watermark of each parent: how far the records below it were read and published.
//!
//! ```text
//! published read ─► each parent that was read to its end, and whose read proves it: its highest value
//!                   the others: where they were
//!                   no parent of the read any more, or not read while everything was: none, the next read asks for all
//! ```
//!
//! They move in the transaction that publishes a read, and count only while the job itself has a watermark, which is the
//! highest of them. A row is kept for each change, under its run: a rollback takes away those of the runs it takes back.

use super::list::told_of_failed;
use crate::pipeline::plan::Plan;
use crate::pipeline::{Work, brought};
use crate::store::parent_cursor::{self, Reached};
use crate::store::state::State;
use crate::store::{parent, run};
use sluice_core::Result;
use sluice_core::counted::counted;
use sluice_core::cursor::{Cursor, Evidence, Moved, moved};
use sluice_core::foreach::ParentState;
use std::collections::HashMap;

/// From where on a read asks below each parent; below the others it asks for everything.
pub fn bounds(plan: &Plan, state: &State) -> Result<HashMap<Vec<u8>, String>> {
    let (Some(cursor), Some(_)) = (&plan.settings.cursor, &state.bound) else {
        return Ok(HashMap::new());
    };
    let known = parent_cursor::of_job(plan.job.id)?.into_iter();
    Ok(known
        .filter_map(|(identity, text)| Some((identity, cursor.bound(&text)?)))
        .collect())
}

/// Moves the watermarks of a read whose rows are written; the job's own from now on. `told`: what else the run says.
pub fn advance(
    work: &Work,
    plan: &Plan,
    state: &State,
    cursor: &Cursor,
    told: Option<String>,
) -> Result<Option<String>> {
    let (job, generation) = (work.job, state.generation);
    let is_known = state.cursor.is_some();
    let reached = parent_cursor::reached(job, generation)?;
    let proof = Proof::of(plan, generation, &reached)?;
    let (mut changed, mut kept_back) = (Vec::new(), Vec::new());
    let mut highest = None;
    for parent in &reached {
        let before = parent.cursor.clone().filter(|_| is_known);
        let moved = proof.moved(parent);
        let next = match moved {
            // In a read of everything it was not read: nothing says that what it had is there.
            _ if parent.state != ParentState::Done && state.bound.is_none() => None,
            _ if parent.state != ParentState::Done => before,
            Some(moved) => {
                kept_back.push(moved);
                before
            }
            None => cursor.format.later(before, parent.reach.clone()),
        };
        highest = cursor.format.later(highest, next.clone());
        if next != parent.cursor {
            changed.push((parent.identity.as_slice(), next));
        }
    }
    parent_cursor::keep(job, work.run, &changed)?;
    parent_cursor::forget_absent(job, generation, work.run)?;
    let (failed, _) = parent::failed(job, generation)?;
    let all = i64::try_from(reached.len()).unwrap_or(i64::MAX);
    let told: Vec<String> = [told_of_failed(failed, all), told_of_kept_back(&kept_back, all), told]
        .into_iter()
        .flatten()
        .collect();
    if !told.is_empty() {
        run::note(work.run, &told.join("; "), None)?;
    }
    Ok(highest)
}

/// A read of the whole collection moves none of them, and ends those of parents that it did not have.
pub fn forget_absent(work: &Work, plan: &Plan, generation: i64) -> Result<()> {
    match plan.settings.foreach.is_some() && plan.settings.cursor.is_some() {
        true => parent_cursor::forget_absent(work.job, generation, work.run),
        false => Ok(()),
    }
}

fn told_of_kept_back(kept_back: &[Moved], all: i64) -> Option<String> {
    let first = kept_back.first()?;
    let these = format!("below {} of {}", kept_back.len(), counted(all, "parent"));
    Some(format!("{first}: {these} the next run reads the same again"))
}

/// What a read says of the completeness of each parent's.
struct Proof {
    is_keyset: bool,
    /// Of the whole read: which parents they lie below is not known.
    duplicate_keys: u64,
}

impl Proof {
    fn of(plan: &Plan, generation: i64, reached: &[Reached]) -> Result<Proof> {
        let is_keyset = plan.settings.pagination.is_proof();
        let is_told = is_keyset || plan.job.key.is_empty() || reached.iter().all(|parent| parent.pages <= 1);
        Ok(Proof {
            is_keyset,
            duplicate_keys: match is_told {
                true => 0,
                false => brought::duplicates(plan, generation)?,
            },
        })
    }

    /// Why a parent's watermark stays where it is.
    fn moved(&self, parent: &Reached) -> Option<Moved> {
        let declared = |total: Option<i64>| total.and_then(|total| u64::try_from(total).ok());
        match parent.ignored {
            true => Some(Moved::Ignored),
            false => moved(&Evidence {
                proof: self.is_keyset || parent.pages <= 1,
                duplicate_keys: self.duplicate_keys,
                records: u64::try_from(parent.records).unwrap_or(0),
                declared_first: declared(parent.totals.first),
                declared_last: declared(parent.totals.last),
            }),
        }
    }
}
