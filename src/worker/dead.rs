//! Runs whose process is gone: they were stopped, or they were interrupted and go on where they were.

use crate::pg::clock::Timestamp;
use crate::pg::{bgworker, failpoint, shmem};
use crate::store::{self, retry, run, state};
use sluice_core::Result;
use sluice_core::run::{RunSource, RunStatus, RunTask};
use std::time::Duration;

/// The delay before the work goes on after the first and the second interruption in a row; the third disables the job.
const AFTER_CRASH: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// A run whose process is gone: it was stopped, or it was interrupted and goes on where it was.
pub fn close(dead: &run::Run, now: Timestamp) -> Result<()> {
    // The worker may have ended in order since the run was looked at: it gives its lock back only after that.
    if !run::lock_running(dead.id)? {
        return Ok(());
    }
    if dead.stopped_by.is_some() {
        return stop(dead, now);
    }
    run::finish(dead.id, RunStatus::Interrupted, now)?;
    failpoint::hit("scheduler.interrupted");
    // It was ended for a command, which says nothing of the run.
    if shmem::take_moved(bgworker::my_database(), dead.id) {
        return go_on(dead, now);
    }
    let crashes = state::count_crash(dead.job)?;
    let delay = usize::try_from(crashes - 1)
        .ok()
        .and_then(|n| AFTER_CRASH.get(n).copied());
    match delay {
        None => {
            run::hold_again(dead.id)?;
            if dead.is_read() {
                retry::bury(dead.job, dead.id)?;
            }
            store::job::disable(
                dead.job,
                &format!("its runs were interrupted {crashes} times in a row without a committed page"),
            )
        }
        Some(delay) => go_on(dead, now.plus(delay)),
    }
}

/// A run whose end somebody asked for: with it ends the retry that it stood for, and the schedule goes on. One that was
/// approved waits for a decision again.
fn stop(dead: &run::Run, now: Timestamp) -> Result<()> {
    run::finish(dead.id, RunStatus::Stopped, now)?;
    if run::hold_again(dead.id)? || !dead.is_read() {
        return Ok(());
    }
    retry::complete(dead.job)?;
    match store::job::by_id(dead.job)? {
        Some(job) => store::job::plan_after_failure(&job, now, false),
        None => Ok(()),
    }
}

/// Asks for the run that continues an interrupted one. A run that a person has approved goes on as itself: another one
/// would read again, and be held again.
fn go_on(dead: &run::Run, at: Timestamp) -> Result<()> {
    if dead.approved_by.is_some() {
        return run::wait_again(dead.id, at);
    }
    if dead.task != RunTask::Sync {
        let source = match dead.task.source() {
            RunSource::Rollback => RunSource::Rollback,
            _ => RunSource::Resume,
        };
        let wanted = run::Wanted {
            task: dead.task,
            source,
            subject: dead.subject,
            resume_job: dead.resume_job,
            label: dead.label.clone(),
            not_before: Some(at),
        };
        return run::request_work(dead.job, &dead.requested_by, &wanted).map(drop);
    }
    let source = match dead.source == RunSource::Ingest.as_str() {
        true => RunSource::Ingest,
        false => RunSource::Resume,
    };
    run::request(dead.job, source, "scheduler", Some(at)).map(drop)
}
