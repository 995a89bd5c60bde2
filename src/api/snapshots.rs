//! Full copies of a target: making one, putting one back, forgetting one.

use super::operate::{wait, wait_untold};
use super::rollback::{occupy, occupy_when_free, tell_left, tell_paused};
use super::{given, operable_job, own_job, require_server, seen_job};
use crate::pg::report::or_raise;
use crate::pg::{FunctionCallInfo, catalog, procedure};
use crate::store::job::Job;
use crate::store::run::Wanted;
use crate::store::snapshot::{self, Snapshot};
use pgrx::prelude::*;
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::counted::counted;
use sluice_core::job::JobFault;
use sluice_core::run::RunTask;

/// Copies a job's target, with the job's position.
#[pg_extern(sql = "
CREATE PROCEDURE sluice.create_snapshot(job text, label text) LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
")]
fn create_snapshot(name: Option<&str>, label: Option<&str>, call: FunctionCallInfo) {
    or_raise(procedure::run(call, "sluice.create_snapshot", |procedure| {
        require_server()?;
        let job = operable_job(given("job", name)?)?;
        require_key(&job)?;
        let mut wanted = Wanted::new(RunTask::Snapshot, None);
        wanted.label = Some(given("label", label)?.to_owned());
        // A run that is under way comes to its end first: what is copied is whole.
        let run = loop {
            if let Some(run) = occupy_when_free(procedure, &job, &wanted)? {
                break run;
            }
        };
        let run = wait_untold(procedure, run, &job.name)?;
        if let Some((id, rows, bytes)) = snapshot::made_by(job.id, run)? {
            procedure::notice(&format!(
                "snapshot {id}: {}, {}",
                counted(rows, "row"),
                counted(bytes, "byte")
            ));
        }
        Ok(())
    }));
}

/// What is appended without a key cannot be told apart, and so not be put back.
fn require_key(job: &Job) -> Result<()> {
    match job.key.is_empty() {
        true => Err(JobFault::TableWithoutKey {
            table: format!("{}.{}", job.target_schema, job.target_table),
        }
        .into()),
        false => Ok(()),
    }
}

/// Makes a job's target equal to a snapshot of it, and pauses the job.
#[pg_extern(sql = "
CREATE PROCEDURE sluice.restore_snapshot(id bigint) LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
")]
fn restore_snapshot(id: Option<i64>, call: FunctionCallInfo) {
    or_raise(procedure::run(call, "sluice.restore_snapshot", |procedure| {
        require_server()?;
        let (snapshot, job) = seen_snapshot(given("id", id)?)?;
        let job = operable_job(&job.name)?;
        if let Some(obstacle) = snapshot::obstacle(snapshot.id)? {
            return Err(CallError::NotRestorable {
                id: snapshot.id,
                obstacle,
            }
            .into());
        }
        let run = occupy(procedure, &job, &Wanted::new(RunTask::Restore, Some(snapshot.id)))?;
        wait(procedure, run, &job.name)?;
        tell_left(run)?;
        tell_paused(&job);
        Ok(())
    }));
}

/// Forgets a snapshot.
#[pg_extern(volatile, parallel_unsafe)]
fn drop_snapshot(id: Option<i64>) {
    or_raise(given("id", id).and_then(forget));
}

fn forget(id: i64) -> Result<()> {
    catalog::require_primary()?;
    let (snapshot, job) = seen_snapshot(id)?;
    own_job(&job.name)?;
    snapshot::drop(snapshot.id)
}

/// A snapshot and its job, if the caller may see them.
fn seen_snapshot(id: i64) -> Result<(Snapshot, Job)> {
    let unknown = CallError::UnknownSnapshot { id };
    let Some(found) = snapshot::by_id(id)? else {
        return Err(unknown.into());
    };
    let job = seen_job(found.job)?.ok_or(unknown)?;
    Ok((found, job))
}
