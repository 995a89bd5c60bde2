//! Defining jobs: create, alter, drop, pause, resume.

use super::connections::no_usage;
use super::target::{Found, Wish, check_key, find_or_create, may_become_owner, usual_key, warn_of_others};
use super::{
    caller_name, given, here, operable_job, operate, own_job, parents, require_server, timing, to_change, wake,
};
use crate::pg::relation::Target;
use crate::pg::report::or_raise;
use crate::pg::{bgworker, catalog, clock, identity, relation, shmem, spi};
use crate::pipeline::preview::columns::check_types;
use crate::store::connection::{self, Server};
use crate::store::job::{self, Job};
use crate::store::timing::between_runs;
use crate::store::{drift, function, role, run, state};
use pgrx::prelude::*;
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::connection::ConnectionOptions;
use sluice_core::drift::{Shape, columns_hash};
use sluice_core::job::{JobName, JobPath, Mode, Priority};
use sluice_core::schedule::Schedule;
use sluice_core::settings::{OnMissing, Settings};
use sluice_core::sql_text::quote;
use sluice_core::target::TargetError;

/// Binds one remote collection to one table.
#[pg_extern(volatile, parallel_unsafe)]
#[allow(clippy::too_many_arguments)] // the public signature
fn create_job(
    name: Option<&str>,
    connection: Option<&str>,
    path: Option<&str>,
    target: default!(Option<&str>, "NULL"),
    mode: default!(Option<&str>, "'replace'"),
    key: default!(Option<Vec<Option<String>>>, "NULL"),
    schedule: default!(Option<&str>, "'30 minutes'"),
    priority: default!(Option<&str>, "'normal'"),
    settings: default!(Option<pgrx::JsonB>, "'{}'"),
) -> i64 {
    let asked = || {
        let document = given("settings", settings)?.0.to_string();
        let wish = Wish {
            job: given("name", name)?,
            connection: given("connection", connection)?,
            path: given("path", path)?,
            mode: Mode::parse(given("mode", mode)?)?,
            target,
            key: key.map(named_columns).transpose()?,
            document: &document,
        };
        let words = Words {
            schedule: given("schedule", schedule)?,
            priority: given("priority", priority)?,
        };
        create(&wish, &words)
    };
    or_raise(asked())
}

/// The columns of a key; none of them may be NULL.
fn named_columns(key: Vec<Option<String>>) -> Result<Vec<String>> {
    key.into_iter().map(|column| given("key", column)).collect()
}

/// The arguments that are words of a fixed list.
struct Words<'a> {
    schedule: &'a str,
    priority: &'a str,
}

fn create(wish: &Wish, words: &Words) -> Result<i64> {
    require_server()?;
    JobName::parse(wish.job)?;
    JobPath::parse(wish.path)?;
    let priority = Priority::parse(words.priority)?;
    let schedule = Schedule::parse(words.schedule)?;
    let settings = Settings::parse(wish.document)?;
    parents::check(wish.path, &settings)?;
    settings.check_mode(wish.mode)?;
    timing::check(wish.job, &settings)?;
    if job::exists(wish.job)? {
        return Err(CallError::JobExists { name: wish.job.into() }.into());
    }
    let server = connection::by_name(wish.connection)?;
    let caller = identity::current_user();
    if !connection::may_use(caller, server.oid)? {
        return Err(no_usage(&server.name)?);
    }
    check_method(&server, &settings)?;
    let found = find_or_create(wish, &settings)?;
    // With the columns that the table was made from.
    Settings::parse(&found.settings)?;
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
        mode: wish.mode.as_str().into(),
        key: found.key.clone(),
        schedule: words.schedule.trim().into(),
        every: between_runs(&schedule, &settings.timing, clock::now()),
        priority: priority.as_str().into(),
        settings: found.settings.clone(),
        enabled: true,
        disabled_reason: None,
        paused: false,
        pause_reason: None,
        armed: Some(here()),
    };
    check_function(&settings, &found.target)?;
    let id = job::insert(&new, &caller_name()?)?;
    if found.created {
        // Every member of the first page has a column: what comes later is new.
        let columns = Settings::parse(&found.settings)?.columns;
        drift::keep_shape(id, &columns_hash(&columns), &Shape::default())?;
        drift::keep_made(id, &found.made)?;
    }
    wake();
    tell(&new, &found)?;
    tell_of_repeats(&new, &settings);
    warn_of_others(&new, &found.target)?;
    Ok(id)
}

/// Refuses an `after_publish` that the target's owner cannot call.
fn check_function(settings: &Settings, target: &Target) -> Result<()> {
    match &settings.after_publish {
        Some(name) => function::callable(name, target.owner).map(drop),
        None => Ok(()),
    }
}

/// Refuses a method that the connection's owner has not allowed.
fn check_method(server: &Server, settings: &Settings) -> Result<()> {
    let options = ConnectionOptions::parse(&server.options)?;
    Ok(options.check_method(&server.name, settings.method)?)
}

