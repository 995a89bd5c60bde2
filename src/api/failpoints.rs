//! Steers failpoints from SQL, in builds that have them.

use crate::pg::failpoint;
use crate::pg::report::or_raise;
use pgrx::prelude::*;
use sluice_core::call::CallError;

/// Sets a failpoint for the whole cluster: off, error, panic, kill9 or pause, after `skip` hits. Superusers only: no
/// access level has it.
#[pg_extern(name = "_failpoint", volatile, parallel_unsafe)]
fn set_failpoint(name: &str, action: &str, skip: default!(i32, 0)) {
    let set = failpoint::set(name, action, u32::try_from(skip).unwrap_or(0));
    or_raise(if set {
        Ok(())
    } else {
        Err(CallError::UnknownLevel { level: action.into() }.into())
    });
}

/// How often a failpoint was reached since it was set.
#[pg_extern(name = "_failpoint_hits", volatile, parallel_unsafe)]
fn failpoint_hits(name: &str) -> i64 {
    i64::from(failpoint::hits(name))
}
