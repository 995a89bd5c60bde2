//! pg_sluice keeps tables in step with remote REST APIs, from inside the database.
//!
//! This comment is the map of the tree. A module uses only what stands below it:
//!
//! ```text
//! api        what SQL calls: checks, asks for work            worker   launcher, scheduler, worker
//!    └──────────────────────────┐                ┌───────────────┘
//!                               │            pipeline   the data path: fetch, write, publish, undo
//!                             store   our tables, one module each
//!                               pg    PostgreSQL itself; the only unsafe code
//! crates: sluice-core (decisions, no I/O) · sluice-fetch (HTTP on threads, no PostgreSQL)
//! ```
//!
//! SQL objects are in `sql/schema`, in the order of `install`; longer statements in `sql/query`.

mod api;
mod install;
mod pg;
mod pipeline;
mod store;
mod worker;

use pgrx::prelude::*;

pgrx::pg_module_magic!(name, version);

/// Called when the library is loaded: at the server's start where it is preloaded, else in the session that needs it.
#[pg_guard]
#[allow(unsafe_code)] // an exported symbol, found by name
pub extern "C-unwind" fn _PG_init() {
    pg::silence_backtraces();
    if pg::is_binary_upgrade() {
        return;
    }
    pg::settings::define();
    if pg::is_preloading() {
        pg::shmem::request();
        pg::rates::request();
        #[cfg(feature = "failpoints")]
        pg::failpoint::request();
        pg::hooks::install();
        pg::bgworker::register_launcher();
    }
}
