//! Writing down requests that failed and were sent again, and going on after failures as rules say.
//!
//! The fetch threads note such requests; the main thread writes them in transactions of their own, between two pages or
//! while it waits, so that they are seen while the run goes on. The run's own failure is written by `finish`.

use super::plan::Plan;
use super::read::{self, ReadState};
use super::tokens::Access;
use super::{Work, page_size};
use crate::pg::clock::{self, Timestamp};
use crate::pg::{failpoint, transaction};
use crate::store::failure::{self, Failure, Place};
use sluice_core::error_rule::Action;
use sluice_core::failure::NextStep;
use sluice_core::job::Mode;
use sluice_core::{Error, Result};
use sluice_fetch::{FailedRequest, Sequel};

/// Rows of a run; more failures are only counted.
const MOST_WRITTEN: usize = 50;

/// Writes down what has failed since the last call; nothing where nothing has.
pub fn write_down(work: &Work, plan: &Plan) -> Result<()> {
    let Some(taken) = plan.failures.take() else {
        return Ok(());
    };
    let room = MOST_WRITTEN.saturating_sub(plan.written_down.get());
    transaction::run(|| {
        failure::note_spent(work.run, taken.spent)?;
        taken
            .noted
            .iter()
            .take(room)
            .try_for_each(|failed| record(work, failed))
    })?;
    plan.written_down.set(plan.written_down.get() + taken.noted.len());
    Ok(())
}

fn record(work: &Work, failed: &FailedRequest) -> Result<()> {
    let at = clock::now().minus(failed.at.elapsed());
    let next = match failed.sequel {
        Sequel::Repeated(delay) => (NextStep::RetryInRun, Some(at.plus(delay))),
        Sequel::Ignored => (NextStep::Ignored, None),
    };
    let place = Place {
        page: i64::try_from(failed.page).ok(),
        attempt: i32::try_from(failed.attempt).ok(),
    };
    write(work, &failed.error, place, at, Some(next))
}

fn write(
    work: &Work,
    error: &Error,
    place: Place,
    at: Timestamp,
    next: Option<(NextStep, Option<Timestamp>)>,
) -> Result<()> {
    failure::record(&Failure {
        job: work.job,
        run: work.run,
        at,
        place,
        error,
        next,
    })
}

/// Remembers which request ended the read.
pub fn note_place(plan: &Plan, page: i64, attempts: u32) {
    plan.failed_at.set(Place {
        page: Some(page),
        attempt: i32::try_from(attempts).ok(),
    });
}

/// A read that ended with an error, after whatever a rule has done about it.
pub enum After {
    /// It goes on at its checkpoint.
    GoOn,
    /// It began again.
    Again(Box<ReadState>),
}

/// Does what the rule for an error says, or what its status asks for, where that lets the run go on.
///
/// # Errors
/// The error itself, where the run ends with it.
pub fn go_on(work: &Work, plan: &mut Plan, read: &ReadState, access: &mut Access, error: Error) -> Result<After> {
    let action = error.ruling().map(|ruling| ruling.action);
    if action == Some(Action::RestartRead) && can_restart(plan) {
        return restart(work, plan, read, error);
    }
    if let Some(sizes) = transaction::run(|| page_size::smaller(plan, &error))? {
        return shrink(work, plan, read, sizes, error);
    }
    access.renew_after(work, plan, read.next_page, error.clone())?;
    transaction::run(|| {
        let now = clock::now();
        write(
            work,
            &error,
            plan.failed_at.get(),
            now,
            Some((NextStep::RetryInRun, Some(now))),
        )
    })?;
    Ok(After::GoOn)
}

/// Goes on with pages of a size that the remote may bring.
fn shrink(work: &Work, plan: &Plan, read: &ReadState, sizes: (u64, u64), error: Error) -> Result<After> {
    let again = transaction::run(|| {
        let mut again = page_size::shrink(work, plan, read, sizes, &error)?;
        again.began = read.began;
        let (now, next) = (clock::now(), NextStep::RetryInRun);
        write(work, &error, plan.failed_at.get(), now, Some((next, Some(now))))?;
        Ok(again)
    });
    let Ok(again) = again else {
        // It has begun again too often: the next run begins with the smaller size.
        transaction::run(|| page_size::give_up(plan, sizes))?;
        return Err(error);
    };
    failpoint::hit("page_size.shrunk");
    Ok(After::Again(Box::new(again)))
}

/// Below parents the next run begins anew; a log without keys would have its first rows twice.
fn can_restart(plan: &Plan) -> bool {
    plan.settings.foreach.is_none() && !(plan.mode == Mode::Append && plan.job.key.is_empty())
}

fn restart(work: &Work, plan: &Plan, read: &ReadState, error: Error) -> Result<After> {
    let again = transaction::run(|| {
        let again = read::restart(work, plan, read, error.clone())?;
        let next = (NextStep::ReadRestarted, None);
        write(work, &error, plan.failed_at.get(), clock::now(), Some(next))?;
        Ok(again)
    })?;
    Ok(After::Again(Box::new(again)))
}
