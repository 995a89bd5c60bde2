//! What a run needs to know, and what is refused before the first request.
//!
//! A definition is checked anew at each run: owners, grants and tables change between two of them.

use super::{Work, apply, secrets};
use crate::pg::clock::Timestamp;
use crate::pg::relation::{self, Target, TargetColumn};
use crate::pg::{identity, settings, transaction};
use crate::store::connection::{self, Server};
use crate::store::drift;
use crate::store::failure::{self, Place};
use crate::store::job::Job;
use crate::store::run::Run;
use crate::store::{self, error_rule, function, origin, rate, retry, role, run, timing};
use sluice_core::call::CallError;
use sluice_core::connection::ConnectionOptions;
use sluice_core::data::SingularQuery;
use sluice_core::drift::{columns_hash, field};
use sluice_core::error_rule::ErrorRules;
use sluice_core::foreach::parent_column;
use sluice_core::http::{Auth, Method};
use sluice_core::job::Mode;
use sluice_core::run::{RunSource, RunTask};
use sluice_core::settings::{OnMissing, Settings};
use sluice_core::sql_text::quote;
use sluice_core::target::{DELETED_AT, TargetError};
use sluice_core::url_policy::address::AddressPolicy;
use sluice_core::{Error, Result};
use sluice_fetch::{Failures, Tls};
use std::cell::Cell;
use std::time::Duration;

/// Everything about a job that its runs use.
pub struct Plan {
    pub job: Job,
    pub mode: Mode,
    pub settings: Settings,
    pub server: Server,
    pub options: ConnectionOptions,
    pub auth: Auth,
    /// When another token is to be asked for; see [`super::tokens`].
    pub renew_at: Option<Timestamp>,
    pub tls: Tls,
    pub policy: AddressPolicy,
    /// The rate budget of host and credential.
    pub rate_budget: Option<i64>,
    pub target: Target,
    /// The target's columns that a mapping may use, with where their values are in a record.
    pub candidates: Vec<Candidate>,
    /// Whether the job names its columns; otherwise the first page decides which of the candidates are used.
    pub columns_given: bool,
    /// For an adaptive schedule: how often others have scanned the target since the last run; None where that is not known.
    pub reads: Option<i64>,
    /// What errors mean for this job.
    pub rules: ErrorRules,
    /// The run's error budget, and the requests of it that failed.
    pub failures: Failures,
    /// Failures that are written down already; more than a few are only counted.
    pub written_down: Cell<usize>,
    /// Where the read is that failed.
    pub failed_at: Cell<Place>,
}

/// How much longer than its own limits a worker may be silent.
const MARGIN: Duration = Duration::from_secs(60);

impl Plan {
    pub fn is_adaptive(&self) -> bool {
        is_adaptive(&self.job)
    }

    /// How long the run may show no progress by what the job itself allows: one request, one function, one query.
    pub fn patience(&self) -> Duration {
        let limits = &self.settings.timeouts;
        let query = self.settings.foreach.as_ref().map_or(Duration::ZERO, |f| f.timeout);
        limits.request.max(limits.after_publish).max(query) + MARGIN
    }

    /// Opens what proves who asks. Only a read asks the remote: what is stored is published and taken back without it.
    /// In transactions of its own: a program may be run for it, and nobody is to wait for a row or a table meanwhile.
    pub fn open_credentials(&mut self, task: &Task) -> Result<()> {
        let (server, options) = (&self.server, &self.options);
        if !matches!(task, Task::Sync) {
            return Ok(());
        }
        self.auth = transaction::run(|| {
            check_origin(server, options)?;
            secrets::auth(server, options)
        })?;
        self.tls = transaction::run(|| secrets::tls(server, options))?;
        Ok(())
    }

    /// Whether some column takes a value of the row below which its record is read.
    pub fn takes_parent(&self) -> bool {
        self.candidates.iter().any(|(name, ..)| self.is_of_parent(name))
    }

    /// Whether this one does.
    pub fn is_of_parent(&self, column: &str) -> bool {
        let mut named = self.candidates.iter().filter(|(name, ..)| name == column);
        named.any(|(_, query, _)| parent_column(query).is_some())
    }
}

fn is_adaptive(job: &Job) -> bool {
    job.schedule.eq_ignore_ascii_case("adaptive")
}

