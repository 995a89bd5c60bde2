//! Trying rejected records again: what a session calls, and a worker does.

use super::operate::{refuse_unarmed, wait_until_free, wait_untold};
use super::{caller_name, given, operable_job, require_server, wake};
use crate::pg::FunctionCallInfo;
use crate::pg::procedure::{self, Procedure};
use crate::pg::report::or_raise;
use crate::store::job::Job;
use crate::store::reject;
use crate::store::run::{self, Wanted};
use pgrx::prelude::*;
use sluice_core::Result;
use sluice_core::counted::counted;
use sluice_core::run::RunTask;

/// Makes rows of a job's rejected records again, with the present definition.
#[pg_extern(sql = "
CREATE PROCEDURE sluice.replay_rejects(job text) LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
")]
fn replay_rejects(job: Option<&str>, call: FunctionCallInfo) {
    or_raise(procedure::run(call, "sluice.replay_rejects", |procedure| {
        require_server()?;
        let job = operable_job(given("job", job)?)?;
        refuse_unarmed(&job)?;
        let id = occupy(procedure, &job)?;
        let ended = wait_untold(procedure, id, &job.name)?;
        procedure::notice(&told(ended, &job)?);
        Ok(())
    }));
}

/// Waits for the run under way, and puts the replay in its place; the replay's run.
fn occupy(procedure: &Procedure, job: &Job) -> Result<i64> {
    loop {
        wait_until_free(procedure, job)?;
        if let Some(id) = run::request_work(job.id, &caller_name()?, &Wanted::new(RunTask::ReplayRejects, None))? {
            wake();
            procedure.commit();
            return Ok(id);
        }
    }
}

/// What became of the records that were tried.
fn told(id: i64, job: &Job) -> Result<String> {
    let c = run::counts(id)?;
    let written = c.inserted + c.updated + c.unchanged;
    // Of those only the beginning is kept, or they are lines that are no records.
    let untried = match reject::untried(job.id)? {
        0 => String::new(),
        1 => "; 1 more waits for the next read".into(),
        untried => format!("; {untried} more wait for the next read"),
    };
    Ok(format!(
        "{} tried: {written} written, {} still rejected, {} of which a later version is there{untried}",
        counted(c.records, "rejected record"),
        c.rejected,
        c.records - written - c.rejected
    ))
}
