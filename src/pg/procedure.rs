//! Procedures that commit while they wait.
//!
//! A procedure called outside a transaction block may end its transaction and go on. Ours commit the request, then
//! wait in slices: a look in a short transaction, a wait without any.

use pgrx::pg_sys;
use pgrx::prelude::*;
use sluice_core::Result;
use sluice_core::call::CallError;

/// A running procedure that may commit.
pub struct Procedure(());

/// Runs `body` as a procedure: an error (25001) where it was called inside a transaction block or by a function.
pub fn run<R>(
    call: pg_sys::FunctionCallInfo,
    name: &'static str,
    body: impl FnOnce(&Procedure) -> Result<R>,
) -> Result<R> {
    if !may_commit(call) {
        return Err(CallError::InTransactionBlock { procedure: name }.into());
    }
    // SAFETY: a non-atomic SPI connection is what SPI_commit asks for; it is closed below, or by the abort.
    unsafe { pg_sys::SPI_connect_ext(pg_sys::SPI_OPT_NONATOMIC as i32) };
    let result = body(&Procedure(()));
    // SAFETY: closes the connection opened above.
    unsafe { pg_sys::SPI_finish() };
    result
}

impl Procedure {
    /// Commits what was done so far and starts a new transaction; no snapshot is held after it.
    pub fn commit(&self) {
        // SAFETY: inside a non-atomic SPI connection, with no snapshot pushed by us.
        unsafe { pg_sys::SPI_commit() };
    }
}

/// Whether the caller is a CALL outside a transaction block.
fn may_commit(call: pg_sys::FunctionCallInfo) -> bool {
    // SAFETY: a CALL passes a CallContext; its tag is checked before it is read.
    unsafe {
        let context = (*call).context;
        !context.is_null()
            && (*context).type_ == pg_sys::NodeTag::T_CallContext
            && !(*(context as *mut pg_sys::CallContext)).atomic
    }
}

/// Tells the caller something while the procedure runs.
pub fn notice(message: &str) {
    notice!("{message}");
}
