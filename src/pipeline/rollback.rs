//! Takes published runs back: the rows as they were, and the position with them, in one transaction.

use super::apply::{self, Applier, Reverted, SentKeys, UndoText};
use super::batch::{current_target, signed};
use super::plan::Plan;
use super::read::MappingParts;
use super::{Ended, Work, gone};
use crate::pg::clock;
use crate::pg::relation::Target;
use crate::pg::shmem::Phase;
use crate::pg::{failpoint, latch, spi, transaction};
use crate::store::run::{self, Counts};
use crate::store::undo::{self, UndoBatch};
use crate::store::{brought, job, page, parent_cursor, reject, state};
use sluice_core::Result;
use sluice_core::counted::{agreed, counted};
use sluice_core::data::{self, DecodedPage, Mapping};
use sluice_core::error::{Error, InternalError};
use sluice_core::run::RunStatus;
use std::collections::HashSet;

/// The text of one undo set never unpacks to more than this.
const MOST_UNDO_BYTES: usize = 1 << 30;
/// Rows of a first load that are compared and removed by one statement.
const PAGES_PER_BATCH: usize = 10;

/// Goes back to what the target held after run `to`, or before the latest published run.
pub(super) fn run(work: &Work, plan: &Plan, to: Option<i64>, resume: bool) -> Result<Ended> {
    work.phase(Phase::RollingBack);
    transaction::run(|| once(work, plan, to, resume))?;
    Ok(Ended::Done)
}

fn once(work: &Work, plan: &Plan, to: Option<i64>, resume: bool) -> Result<()> {
    let after = undo::rollback_target(&plan.job, to)?;
    let target = current_target(plan)?;
    let mut total = Reverted::default();
    let batches = undo::after(work.job, after)?;
    let mut sent = Sent::new(plan, &target);
    if batches.iter().any(|batch| sent.is_needed_for(batch)) {
        // Rows are compared before they are locked: nobody may write between.
        let lock = format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", target.sql_name());
        spi::execute(&lock, &[])?;
    }
    for batch in batches {
        latch::check_interrupts();
        let done = if batch.first_load {
            unload(plan, &target, &batch)?
        } else {
            apply::revert(&target, &text(&batch)?, sent.by(&batch)?)?
        };
        add(&mut total, done);
    }
    failpoint::hit("rollback.applied");
    brought::forget_after(work.job, after)?;
    // The job's row before that of its state, as whoever changes the job takes them.
    if !resume {
        job::pause(work.job, Some(&format!("rolled back by run {}", work.run)))?;
    }
    match run::undo(work.job, after, work.run)? {
        Some(before) => state::restore_position(work.job, &before)?,
        None => state::forget_read(work.job)?,
    }
    reject::take_back(work.job, after)?;
    parent_cursor::take_back(work.job, after)?;
    run::add_counts(
        work.run,
        &Counts {
            inserted: signed(total.reinserted),
            updated: signed(total.restored),
            deleted: signed(total.removed),
            ..Counts::default()
        },
    )?;
    let told = [left_message(&total), apply::dropped_message(&total.dropped)];
    let told: Vec<String> = told.into_iter().flatten().collect();
    if !told.is_empty() {
        run::note(work.run, &told.join("; "), total.left.keys().as_deref())?;
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
        attnums: batch.attnums.clone(),
        payload,
    })
}

fn lost() -> Error {
    Error::Internal(InternalError::Corrupt {
        what: "an undo set".into(),
    })
}

/// Takes a first load back: the rows that its pages brought, as far as they are still as they came.
fn unload(plan: &Plan, target: &Target, batch: &UndoBatch) -> Result<Reverted> {
    let mapping = mapping(plan)?;
    let mut applier = Applier::new(target, &mapping)?;
    applier.mind_columns_after(&batch.attnums)?;
    let mut reverted = Reverted::default();
    let hashes = page::of_first_load(plan.job.id, batch.run)?;
    // The last page first: of a key that came twice the later version is what was there.
    let mut known = HashSet::new();
    for chunk in hashes.chunks(PAGES_PER_BATCH).rev() {
        latch::check_interrupts();
        let pages = decoded(plan, chunk, &mapping)?;
        let (removed, left) = applier.remove_unchanged(&pages.iter().collect::<Vec<_>>())?;
        reverted.removed += removed;
        for key in left {
            if known.insert(data::content_hash_bytes(key.as_bytes())) {
                reverted.left.add(|| key);
            }
        }
    }
    Ok(reverted)
}

