//! Event rules: who is called when health changes. They are made here; a worker calls.

use super::connections::no_usage;
use super::{caller_name, given};
use crate::pg::report::or_raise;
use crate::pg::{catalog, identity, spi};
use crate::store::alert::{self, Rule};
use crate::store::{connection, job, role};
use pgrx::datum::Interval;
use pgrx::prelude::*;
use sluice_core::Result;
use sluice_core::alert::{AlertFault, Callee, EVENTS};
use sluice_core::call::CallError;
use sluice_core::connection::ConnectionOptions;
use sluice_core::http::Method;
use sluice_core::job::{FunctionName, JobPath};
use sluice_core::sql_text::quote;
use std::time::Duration;

/// Makes an event rule; its id.
#[pg_extern(volatile, parallel_unsafe)]
#[allow(clippy::too_many_arguments)] // the public signature
fn on_event(
    name: Option<&str>,
    events: default!(Option<Vec<Option<String>>>, "'{repeated_failure,degraded,recovered}'"),
    function: default!(Option<&str>, "NULL"),
    connection: default!(Option<&str>, "NULL"),
    path: default!(Option<&str>, "NULL"),
    job: default!(Option<&str>, "NULL"),
    after_failures: default!(Option<i32>, "3"),
    time_limit: default!(Option<Interval>, "'10 seconds'"),
) -> i64 {
    let asked = || {
        let rule = Asked {
            name: given("name", name)?,
            events: given("events", events)?,
            function,
            connection,
            path,
            job,
            after_failures: given("after_failures", after_failures)?,
            time_limit: given("time_limit", time_limit)?.as_micros(),
        };
        make(rule)
    };
    or_raise(asked())
}

struct Asked<'a> {
    name: &'a str,
    events: Vec<Option<String>>,
    function: Option<&'a str>,
    connection: Option<&'a str>,
    path: Option<&'a str>,
    job: Option<&'a str>,
    after_failures: i32,
    time_limit: i128,
}

fn make(asked: Asked<'_>) -> Result<i64> {
    catalog::require_primary()?;
    if asked.name.is_empty() || asked.name.len() > 63 {
        return Err(AlertFault::Name.into());
    }
    if !(1..=1000).contains(&asked.after_failures) {
        let found = asked.after_failures;
        return Err(AlertFault::AfterFailures { found }.into());
    }
    let events = known_events(asked.events)?;
    let time_limit = limit(asked.time_limit)?;
    let (callee, function_owner) = match (asked.function, asked.connection, asked.path) {
        (Some(function), None, None) => own_function(function)?,
        (None, Some(connection), Some(path)) => (webhook(connection, path)?, None),
        _ => return Err(AlertFault::Callee.into()),
    };
    let caller = identity::current_user();
    let job = asked.job.map(|name| job::by_name(name, caller)).transpose()?;
    let rule = Rule {
        name: asked.name,
        events,
        job: job.map(|job| job.id),
        after_failures: asked.after_failures,
        callee: &callee,
        function_owner,
        time_limit,
    };
    let made = alert::insert(&rule, &caller_name()?)?;
    super::wake();
    made.ok_or_else(|| {
        AlertFault::Exists {
            name: asked.name.into(),
        }
        .into()
    })
}

fn known_events(events: Vec<Option<String>>) -> Result<Vec<String>> {
    let events: Vec<String> = events.into_iter().flatten().collect();
    if events.is_empty() {
        return Err(AlertFault::NoEvent.into());
    }
    match events.iter().find(|event| !EVENTS.contains(&event.as_str())) {
        Some(event) => Err(AlertFault::UnknownEvent { event: event.clone() }.into()),
        None => Ok(events),
    }
}

fn limit(micros: i128) -> Result<Duration> {
    match u64::try_from(micros) {
        Ok(micros @ 1_000_000..=300_000_000) => Ok(Duration::from_micros(micros)),
        _ => Err(AlertFault::TimeLimit.into()),
    }
}

/// The function of this name and its owner, whom the caller must be able to become: it is called with that role's rights.
fn own_function(text: &str) -> Result<(Callee, Option<String>)> {
    let Some(name) = FunctionName::parse(text) else {
        return Err(AlertFault::FunctionName { name: text.into() }.into());
    };
    let schemas = match &name.schema {
        Some(schema) => vec![schema.clone()],
        None => spi::rows(
            "SELECT pg_catalog.unnest(pg_catalog.current_schemas(true))::text",
            &[],
            |r| r.need(1),
        )?,
    };
    let found = alert::function(&name, &schemas)?.ok_or_else(|| AlertFault::NoFunction { name: name.clone() })?;
    let caller = identity::current_user();
    if !role::may_become(caller, found.owner)? {
        let owner = found.owner_name;
        return Err(CallError::Denied {
            what: format!("function {name}"),
            detail: format!("It is called as its owner \"{owner}\", and you cannot become that role."),
            hint: match identity::is_superuser(found.owner) {
                // Nobody becomes a superuser for the sake of a rule.
                true => format!(
                    "ALTER FUNCTION {name}(jsonb) OWNER TO {}; or let a superuser make the rule.",
                    quote(&caller_name()?)
                ),
                false => format!(
                    "GRANT {} TO {}; or let the owner make the rule.",
                    quote(&owner),
                    quote(&caller_name()?)
                ),
            },
        }
        .into());
    }
    let name = FunctionName {
        schema: Some(found.schema),
        ..name
    };
    Ok((Callee::Function(name), Some(found.owner_name)))
}

/// The connection and path of a POST, which the connection's owner has allowed.
fn webhook(name: &str, path: &str) -> Result<Callee> {
    let server = connection::by_name(name)?;
    if !connection::may_use(identity::current_user(), server.oid)? {
        return Err(no_usage(&server.name)?);
    }
    ConnectionOptions::parse(&server.options)?.check_method(&server.name, Method::Post)?;
    Ok(Callee::Webhook {
        connection: server.name,
        path: JobPath::parse(path)?.as_str().to_string(),
    })
}

/// Drops an event rule and the calls that wait for it.
#[pg_extern(volatile, parallel_unsafe)]
fn drop_event_rule(name: Option<&str>) {
    or_raise(given("name", name).and_then(forget));
}

fn forget(name: &str) -> Result<()> {
    catalog::require_primary()?;
    match alert::drop(name)? {
        true => Ok(()),
        false => Err(AlertFault::Unknown { name: name.into() }.into()),
    }
}