/// What was made, what happens now, and how to follow it.
fn tell(job: &Job, found: &Found) -> Result<()> {
    let made = if found.created {
        "was created, owned by"
    } else {
        "is used, owned by"
    };
    let owner = role::name_of(found.target.owner)?;
    let next = if job.every.is_some() {
        "its first run starts at the commit"
    } else {
        "no run starts until one is asked for"
    };
    let name = pgrx::spi::quote_literal(&job.name);
    crate::pg::report::tell(
        format!("table {} {made} {owner}; {next}", found.target.full_name()),
        format!(
            "Run it and wait: CALL sluice.sync({name}); or follow it: SELECT * FROM sluice.sync_status WHERE data_type = \
             {name};"
        ),
    );
    Ok(())
}

/// Tells where each run will append what is there already.
fn tell_of_repeats(job: &Job, settings: &Settings) {
    if job.mode == Mode::Append.as_str() && job.key.is_empty() && settings.cursor.is_none() {
        crate::pg::report::tell(
            format!("each run of job \"{}\" appends the whole collection again", job.name),
            "Give a key, so that rows which are there are skipped, or a cursor, so that only what is new is asked for."
                .into(),
        );
    }
}

/// Changes a job; NULL leaves a part as it is. A change of what is read begins a new read.
#[pg_extern(volatile, parallel_unsafe)]
#[allow(clippy::too_many_arguments)] // the public signature
fn alter_job(
    name: Option<&str>,
    connection: default!(Option<&str>, "NULL"),
    path: default!(Option<&str>, "NULL"),
    mode: default!(Option<&str>, "NULL"),
    key: default!(Option<Vec<Option<String>>>, "NULL"),
    schedule: default!(Option<&str>, "NULL"),
    priority: default!(Option<&str>, "NULL"),
    settings: default!(Option<pgrx::JsonB>, "NULL"),
) {
    let asked = || {
        let change = Change {
            connection,
            path,
            mode,
            key: key.map(named_columns).transpose()?,
            schedule,
            priority,
            settings: settings.map(|document| document.0),
        };
        alter(given("name", name)?, &change)
    };
    or_raise(asked());
}

#[derive(Default)]
pub(super) struct Change<'a> {
    connection: Option<&'a str>,
    path: Option<&'a str>,
    mode: Option<&'a str>,
    key: Option<Vec<String>>,
    pub(super) schedule: Option<&'a str>,
    priority: Option<&'a str>,
    pub(super) settings: Option<serde_json::Value>,
}

impl Change<'_> {
    /// Whether the job reads otherwise from now on, not only at other times.
    fn is_of_the_read(&self) -> bool {
        let texts = [self.connection, self.path, self.mode];
        texts.iter().any(Option::is_some) || self.key.is_some() || self.settings.is_some()
    }
}

