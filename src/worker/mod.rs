//! Our background processes: launcher → scheduler → worker.
//!
//! The launcher (one per cluster, no database) starts schedulers; a scheduler (one per database with work due) starts
//! workers and leaves; a worker (one per run) does a run and ends. `launcher`, `scheduler` and `sync` are their entry points
//! and loops; `dead`, `pass` and `start` are the three parts of a scheduler's look.

mod alerts;
mod dead;
mod launcher;
mod pass;
mod rates;
mod scheduler;
mod start;
mod sync;
mod tokens;

use crate::pg::{Oid, bgworker, catalog, transaction};
use sluice_core::Result;

/// Errors of a background process that no row can hold: they go to the server's log, once.
fn log_error(what: &str, error: &sluice_core::Error) {
    pgrx::warning!("pg_sluice: {what}: {error}");
}

/// Work on one job that must not keep the others from theirs.
fn isolated<T>(what: &str, body: impl FnOnce() -> Result<T>) -> Option<T> {
    transaction::run(body).map_err(|error| log_error(what, &error)).ok()
}

/// What a job's stamp is compared with.
fn here() -> (i64, Oid) {
    (catalog::system_identifier(), bgworker::my_database_oid())
}
