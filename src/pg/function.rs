//! Calling a function of the user's, known by its OID: what was checked is what is called, whatever a name means by then.

use crate::pg::timeout::Limited;
use crate::pg::transaction;
use pgrx::pg_sys;
use pgrx::prelude::*;
use sluice_core::Result;
use std::time::Duration;

/// Calls `function(text, number)` as the current user and drops what it returns. What it sets (settings, role) ends with
/// the call, and after `limit` it is cancelled. An ERROR is a value; nothing of the call remains then.
pub fn call(function: pg_sys::Oid, text: &str, number: i64, limit: Duration) -> Result<()> {
    limited(function, limit, || vec![text.into_datum(), number.into_datum()])
}

/// The same for `function(jsonb)`; `json` is the text of a document of ours.
pub fn call_with_json(function: pg_sys::Oid, json: &str, limit: Duration) -> Result<()> {
    let document: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    limited(function, limit, || vec![pgrx::JsonB(document).into_datum()])
}

fn limited(
    function: pg_sys::Oid,
    limit: Duration,
    arguments: impl FnOnce() -> Vec<Option<pg_sys::Datum>>,
) -> Result<()> {
    transaction::attempt(|| {
        let nested = Nested::new();
        {
            let _limited = Limited::new(limit);
            let arguments = arguments().into_iter().flatten().collect::<Vec<_>>();
            invoke(function, &arguments);
        }
        // A cancellation that came with the last moment is this call's.
        pgrx::check_for_interrupts!();
        nested.end();
        Ok(())
    })
}

fn invoke(function: pg_sys::Oid, arguments: &[pg_sys::Datum]) {
    // SAFETY: inside a transaction; the snapshot sees what this transaction has written, and an ERROR pops it with the
    // subtransaction. The call has room for its arguments, as SizeForFunctionCallInfo gives it.
    unsafe {
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let mut found = pg_sys::FmgrInfo::default();
        pg_sys::fmgr_info(function, &mut found);
        let size = size_of::<pg_sys::FunctionCallInfoBaseData>() + arguments.len() * size_of::<pg_sys::NullableDatum>();
        let call = pg_sys::palloc0(size).cast::<pg_sys::FunctionCallInfoBaseData>();
        (*call).flinfo = &mut found;
        (*call).fncollation = pg_sys::DEFAULT_COLLATION_OID;
        (*call).nargs = i16::try_from(arguments.len()).expect("one or two");
        let places = (*call).args.as_mut_slice(arguments.len());
        for (place, value) in places.iter_mut().zip(arguments) {
            place.value = *value;
        }
        let address = found.fn_addr.expect("fmgr_info sets it");
        pg_sys::ffi::pg_guard_ffi_boundary(|| address(call));
        pg_sys::PopActiveSnapshot();
    }
}

/// A nest level for settings, and the identity to go back to.
struct Nested {
    level: i32,
    user: pg_sys::Oid,
    context: i32,
}

impl Nested {
    fn new() -> Nested {
        let (mut user, mut context) = (pg_sys::InvalidOid, 0);
        // SAFETY: the level ends with `end`, or with the subtransaction.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
            let level = pg_sys::NewGUCNestLevel();
            Nested { level, user, context }
        }
    }

    /// Takes back what was set, SET as well as SET LOCAL.
    fn end(self) {
        // SAFETY: the level was opened by `new`, and levels opened since have ended.
        unsafe {
            pg_sys::AtEOXact_GUC(false, self.level);
            pg_sys::SetUserIdAndSecContext(self.user, self.context);
        }
    }
}