fn alter(name: &str, change: &Change) -> Result<()> {
    require_server()?;
    let mut job = to_change(own_job(name)?)?;
    let before = job.clone();
    let target = relation::read_target(job.target)?.ok_or(TargetError::Missing {
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
    } else if job.key.is_empty() && job.mode != Mode::Append.as_str() {
        job.key = usual_key(&target, Mode::parse(&job.mode)?)?;
    }
    if let Some(priority) = change.priority {
        job.priority = Priority::parse(priority)?.as_str().to_string();
    }
    if let Some(settings) = change.settings.as_ref().filter(|settings| !settings.is_object()) {
        Settings::parse(&settings.to_string())?;
    }
    let (parsed, rescheduled) = set(&mut job, change)?;
    parsed.check_mode(Mode::parse(&job.mode)?)?;
    if parsed.on_missing == OnMissing::Mark {
        target.expect_mark()?;
    }
    if change.is_of_the_read() {
        target.expect_keyset(parsed.keyset_beside(&job.key))?;
    }
    if change.settings.is_some() {
        check_types(&parsed)?;
        check_function(&parsed, &target)?;
    }
    if (change.settings.is_some() || change.connection.is_some())
        && let Some(server) = connection::by_oid(job.server)?
    {
        check_method(&server, &parsed)?;
    }
    if change.path.is_some() || change.settings.is_some() {
        parsed.check_columns()?;
        parents::check(&job.path, &parsed)?;
    }
    keep(&before, &job, change, rescheduled)?;
    if change.mode.is_some() {
        tell_of_repeats(&job, &parsed);
        warn_of_others(&job, &target)?;
    }
    Ok(())
}

/// Changes schedule and settings of a job that the caller may operate, and has taken for that, to values that were proposed
/// for it.
pub(super) fn adjust(job: &Job, change: &Change) -> Result<()> {
    require_server()?;
    let mut adjusted = job.clone();
    let (_, rescheduled) = set(&mut adjusted, change)?;
    keep(job, &adjusted, change, rescheduled)
}

/// Gives the job its settings and its schedule; whether its next run is another one.
fn set(job: &mut Job, change: &Change) -> Result<(Settings, bool)> {
    if let Some(settings) = &change.settings {
        job.settings = merged(&job.settings, settings);
    }
    let parsed = Settings::parse(&job.settings)?;
    let rescheduled = timing::alter(job, (change.schedule, change.settings.as_ref()), &parsed)?;
    Ok((parsed, rescheduled))
}

/// Writes the changed job down, and forgets what was only true of the former one.
fn keep(before: &Job, job: &Job, change: &Change, rescheduled: bool) -> Result<()> {
    job::update(job)?;
    if !reads_the_same(before, job) {
        state::forget_cursor(job.id)?;
    }
    state::void_skip(job.id)?;
    if change.is_of_the_read() {
        // What is held was read under the former definition: approving it would publish another collection. A run that
        // is under way sees the change itself, before it publishes.
        run::supersede_former(job.id)?;
    }
    if rescheduled {
        let now = crate::pg::clock::now();
        job::plan_after_success(job, now, now)?;
    }
    wake();
    Ok(())
}

/// Whether what the job has read so far is what it would have read under its new definition.
fn reads_the_same(before: &Job, after: &Job) -> bool {
    let settings = |job: &Job| Settings::parse(&job.settings).ok();
    (before.server, &before.path, &before.key) == (after.server, &after.path, &after.key)
        && settings(before)
            .zip(settings(after))
            .is_some_and(|(before, after)| before.reads_the_same(&after))
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
fn drop_job(name: Option<&str>, drop_target: default!(Option<bool>, "false")) {
    or_raise(given("name", name).and_then(|name| remove(name, given("drop_target", drop_target)?)));
}

fn remove(name: &str, drop_target: bool) -> Result<()> {
    catalog::require_primary()?;
    let job = own_job(name)?;
    if drop_target {
        // Until it is armed, a table of this name may be anybody's.
        operate::refuse_unarmed(&job)?;
    }
    stop(&job)?;
    timing::forget(&job)?;
    job::delete(job.id)?;
    if drop_target && let Some(target) = relation::read_target(job.target)? {
        spi::execute(
            &format!("DROP TABLE {}.{}", quote(&target.schema), quote(&target.name)),
            &[],
        )?;
    }
    Ok(())
}

/// Keeps a job from running until it is resumed. A run that is under way ends at its checkpoint.
#[pg_extern(volatile, parallel_unsafe)]
fn pause_job(name: Option<&str>, reason: default!(Option<&str>, "NULL")) {
    or_raise(given("name", name).and_then(|name| pause(name, reason)));
}

fn pause(name: &str, reason: Option<&str>) -> Result<()> {
    require_server()?;
    let job = operable_job(name)?;
    job::pause(job.id, reason)?;
    stop(&job)
}

/// Lets a paused or disabled job run again; one with a schedule runs at once.
#[pg_extern(volatile, parallel_unsafe)]
fn resume_job(name: Option<&str>) {
    or_raise(given("name", name).and_then(resume));
}

fn resume(name: &str) -> Result<()> {
    require_server()?;
    let job = operable_job(name)?;
    // What a restored job names is looked up again by arm().
    if job.armed == Some(here()) {
        require_connection(&job)?;
        require_owner(&job)?;
    }
    job::resume(job.id)?;
    state::forget_crashes(job.id)?;
    if job.every.is_some() {
        state::plan_next(job.id, Some(crate::pg::clock::now()))?;
    }
    wake();
    Ok(())
}

fn require_owner(job: &Job) -> Result<()> {
    if role::exists(job.owner)? {
        return Ok(());
    }
    Err(CallError::OwnerGone { job: job.name.clone() }.into())
}

/// Refuses to let a job run whose connection was dropped.
pub fn require_connection(job: &Job) -> Result<()> {
    if connection::by_oid(job.server)?.is_some() {
        return Ok(());
    }
    Err(CallError::ConnectionGone {
        job: job.name.clone(),
        connection: job.server_name.clone(),
    }
    .into())
}

/// Ends the open run of a job: its worker told, and marked in its row. A worker that publishes keeps the row until a
/// function of the user's returns: it is told before the row is waited for.
pub fn stop(job: &Job) -> Result<()> {
    let tell = || shmem::is_ready() && shmem::stop_job(bgworker::my_database(), job.id);
    let open = run::open_of(job.id)?.map(|run| run.id);
    let is_kept = match open {
        Some(id) => !run::try_lock(id)?,
        None => false,
    };
    let is_told = is_kept && tell();
    let asked = run::ask_stop(job.id, open, &caller_name()?)?;
    if asked > 0 && !is_told {
        tell();
    }
    wake();
    Ok(())
}
