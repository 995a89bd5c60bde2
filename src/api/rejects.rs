//! Trying rejected records again: what a session calls, and a worker does.

use super::operate::{refuse_unarmed, wait, wait_until_free};
use super::{caller_name, given, operable_job, require_server, wake};
use crate::pg::FunctionCallInfo;
use crate::pg::procedure::{self, Procedure};
use crate::pg::report::or_raise;
use crate::store::job::Job;
use crate::store::reject;
use crate::store::run::{self, Wanted};
use pgrx::prelude::*;
use sluice_core::Result;
use sluice_core::counted::{agreed, counted};
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
        wait(procedure, id, &job.name)?;
        procedure::notice(&told(id, reject::untried(job.id)?)?);
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

/// What became of the records that were tried, and that there are others.
fn told(id: i64, untried: i64) -> Result<String> {
    let c = run::counts(id)?;
    let written = c.inserted + c.updated + c.unchanged;
    let others = match untried {
        0 => String::new(),
        _ => format!(
            "; {} {} only with the next read",
            counted(untried, "other"),
            agreed(&untried, "is tried", "are tried")
        ),
    };
    Ok(format!(
        "{} tried: {written} written, {} still rejected, {} of which the same or a later version is there{others}",
        counted(c.records, "rejected record"),
        c.rejected,
        c.records - written - c.rejected
    ))
}
