//! Ends a run's row, says when the job runs next, and tells what went wrong.

use super::{Ended, Work, rates, rejects};
use crate::pg::clock::{self, Timestamp};
use crate::pg::shmem;
use crate::store::failure::{self, Failure, Place};
use crate::store::job::{self, Job};
use crate::store::{ingest, page_size, pause, retry, run, state};
use sluice_core::call::CallError;
use sluice_core::data::DataError;
use sluice_core::error::HttpError;
use sluice_core::error_rule::{Action, Ruling};
use sluice_core::failure::NextStep;
use sluice_core::guard;
use sluice_core::retry::SplitMix64;
use sluice_core::retry_queue::{self, Failed};
use sluice_core::run::RunStatus;
use sluice_core::settings::Settings;
use sluice_core::target::TargetError;
use sluice_core::{Class, Error, Result};

/// Writes how the run ended. A published run and a rollback have done so already, in their own transaction. `read_as` is
/// the job as the run has read it.
pub fn settle(
    work: &Work,
    started: Timestamp,
    outcome: &Result<Ended>,
    (failed_at, read_as): (Place, Option<&Job>),
) -> Result<()> {
    let now = clock::now();
    let Some(job) = job::by_id(work.job)? else {
        return Ok(());
    };
    // A definition that cannot be read any more has no page size either.
    let page_size = match Settings::parse(&job.settings) {
        Ok(settings) if settings.page_bounds.is_some() => page_size::in_use(work.job)?.or(settings.page_size),
        Ok(settings) => settings.page_size,
        Err(_) => None,
    };
    rates::write_figures(work, page_size)?;
    match outcome {
        Ok(Ended::Published | Ended::Ingested | Ended::Done) => Ok(()),
        Ok(Ended::GaveBack) if is_stopped(work)? => fail(work, &job, (&CallError::Stopped.into(), failed_at), now),
        Ok(Ended::GaveBack) => run::end_turn(work.run, now),
        Ok(Ended::Altered) => begin_again(work, now),
        // What was kept back is of another collection by now.
        Ok(Ended::Held(_) | Ended::KeptBack(_)) if !read_as.map_or(Ok(false), job::stays)? => begin_again(work, now),
        Ok(Ended::Held(reason)) => {
            run::hold(work.run, work.job, reason, now)?;
            state::end_read(work.job)?;
            match is_read(work)? {
                true => answered(&job, started, now),
                false => Ok(()),
            }
        }
        Ok(Ended::KeptBack(error)) => {
            run::fail(work.run, RunStatus::RolledBack, error, now)?;
            state::end_read(work.job)?;
            if !is_read(work)? {
                return log(work, error, failed_at, now, Some(NOTHING));
            }
            state::note_failure(work.job, now)?;
            answered(&job, started, now)?;
            log(work, error, failed_at, now, None)
        }
        Err(error) => match error.cause() {
            Error::Http(HttpError::RateWait { wait, why, .. }) if !is_stopped(work)? => {
                // Not over: it goes on where it is when the wait is, and its worker is free for others meanwhile.
                run::give_back(work.run, now.plus(*wait), why.as_str())
            }
            _ => fail(work, &job, (error, failed_at), now),
        },
    }
}

/// The job reads otherwise now: the run waits for a worker again, and reads as the job says then. What a person has
/// approved was of the former definition.
fn begin_again(work: &Work, now: Timestamp) -> Result<()> {
    match run::by_id(work.run)?.is_some_and(|run| run.approved_by.is_some()) {
        true => run::finish(work.run, RunStatus::Superseded, now),
        false => run::end_turn(work.run, now),
    }
}

/// The remote was reached and answered: that its answer was refused is for the next run to judge anew.
fn answered(job: &Job, started: Timestamp, now: Timestamp) -> Result<()> {
    retry::complete(job.id)?;
    job::plan_after_success(job, started, now)
}

/// Whether the run reads the remote; what else a job does has no part in its schedule, its retries and its health.
fn is_read(work: &Work) -> Result<bool> {
    Ok(run::by_id(work.run)?.is_some_and(|run| run.is_read()))
}

