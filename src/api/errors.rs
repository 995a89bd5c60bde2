//! Rules for errors, and connections that wait. What failed is in `sync_failure_logs` and `explain_error`, which are SQL.

use super::{caller_name, given, require_server, wake};
use crate::pg::report::or_raise;
use crate::pg::{catalog, clock, identity};
use crate::store::connection::{self, Server};
use crate::store::error_rule::{self, Given};
use crate::store::role::{self, Level};
use crate::store::{audit, job, pause, retry};
use pgrx::prelude::*;
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::class::Class;
use sluice_core::connection::{ConfigError, Subject, found, nearest};
use sluice_core::error_rule::{Action, CLASSES, Pattern};
use sluice_core::job::LONGEST_NAME;
use sluice_core::schedule::parse_interval;
use sluice_core::sql_text::quote;
use std::time::Duration;

/// Sets a rule for errors, or the one of this name anew; its id.
#[pg_extern(sql = "
CREATE FUNCTION sluice.set_error_rule(name text, match jsonb, action text, error_class text DEFAULT NULL,
    hint text DEFAULT NULL, job text DEFAULT NULL, connection text DEFAULT NULL, priority integer DEFAULT 100,
    pause_for text DEFAULT NULL) RETURNS bigint
VOLATILE PARALLEL UNSAFE LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
")]
#[allow(clippy::too_many_arguments)] // the columns of a rule
fn set_error_rule(
    name: Option<&str>,
    pattern: Option<pgrx::JsonB>,
    action: Option<&str>,
    error_class: Option<&str>,
    hint: Option<&str>,
    job: Option<&str>,
    connection: Option<&str>,
    priority: Option<i32>,
    pause_for: Option<&str>,
) -> i64 {
    let asked = || {
        catalog::require_primary()?;
        let pattern = given("match", pattern)?.0.to_string();
        let action = action_of(given("action", action)?, pause_for.is_some())?;
        Pattern::parse(&pattern)?.check(action)?;
        error_rule::set(&Given {
            name: named(given("name", name)?)?,
            job: job.map(|name| of_job(name, connection)).transpose()?,
            server: connection.map(of_connection).transpose()?,
            priority: given("priority", priority)?,
            pattern: &pattern,
            class: error_class.map(class_of).transpose()?,
            action,
            hint,
            pause_for: pause_for.map(length).transpose()?,
            by: &caller_name()?,
        })
    };
    or_raise(asked())
}

fn named(name: &str) -> Result<&str> {
    if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(wrong("name", "a name of 1 to 63 bytes", name, "name => 'quota'"));
    }
    Ok(name)
}

fn wrong(argument: &str, expected: &str, given: &str, example: &str) -> sluice_core::Error {
    ConfigError::WrongValue {
        subject: Subject::argument(argument),
        expected: expected.into(),
        found: Some(found(given)),
        example: example.into(),
    }
    .into()
}

fn action_of(word: &str, has_length: bool) -> Result<Action> {
    let valid: Vec<&'static str> = Action::ALL.map(Action::as_str).to_vec();
    let action = Action::parse(word).ok_or_else(|| ConfigError::UnknownWord {
        subject: Subject::argument("action"),
        found: Some(found(word)),
        nearest: nearest(word, &valid),
        valid,
    })?;
    if has_length && action != Action::PauseConnection {
        return Err(ConfigError::WrongValue {
            subject: Subject::argument("pause_for"),
            expected: "left out".into(),
            found: Some(format!("The action is {word}, which pauses nothing.")),
            example: "action => 'pause_connection', pause_for => '1 hour'".into(),
        }
        .into());
    }
    Ok(action)
}

fn class_of(word: &str) -> Result<Class> {
    let valid: Vec<&'static str> = CLASSES.map(Class::as_str).to_vec();
    let class = CLASSES.into_iter().find(|class| class.as_str() == word);
    Ok(class.ok_or_else(|| ConfigError::UnknownWord {
        subject: Subject::argument("error_class"),
        found: Some(found(word)),
        nearest: nearest(word, &valid),
        valid,
    })?)
}

/// A rule is for a job, a connection or all.
fn of_job(name: &str, connection: Option<&str>) -> Result<i64> {
    match connection {
        None => Ok(job::by_name(name, identity::current_user())?.id),
        Some(connection) => Err(wrong(
            "connection",
            "left out where a job is given",
            connection,
            "job => 'products'",
        )),
    }
}

fn of_connection(name: &str) -> Result<(crate::pg::Oid, String)> {
    let server = connection::by_name(name)?;
    Ok((server.oid, server.name))
}

fn length(text: &str) -> Result<Duration> {
    let longest = Duration::from_secs(366 * 86_400);
    match parse_interval(text) {
        Ok(length) if !length.is_zero() && length <= longest => Ok(length),
        _ => Err(wrong(
            "pause_for",
            "an interval of at most 366 days",
            text,
            "pause_for => '1 hour'",
        )),
    }
}

/// Drops a rule for errors.
#[pg_extern(volatile, parallel_unsafe)]
fn drop_error_rule(name: Option<&str>) {
    or_raise(given("name", name).and_then(drop_rule));
}

fn drop_rule(name: &str) -> Result<()> {
    catalog::require_primary()?;
    if error_rule::drop_named(name)? {
        return Ok(());
    }
    let names = error_rule::names()?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Err(CallError::UnknownErrorRule {
        name: name.into(),
        nearest: nearest(name, &names).map(str::to_owned),
    }
    .into())
}

/// Has the jobs of a connection wait.
#[pg_extern(volatile, parallel_unsafe)]
fn pause_connection(
    connection: Option<&str>,
    reason: default!(Option<&str>, "NULL"),
    pause_for: default!(Option<&str>, "NULL"),
) {
    let asked = || {
        require_server()?;
        let server = operable(given("connection", connection)?)?;
        let until = pause_for
            .map(length)
            .transpose()?
            .map(|length| clock::now().plus(length));
        pause::pause(server.oid, reason, &caller_name()?, until)?;
        audit::note("pause_connection", "connection", &server.name)?;
        wake();
        Ok(())
    };
    or_raise(asked());
}

/// Lets the jobs of a connection run again.
#[pg_extern(volatile, parallel_unsafe)]
fn resume_connection(connection: Option<&str>) {
    let asked = || {
        require_server()?;
        let server = operable(given("connection", connection)?)?;
        if !pause::resume(server.oid)? {
            return Err(CallError::NotPaused {
                connection: server.name,
            }
            .into());
        }
        audit::note("resume_connection", "connection", &server.name)?;
        // Whoever resumes it says that the remote is well again.
        retry::make_due_for_connection(server.oid, clock::now())?;
        wake();
        Ok(())
    };
    or_raise(asked());
}

/// The connection of this name, if it is the caller's, or the caller operates everything.
fn operable(name: &str) -> Result<Server> {
    let (server, caller) = (connection::by_name(name)?, identity::current_user());
    let may = role::has_rights_of(caller, server.owner)?
        || role::has_level(caller, Level::Operator)?
        || role::has_level(caller, Level::Admin)?;
    match may {
        true => Ok(server),
        false => Err(CallError::Denied {
            what: format!("connection {}", quote(&server.name)),
            detail: "It belongs to another role.".into(),
            hint: "Ask its owner, or an admin for sluice.grant_access(role, 'operator').".into(),
        }
        .into()),
    }
}