/// What a run is for.
pub enum Task {
    Sync,
    /// Writes payloads that wait.
    Ingest,
    Approve {
        generation: i64,
    },
    Replay {
        run: i64,
    },
    RollBack {
        to: Option<i64>,
        resume: bool,
    },
    Snapshot {
        label: String,
        by: String,
    },
    Restore {
        snapshot: i64,
    },
    ReplayRejects,
}

/// Takes the run that this worker was started for; None where it is no longer there to take.
pub fn take(work: &Work) -> Result<Option<Run>> {
    // First taken, then looked at: what it is for may change until then.
    if !run::start(work.run, crate::pg::clock::now())? {
        return Ok(None);
    }
    let found = run::by_id(work.run)?;
    if found.as_ref().is_some_and(|run| matches!(task(run), Task::Sync)) {
        retry::take_place(work.job)?;
    }
    Ok(found)
}

pub fn task(run: &Run) -> Task {
    // What was held is published as it is, whatever brought it.
    if let (Some(_), Some(generation)) = (&run.approved_by, run.generation) {
        return Task::Approve { generation };
    }
    let subject = run.subject.unwrap_or_default();
    match run.task {
        RunTask::Sync if run.source == RunSource::Ingest.as_str() => Task::Ingest,
        RunTask::Sync => Task::Sync,
        RunTask::Replay => Task::Replay { run: subject },
        RunTask::ReplayRejects => Task::ReplayRejects,
        RunTask::Rollback => Task::RollBack {
            to: run.subject,
            resume: run.resume_job,
        },
        RunTask::Snapshot => Task::Snapshot {
            label: run.label.clone().unwrap_or_default(),
            by: run.requested_by.clone(),
        },
        RunTask::Restore => Task::Restore { snapshot: subject },
    }
}

/// Gathers a job's plan as the run-as role, without credentials, and refuses what cannot work.
pub fn load(job_id: i64, run: Option<i64>, task: &Task) -> Result<Plan> {
    let job = store::job::by_id(job_id)?.ok_or_else(|| CallError::UnknownJob {
        name: job_id.to_string(),
        nearest: None,
    })?;
    let settings = Settings::parse(&job.settings)?;
    settings.check_mode(Mode::parse(&job.mode)?)?;
    let target = relation::read_target(job.target)?.ok_or_else(|| TargetError::Gone {
        target: format!("{}.{}", job.target_schema, job.target_table),
        job: job.name.clone(),
    })?;
    let server = connection::by_oid(job.server)?.ok_or_else(|| CallError::UnknownConnection {
        name: job.server_name.clone(),
        nearest: None,
    })?;
    // It was another one's when the worker was started.
    apply::expect_owner(&target)?;
    store::job::follow_names(&job, &target.schema, &target.name, &server.name)?;
    let (mode, budget) = (Mode::parse(&job.mode)?, settings.retry.budget);
    check_rights(&job, &server, &target, &settings)?;
    check_target(&target, &job.key)?;
    target.expect_keyset(settings.keyset_beside(&job.key).filter(|_| matches!(task, Task::Sync)))?;
    check_mark(&target, &settings, task)?;
    if let (Some(name), Task::Sync | Task::Approve { .. } | Task::Replay { .. }) = (&settings.after_publish, task) {
        function::callable(name, target.owner)?;
    }
    let options = connection_options(&server, settings.method)?;
    let (mut candidates, columns_given) = candidates(&target, &settings, task, &job.key)?;
    add_columns_of_runs(job_id, &target, &settings, &mut candidates)?;
    let reads = match is_adaptive(&job) {
        true => timing::reads_since(job_id, target.oid)?,
        false => None,
    };
    let rate_budget = rate::budget_of(server.oid)?;
    let rules = error_rule::of_job(job_id, server.oid)?;
    let spent = run.map(failure::spent).transpose()?.unwrap_or_default();
    Ok(Plan {
        job,
        mode,
        settings,
        policy: address_policy(&options),
        server,
        options,
        auth: Auth::None,
        renew_at: None,
        tls: Tls::default(),
        rate_budget,
        target,
        candidates,
        columns_given,
        reads,
        rules,
        failures: Failures::new(budget, spent),
        written_down: Cell::new(0),
        failed_at: Cell::default(),
    })
}

