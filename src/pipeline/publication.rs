//! The end of a publishing transaction, whatever made the rows visible, and what is forgotten after it.

use super::after_publish;
use super::batch::signed;
use super::plan::Plan;
use super::publish::Occasion;
use super::read::ReadState;
use super::{Work, brought, drift};
use crate::pg::clock::{self, Timestamp};
use crate::pg::{failpoint, shmem, transaction};
use crate::store::run;
use crate::store::state::State;
use crate::store::{history, ingest, job, missing, page, parent, parent_cursor, reject, retry, state, timing, undo};
use sluice_core::Result;
use sluice_core::data::Mapping;
use sluice_core::guard::Reason;
use sluice_core::run::RunStatus;
use sluice_core::schedule::Observed;

/// What is said of a read that becomes visible.
pub struct Publication<'a> {
    pub occasion: Occasion,
    pub mapping: &'a Mapping,
    pub rows: i64,
    pub unconfirmed: i64,
    /// Why rows were removed, or were not.
    pub removals: Option<Reason>,
    /// Whether the target holds what the pages say.
    pub skip_valid: bool,
    /// The watermark from now on.
    pub cursor: Option<String>,
    /// Rejects of the read before that this one has again as they were.
    pub repeated_rejects: Vec<i64>,
}

/// The end of a publishing transaction: the owner's function, and the last writes: position, run, held runs that are out of date, the next run.
pub fn finish_published(
    work: &Work,
    plan: &Plan,
    read: &ReadState,
    generation: i64,
    publication: &Publication,
) -> Result<()> {
    after_publish::call(work, plan)?;
    let now = clock::now();
    if read.whole {
        drift::record_missing(plan, generation, &read.state, publication.mapping)?;
    }
    let removals = publication.removals.map(Reason::as_str);
    run::note_published(work.run, &state::position(work.job)?, publication.unconfirmed, removals)?;
    state::publish(&state::Published {
        job: work.job,
        generation,
        run: work.run,
        rows: publication.rows,
        whole: read.whole,
        unbounded: read.state.bound.is_none() && publication.occasion != Occasion::Replayed,
        cursor: publication.cursor.clone(),
        version: publication.mapping.version().0.to_vec(),
        definition: read.state.definition.clone(),
        skip_valid: publication.skip_valid,
        verified: read.verifying,
        fresh: publication.occasion != Occasion::Replayed,
        now,
    })?;
    // A read without a bound has rejected again what still does not fit; what it did not meet is gone.
    match read.state.bound {
        None => reject::supersede_before(work.job, generation, work.run, &publication.repeated_rejects)?,
        Some(_) => reject::close_settled(work.job, generation)?,
    }
    run::supersede_held(work.job, work.run)?;
    run::finish(work.run, RunStatus::Succeeded, now)?;
    match publication.occasion {
        Occasion::Read => {
            retry::complete(work.job)?;
            adapt(work, plan, &read.state, publication.rows)?;
            job::plan_after_success(&plan.job, shmem::started_at(work.slot), now)
        }
        Occasion::Approved => {
            adapt(work, plan, &read.state, publication.rows)?;
            plan_after_decision(work, plan, now)
        }
        // The remote was not asked: when it is asked next stays as it was planned.
        Occasion::Replayed => Ok(()),
    }
}

/// Plans the run after one that a person has decided about. A retry that waits is of a later read, and the schedule waits
/// with it.
pub fn plan_after_decision(work: &Work, plan: &Plan, now: Timestamp) -> Result<()> {
    match retry::open_of(work.job)? {
        Some(_) => Ok(()),
        None => job::plan_after_success(&plan.job, shmem::started_at(work.slot), now),
    }
}

/// Lets an adaptive schedule follow what the read showed.
fn adapt(work: &Work, plan: &Plan, before: &State, rows: i64) -> Result<()> {
    if !plan.is_adaptive() {
        return Ok(());
    }
    let counts = run::counts(work.run)?;
    let seen = Observed {
        changed: (counts.inserted + counts.updated + counts.deleted).unsigned_abs(),
        rows: rows.max(counts.records).unsigned_abs(),
        reads: plan.reads.map(i64::unsigned_abs),
        first: before.published_generation.is_none(),
    };
    timing::adapt(&plan.job, &plan.settings.timing, seen, clock::now())
}

/// Forgets what no rollback and no comparison needs any more. What was published is visible whatever becomes of this:
/// what fails, or is stopped, is left to the next run.
pub fn tidy(work: &Work, plan: &Plan) {
    super::left_alone(
        "forgetting what is no longer needed",
        transaction::run(|| forget(work, plan)),
    );
}

fn forget(work: &Work, plan: &Plan) -> Result<()> {
    failpoint::hit("publish.tidied");
    if plan.is_adaptive() {
        timing::note_reads(work.job, plan.target.oid)?;
    }
    let keep = &plan.settings.undo;
    let bytes = keep.keep_bytes.map(signed);
    undo::prune(work.job, i64::from(keep.keep_runs), i64::from(keep.keep_days), bytes)?;
    forget_reads(work.job)?;
    brought::tidy(plan)?;
    if plan.settings.foreach.is_some() {
        parent_cursor::prune(work.job)?;
    }
    ingest::forget_keys(work.job)?;
    history::prune_runs(work.job, clock::now())?;
    Ok(())
}

/// Forgets the pages of reads that nothing goes back to, and what was kept with them.
pub fn forget_reads(job: i64) -> Result<()> {
    let kept = state::kept_generations(job)?;
    page::keep_only(job, &kept)?;
    missing::keep_only(job, &kept)?;
    reject::keep_only(job, &kept)?;
    parent::keep_only(job, &kept)
}
