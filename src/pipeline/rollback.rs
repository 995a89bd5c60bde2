//! Takes published runs back: the rows as they were, and the position with them, in one transaction.

use super::apply::{self, Reverted, UndoText};
use super::batch::{current_target, signed};
use super::plan::Plan;
use super::read::MappingParts;
use super::{Ended, Work, gone};
use crate::pg::clock;
use crate::pg::relation::Target;
use crate::pg::shmem::Phase;
use crate::pg::{failpoint, latch, transaction};
use crate::store::run::{self, Counts};
use crate::store::undo::{self, UndoBatch};
use crate::store::{job, page, state};
use sluice_core::Result;
use sluice_core::data;
use sluice_core::error::{Error, InternalError};
use sluice_core::run::RunStatus;

/// The text of one undo set never unpacks to more than this.
const MOST_UNDO_BYTES: usize = 1 << 30;
/// Rows of a first load that are compared and removed by one statement.
const PAGES_PER_BATCH: usize = 10;

/// Goes back to what the target held after run `to`, or before the latest published run.
pub(super) fn run(work: &Work, plan: &Plan, to: Option<i64>, resume: bool) -> Result<Ended> {
    work.phase(Phase::RollingBack);
    transaction::run(|| once(work, plan, to, resume))?;
    Ok(Ended::RolledBack)
}

fn once(work: &Work, plan: &Plan, to: Option<i64>, resume: bool) -> Result<()> {
    let after = undo::rollback_target(&plan.job, to)?;
    let target = current_target(plan)?;
    let mut total = Reverted::default();
    for batch in undo::after(work.job, after)? {
        latch::check_interrupts();
        let done = if batch.first_load {
            unload(plan, &target)?
        } else {
            apply::revert(&target, &text(&batch)?)?
        };
        add(&mut total, done);
    }
    failpoint::hit("rollback.applied");
    let before = run::undo(work.job, after, work.run)?.unwrap_or_else(|| "{}".into());
    state::restore_position(work.job, &before)?;
    run::add_counts(
        work.run,
        &Counts {
            inserted: signed(total.reinserted),
            updated: signed(total.restored),
            deleted: signed(total.removed),
            ..Counts::default()
        },
    )?;
    if !total.left.is_empty() {
        let message = format!("{} rows were changed by others since and left", total.left.len());
        run::note_left(work.run, &message, &left_keys(&total.left))?;
    }
    if !resume {
        job::pause(work.job, Some(&format!("rolled back by run {}", work.run)))?;
    }
    run::supersede_held(work.job, work.run)?;
    run::finish(work.run, RunStatus::Succeeded, clock::now())?;
    failpoint::hit("rollback.before_commit");
    Ok(())
}

/// The former images of a batch, unpacked.
pub fn text(batch: &UndoBatch) -> Result<UndoText> {
    let packed = undo::payload(batch.run, batch.batch)?.ok_or_else(lost)?;
    let payload = data::decompress_text(&packed, MOST_UNDO_BYTES)?;
    Ok(UndoText {
        columns: batch.columns.clone(),
        payload,
    })
}

fn lost() -> Error {
    Error::Internal(InternalError::Corrupt {
        what: "an undo set".into(),
    })
}

/// Takes a first load back: the rows that its pages brought, as far as they are still as they came.
fn unload(plan: &Plan, target: &Target) -> Result<Reverted> {
    let state = state::load(plan.job.id, clock::now())?;
    let mapped = state.mapped.map(|(columns, _)| columns);
    let used = |name: &str| plan.columns_given || mapped.as_ref().is_none_or(|m| m.iter().any(|c| c == name));
    let mapping = MappingParts::of(plan).mapping(used).ok_or(data::DataError::NoColumns)?;
    let applier = apply::Applier::new(target, &mapping)?;
    let mut reverted = Reverted::default();
    let hashes = page::of_first_load(plan.job.id)?;
    for chunk in hashes.chunks(PAGES_PER_BATCH) {
        latch::check_interrupts();
        let mut pages = Vec::with_capacity(chunk.len());
        for hash in chunk {
            pages.push(data::decode(&gone::body_text(plan.job.id, hash)?, &mapping)?);
        }
        let (removed, left) = applier.remove_unchanged(&pages.iter().collect::<Vec<_>>())?;
        reverted.removed += removed;
        reverted.left.extend(left);
    }
    Ok(reverted)
}

fn add(total: &mut Reverted, more: Reverted) {
    total.restored += more.restored;
    total.removed += more.removed;
    total.reinserted += more.reinserted;
    total.left.extend(more.left);
}

/// The keys of rows that were left alone. They are data: the views show them to those who may read it.
fn left_keys(left: &[String]) -> String {
    let shown: Vec<&str> = left.iter().take(10).map(String::as_str).collect();
    let more = left.len().saturating_sub(shown.len());
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("Their keys: {}{more}.", shown.join("; "))
}
