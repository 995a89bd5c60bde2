//! Payloads of webhooks: queued in the caller's transaction, written by the job's worker after its commit.

use super::{caller_name, given, here, operable_job, own_job, require_server, wake};
use crate::pg::arm_file;
use crate::pg::jsonb::Jsonb;
use crate::pg::report::{or_raise, tell};
use crate::store::ingest;
use crate::store::job::Job;
use pgrx::prelude::*;
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::ingest::{MOST_PAYLOAD_BYTES, MOST_PAYLOADS, MOST_QUEUED_BYTES};

/// Queues a payload for the job's worker; its id.
#[pg_extern(name = "ingest", volatile, parallel_unsafe)]
fn take_in(job: Option<&str>, payload: Option<Jsonb>) -> i64 {
    or_raise(given("job", job).and_then(|job| queue(job, given("payload", payload)?)))
}

fn queue(name: &str, payload: Jsonb) -> Result<i64> {
    require_server()?;
    let job = own_job(name)?;
    let (found, bytes) = ingest::look(payload)?;
    if !matches!(found.as_str(), "object" | "array") {
        return Err(CallError::PayloadKind { found }.into());
    }
    if bytes > MOST_PAYLOAD_BYTES {
        let limit = MOST_PAYLOAD_BYTES;
        return Err(CallError::PayloadSize { bytes, limit }.into());
    }
    let (payloads, kept) = ingest::kept(job.id)?;
    if payloads >= MOST_PAYLOADS || kept.saturating_add(bytes) > MOST_QUEUED_BYTES {
        let (name, bytes) = (job.name, kept);
        return Err(CallError::QueueFull { name, payloads, bytes }.into());
    }
    let id = ingest::queue(job.id, payload, bytes, &caller_name()?)?;
    wake();
    tell_of_rest(&job, id);
    Ok(id)
}

/// Says why a payload is not written soon.
fn tell_of_rest(job: &Job, id: i64) {
    let literal = pgrx::spi::quote_literal(&job.name);
    let (reason, hint) = if let Some(fault) = arm_file::fault() {
        ("not armed", fault.hint().to_string())
    } else if job.armed != Some(here()) {
        ("not armed", "SELECT sluice.arm();".to_string())
    } else if job.paused {
        ("paused", format!("SELECT sluice.resume_job({literal});"))
    } else if !job.enabled {
        ("disabled", format!("SELECT sluice.resume_job({literal});"))
    } else {
        return;
    };
    tell(format!("payload {id} waits: job \"{}\" is {reason}", job.name), hint);
}

/// Queues payloads again that were set aside, and has those that wait for a time tried now; how many.
#[pg_extern(volatile, parallel_unsafe)]
fn retry_ingest(job: Option<&str>, payload: default!(Option<i64>, "NULL")) -> i64 {
    let asked = || {
        require_server()?;
        let again = ingest::retry(operable_job(given("job", job)?)?.id, payload)?;
        wake();
        Ok(again as i64)
    };
    or_raise(asked())
}

/// Drops payloads that were set aside; how many.
#[pg_extern(volatile, parallel_unsafe)]
fn drop_ingest(job: Option<&str>, payload: default!(Option<i64>, "NULL")) -> i64 {
    let asked = || {
        require_server()?;
        Ok(ingest::discard(operable_job(given("job", job)?)?.id, payload)? as i64)
    };
    or_raise(asked())
}
