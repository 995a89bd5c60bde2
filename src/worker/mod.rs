//! Our background processes: launcher → scheduler → worker.
//!
//! The launcher (one per cluster, no database) starts schedulers; a scheduler (one per database with work due) starts
//! workers and leaves; a worker (one per run) does a run and ends. Each file is one process: an entry point, a loop,
//! a `run_once`.

mod launcher;
mod rates;
mod scheduler;
mod sync;
mod tokens;

/// Errors of a background process that no row can hold: they go to the server's log, once.
fn log_error(what: &str, error: &sluice_core::Error) {
    pgrx::warning!("pg_sluice: {what}: {error}");
}
