//! What can be wrong with a call: unknown names, missing rights, the wrong moment.

use crate::alert::AlertFault;
use crate::arm_file::ArmFileFault;
use crate::class::Class;
use crate::counted::counted;
use crate::error::Explain;
use crate::foreach::QueryFault;
use crate::from_page::FromPageFault;
use crate::run::RunStatus;
use crate::sql_text::{literal, quote};

/// A call that cannot be served, and why.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("pg_sluice is not loaded at server start")]
    NotPreloaded,
    #[error("the server is a standby")]
    Standby,
    #[error("\"{procedure}\" cannot run inside a transaction block")]
    InTransactionBlock { procedure: &'static str },
    #[error("argument \"{argument}\" must not be null")]
    NullArgument { argument: &'static str },
    #[error("connection \"{name}\" already exists")]
    ConnectionExists { name: String },
    #[error("the name of a connection has 1 to 63 bytes")]
    ConnectionName,
    /// A job whose server was dropped.
    #[error("the connection of job \"{job}\" was dropped")]
    ConnectionGone { job: String, connection: String },
    #[error("the owner of job \"{job}\" was dropped")]
    OwnerGone { job: String },
    #[error("a pg_sluice connection has no foreign tables")]
    ForeignTable,
    #[error("job \"{name}\" does not exist")]
    UnknownJob { name: String, nearest: Option<String> },
    #[error("job \"{name}\" already exists")]
    JobExists { name: String },
    #[error("connection \"{name}\" does not exist")]
    UnknownConnection { name: String, nearest: Option<String> },
    #[error("connection \"{name}\" is used by {}", counted(*.jobs, "job"))]
    ConnectionInUse {
        name: String,
        jobs: i64,
        /// Those that the caller sees.
        seen: Vec<String>,
    },
    #[error("run {run} does not exist")]
    UnknownRun { run: i64 },
    #[error("run {run} is not held")]
    NotHeld { run: i64, status: String },
    #[error("job \"{name}\" is paused")]
    Paused { name: String, reason: Option<String> },
    #[error("connection \"{connection}\" is paused")]
    ConnectionPaused { connection: String, reason: Option<String> },
    #[error("connection \"{connection}\" is not paused")]
    NotPaused { connection: String },
    #[error("error rule \"{name}\" does not exist")]
    UnknownErrorRule { name: String, nearest: Option<String> },
    #[error("job \"{name}\" is disabled")]
    Disabled { name: String, reason: Option<String> },
    #[error("job \"{name}\" is not armed")]
    NotArmed { name: String },
    /// The file that `sluice.arm_file` names does not speak of this server.
    #[error("{0}")]
    Unarmed(ArmFileFault),
    #[error("role \"{role}\" has no allowed origin \"{pattern}\"")]
    NoAllowedOrigin { pattern: String, role: String },
    #[error("nothing to roll back for job \"{name}\"")]
    NothingToRollBack { name: String, detail: String },
    #[error("run {run} cannot be rolled back to")]
    NotRollbackTarget { run: i64, detail: String },
    #[error("run {run} cannot be replayed")]
    NotReplayable { run: i64, detail: String, hint: String },
    #[error("snapshot {id} does not exist")]
    UnknownSnapshot { id: i64 },
    #[error("snapshot {id} cannot be restored")]
    NotRestorable { id: i64, obstacle: String },
    #[error("permission denied for {what}")]
    Denied { what: String, detail: String, hint: String },
    #[error("role \"{name}\" does not exist")]
    UnknownRole { name: String },
    #[error("unknown access level \"{level}\"")]
    UnknownLevel { level: String },
    #[error("secret \"{name}\" does not exist")]
    UnknownSecret { name: String, hint: String },
    #[error("secrets cannot be used without a key")]
    NoKey { detail: String, hint: String },
    #[error("secret \"{name}\" is bound to another origin")]
    WrongOrigin {
        name: String,
        bound_to: String,
        origin: String,
    },
    #[error("run {run} of job \"{job}\" ended as {status}")]
    RunEnded {
        run: i64,
        job: String,
        status: String,
        error: EndedWith,
    },
    #[error("no worker could be started for job \"{job}\"")]
    WorkerDidNotStart { job: String, attempts: i32 },
    #[error("the run of job \"{job}\" was left waiting")]
    LeftWaiting { job: String, limit: std::time::Duration },
    #[error("secret \"{name}\" is not bound to an origin")]
    UnboundSecret { name: String },
    #[error("the run was stopped")]
    Stopped,
    #[error("the run took longer than {limit:?}")]
    RunTimeout { limit: std::time::Duration },
    #[error("the collection has more {what} than the limit of {limit}")]
    RunLimit { what: &'static str, limit: u64 },
    #[error("job \"{job}\" has no retry that waits")]
    NoRetry { job: String },
    #[error("table \"{name}\" does not exist")]
    UnknownTarget { name: String },
    #[error("argument \"max_records\" must be from 1 to 1000")]
    RecordCount { found: i32 },
    #[error("the payload is neither a record nor an array of records")]
    PayloadKind { found: String },
    #[error("the payload is larger than {limit} bytes")]
    PayloadSize { bytes: i64, limit: i64 },
    #[error("setting \"foreach.query\" {0}")]
    Parents(QueryFault),
    #[error("no parent could be read")]
    NoParentRead,
    #[error("setting \"foreach.query\" took longer than {limit:?}")]
    ParentsTimeout { limit: std::time::Duration },
    #[error("setting \"foreach.query\" has more than {limit} rows")]
    TooManyParents { limit: u64 },
    /// Payloads come faster than they are written, or nobody looks at those that were set aside.
    #[error("the queue of job \"{name}\" is full")]
    QueueFull { name: String, payloads: i64, bytes: i64 },
    #[error(transparent)]
    Alert(#[from] AlertFault),
    #[error(transparent)]
    FromPage(#[from] FromPageFault),
}

/// The error that ended a run, as the run's row tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndedWith {
    pub sqlstate: Option<String>,
    pub message: Option<String>,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl CallError {
    /// The SQLSTATE of the error that a run ended with, as its row tells it.
    pub fn carried_sqlstate(&self) -> Option<&str> {
        match self {
            CallError::RunEnded { error, .. } => error.sqlstate.as_deref(),
            _ => None,
        }
    }
}

impl Explain for CallError {
    fn class(&self) -> Class {
        match self {
            CallError::Stopped => Class::Cancelled,
            CallError::RunTimeout { .. } | CallError::ParentsTimeout { .. } => Class::Timeout,
            CallError::QueueFull { .. } | CallError::LeftWaiting { .. } => Class::Resource,
            CallError::Alert(fault) => fault.class(),
            CallError::FromPage(fault) => fault.class(),
            _ => Class::Config,
        }
    }

    fn sqlstate(&self) -> &'static str {
        match self {
            CallError::NotPreloaded
            | CallError::NoRetry { .. }
            | CallError::NotHeld { .. }
            | CallError::Paused { .. }
            | CallError::ConnectionPaused { .. }
            | CallError::NotPaused { .. }
            | CallError::Disabled { .. }
            | CallError::NothingToRollBack { .. }
            | CallError::NotRollbackTarget { .. }
            | CallError::NotReplayable { .. }
            | CallError::NotRestorable { .. }
            | CallError::NoKey { .. }
            | CallError::UnboundSecret { .. }
            | CallError::WrongOrigin { .. } => "55000",
            CallError::NotArmed { .. } | CallError::Unarmed(_) => "SY009",
            CallError::NullArgument { .. } => "22004",
            CallError::ConnectionExists { .. } => "42710",
            CallError::ConnectionName => "42602",
            CallError::ConnectionGone { .. } | CallError::OwnerGone { .. } => "42704",
            CallError::ForeignTable => "0A000",
            CallError::Standby => "25006",
            CallError::InTransactionBlock { .. } => "25001",
            CallError::UnknownJob { .. }
            | CallError::UnknownConnection { .. }
            | CallError::UnknownRun { .. }
            | CallError::UnknownSnapshot { .. }
            | CallError::UnknownRole { .. }
            | CallError::UnknownErrorRule { .. }
            | CallError::NoAllowedOrigin { .. }
            | CallError::UnknownSecret { .. } => "42704",
            CallError::JobExists { .. } => "42710",
            CallError::ConnectionInUse { .. } => "2BP01",
            CallError::Denied { .. } => "42501",
            CallError::UnknownLevel { .. } | CallError::RecordCount { .. } => "22023",
            CallError::UnknownTarget { .. } => "42P01",
            CallError::WorkerDidNotStart { .. } => "58000",
            CallError::LeftWaiting { .. } => "53000",
            CallError::Stopped | CallError::RunTimeout { .. } | CallError::ParentsTimeout { .. } => "57014",
            CallError::RunLimit { .. } | CallError::PayloadSize { .. } | CallError::TooManyParents { .. } => "54000",
            CallError::PayloadKind { .. } => "22023",
            CallError::Parents(QueryFault::NoColumn { .. }) => "42703",
            CallError::Parents(_) | CallError::NoParentRead => "22023",
            CallError::QueueFull { .. } => "53400",
            CallError::Alert(fault) => fault.sqlstate(),
            CallError::FromPage(fault) => fault.sqlstate(),
            // What the run ended with takes its place where that is known: see `carried_sqlstate`.
            CallError::RunEnded { .. } => "58000",
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            CallError::NotPreloaded => Some(
                "The launcher and the shared memory exist only when the library is in shared_preload_libraries.".into(),
            ),
            CallError::InTransactionBlock { .. } => Some(
                "The procedure commits the request and then waits for a worker, which could not see it otherwise."
                    .into(),
            ),
            CallError::Alert(fault) => fault.detail(),
            CallError::FromPage(fault) => fault.detail(),
            CallError::ConnectionInUse { jobs, seen, .. } => Some(in_use(*jobs, seen)),
            CallError::ConnectionGone { connection, .. } => Some(format!("It was \"{connection}\".")),
            CallError::OwnerGone { .. } => Some("A job runs for the role that made it.".into()),
            CallError::RecordCount { found } => Some(format!("It is {found}.")),
            CallError::ForeignTable => Some("A job writes to an ordinary table.".into()),
            CallError::NotHeld { status, .. } => Some(format!("Its status is {status}.")),
            CallError::Paused { reason, .. }
            | CallError::ConnectionPaused { reason, .. }
            | CallError::Disabled { reason, .. } => reason.as_ref().map(|reason| format!("Reason: {reason}.")),
            CallError::NotArmed { .. } => Some(
                "The job was made in another cluster or database: this one was restored, copied or upgraded.".into(),
            ),
            CallError::Unarmed(_) => {
                Some("Nothing runs on a server without it, so that copies of one stay quiet.".into())
            }
            CallError::NothingToRollBack { detail, .. }
            | CallError::NotRollbackTarget { detail, .. }
            | CallError::NotReplayable { detail, .. }
            | CallError::NoKey { detail, .. }
            | CallError::Denied { detail, .. } => Some(detail.clone()),
            CallError::WrongOrigin { bound_to, origin, .. } => Some(format!(
                "It may be sent to {bound_to} only, and the connection calls {origin}."
            )),
            CallError::NotRestorable { obstacle, .. } => {
                Some(format!("Since it was made, something has changed: {obstacle}."))
            }
            CallError::RunEnded { error, .. } => Some(ended_detail(error)),
            CallError::Parents(QueryFault::NoColumn { columns, .. }) => {
                Some(format!("Its columns are {}.", columns.join(", ")))
            }
            CallError::Parents(_) => {
                Some("Each of its rows is a parent; it is run before each read, as the run-as role.".into())
            }
            CallError::PayloadKind { found } => Some(format!("It is a JSON {found}.")),
            CallError::PayloadSize { bytes, .. } => Some(format!("Its text has {}.", counted(*bytes, "byte"))),
            CallError::QueueFull { payloads, bytes, .. } => Some(format!(
                "It holds {} with {}.",
                counted(*payloads, "payload"),
                counted(*bytes, "byte")
            )),
            CallError::LeftWaiting { limit, .. } => Some(format!(
                "Nothing kept it from running for more than {}.",
                crate::schedule::format_interval(*limit)
            )),
            CallError::WorkerDidNotStart { attempts, .. } => {
                Some(format!("{attempts} workers ended before they could take the run."))
            }
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            CallError::Alert(fault) => return fault.hint(),
            CallError::FromPage(fault) => return fault.hint(),
            CallError::NotPreloaded => "Add \"shared_preload_libraries = 'pg_sluice'\" to postgresql.conf (after a comma where others stand there) and restart the server.".into(),
            CallError::Standby => "Call it on the primary server.".into(),
            CallError::InTransactionBlock { procedure } => format!("Call it by itself, without BEGIN: CALL {procedure}(…)."),
            CallError::UnknownJob { nearest: Some(near), .. } | CallError::UnknownConnection { nearest: Some(near), .. } => format!("Did you mean \"{near}\"?"),
            CallError::UnknownJob { .. } => "SELECT name FROM sluice.sync_jobs shows the jobs that you may see.".into(),
            CallError::UnknownConnection { .. } => "Create it with sluice.create_connection(name, base_url).".into(),
            CallError::JobExists { .. } => "Choose another name, or change the job with sluice.alter_job.".into(),
            CallError::ConnectionInUse { .. } => "Drop these jobs first, or point them to another connection.".into(),
            CallError::NullArgument { .. } => "Give a value, or leave the argument out where it has a default.".into(),
            CallError::ConnectionExists { name } => format!("Choose another name, or change it: ALTER SERVER {} OPTIONS (SET base_url '…').", quote(name)),
            CallError::ConnectionName => "For example: SELECT sluice.create_connection('shop', 'https://api.example.com/v1');".into(),
            CallError::ConnectionGone { job, .. } => format!("Give it another: SELECT sluice.alter_job({0}, connection => '…'), then resume it: SELECT sluice.resume_job({0}).", literal(job)),
            CallError::OwnerGone { job } => format!("Make it again as another role: SELECT sluice.drop_job({0}); SELECT sluice.create_job({0}, …);", literal(job)),
            CallError::ForeignTable => "Make a job instead: SELECT sluice.create_job(name, connection, path).".into(),
            CallError::UnknownRun { .. } => "SELECT id, data_type, status FROM sluice.sync_runs shows the runs.".into(),
            CallError::NotHeld { .. } => "SELECT * FROM sluice.sync_held shows the runs that wait for a decision.".into(),
            CallError::Paused { name, .. } => format!("Resume it first: SELECT sluice.resume_job({}).", literal(name)),
            CallError::ConnectionPaused { connection, .. } => format!("Resume it first: SELECT sluice.resume_connection({}).", literal(connection)),
            CallError::NotPaused { .. } => "SELECT name, state FROM sluice.sync_connections shows those that are.".into(),
            CallError::UnknownErrorRule { nearest: Some(near), .. } => format!("Did you mean \"{near}\"?"),
            CallError::UnknownErrorRule { .. } => "SELECT name FROM sluice.error_rules shows the rules.".into(),
            CallError::Disabled { name, .. } => format!("Mend the cause, then resume it: SELECT sluice.resume_job({}).", literal(name)),
            CallError::NotArmed { .. } => "If this database shall call the remote, arm it: SELECT sluice.arm().".into(),
            CallError::Unarmed(fault) => fault.hint().into(),
            CallError::NoAllowedOrigin { .. } => "SELECT * FROM sluice.sync_allowed_origins shows what is allowed to whom.".into(),
            CallError::NothingToRollBack { .. } | CallError::NotRollbackTarget { .. } => "SELECT id, status, finished_at FROM sluice.sync_runs shows the published runs; undo sets are kept for undo.keep_runs runs.".into(),
            CallError::NotReplayable { hint, .. } => hint.clone(),
            CallError::UnknownSnapshot { .. } => "SELECT id, data_type, label FROM sluice.sync_snapshots shows the snapshots.".into(),
            CallError::NotRestorable { .. } => "Give the column its former type or name back with ALTER TABLE, then try again.".into(),
            CallError::UnknownRole { .. } => "SELECT rolname FROM pg_roles shows the roles.".into(),
            CallError::UnknownLevel { .. } => "The levels are monitor, writer, operator and admin.".into(),
            CallError::WrongOrigin { name, .. } => format!("Set a secret for this origin: SELECT sluice.set_secret({}, '…', origin => …).", literal(&format!("{name}_2"))),
            CallError::UnknownSecret { hint, .. } | CallError::NoKey { hint, .. } | CallError::Denied { hint, .. } => hint.clone(),
            CallError::RunEnded { run, status, .. } if status == RunStatus::Held.as_str() => format!("CALL sluice.approve({run}) publishes what it read, SELECT sluice.discard({run}) drops it."),
            CallError::RunEnded { error, job, .. } => error.hint.clone().unwrap_or_else(|| format!("SELECT * FROM sluice.sync_status WHERE data_type = {} says what happens next.", literal(job))),
            CallError::LeftWaiting { .. } => "The server's log says what failed when it was to start; the retry queue tries it again.".into(),
            CallError::WorkerDidNotStart { .. } => "The server's log says why; often the target's owner lacks CONNECT on the database.".into(),
            CallError::Stopped => "It goes on at its checkpoint at the next scheduled time, or with sluice.start_sync.".into(),
            CallError::RunTimeout { .. } => "It goes on at its checkpoint with the next run; the limit is the setting timeouts.run.".into(),
            CallError::RunLimit { what, .. } => format!("Raise or remove the setting limits.{what}."),
            CallError::UnboundSecret { name } => format!("Set it with one: SELECT sluice.set_secret({}, '…', origin => 'https://…').", literal(name)),
            CallError::Parents(QueryFault::NoColumn { name, .. }) => format!("Add it to the query, or take {{{name}}} out of path, params, body and columns."),
            CallError::Parents(_) => "For example: \"SELECT id FROM shop.orders WHERE status = 'open'\".".into(),
            CallError::NoParentRead => "SELECT columns, error_message FROM sluice.sync_parents says why; check the job's path.".into(),
            CallError::ParentsTimeout { .. } => "Make it faster, or raise the setting foreach.timeout.".into(),
            CallError::TooManyParents { .. } => "Narrow the query, or split the job.".into(),
            CallError::UnknownTarget { .. } => "Leave the target out to see the table that create_job would make.".into(),
            CallError::RecordCount { .. } => "For example: max_records => 10".into(),
            CallError::NoRetry { job } => format!("SELECT sluice.start_sync({}) runs it now.", literal(job)),
            CallError::PayloadKind { .. } => "Give one record as an object, an array of records, or a document as the remote answers it.".into(),
            CallError::PayloadSize { .. } => "Send the records in several payloads.".into(),
            CallError::QueueFull { name, .. } => format!("SELECT status, waits_for, error_message FROM sluice.sync_ingest WHERE data_type = {0} says what they wait for; SELECT sluice.drop_ingest({0}) drops those that were set aside.", literal(name)),
        };
        Some(hint)
    }
}

fn in_use(jobs: i64, seen: &[String]) -> String {
    let named = &seen[..seen.len().min(3)];
    match named.len() {
        0 => "The jobs belong to other roles.".into(),
        shown if (shown as i64) < jobs => format!("Used by: {} and others.", named.join(", ")),
        _ => format!("Used by: {}.", named.join(", ")),
    }
}

fn ended_detail(error: &EndedWith) -> String {
    let message = error.message.as_deref().unwrap_or("no error was recorded");
    match &error.detail {
        Some(detail) => format!("{message}. {detail}"),
        None if message.ends_with('.') => message.to_owned(),
        None => format!("{message}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_held_run_names_both_ways_to_decide() {
        let held = CallError::RunEnded {
            run: 7,
            job: "shop".into(),
            status: "held".into(),
            error: EndedWith {
                message: Some("too many rows would vanish. The target is as it was.".into()),
                ..EndedWith::default()
            },
        };
        let detail = held.detail().unwrap();
        assert_eq!(detail, "too many rows would vanish. The target is as it was.");
        let hint = held.hint().unwrap();
        assert!(
            hint.contains("CALL sluice.approve(7)") && hint.contains("SELECT sluice.discard(7)"),
            "{hint}"
        );
    }

    #[test]
    fn a_connection_in_use_names_only_jobs_that_the_caller_sees() {
        let detail = |jobs, seen: &[&str]| {
            let seen = seen.iter().map(|name| (*name).to_string()).collect();
            let name = "shop".into();
            CallError::ConnectionInUse { name, jobs, seen }.detail().unwrap()
        };
        assert_eq!(detail(2, &["a", "b"]), "Used by: a, b.");
        assert_eq!(detail(4, &["a", "b", "c", "d"]), "Used by: a, b, c and others.");
        assert_eq!(detail(2, &["a"]), "Used by: a and others.");
        assert_eq!(detail(1, &[]), "The jobs belong to other roles.");
    }

    #[test]
    fn a_run_ends_its_caller_with_its_own_sqlstate() {
        let ended = |sqlstate: Option<&str>| {
            let error = EndedWith {
                sqlstate: sqlstate.map(str::to_owned),
                ..EndedWith::default()
            };
            Error::from(CallError::RunEnded {
                run: 1,
                job: "shop".into(),
                status: "failed".into(),
                error,
            })
        };
        for code in ["22032", "28000", "P0001", "SY003"] {
            assert_eq!(ended(Some(code)).sqlstate(), code);
        }
        assert_eq!(ended(None).sqlstate(), "58000");
    }
}
