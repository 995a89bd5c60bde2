//! What SQL calls: arguments are parsed and checked, rights are looked at, and work is asked for.
//!
//! No function here does the work of a job: a call writes what it wants, and a worker does it after the commit. The
//! exceptions are the probes of `create_job`, `test_connection`, `discover` and `preview`, which look at the remote in the session,
//! and `begin_oauth` for a device, which asks for the code that the person is shown.

mod access;
mod alerts;
mod connections;
mod discover;
mod errors;
#[cfg(feature = "failpoints")]
mod failpoints;
mod ingest;
mod jobs;
mod live;
mod oauth;
mod openapi;
mod operate;
mod optimize;
mod origins;
mod parents;
mod preview;
mod rates;
mod rejects;
mod repair;
mod replay;
mod retries;
mod rollback;
mod secrets;
mod self_test;
mod snapshots;
mod target;
mod timing;

use crate::pg::{Oid, bgworker, catalog, identity, shmem, xact};
use crate::store::job::{self, Job};
use crate::store::role::{self, Level};
use sluice_core::Result;
use sluice_core::call::CallError;

/// The value of an argument that must not be NULL.
fn given<T>(argument: &'static str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| CallError::NullArgument { argument }.into())
}

/// Refuses calls that need our processes where there are none.
fn require_server() -> Result<()> {
    catalog::require_primary()?;
    require_library()
}

/// Refuses calls where the library was not loaded at the server's start.
fn require_library() -> Result<()> {
    if !shmem::is_ready() {
        return Err(CallError::NotPreloaded.into());
    }
    Ok(())
}

/// The job of this name, if the caller may define it: its owner, or an admin.
fn own_job(name: &str) -> Result<Job> {
    let caller = identity::current_user();
    let job = job::by_name(name, caller)?;
    if role::has_rights_of(caller, job.owner)? || role::has_level(caller, Level::Admin)? {
        return Ok(job);
    }
    Err(denied(&job))
}

/// The job as it is when it is about to be changed: who changes it at the same time waits until this transaction ends.
fn to_change(job: Job) -> Result<Job> {
    job::lock(job.id)?;
    let (name, nearest) = (job.name, None);
    Ok(job::by_id(job.id)?.ok_or(CallError::UnknownJob { name, nearest })?)
}

/// The job of this name, if the caller may operate it: its owner, an operator or an admin.
fn operable_job(name: &str) -> Result<Job> {
    let job = job::by_name(name, identity::current_user())?;
    if may_operate(&job)? { Ok(job) } else { Err(denied(&job)) }
}

/// The job of this id, if the caller may see it.
fn seen_job(id: i64) -> Result<Option<Job>> {
    let seen = job::seen_by(identity::current_user())?.contains(&id);
    Ok(job::by_id(id)?.filter(|_| seen))
}

fn may_operate(job: &Job) -> Result<bool> {
    let caller = identity::current_user();
    Ok(role::has_rights_of(caller, job.owner)?
        || role::has_level(caller, Level::Operator)?
        || role::has_level(caller, Level::Admin)?)
}

fn denied(job: &Job) -> sluice_core::Error {
    CallError::Denied {
        what: format!("job \"{}\"", job.name),
        detail: "It belongs to another role.".into(),
        hint: "Ask its owner, or an admin for sluice.grant_access(role, 'operator').".into(),
    }
    .into()
}

/// The caller's name, for rows that say who asked.
fn caller_name() -> Result<String> {
    role::name_of(identity::current_user())
}

/// Has the scheduler of this database look when the transaction commits.
fn wake() {
    xact::wake_at_commit();
}

/// Where jobs that are made now may run.
fn here() -> (i64, Oid) {
    (catalog::system_identifier(), bgworker::my_database_oid())
}
