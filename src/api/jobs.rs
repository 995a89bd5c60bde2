//! Defining jobs: create, alter, drop, pause, resume.

use super::connections::no_usage;
use super::target::{Found, Wish, check_key, find_or_create, may_become_owner};
use super::{caller_name, here, operable_job, own_job, require_server, wake};
use crate::pg::report::or_raise;
use crate::pg::{identity, relation, shmem, spi};
use crate::store::connection;
use crate::store::job::{self, Job};
use crate::store::{role, run, state};
use pgrx::prelude::*;
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::job::{JobName, JobPath, Mode, Priority};
use sluice_core::schedule::Schedule;
use sluice_core::settings::Settings;
use sluice_core::sql_text::quote;
use sluice_core::target::TargetError;

/// Binds one remote collection to one table.
#[pg_extern(volatile, parallel_unsafe)]
#[allow(clippy::too_many_arguments)] // the public signature
fn create_job(
    name: &str,
    connection: &str,
    path: &str,
    target: default!(Option<&str>, "NULL"),
    mode: default!(&str, "'replace'"),
    key: default!(Option<Vec<String>>, "NULL"),
    schedule: default!(&str, "'30 minutes'"),
    priority: default!(&str, "'normal'"),
    settings: default!(pgrx::JsonB, "'{}'"),
) -> i64 {
    let document = settings.0.to_string();
    let wish = Wish {
        job: name,
        connection,
        path,
        target,
        key,
        document: &document,
    };
    or_raise(create(
        &wish,
        &Words {
            mode,
            schedule,
            priority,
        },
    ))
}

/// The arguments that are words of a fixed list.
struct Words<'a> {
    mode: &'a str,
    schedule: &'a str,
    priority: &'a str,
}

fn create(wish: &Wish, words: &Words) -> Result<i64> {
    require_server()?;
    JobName::parse(wish.job)?;
    JobPath::parse(wish.path)?;
    let mode = Mode::parse(words.mode)?;
    let priority = Priority::parse(words.priority)?;
    let schedule = Schedule::parse(words.schedule)?;
    let settings = Settings::parse(wish.document)?;
    if job::exists(wish.job)? {
        return Err(CallError::JobExists { name: wish.job.into() }.into());
    }
    let server = connection::by_name(wish.connection)?;
    let caller = identity::current_user();
    if !connection::may_use(caller, server.oid)? {
        return Err(no_usage(&server.name)?);
    }
    let found = find_or_create(wish, &settings)?;
    let new = Job {
        id: 0,
        name: wish.job.into(),
        owner: caller,
        server: server.oid,
        server_name: server.name,
        path: wish.path.into(),
        target: found.target.oid,
        target_schema: found.target.schema.clone(),
        target_table: found.target.name.clone(),
        mode: mode.as_str().into(),
        key: found.key.clone(),
        schedule: words.schedule.trim().into(),
        every: seconds(schedule),
        priority: priority.as_str().into(),
        settings: found.settings.clone(),
        enabled: true,
        disabled_reason: None,
        paused: false,
        pause_reason: None,
        armed: Some(here()),
    };
    let id = job::insert(&new, &caller_name()?)?;
    wake();
    tell(&new, &found)?;
    Ok(id)
}

fn seconds(schedule: Schedule) -> Option<f64> {
    match schedule {
        Schedule::Every(period) => Some(period.as_secs_f64()),
        Schedule::Manual => None,
    }
}

/// What was made, what happens now, and how to follow it.
fn tell(job: &Job, found: &Found) -> Result<()> {
    let made = if found.created { "was created" } else { "is used" };
    let owner = role::name_of(found.target.owner)?;
    let next = if job.every.is_some() {
        "the first run starts now"
    } else {
        "nothing runs until you ask for it"
    };
    let follow = format!(
        "SELECT * FROM sluice.sync_status WHERE data_type = {};",
        pgrx::spi::quote_literal(&job.name)
    );
    let ask = format!(
        "CALL sluice.sync({}); runs it and waits",
        pgrx::spi::quote_literal(&job.name)
    );
    ereport!(
        PgLogLevel::NOTICE,
        PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
        format!("table {} {made}, owned by {owner}; {next}", found.target.full_name()),
        format!("{ask}; {follow} follows it.")
    );
    Ok(())
}

/// Changes a job; NULL leaves a part as it is. A change of what is read begins a new read.
#[pg_extern(volatile, parallel_unsafe)]
#[allow(clippy::too_many_arguments)] // the public signature
fn alter_job(
    name: &str,
    connection: default!(Option<&str>, "NULL"),
    path: default!(Option<&str>, "NULL"),
    mode: default!(Option<&str>, "NULL"),
    key: default!(Option<Vec<String>>, "NULL"),
    schedule: default!(Option<&str>, "NULL"),
    priority: default!(Option<&str>, "NULL"),
    settings: default!(Option<pgrx::JsonB>, "NULL"),
) {
    let settings = settings.map(|document| document.0);
    or_raise(alter(
        name,
        &Change {
            connection,
            path,
            mode,
            key,
            schedule,
            priority,
            settings,
        },
    ));
}