fn fail(work: &Work, job: &Job, (error, failed_at): (&Error, Place), now: Timestamp) -> Result<()> {
    let status = status_after(work, error)?;
    let is_read = is_read(work)?;
    if !run::fail(work.run, status, error, now)? {
        return Ok(());
    }
    if let Error::Data(DataError::PathMissing { .. }) = error.cause() {
        run::note_answer(work.run, guard::ReadState::PathMissing)?;
    }
    if run::is_ingest(work.run)? {
        // Neither the schedule nor the health of the remote has to do with it.
        let at = now.plus(sluice_core::ingest::delay_after(ingest::failures(work.job)? + 1));
        ingest::postpone(work.job, work.run, error, at)?;
        return log(work, error, failed_at, now, Some((NextStep::Queued, Some(at))));
    }
    // An approved run that could not be published keeps its pages, and waits for a decision again.
    if run::hold_again(work.run)? {
        return log(work, error, failed_at, now, Some(NOTHING));
    }
    match (is_read, status) {
        (true, RunStatus::Stopped) => {
            retry::complete(work.job)?;
            return job::plan_after_failure(job, now, false);
        }
        (true, _) => {}
        (false, RunStatus::Stopped) => return Ok(()),
        // What is asked for by a person is asked for again by one.
        (false, _) => return log(work, error, failed_at, now, Some(NOTHING)),
    }
    state::note_failure(work.job, now)?;
    if leads_nowhere(work, error, now)? {
        state::give_up_read(work.job)?;
    }
    let next = match error.ruling() {
        Some(ruling) if ruling.action == Action::PauseConnection => Some(pause_connection(job, error, ruling, now)?),
        _ => {
            plan_after(work, job, error, now)?;
            None
        }
    };
    log(work, error, failed_at, now, next)
}

/// A next step of a failure, and when.
type Next = (NextStep, Option<Timestamp>);

/// Nothing by itself.
const NOTHING: Next = (NextStep::Stopped, None);

/// Without a next step it is what was planned for the job.
fn log(work: &Work, error: &Error, place: Place, at: Timestamp, next: Option<Next>) -> Result<()> {
    failure::record(&Failure {
        job: work.job,
        run: work.run,
        at,
        place,
        error,
        next,
    })
}

fn pause_connection(job: &Job, error: &Error, ruling: &Ruling, now: Timestamp) -> Result<Next> {
    let until = ruling.pause_for.map(|length| now.plus(length));
    // Everybody who may use the connection reads it, and a text may quote the data.
    let told = match &ruling.hint {
        Some(hint) => hint.clone(),
        None => failure::told_to_all(error)?,
    };
    let by = format!("error rule \"{}\"", ruling.name);
    pause::pause(job.server, Some(&format!("{told} ({by})")), &by, until)?;
    // What waits for the connection is due when it goes on.
    retry::complete(job.id)?;
    job::plan_after_failure(job, now, false)?;
    if job.every.is_some() {
        state::plan_next(job.id, Some(now))?;
    }
    Ok((NextStep::ConnectionPaused, until))
}

/// Has the run tried again by the queue, or by the schedule.
fn plan_after(work: &Work, job: &Job, error: &Error, now: Timestamp) -> Result<()> {
    // A definition that cannot be read any more has no attempts either.
    let policy = Settings::parse(&job.settings).unwrap_or_default().retry.queue;
    let open = retry::open_of(work.job)?;
    let failed = Failed {
        class: error.class(),
        recoverable: error.is_recoverable(),
        retries: open.map_or(0, |entry| entry.retries),
        progressed: run::counts(work.run)?.pages > 0,
    };
    let random = SplitMix64::new(clock::random_seed()).next_f64();
    match policy.next(failed, open.is_some(), random) {
        retry_queue::Next::Wait { delay, retries } => {
            retry::queue(work.run, retries, policy.attempts, now.plus(delay))?;
            // The schedule waits with it.
            state::plan_next(work.job, None)
        }
        retry_queue::Next::Dead => {
            retry::bury(work.job, work.run)?;
            job::plan_after_failure(job, now, true)
        }
        retry_queue::Next::NotQueued => job::plan_after_failure(job, now, !error.is_recoverable()),
    }
}

/// Whether the pages of the read must not be gone on with: they loop, their next token is lost, or they are all there and
/// cannot be published as they are. What a record has wrong may be mended when it is asked for again.
fn leads_nowhere(work: &Work, error: &Error, now: Timestamp) -> Result<bool> {
    let restarts = error
        .ruling()
        .is_some_and(|ruling| ruling.action == Action::RestartRead);
    Ok(match error.class() {
        _ if restarts => true,
        Class::PaginationLoop => true,
        // What was read is good: it was the owner's function that failed.
        _ if matches!(error.cause(), Error::Target(TargetError::Function(_))) => false,
        // Its rejects would count again, mended or not.
        _ if rejects::ends_read(error.cause()) => true,
        _ if matches!(error.cause(), Error::Http(HttpError::TokenLost { .. })) => true,
        Class::Data => {
            let state = state::load(work.job, now)?;
            state.complete && !state.direct
        }
        _ => false,
    })
}

/// Whether somebody asked for the run's end.
fn is_stopped(work: &Work) -> Result<bool> {
    Ok(shmem::stop_asked(work.slot) || run::by_id(work.run)?.is_some_and(|r| r.stopped_by.is_some()))
}

/// A run that somebody asked to end is stopped, whatever error that showed as.
fn status_after(work: &Work, error: &Error) -> Result<RunStatus> {
    Ok(if is_stopped(work)? || error.class() == Class::Cancelled {
        RunStatus::Stopped
    } else if error.is_recoverable() {
        RunStatus::Retryable
    } else {
        RunStatus::Failed
    })
}
