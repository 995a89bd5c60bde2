//! PostgreSQL itself: the only folder with `unsafe` and with `pg_sys`.
//!
//! Each file wraps one thing the server offers in a safe form. Nothing here knows our tables.

#![allow(unsafe_code)] // each block says why it is safe

pub mod answer_file;
pub mod arm_file;
pub mod attempt;
pub mod bgworker;
pub mod catalog;
pub mod clock;
pub mod column_default;
pub mod copy;
pub mod failpoint;
pub mod function;
pub mod hooks;
pub mod identity;
pub mod jsonb;
pub mod key_file;
pub mod key_identity;
pub mod latch;
pub mod lock;
pub mod plans;
pub mod procedure;
pub mod program;
pub mod query;
pub mod rates;
pub mod relation;
pub mod report;
pub mod rights;
pub mod rowset;
pub mod secret_file;
pub mod settings;
mod settings_check;
pub mod shmem;
pub mod signals;
pub mod spi;
pub mod statement;
pub mod timeout;
pub mod transaction;
pub mod type_name;
pub mod xact;
pub mod zone;

use pgrx::pg_sys;
pub use pgrx::pg_sys::{Datum, FunctionCallInfo, Oid};

/// Keeps Rust backtraces out of the DETAIL of errors. With RUST_BACKTRACE in the postmaster's environment they would
/// be added to every error that passes through this library, also to those that have nothing to do with it.
pub fn silence_backtraces() {
    // SAFETY: called while the library is loaded, when the process has one thread.
    unsafe { std::env::set_var("RUST_LIB_BACKTRACE", "0") };
}

/// Whether the server is being upgraded: nothing of ours may start.
pub fn is_binary_upgrade() -> bool {
    // SAFETY: a global that is set at the server's start.
    unsafe { pg_sys::IsBinaryUpgrade }
}

/// Whether the library is being loaded by shared_preload_libraries.
pub fn is_preloading() -> bool {
    // SAFETY: a global of the postmaster.
    unsafe { pg_sys::process_shared_preload_libraries_in_progress }
}
