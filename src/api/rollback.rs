//! Going back: what would change, and having a worker do it.

use super::operate::{ending, refuse_unarmed, wait, wait_until_free};
use super::{caller_name, given, jobs, operable_job, require_server, wake};
use crate::pg::FunctionCallInfo;
use crate::pg::procedure::{self, Procedure};
use crate::pg::report::or_raise;
use crate::pipeline::preview;
use crate::store::job::Job;
use crate::store::run::Wanted;
use crate::store::{run, undo};
use pgrx::prelude::*;
use sluice_core::Result;
use sluice_core::counted::{agreed, counted};
use sluice_core::run::RunTask;

/// Puts a job's rows and position back to what they were after a run; NULL: before the latest published one.
#[pg_extern(sql = "
CREATE PROCEDURE sluice.rollback_to(job text, run bigint DEFAULT NULL, resume boolean DEFAULT false)
LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
")]
fn rollback_to(name: Option<&str>, to: Option<i64>, resume: Option<bool>, call: FunctionCallInfo) {
    or_raise(procedure::run(call, "sluice.rollback_to", |procedure| {
        require_server()?;
        let job = operable_job(given("job", name)?)?;
        undo::rollback_target(&job, to)?;
        let mut wanted = Wanted::new(RunTask::Rollback, to);
        wanted.resume_job = resume.unwrap_or(false);
        let id = occupy(procedure, &job, &wanted)?;
        wait(procedure, id, &job.name)?;
        tell_left(id)?;
        if !wanted.resume_job {
            tell_paused(&job);
        }
        Ok(())
    }));
}

/// What was left alone or left out.
pub fn tell_left(run: i64) -> Result<()> {
    if let Some(told) = ending(run)?.1.message {
        procedure::notice(&told);
    }
    Ok(())
}

/// That the job rests now, where it did not before.
pub fn tell_paused(job: &Job) {
    if !job.paused {
        procedure::notice(&format!(
            "the job is paused; SELECT sluice.resume_job({}) lets it go on",
            pgrx::spi::quote_literal(&job.name)
        ));
    }
}

/// Ends what the job is doing and puts other work in its place; the run of that. Where the work is to pause the job the
/// worker does so, in the transaction that writes the rows: whatever becomes of this call before that, nothing is left
/// to undo.
pub fn occupy(procedure: &Procedure, job: &Job, wanted: &Wanted) -> Result<i64> {
    loop {
        jobs::stop(job)?;
        if let Some(id) = occupy_when_free(procedure, job, wanted)? {
            return Ok(id);
        }
        // Another run of it began at the same moment: that one is ended, too.
    }
}

/// Waits until the job is free and puts work there; None where somebody else was first.
pub fn occupy_when_free(procedure: &Procedure, job: &Job, wanted: &Wanted) -> Result<Option<i64>> {
    refuse_unarmed(job)?;
    wait_until_free(procedure, job)?;
    let id = run::request_work(job.id, &caller_name()?, wanted)?;
    if id.is_some() {
        wake();
        procedure.commit();
    }
    Ok(id)
}

/// What a rollback would change: the runs that it undoes, newest first, with what each did; the last row, without a run,
/// says what would be taken back in all, and how many rows would be left because others changed them since. The rows of a
/// first load are counted as they came: which of them others changed is looked at only when they are removed.
#[pg_extern(stable, parallel_unsafe)]
#[allow(clippy::type_complexity)] // the columns of a table function
fn preview_rollback(
    job: Option<&str>,
    run: default!(Option<i64>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(run_id, Option<i64>),
        name!(finished_at, Option<TimestampWithTimeZone>),
        name!(inserted, i64),
        name!(updated, i64),
        name!(deleted, i64),
        name!(what, String),
    ),
> {
    TableIterator::new(or_raise(given("job", job).and_then(|job| preview(job, run))))
}

type Undone = (Option<i64>, Option<TimestampWithTimeZone>, i64, i64, i64, String);

fn preview(name: &str, to: Option<i64>) -> Result<Vec<Undone>> {
    let job = operable_job(name)?;
    let after = undo::rollback_target(&job, to)?;
    let runs = run::undone_by_rollback(job.id, after)?;
    let loaded = run::loaded_first(job.id, after)?;
    let mut shown: Vec<Undone> = runs
        .into_iter()
        .map(|(id, at, inserted, updated, deleted, what)| (Some(id), at, inserted, updated, deleted, what))
        .collect();
    let all = preview::rollback(&job, after)?;
    let left = all.left as i64;
    let back = (all.reinserted as i64, all.restored as i64, all.removed as i64 + loaded);
    let mut what = format!(
        "in all; {} changed by others since {} left",
        counted(left, "row"),
        agreed(&left, "is", "are")
    );
    if let Some(dropped) = preview::dropped_message(&all.dropped) {
        what = format!("{what}; {dropped}, and which rows with it were changed by others is seen by the rollback only");
    }
    shown.push((None, None, back.0, back.1, back.2, what));
    Ok(shown)
}
