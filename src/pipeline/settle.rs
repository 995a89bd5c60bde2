//! Ends a read whose rows are in the target already: a first load, or an upsert.
//!
//! Here the watermark moves, and nowhere else: to the highest value of a read that is complete and in which nothing can
//! have slipped past. It never moves back.

use super::apply::Applier;
use super::batch::{current_target, signed};
use super::brought::Sources;
use super::parents::watermarks;
use super::persist::persist;
use super::plan::Plan;
use super::publication::{Publication, finish_published, plan_after_decision, tidy};
use super::publish::Occasion;
use super::read::{self, MappingParts, ReadState};
use super::rejects::Rejects;
use super::sweep::sweep;
use super::{Ended, Work, after_publish, brought};
use crate::pg::relation::Target;
use crate::pg::{clock, failpoint};
use crate::store::run::Counts;
use crate::store::state::{self, State};
use crate::store::{self, job, page, run};
use sluice_core::counted::{agreed, counted};
use sluice_core::cursor::{Cursor, Evidence, Moved, moved};
use sluice_core::data::Mapping;
use sluice_core::guard::{self, Decision, KeptBack, Live, ReadFacts};
use sluice_core::job::Mode;
use sluice_core::run::RunStatus;
use sluice_core::settings::OnMissing;
use sluice_core::target::TargetError;
use sluice_core::{Error, Result, data};
use std::sync::Arc;

pub fn settle_direct(work: &Work, plan: &Plan, read: &ReadState) -> Result<Ended> {
    let verdict = persist(|| settle_once(work, plan, read))?;
    match verdict {
        Verdict::Held(reason) => return Ok(Ended::Held(reason)),
        Verdict::KeptBack(error) => return Ok(Ended::KeptBack(error)),
        Verdict::Altered => return Ok(Ended::Altered),
        Verdict::Settled => {}
    }
    tidy(work, plan);
    Ok(Ended::Published)
}

enum Verdict {
    Settled,
    Held(String),
    KeptBack(Error),
    Altered,
}

fn settle_once(work: &Work, plan: &Plan, read: &ReadState) -> Result<Verdict> {
    if !job::stays(&plan.job)? {
        return Ok(Verdict::Altered);
    }
    let records = page::records(work.job, read.generation)?;
    let state = state::load(work.job, clock::now())?;
    let rejects = Rejects::new(work, plan, read.generation);
    rejects.refuse_all(records.unsigned_abs())?;
    if state.bound.is_none() {
        state::note_read(work.job, records)?;
    }
    // Where rows are only added, an answer without records says nothing of those that are there.
    if state.bound.is_none() && plan.mode != Mode::Append {
        let decision = guard::decide(&facts(records), &live(&state), &plan.settings);
        run::note_answer(work.run, decision.state())?;
        if read.whole {
            // What was ignored may have held any of them.
            let ignored = page::has_ignored(work.job, read.generation)?;
            state::count_empty_reads(work.job, records.max(i64::from(ignored)))?;
        }
        match decision {
            Decision::Publish { .. } => {}
            Decision::Hold(kept) => return Ok(Verdict::Held(kept.reason())),
            Decision::RollBack(kept) => return Ok(Verdict::KeptBack(TargetError::from(kept).into())),
        }
    }
    let fallback = || {
        let keyless = plan.job.key.is_empty();
        MappingParts::of(plan).mapping(|_| keyless).map(Arc::new)
    };
    let mapping = read
        .mapping
        .clone()
        .or_else(fallback)
        .ok_or(data::DataError::NoColumns)?;
    // An answer to a request for changes says nothing of how many records there are.
    let came = (records - state.duplicates - state.tombstones - signed(rejects.count()?.all)).max(0);
    let rows = match state.bound {
        _ if plan.mode == Mode::Append => state.published_rows + came,
        // What was passed over may be still there: a guard must not take the rest for all that there was.
        None if page::has_ignored(work.job, read.generation)? => came.max(state.published_rows),
        None => came,
        Some(_) => state.published_rows,
    };
    let target = current_target(plan)?;
    if let Some(kept) = remove_announced(work, plan, (&target, &mapping), read.generation, Occasion::Read)? {
        return Ok(Verdict::Held(kept.reason()));
    }
    let cursor = watermark(work, plan, read, &state)?;
    let read_now = ReadState { state, ..read.clone() };
    finish_published(
        work,
        plan,
        &read_now,
        read.generation,
        &Publication {
            occasion: Occasion::Read,
            mapping: &mapping,
            rows,
            unconfirmed: 0,
            removals: None,
            skip_valid: read_now.state.duplicates == 0 && !was_thinned(plan, read, rows)?,
            cursor,
            repeated_rejects: Vec::new(),
        },
    )?;
    failpoint::hit("publish.before_commit");
    Ok(Verdict::Settled)
}

