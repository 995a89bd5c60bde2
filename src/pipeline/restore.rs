//! Makes a target equal to a snapshot of it: rows and position, in one transaction, which rollback_to can take back.
//!
//! Everything the snapshot holds wins, over later runs and over local edits: that is what it is called for. What it
//! does not hold is left: columns that the job does not fill, and rows that the job has not brought. Which rows it has
//! brought is told by the keys that are kept of its reads and of payloads, and by the undo sets of the runs since.

use super::apply::{Copied, Outcome, OwnKeys, Restorer, Values, dropped_message, inserted_keys};
use super::batch::{current_target, keep_undo_set, signed};
use super::brought::Sources;
use super::plan::Plan;
use super::publication::tidy;
use super::sweep::keep_undo;
use super::{Ended, Work, brought, gone, rollback, snapshot as copy};
use crate::pg::shmem::{self, Phase};
use crate::pg::{clock, failpoint, latch, spi, transaction};
use crate::pipeline::apply::Applier;
use crate::store::run::{self, Counts};
use crate::store::snapshot::{self, Snapshot};
use crate::store::{ingest, job, parent_cursor, state, undo};
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::counted::{agreed, counted};
use sluice_core::data::{Mapping, page_of_texts};
use sluice_core::run::RunStatus;

/// Keys whose rows are looked for by one statement.
const LOOKED_UP_AT_ONCE: usize = 10_000;

/// Puts a snapshot back.
pub(super) fn run(work: &Work, plan: &Plan, snapshot: i64) -> Result<Ended> {
    work.phase(Phase::Restoring);
    transaction::run(|| once(work, plan, snapshot))?;
    tidy(work, plan);
    Ok(Ended::Done)
}

fn once(work: &Work, plan: &Plan, id: i64) -> Result<()> {
    let snapshot = snapshot::lock(id)?.ok_or(CallError::UnknownSnapshot { id })?;
    let target = current_target(plan)?;
    // Nobody writes between the look at what is there and the end.
    let lock = format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", target.sql_name());
    spi::execute(&lock, &[])?;
    if let Some(obstacle) = snapshot::obstacle(id)? {
        return Err(CallError::NotRestorable { id, obstacle }.into());
    }
    let copied = Copied {
        columns: &snapshot.columns,
        types: &snapshot.types,
        mapped: &snapshot.mapped,
        key: &snapshot.key,
    };
    let restorer = Restorer::new(&target, &copied)?;
    let mut total = Outcome::default();
    let mapping = rollback::mapping(plan)?;
    let reader = Applier::new(&target, &mapping)?;
    let generation = state::load(work.job, clock::now())?.generation;
    let absent = buried(work, plan, &mapping, &reader)?;
    let left = remove(work, plan, &snapshot, &restorer, &mut total)?;
    put_back(work, plan, &snapshot, &restorer, &mut total)?;
    let back = among(&reader, &absent, true)?;
    brought::recall(plan, work.run, generation, &back)?;
    ingest::recall_keys(work.job, &gone::key_form(plan), &back)?;
    failpoint::hit("restore.applied");
    settle(work, &snapshot, &total)?;
    let told = [
        left_message(left),
        dropped_message(&restorer.dropped.into_iter().collect()),
    ];
    let told: Vec<String> = told.into_iter().flatten().collect();
    if !told.is_empty() {
        run::note(work.run, &told.join("; "), None)?;
    }
    run::finish(work.run, RunStatus::Succeeded, clock::now())?;
    failpoint::hit("restore.before_commit");
    Ok(())
}

/// Keys of rows that are not there, because their tombstones were applied since: what is put back of them is the job's
/// own again, for the tombstones come again.
fn buried(work: &Work, plan: &Plan, mapping: &Mapping, reader: &Applier) -> Result<Vec<Vec<u8>>> {
    let mut state = state::load(work.job, clock::now())?;
    // Whichever read the position goes back to.
    state.whole_generation = None;
    let sources = Sources::new(plan, &state, mapping)?;
    among(reader, &brought::buried(&sources)?, false)
}

/// Those keys whose rows are there, or those whose rows are not.
fn among(reader: &Applier, keys: &[Vec<u8>], there: bool) -> Result<Vec<Vec<u8>>> {
    latch::check_interrupts();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let found = match keys.len() > LOOKED_UP_AT_ONCE {
        true => None,
        false => Some(
            reader
                .present(&keys.iter().map(Vec::as_slice).collect::<Vec<_>>())?
                .len(),
        ),
    };
    match found {
        Some(0) if there => Ok(Vec::new()),
        Some(0) => Ok(keys.to_vec()),
        Some(n) if n == keys.len() && !there => Ok(Vec::new()),
        Some(n) if n == keys.len() => Ok(keys.to_vec()),
        _ => {
            let (one, other) = keys.split_at(keys.len() / 2);
            let mut both = among(reader, one, there)?;
            both.extend(among(reader, other, there)?);
            Ok(both)
        }
    }
}

