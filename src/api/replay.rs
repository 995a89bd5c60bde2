//! Publishing again what a run has read, without the network.

use super::operate::{seen_run, wait};
use super::rollback::{occupy_when_free, tell_left};
use super::{given, own_job, require_server};
use crate::pg::FunctionCallInfo;
use crate::pg::procedure;
use crate::pg::report::or_raise;
use crate::store::job::Job;
use crate::store::page;
use crate::store::run::{Run, Wanted};
use pgrx::prelude::*;
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::counted::counted;
use sluice_core::job::Mode;
use sluice_core::run::{RunStatus, RunTask};

/// Publishes the stored pages of a run again.
#[pg_extern(sql = "
CREATE PROCEDURE sluice.replay(run bigint) LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
")]
fn replay(run: Option<i64>, call: FunctionCallInfo) {
    or_raise(procedure::run(call, "sluice.replay", |procedure| {
        require_server()?;
        let (run, job) = seen_run(given("run", run)?)?;
        let job = own_job(&job.name)?;
        refuse_unstored(&run, &job)?;
        let wanted = Wanted::new(RunTask::Replay, Some(run.id));
        let id = loop {
            if let Some(id) = occupy_when_free(procedure, &job, &wanted)? {
                break id;
            }
        };
        wait(procedure, id, &job.name)?;
        tell_left(id)
    }));
}

/// A run can be replayed whose read is whole and whose pages are all in the store.
fn refuse_unstored(run: &Run, job: &Job) -> Result<()> {
    let refused = |detail: String, hint: String| -> Result<()> {
        Err(CallError::NotReplayable {
            run: run.id,
            detail,
            hint,
        }
        .into())
    };
    let another = "SELECT id, status FROM sluice.sync_runs shows the runs; the pages of the last published one and of \
                   those in sluice.sync_undo are kept.";
    if Mode::parse(&job.mode)? != Mode::Replace {
        let detail = format!(
            "In the mode {} rows are written as they come, and their pages are not kept. What an earlier run read is older \
             than what came since, which a run that begins at the watermark would not bring again.",
            job.mode
        );
        let hint = "CALL sluice.rollback_to(job, run) goes back to what the table held after a run. To read everything once \
                    more, take \"cursor\" away with alter_job and give it again.";
        return refused(detail, hint.into());
    }
    if run.status == RunStatus::Held.as_str() {
        return refused(
            "It is held.".into(),
            format!("CALL sluice.approve({}) publishes it.", run.id),
        );
    }
    let was_published = [RunStatus::Succeeded, RunStatus::RolledBack].map(RunStatus::as_str);
    let Some(generation) = run.generation.filter(|_| was_published.contains(&run.status.as_str())) else {
        let detail = format!("Its status is {}: it published nothing.", run.status);
        return refused(detail, another.into());
    };
    let pages = page::of_generation(job.id, generation)?;
    let lost = page::lost_bodies(job.id, generation)?;
    if pages.is_empty() || lost > 0 {
        let detail = match lost {
            0 => "Its pages are no longer kept.".into(),
            lost => format!("{} of it are no longer kept.", counted(lost, "page")),
        };
        return refused(detail, another.into());
    }
    Ok(())
}