/// Removes the rows of a read's tombstones; None where they are not too many to be believed.
fn remove_announced(
    work: &Work,
    plan: &Plan,
    (target, mapping): (&Target, &Arc<Mapping>),
    generation: i64,
    occasion: Occasion,
) -> Result<Option<KeptBack>> {
    if plan.settings.deleted_when.is_none() || plan.settings.on_missing == OnMissing::Keep || plan.mode == Mode::Replace
    {
        return Ok(None);
    }
    let state = state::load(work.job, clock::now())?;
    let (rows_before, announced) = Sources::new(plan, &state, mapping)?.announced(generation)?;
    let found = announced.len() as u64;
    let live = Live {
        rows_before,
        candidates_gone: found,
        gone_confirmed: found,
    };
    if let (Occasion::Read, Some(kept)) = (occasion, guard::decide_tombstones(&live, &plan.settings)) {
        return Ok(Some(kept));
    }
    if !announced.is_empty() {
        let applier = Applier::new(target, mapping)?;
        let outcome = sweep(work, plan, &applier, &announced.iter().collect::<Vec<_>>())?;
        run::add_counts(
            work.run,
            &Counts {
                deleted: signed(outcome.deleted),
                ..Counts::default()
            },
        )?;
    }
    store::brought::apply(work.job, generation)?;
    failpoint::hit("settle.swept");
    Ok(None)
}

/// Removes what a person has approved: the rows of the tombstones that a held run brought. Its other rows were there when
/// it was held, and the watermark moves with the next run, which reads the same again.
pub fn approved(work: &Work, plan: &Plan, generation: i64) -> Result<Ended> {
    let is_former = persist(|| {
        if !job::stays(&plan.job)? {
            return Ok(true);
        }
        let state = state::load(work.job, clock::now())?;
        let mapping = read::known_mapping(plan, &state).ok_or(data::DataError::NoColumns)?;
        run::note_published(work.run, &state::position(work.job)?, 0, None)?;
        let target = current_target(plan)?;
        remove_announced(work, plan, (&target, &mapping), generation, Occasion::Approved)?;
        after_publish::call(work, plan)?;
        let now = clock::now();
        run::finish(work.run, RunStatus::Succeeded, now)?;
        plan_after_decision(work, plan, now)?;
        Ok(false)
    })?;
    if is_former {
        return Ok(Ended::Altered);
    }
    tidy(work, plan);
    Ok(Ended::Published)
}

fn facts(records: i64) -> ReadFacts {
    ReadFacts {
        complete: true,
        gapless: true,
        records: u64::try_from(records).unwrap_or(0),
        ..ReadFacts::default()
    }
}

fn live(state: &State) -> Live {
    Live {
        rows_before: u64::try_from(state.published_rows).unwrap_or(0),
        candidates_gone: 0,
        gone_confirmed: 0,
    }
}

/// Whether a first load has fewer rows at its end than it brought: somebody has emptied the target meanwhile.
fn was_thinned(plan: &Plan, read: &ReadState, rows: i64) -> Result<bool> {
    Ok(read.first_load && read::count(plan)? < rows)
}

/// The watermark after this read; what kept it back is said in the run.
fn watermark(work: &Work, plan: &Plan, read: &ReadState, state: &State) -> Result<Option<String>> {
    let Some(cursor) = &plan.settings.cursor else {
        return Ok(state.cursor.clone());
    };
    if plan.settings.foreach.is_some() {
        return watermarks::advance(work, plan, state, cursor, passed_over(cursor, state));
    }
    let moved = match page::has_ignored(work.job, read.generation)? {
        true => Some(Moved::Ignored),
        false => moved(&evidence(work, plan, read, state)?),
    };
    let next = match moved {
        Some(_) => state.cursor.clone(),
        None => cursor.format.later(state.cursor.clone(), state.reach.highest.clone()),
    };
    let told = [
        moved.map(|moved| format!("{moved}: the next run reads the same again")),
        passed_over(cursor, state),
    ];
    let told: Vec<String> = told.into_iter().flatten().collect();
    if !told.is_empty() {
        run::note(work.run, &told.join("; "), None)?;
    }
    Ok(next)
}

fn evidence(work: &Work, plan: &Plan, read: &ReadState, state: &State) -> Result<Evidence> {
    let declared = |total: Option<i64>| total.and_then(|total| u64::try_from(total).ok());
    let proof = plan.settings.pagination.is_proof() || read.next_page <= 2;
    let records = page::records(work.job, read.generation)?;
    Ok(Evidence {
        proof,
        duplicate_keys: match proof {
            true => 0,
            false if plan.job.key.is_empty() => 0,
            false => brought::duplicates(plan, read.generation)?,
        },
        records: u64::try_from(records).unwrap_or(0),
        declared_first: declared(state.total_first),
        declared_last: declared(state.total_last),
    })
}

/// What the run says of records whose values did not count.
fn passed_over(cursor: &Cursor, state: &State) -> Option<String> {
    let reach = &state.reach;
    let path = &cursor.query;
    let unreadable = (reach.unreadable > 0).then(|| {
        let (records, have) = (
            counted(reach.unreadable, "record"),
            agreed(&reach.unreadable, "has", "have"),
        );
        format!("{records} {have} no value at {path} that the cursor's format can read")
    });
    let ahead = (reach.ahead > 0).then(|| {
        let (records, have) = (counted(reach.ahead, "record"), agreed(&reach.ahead, "has", "have"));
        format!("{records} {have} one at {path} that lies more than a day ahead")
    });
    let parts: Vec<String> = [unreadable, ahead].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| {
        format!(
            "{}: they were written, and the cursor does not follow them",
            parts.join(", ")
        )
    })
}