/// How the job's pages become rows of the target as it is now.
pub fn mapping(plan: &Plan) -> Result<Mapping> {
    let state = state::load(plan.job.id, clock::now())?;
    let mapped = state.mapped.map(|(columns, _)| columns);
    let used = |name: &str| plan.columns_given || mapped.as_ref().is_none_or(|m| m.iter().any(|c| c == name));
    Ok(MappingParts::of(plan).mapping(used).ok_or(data::DataError::NoColumns)?)
}

fn decoded(plan: &Plan, hashes: &[Vec<u8>], mapping: &Mapping) -> Result<Vec<DecodedPage>> {
    let decode = |hash: &Vec<u8>| Ok(data::sift(&gone::body_text(plan.job.id, hash)?, mapping)?.page);
    hashes.iter().map(decode).collect()
}

/// The rows that are still as a run's pages brought them, for undo sets that have lost a column.
struct Sent<'a> {
    plan: &'a Plan,
    target: &'a Target,
    /// Of the run that was asked for last: batches come run by run.
    found: Option<(i64, SentKeys)>,
}

impl<'a> Sent<'a> {
    fn new(plan: &'a Plan, target: &'a Target) -> Sent<'a> {
        Sent {
            plan,
            target,
            found: None,
        }
    }

    fn is_needed_for(&self, batch: &UndoBatch) -> bool {
        let now = |column: &String| apply::name_now(self.target, &batch.columns, &batch.attnums, column);
        batch.columns.iter().any(|column| now(column).is_none())
    }

    fn by(&mut self, batch: &UndoBatch) -> Result<Option<&SentKeys>> {
        if !self.is_needed_for(batch) {
            return Ok(None);
        }
        if self.found.as_ref().is_none_or(|(run, _)| *run != batch.run) {
            self.found = Some((batch.run, self.find(batch.run)?));
        }
        Ok(self.found.as_ref().map(|(_, keys)| keys))
    }

    fn find(&self, run: i64) -> Result<SentKeys> {
        let mut keys = SentKeys::default();
        let Some(generation) = run::by_id(run)?.and_then(|run| run.generation) else {
            return Ok(keys);
        };
        let mapping = mapping(self.plan)?;
        let applier = Applier::new(self.target, &mapping)?;
        // An upsert's pages are not kept: its rows cannot be told from edited ones, and are left.
        let stored = page::stored(self.plan.job.id, generation)?;
        let pages = page::of_generation(self.plan.job.id, generation)?.into_iter();
        let hashes: Vec<Vec<u8>> = pages.map(|page| page.1).collect();
        let (hashes, lost): (Vec<_>, Vec<_>) = hashes.into_iter().partition(|hash| stored.get(hash) > Some(&0));
        keys.is_known = !hashes.is_empty() && lost.is_empty();
        for chunk in hashes.chunks(PAGES_PER_BATCH) {
            latch::check_interrupts();
            let pages = decoded(self.plan, chunk, &mapping)?;
            applier.find_sent(&pages.iter().collect::<Vec<_>>(), &mut keys)?;
        }
        Ok(keys)
    }
}

fn add(total: &mut Reverted, more: Reverted) {
    total.restored += more.restored;
    total.removed += more.removed;
    total.reinserted += more.reinserted;
    total.left.join(more.left);
    total.untold += more.untold;
    total.dropped.extend(more.dropped);
}

/// What the run's row says of rows that were left alone.
fn left_message(total: &Reverted) -> Option<String> {
    let (untold, left) = (total.untold, total.left.count);
    let changed = left.saturating_sub(untold);
    let changed = (changed > 0).then(|| {
        let (rows, were) = (counted(changed, "row"), agreed(&changed, "was", "were"));
        format!("{rows} {were} changed by others since and left")
    });
    let untold = (untold > 0).then(|| {
        let (rows, are) = (counted(untold, "row"), agreed(&untold, "is", "are"));
        format!("{rows} {are} left, since it cannot be told whether others changed what the run wrote")
    });
    let told: Vec<String> = [changed, untold].into_iter().flatten().collect();
    (!told.is_empty()).then(|| told.join("; "))
}
