//! Work that may fail without ending the caller's transaction, and that leaves nothing behind.

use crate::pg::report::from_caught;
use pgrx::pg_sys;
use pgrx::prelude::*;
use sluice_core::Result;
use std::panic::AssertUnwindSafe;

/// Runs `body` in a subtransaction that is given up afterwards, whatever came of it. An ERROR in it is a value; a
/// cancellation is one too, which the caller raises again.
pub fn given_up<R>(body: impl FnOnce() -> Result<R>) -> Result<R> {
    // SAFETY: inside a transaction; context and owner are put back below, as the server's own languages do.
    let (context, owner) = unsafe {
        let before = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        before
    };
    let outcome = PgTryBuilder::new(AssertUnwindSafe(body))
        .catch_others(|caught| Err(from_caught(caught)))
        .execute();
    // SAFETY: ends the subtransaction begun above, the innermost one.
    unsafe {
        pg_sys::RollbackAndReleaseCurrentSubTransaction();
        pg_sys::CurrentMemoryContext = context;
        pg_sys::CurrentResourceOwner = owner;
    }
    outcome
}
