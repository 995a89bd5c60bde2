//! Makes the calls of an event rule: a function, as its owner, or a POST over a connection.
//!
//! Each call is noted as begun before it is made, so that one which ends its worker is counted. A function's work and the
//! note that it was called commit together; a POST may come twice, with the same id.

use super::probe::{self, Question};
use crate::pg::clock;
use crate::pg::{bgworker, failpoint, function, identity, settings, shmem, transaction};
use crate::store::alert::{self, Call};
use crate::store::connection;
use sluice_core::alert::{AlertFault, Callee};
use sluice_core::job::FunctionName;
use sluice_core::retry::SplitMix64;
use sluice_core::retry_queue::{Failed, Next, QueuePolicy};
use sluice_core::settings::Settings;
use sluice_core::{Class, Error, Result};
use std::time::Duration;

/// Calls that one worker makes; the next one goes on.
const AT_ONCE: u32 = 100;
/// What a call takes beside the time that its rule gives it: a token, a connection.
const MARGIN: Duration = Duration::from_secs(60);

/// Makes the calls of a rule that are due, as the role that this worker is.
///
/// # Errors
/// Only what could not be noted.
pub fn run(slot: usize, rule: i64) -> Result<()> {
    for _ in 0..AT_ONCE {
        let begun = transaction::run(|| {
            let due = alert::due(Some(rule), clock::now())?;
            Ok(match due {
                Some(call) if alert::begin(call.id)? => Some(call),
                _ => None,
            })
        })?;
        let Some(call) = begun else { break };
        // Each call is a sign of life, and may take as long as its rule says.
        shmem::set_patience(slot, call.time_limit + MARGIN);
        shmem::update_progress(slot, |_| {});
        bgworker::report_activity(&format!("calling for {}", call.rule));
        failpoint::hit("alert.begun");
        let outcome = match &call.callee {
            Callee::Function(name) => transaction::run(|| call_function(&call, name)),
            Callee::Webhook { connection, path } => transaction::run(|| question(&call, connection, path))
                .and_then(|question| probe::ready(&question))
                .and_then(|ready| ready.send().map(drop))
                .and_then(|()| transaction::run(|| alert::complete(call.id))),
        };
        if let Err(error) = outcome {
            transaction::run(|| note_failure(call.id, call.attempts + 1, &error))?;
        }
    }
    Ok(())
}

fn call_function(call: &Call, name: &FunctionName) -> Result<()> {
    let found = expected_function(call, name)?;
    function::call_with_json(found.oid, &call.payload, call.time_limit)?;
    alert::complete(call.id)
}

/// The function of a call, if it is still the role's that it was when the rule was made.
pub fn expected_function(call: &Call, name: &FunctionName) -> Result<alert::Function> {
    let schemas: Vec<String> = name.schema.iter().cloned().collect();
    let found = alert::function(name, &schemas)?.ok_or_else(|| AlertFault::NoFunction { name: name.clone() })?;
    let was = call.function_owner.clone().unwrap_or_default();
    if found.owner_name != was {
        let (name, is) = (name.clone(), found.owner_name);
        return Err(AlertFault::OtherOwner { name, was, is }.into());
    }
    if identity::is_superuser(found.owner) && !settings::allow_superuser_jobs() {
        return Err(AlertFault::Superuser { name: name.clone() }.into());
    }
    Ok(found)
}

fn question(call: &Call, name: &str, path: &str) -> Result<Question> {
    let seconds = call.time_limit.as_secs_f64();
    let document = format!(
        r#"{{"method": "POST", "body": {}, "timeouts": {{"probe": "{seconds} seconds"}}}}"#,
        call.payload
    );
    Question::of(connection::by_name(name)?, path, Settings::parse(&document)?)
}

/// Notes why a call was not made, and when it is tried again: every error is worth another try, since who is not told of
/// trouble does not know of it.
pub fn note_failure(id: i64, attempts: u32, error: &Error) -> Result<()> {
    let failed = Failed {
        class: Class::Server,
        recoverable: true,
        retries: attempts.saturating_sub(1),
        progressed: false,
    };
    let random = SplitMix64::new(clock::random_seed()).next_f64();
    let again = match QueuePolicy::default().next(failed, true, random) {
        Next::Wait { delay, .. } => Some(clock::now().plus(delay)),
        Next::Dead | Next::NotQueued => None,
    };
    alert::fail(id, error, again)
}