struct Change<'a> {
    connection: Option<&'a str>,
    path: Option<&'a str>,
    mode: Option<&'a str>,
    key: Option<Vec<String>>,
    schedule: Option<&'a str>,
    priority: Option<&'a str>,
    settings: Option<serde_json::Value>,
}

fn alter(name: &str, change: &Change) -> Result<()> {
    require_server()?;
    let mut job = own_job(name)?;
    let target = relation::read_target(job.target).ok_or(TargetError::Missing {
        oid: job.target.to_u32(),
    })?;
    may_become_owner(&target)?;
    if let Some(server) = change.connection {
        let server = connection::by_name(server)?;
        if !connection::may_use(identity::current_user(), server.oid)? {
            return Err(no_usage(&server.name)?);
        }
        (job.server, job.server_name) = (server.oid, server.name);
    }
    if let Some(path) = change.path {
        job.path = JobPath::parse(path)?.as_str().to_string();
    }
    if let Some(mode) = change.mode {
        job.mode = Mode::parse(mode)?.as_str().to_string();
    }
    if let Some(key) = &change.key {
        check_key(&target, key)?;
        job.key.clone_from(key);
    }
    if let Some(priority) = change.priority {
        job.priority = Priority::parse(priority)?.as_str().to_string();
    }
    let rescheduled = alter_schedule(&mut job, change)?;
    if let Some(settings) = &change.settings {
        job.settings = merged(&job.settings, settings);
        Settings::parse(&job.settings)?;
    }
    job::update(&job)?;
    state::void_skip(job.id)?;
    if rescheduled {
        let now = crate::pg::clock::now();
        job::plan_after_success(&job, now, now)?;
    }
    wake();
    Ok(())
}

fn alter_schedule(job: &mut Job, change: &Change) -> Result<bool> {
    let Some(schedule) = change.schedule else {
        return Ok(false);
    };
    job.every = seconds(Schedule::parse(schedule)?);
    job.schedule = schedule.trim().to_string();
    Ok(true)
}

/// The stored settings with the given keys in their place; a key that is null is taken away.
fn merged(stored: &str, given: &serde_json::Value) -> String {
    let mut document: serde_json::Map<String, serde_json::Value> = serde_json::from_str(stored).unwrap_or_default();
    for (key, value) in given.as_object().into_iter().flatten() {
        if value.is_null() {
            document.remove(key);
        } else {
            document.insert(key.clone(), value.clone());
        }
    }
    serde_json::Value::Object(document).to_string()
}

/// Drops a job with its history; its table stays unless asked for.
#[pg_extern(volatile, parallel_unsafe)]
fn drop_job(name: &str, drop_target: default!(bool, "false")) {
    or_raise(remove(name, drop_target));
}

fn remove(name: &str, drop_target: bool) -> Result<()> {
    let job = own_job(name)?;
    stop(&job)?;
    job::delete(job.id)?;
    if drop_target && let Some(target) = relation::read_target(job.target) {
        spi::execute(
            &format!("DROP TABLE {}.{}", quote(&target.schema), quote(&target.name)),
            &[],
        )?;
    }
    Ok(())
}

/// Keeps a job from running until it is resumed. A run that is under way ends at its checkpoint.
#[pg_extern(volatile, parallel_unsafe)]
fn pause_job(name: &str, reason: default!(Option<&str>, "NULL")) {
    or_raise(pause(name, reason));
}

fn pause(name: &str, reason: Option<&str>) -> Result<()> {
    require_server()?;
    let job = operable_job(name)?;
    job::pause(job.id, reason)?;
    stop(&job)
}

/// Lets a paused or disabled job run again; one with a schedule runs at once.
#[pg_extern(volatile, parallel_unsafe)]
fn resume_job(name: &str) {
    or_raise(resume(name));
}

fn resume(name: &str) -> Result<()> {
    require_server()?;
    let job = operable_job(name)?;
    job::resume(job.id)?;
    state::forget_crashes(job.id)?;
    if job.every.is_some() {
        state::plan_next(job.id, Some(crate::pg::clock::now()))?;
    }
    wake();
    Ok(())
}

/// Ends the open run of a job: marked in its row, and its worker told.
pub fn stop(job: &Job) -> Result<()> {
    let asked = run::ask_stop(job.id, &caller_name()?)?;
    if asked > 0 && shmem::is_ready() {
        shmem::stop_job(crate::pg::bgworker::my_database(), job.id);
    }
    wake();
    Ok(())
}