/// A connection's options; refused where it does not allow the method.
fn connection_options(server: &Server, method: Method) -> Result<ConnectionOptions> {
    let options = ConnectionOptions::parse(&server.options)?;
    options.check_method(&server.name, method)?;
    Ok(options)
}

/// Refuses a connection to an origin that its owner may not, or may no longer, connect to.
pub fn check_origin(server: &Server, options: &ConnectionOptions) -> Result<()> {
    match origin::refused(server.owner, options)? {
        None => Ok(()),
        Some(origin) => Err(connection::origin_denied(&origin, &server.owner_name)),
    }
}

/// Where the requests of a connection may go.
pub fn address_policy(options: &ConnectionOptions) -> AddressPolicy {
    AddressPolicy {
        allowed_networks: settings::allowed_networks(),
        allowed_hosts: settings::allowed_hosts(),
        plain_http: options.plain_http,
    }
}

/// USAGE on the server for the job's owner, and for the target's owner what the run will do to the target.
fn check_rights(job: &Job, server: &Server, target: &Target, settings: &Settings) -> Result<()> {
    check_usage(job, server)?;
    check_still_becomes(job, target)?;
    let mut needed = vec!["SELECT", "INSERT"];
    if job.mode != Mode::Append.as_str() {
        needed.push("UPDATE");
    }
    let removes = job.mode == "replace" || settings.deleted_when.is_some() || settings.reconcile_every.is_some();
    if settings.on_missing == OnMissing::Delete && removes {
        needed.push("DELETE");
    }
    if let Some(missing) = role::missing_privilege(target.owner, target.oid, &needed)? {
        let (table, owner) = (target.full_name(), quote(&role::name_of(target.owner)?));
        return Err(CallError::Denied {
            what: format!("table \"{}\"", target.name),
            detail: format!("The run-as role, the table's owner, lacks {missing} on it."),
            hint: format!("GRANT {missing} ON {table} TO {owner};"),
        }
        .into());
    }
    check_superuser(target, settings)
}

fn check_usage(job: &Job, server: &Server) -> Result<()> {
    if !role::exists(job.owner)? {
        return Err(CallError::OwnerGone { job: job.name.clone() }.into());
    }
    if connection::may_use(job.owner, server.oid)? {
        return Ok(());
    }
    let (connection, owner) = (quote(&server.name), quote(&role::name_of(job.owner)?));
    Err(CallError::Denied {
        what: format!("connection \"{}\"", server.name),
        detail: format!("The owner of job \"{}\" may not use it.", job.name),
        hint: format!("GRANT USAGE ON FOREIGN SERVER {connection} TO {owner};"),
    }
    .into())
}

/// The table may have another owner by now, whom the job must not act as for somebody who could not.
fn check_still_becomes(job: &Job, target: &Target) -> Result<()> {
    if role::may_become(job.owner, target.owner)? {
        return Ok(());
    }
    let (maker, owner) = (role::name_of(job.owner)?, role::name_of(target.owner)?);
    Err(CallError::Denied {
        what: format!("table \"{}\"", target.name),
        detail: format!(
            "Its owner is \"{owner}\", and the owner of job \"{}\", \"{maker}\", cannot become that role.",
            job.name
        ),
        hint: format!(
            "GRANT {} TO {}; or make the job again as the table's owner.",
            quote(&owner),
            quote(&maker)
        ),
    }
    .into())
}

/// A superuser writes only where no code of an ordinary role would run with it.
fn check_superuser(target: &Target, settings: &Settings) -> Result<()> {
    if !identity::is_superuser(target.owner) {
        return Ok(());
    }
    if !settings::allow_superuser_jobs() {
        return Err(TargetError::SuperuserJobsOff {
            table: target.full_name(),
        }
        .into());
    }
    // Whatever its views and functions do would be done as superuser, and they may belong to anybody.
    let query = settings.foreach.as_ref().map(|_| {
        let remedy = format!("ALTER TABLE {} OWNER TO an_ordinary_role", target.full_name());
        ("query".into(), "of the setting foreach".into(), remedy)
    });
    match query {
        None => refuse_foreign_code(target),
        Some(query) => Err(foreign_code(target, query)),
    }
}