/// Removes what the job has brought since; how many rows are left that the snapshot does not have.
fn remove(work: &Work, plan: &Plan, snapshot: &Snapshot, restorer: &Restorer, total: &mut Outcome) -> Result<u64> {
    let of_copy = |take: &mut dyn FnMut(&[u8]) -> Result<()>| {
        (1..=snapshot.chunks).try_for_each(|number| restorer.each_key(&copy::rows(snapshot.id, number)?, take))
    };
    let mapping = rollback::mapping(plan)?;
    let state = state::load(work.job, clock::now())?;
    let sources = Sources::new(plan, &state, &mapping)?;
    let of_reads = |take: &mut dyn FnMut(&[u8]) -> Result<()>| sources.each_own(take);
    let since = |take: &mut dyn FnMut(&[u8]) -> Result<()>| inserted_since(work, snapshot, take);
    let reader = Applier::new(&current_target(plan)?, &mapping)?;
    // Keys of the job's reads are those of its key now; the snapshot may have been made under another one.
    let mut own = vec![OwnKeys {
        writer: restorer.key_writer(),
        keys: &since,
    }];
    if snapshot.key == plan.job.key {
        own.push(OwnKeys {
            writer: &reader,
            keys: &of_reads,
        });
    }
    let mut take = |outcome: Outcome| {
        latch::check_interrupts();
        total.count(&outcome);
        keep_undo_set(work, &outcome)
    };
    restorer.remove_extra(&of_copy, &own, &mut take, keep_undo(plan))
}

/// The keys of rows that runs since the snapshot have inserted, as their undo sets tell.
fn inserted_since(work: &Work, snapshot: &Snapshot, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let places: Vec<usize> = (0..snapshot.key.len()).collect();
    for batch in undo::after(work.job, snapshot.made_by)? {
        if batch.first_load || batch.run == work.run {
            continue;
        }
        let keys: Vec<Values> = inserted_keys(&rollback::text(&batch)?, &snapshot.key, "the target")?;
        let page = page_of_texts(&keys, &[], &places);
        sluice_core::data::split_keys(&page.keys, places.len()).try_for_each(&mut *take)?;
    }
    Ok(())
}

fn put_back(work: &Work, plan: &Plan, snapshot: &Snapshot, restorer: &Restorer, total: &mut Outcome) -> Result<()> {
    shmem::update_progress(work.slot, |p| p.pages_total = snapshot.chunks.into());
    for number in 1..=snapshot.chunks {
        latch::check_interrupts();
        let rows = copy::rows(snapshot.id, number)?;
        for outcome in restorer.put_back(&rows, keep_undo(plan))? {
            keep_undo_set(work, &outcome)?;
            total.count(&outcome);
        }
        let records = signed(rows.len() as u64);
        shmem::update_progress(work.slot, |p| {
            p.pages_done += 1;
            p.records_done += records;
        });
    }
    Ok(())
}

/// The position as it was, the job at rest, and what a rollback of this puts back.
fn settle(work: &Work, snapshot: &Snapshot, total: &Outcome) -> Result<()> {
    run::keep_position(work.run, &state::position(work.job)?)?;
    state::restore_position(work.job, &snapshot.position)?;
    // What each parent had then is not in it.
    parent_cursor::forget_all(work.job, work.run)?;
    let counts = Counts {
        records: snapshot.rows,
        inserted: signed(total.inserted),
        updated: signed(total.updated),
        deleted: signed(total.deleted),
        // Each row is looked at twice: whether it is there, and whether it differs.
        unchanged: snapshot.rows - signed(total.inserted + total.updated),
        ..Counts::default()
    };
    run::add_counts(work.run, &counts)?;
    let Snapshot { id, label, .. } = snapshot;
    let reason = format!("snapshot {id} ({label}) was restored by run {}", work.run);
    job::pause(work.job, Some(&reason))?;
    run::supersede_held(work.job, work.run)
}

fn left_message(left: u64) -> Option<String> {
    let (rows, are) = (counted(left, "row"), agreed(&left, "is", "are"));
    let them = agreed(&left, "it", "them");
    (left > 0).then(|| format!("{rows} that the snapshot does not have {are} left: the job did not bring {them}"))
}
