//! Transactions of the background processes: begin, commit, and abort on any failure.
//!
//! pgrx's own helper lets an ERROR escape, which ends the process. Here an ERROR, a panic, and a failure at COMMIT
//! itself (deferred constraints) come back as a value, after the transaction was aborted.

use crate::pg::report::from_caught;
use crate::pg::{identity, settings};
use pgrx::pg_sys;
use pgrx::prelude::*;
use sluice_core::Result;
use std::cell::Cell;
use std::panic::AssertUnwindSafe;

/// Runs `body` in a transaction of its own. On `Err`, an ERROR or a panic nothing of it remains.
pub fn run<R>(body: impl FnOnce() -> Result<R>) -> Result<R> {
    begin();
    let outcome = PgTryBuilder::new(AssertUnwindSafe(|| {
        let value = body()?;
        commit();
        Ok(value)
    }))
    .catch_others(|caught| Err(from_caught(caught)))
    .catch_rust_panic(|caught| Err(from_caught(caught)))
    .execute();
    if outcome.is_err() {
        // SAFETY: ends whatever state the failed transaction is in; valid at any point of a background process.
        unsafe { pg_sys::AbortCurrentTransaction() };
    }
    // SAFETY: sends the counters of this transaction, so that autovacuum sees our writes; needs no transaction.
    unsafe { pg_sys::pgstat_report_stat(true) };
    outcome
}

/// Runs `body` in a subtransaction of the open transaction. On `Err`, an ERROR or a panic nothing of it remains, and the
/// transaction goes on.
pub fn attempt<R>(body: impl FnOnce() -> Result<R>) -> Result<R> {
    // SAFETY: inside a transaction; what is current is put back below, as PL/pgSQL does around an exception block.
    let (context, owner) = unsafe {
        let outer = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(outer.0);
        outer
    };
    let outcome = PgTryBuilder::new(AssertUnwindSafe(body))
        .catch_others(|caught| Err(from_caught(caught)))
        .catch_rust_panic(|caught| Err(from_caught(caught)))
        .execute();
    // SAFETY: ends the subtransaction that was begun above; those within it have ended, or end with it.
    unsafe {
        match outcome {
            Ok(_) => pg_sys::ReleaseCurrentSubTransaction(),
            Err(_) => {
                pg_sys::MemoryContextSwitchTo(context);
                pg_sys::RollbackAndReleaseCurrentSubTransaction();
            }
        }
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
    }
    outcome
}

/// Runs `body` outside a transaction and turns an ERROR (an interrupt, for one) or a panic into a value.
pub fn guarded<R>(body: impl FnOnce() -> Result<R>) -> Result<R> {
    let outcome = PgTryBuilder::new(AssertUnwindSafe(body))
        .catch_others(|caught| Err(from_caught(caught)))
        .catch_rust_panic(|caught| Err(from_caught(caught)))
        .execute();
    if outcome.is_err() {
        // SAFETY: an ERROR outside a transaction still leaves error state and resources to clear.
        unsafe { pg_sys::AbortCurrentTransaction() };
    }
    outcome
}

fn begin() {
    // SAFETY: the process is connected and outside a transaction; these are the steps that a backend takes.
    unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::StartTransactionCommand();
    }
    // Before the snapshot: after it a transaction cannot leave the role's own read-only mode or isolation any more.
    if PINNED.get() {
        pin();
    }
    // SAFETY: inside the transaction that was started above; `commit` pops it.
    unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot()) };
}

thread_local! {
    static PINNED: Cell<bool> = const { Cell::new(false) };
}

/// From now on every transaction of this process begins with the settings that exact values need, whatever the role's
/// own settings are and whatever a trigger has set in the transaction before.
pub fn pin_settings() {
    PINNED.set(true);
}

fn pin() {
    let lock_timeout = settings::lock_timeout().as_millis().to_string();
    let pinned = [
        ("client_encoding", "UTF8"),
        ("datestyle", "ISO, YMD"),
        ("intervalstyle", "postgres"),
        ("extra_float_digits", "1"),
        ("bytea_output", "hex"),
        ("standard_conforming_strings", "on"),
        ("transform_null_equals", "off"),
        ("default_transaction_isolation", "read committed"),
        ("transaction_isolation", "read committed"),
        ("default_transaction_read_only", "off"),
        ("transaction_read_only", "off"),
        ("lock_timeout", lock_timeout.as_str()),
    ];
    for (name, value) in pinned {
        identity::set_for_session(name, value);
    }
}

fn commit() {
    // SAFETY: `begin` pushed this snapshot and started this transaction.
    unsafe {
        pg_sys::PopActiveSnapshot();
        pg_sys::CommitTransactionCommand();
    }
}