/// Refuses a superuser's table under which code of an ordinary role would run.
pub fn refuse_foreign_code(target: &Target) -> Result<()> {
    let found = match identity::is_superuser(target.owner) {
        true => role::foreign_code(target.oid)?,
        false => None,
    };
    found.map_or(Ok(()), |code| Err(foreign_code(target, code)))
}

fn foreign_code(target: &Target, (kind, name, remedy): (String, String, String)) -> Error {
    let table = target.full_name();
    TargetError::ForeignCode {
        table,
        kind,
        name,
        remedy,
    }
    .into()
}

fn check_target(target: &Target, key: &[String]) -> Result<()> {
    target.expect_table()?;
    for column in key {
        target.expect_column(column)?;
    }
    if !key.is_empty() && !target.has_unique_index_on(key) {
        return Err(TargetError::NoUniqueIndex {
            table: target.full_name(),
            key: key.to_vec(),
        }
        .into());
    }
    relation::refuse_row_security(target)
}

/// A column that the mapping may use, where its values are in a record, and what stands in for a missing one.
type Candidate = (String, SingularQuery, Option<String>);

/// The columns that runs made or found for new members, as far as the target still has them. Where the job names its
/// columns, it may by now name them too, or leave them out.
fn add_columns_of_runs(job: i64, target: &Target, settings: &Settings, candidates: &mut Vec<Candidate>) -> Result<()> {
    let given = settings.columns.is_some();
    let added = drift::with_columns(job)?;
    let shape = match given && !added.is_empty() {
        true => drift::shape(job, &columns_hash(&settings.columns))?,
        false => None,
    };
    for (place, column) in added {
        let is_there = target.column(&column).is_some();
        let is_named = given
            && candidates
                .iter()
                .any(|(name, query, _)| *name == column || *query == place);
        let is_left_out = given
            && shape
                .as_ref()
                .is_none_or(|shape| shape.left_out.contains(&field(&place)));
        if is_there && !is_named && !is_left_out {
            candidates.retain(|(name, ..)| *name != column);
            candidates.push((column, place, None));
        }
    }
    Ok(())
}

/// What copies the target, or takes something back, works with the columns that are left.
fn takes_what_is_there(task: &Task) -> bool {
    matches!(
        task,
        Task::RollBack { .. } | Task::Snapshot { .. } | Task::Restore { .. }
    )
}

/// With `on_missing` mark the target has the column for it. A rollback works with what is left.
fn check_mark(target: &Target, settings: &Settings, task: &Task) -> Result<()> {
    match task {
        _ if takes_what_is_there(task) => Ok(()),
        _ if settings.on_missing != OnMissing::Mark => Ok(()),
        _ => target.expect_mark(),
    }
}

/// The columns that the job names, or every column that can be written with the member of its name.
/// What copies the target or puts it back works with those that are left.
pub(super) fn candidates(
    target: &Target,
    settings: &Settings,
    task: &Task,
    key: &[String],
) -> Result<(Vec<Candidate>, bool)> {
    let takes_what_is_there = takes_what_is_there(task);
    let marks = settings.on_missing == OnMissing::Mark && target.column(DELETED_AT).is_some();
    // Whatever comes is not gone: the mark is taken off by filling it with nothing.
    let unmark = marks.then(|| (DELETED_AT.to_owned(), SingularQuery::nothing(), None));
    if let Some(columns) = &settings.columns {
        let wanted = columns
            .iter()
            .filter(|c| !takes_what_is_there || target.column(&c.name).is_some());
        let named = wanted.map(|c| {
            target.expect_column(&c.name)?;
            Ok((c.name.clone(), c.query.clone(), c.default.clone()))
        });
        let named: Vec<_> = named.collect::<Result<_>>()?;
        return Ok((named.into_iter().chain(unmark).collect(), true));
    }
    // A key is only ever inserted, and an INSERT may override an identity.
    let is_writable = |c: &&TargetColumn| !c.generated && (!c.identity_always || key.contains(&c.name));
    let writable = target.columns.iter().filter(is_writable);
    let members = writable
        .filter(|c| !marks || c.name != DELETED_AT)
        .map(|c| (c.name.clone(), SingularQuery::member(&c.name), None));
    Ok((members.chain(unmark).collect(), false))
}
