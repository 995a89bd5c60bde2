//! What `self_test` asks of the library: the rest of it is SQL.

use crate::pg::report::or_raise;
use crate::pg::{key_file, settings, shmem};
use crate::store::retry;
use pgrx::prelude::*;
use sluice_core::Error;

/// Whether the library was loaded at the server's start.
#[pg_extern(name = "_is_preloaded", stable, parallel_unsafe)]
fn is_preloaded() -> bool {
    shmem::is_ready()
}

/// Whether `sluice.databases` names this database.
#[pg_extern(name = "_serves_database", stable, parallel_unsafe)]
fn serves_database(name: &str) -> bool {
    settings::serves_database(name)
}

/// Why secrets cannot be used; NULL where they can.
#[pg_extern(name = "_key_fault", stable, parallel_unsafe)]
fn key_fault() -> Option<String> {
    let error = key_error()?;
    Some(match error.detail() {
        Some(detail) => format!("{error}: {detail}"),
        None => error.to_string(),
    })
}

/// What to do about that.
#[pg_extern(name = "_key_hint", stable, parallel_unsafe)]
fn key_hint() -> Option<String> {
    key_error().and_then(|error| error.hint())
}

fn key_error() -> Option<Error> {
    key_file::load().err()
}

/// Whether pg_cron of this database processes the retries.
#[pg_extern(name = "_is_processed_by_cron", stable, parallel_unsafe)]
fn is_processed_by_cron() -> bool {
    or_raise(retry::is_processed_by_cron())
}

/// Which addresses may be called, in words. The settings are for superusers; what they allow is told to those who ask why.
#[pg_extern(name = "_network_policy", stable, parallel_unsafe)]
fn network_policy() -> String {
    let hosts = settings::allowed_hosts();
    let hosts = match hosts.is_empty() {
        true => "every host".to_string(),
        false => format!("{} hosts by sluice.allowed_hosts", hosts.len()),
    };
    let networks = match settings::allows_networks() {
        false => "public addresses only",
        true => "public addresses, and those of sluice.allowed_networks",
    };
    format!("{hosts}, {networks}")
}
