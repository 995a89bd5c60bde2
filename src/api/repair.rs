//! `repair_sync`: what a DBA calls who does not know what is wrong.

use super::{may_operate, operable_job, wake};
use crate::pg::report::or_raise;
use crate::pg::{catalog, clock, identity};
use crate::store::audit;
use crate::store::job::{self, Job};
use crate::store::repair::{self, Finding};
use crate::store::role::{self, Level};
use pgrx::prelude::*;
use sluice_core::Result;

/// What is looked at where no worker is on the job.
const ALL: &str =
    "definition, target, position, runs, queue, schedule, checkpoint, ledger, store, undo sets, snapshots";
const WITH_WORKER: &str = "definition, target";

/// Checks jobs and what is kept of them, mends what can be mended, and says what it did.
#[pg_extern(volatile, parallel_unsafe)]
#[allow(clippy::type_complexity)] // the columns
fn repair_sync(
    job: default!(Option<&str>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(data_type, Option<String>),
        name!(checked, String),
        name!(result, String),
        name!(found, String),
        name!(done, Option<String>),
        name!(action, Option<String>),
    ),
> {
    let rows = or_raise(repair(job));
    TableIterator::new(
        rows.into_iter()
            .map(|(name, found)| (name, found.checked, found.result, found.found, found.done, found.action)),
    )
}

type Told = (Option<String>, Finding);

fn repair(name: Option<&str>) -> Result<Vec<Told>> {
    catalog::require_primary()?;
    let mut told = Vec::new();
    let jobs = match name {
        Some(name) => vec![operable_job(name)?],
        None => job::all()?,
    };
    for job in jobs {
        if may_operate(&job)? {
            told.extend(repair_job(&job)?);
        }
    }
    if name.is_none() && operates_all()? {
        let found = repair::system(clock::now())?;
        let nothing = found
            .is_empty()
            .then(|| fine("leftovers of dropped jobs, locks, scheduler".into(), "nothing is wrong"));
        told.extend(found.into_iter().chain(nothing).map(|finding| (None, finding)));
    }
    // What was mended is seen at the commit, and what merely waits is looked at again.
    wake();
    Ok(told)
}

fn operates_all() -> Result<bool> {
    let caller = identity::current_user();
    Ok(role::has_level(caller, Level::Operator)? || role::has_level(caller, Level::Admin)?)
}

fn repair_job(job: &Job) -> Result<Vec<Told>> {
    let free = repair::try_lock(job.id)?;
    let mut found = repair::job(job.id, free, clock::now())?;
    if found.iter().any(|finding| finding.done.is_some()) {
        audit::note("repair_sync", "job", &job.name)?;
    }
    if !free {
        found.push(fine(
            WITH_WORKER.into(),
            "a worker is on it: the rest was not looked at",
        ));
    } else if found.is_empty() {
        found.push(fine(ALL.into(), "nothing is wrong"));
    }
    Ok(found
        .into_iter()
        .map(|finding| (Some(job.name.clone()), finding))
        .collect())
}

fn fine(checked: String, found: &str) -> Finding {
    Finding {
        checked,
        result: "ok".into(),
        found: found.into(),
        done: None,
        action: None,
    }
}
