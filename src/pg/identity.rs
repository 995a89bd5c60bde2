//! Who code runs as.
//!
//! A worker's session belongs to the run-as role. Our own statements run elevated: as the bootstrap superuser, with
//! the search path pinned, because without the pin a fixed `WHERE job = 1` would call an operator of the owner's
//! search path as superuser. An ERROR inside restores both, since it aborts the (sub)transaction.

use pgrx::pg_sys;
use std::ffi::CString;

/// The current user.
pub fn current_user() -> pg_sys::Oid {
    // SAFETY: reads a global.
    unsafe { pg_sys::GetUserId() }
}

/// Runs our own fixed statements with every right and a pinned search path. Never a user's code.
pub fn elevated<R>(body: impl FnOnce() -> R) -> R {
    acting_as(pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID), body)
}

/// Runs a fixed statement with the rights of `role` and a pinned search path, as an index function runs: nothing of it
/// outlives the statement.
pub fn acting_as<R>(role: pg_sys::Oid, body: impl FnOnce() -> R) -> R {
    restricted_to(role, || {
        set_local("search_path", "pg_catalog, pg_temp");
        body()
    })
}

/// The same for a query that a user gave, of an ordinary role that the caller may become: its names mean what they mean in
/// the session.
pub fn restricted_to<R>(role: pg_sys::Oid, body: impl FnOnce() -> R) -> R {
    let mut user = pg_sys::InvalidOid;
    let mut context = 0;
    let flags = (pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION) as i32;
    // SAFETY: the former identity is restored below, or by the abort when `body` raises.
    let level = unsafe {
        pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
        pg_sys::SetUserIdAndSecContext(role, context | flags);
        pg_sys::NewGUCNestLevel()
    };
    let result = body();
    // SAFETY: undoes exactly what was done above.
    unsafe {
        pg_sys::AtEOXact_GUC(true, level);
        pg_sys::SetUserIdAndSecContext(user, context);
    }
    result
}

/// Runs `body` with settings that end with it, with the rights of the server itself. When `body` raises they hold until
/// the error has been logged.
pub fn with_settings<R>(settings: &[(&str, &str)], body: impl FnOnce() -> R) -> R {
    // SAFETY: the nest level is closed below, or by the abort when `body` raises.
    let level = unsafe { pg_sys::NewGUCNestLevel() };
    for (name, value) in settings {
        set_local(name, value);
    }
    let result = body();
    // SAFETY: as above.
    unsafe { pg_sys::AtEOXact_GUC(true, level) };
    result
}

/// Sets a setting for this session, with the rights of the server itself.
pub fn set_for_session(name: &str, value: &str) {
    let (name, value) = (c_string(name), c_string(value));
    // SAFETY: both texts live over the call; PGC_S_OVERRIDE is how the server pins a setting of its own processes.
    unsafe {
        pg_sys::SetConfigOption(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_OVERRIDE,
        );
    }
}

/// Sets a setting for what is left of this transaction, its commit included, with the rights of the server itself.
pub fn set_for_transaction(name: &str, value: &str) {
    set_until(pg_sys::GucAction::GUC_ACTION_LOCAL, name, value);
}

fn set_local(name: &str, value: &str) {
    set_until(pg_sys::GucAction::GUC_ACTION_SAVE, name, value);
}

fn set_until(end: pg_sys::GucAction::Type, name: &str, value: &str) {
    let (name, value) = (c_string(name), c_string(value));
    // SAFETY: both texts live over the call; GUC_ACTION_SAVE ends with the nest level, GUC_ACTION_LOCAL with the transaction.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
            end,
            true,
            0,
            false,
        );
    }
}

fn c_string(text: &str) -> CString {
    CString::new(text).expect("names and values of our own settings hold no NUL")
}

/// How a worker becomes the run-as role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunAs {
    /// The role may log in: the session is its own from the start.
    Session(pg_sys::Oid),
    /// The role may not log in, and the server is older than 17: connect as superuser, then become the role before
    /// any of its code runs. Role changes are refused in every transaction of the session, commits included.
    Assumed(pg_sys::Oid),
}

impl RunAs {
    pub fn role(self) -> pg_sys::Oid {
        match self {
            RunAs::Session(role) | RunAs::Assumed(role) => role,
        }
    }
}

/// After connecting as superuser: the session becomes `role`, for good.
pub fn assume(role: pg_sys::Oid) {
    // SAFETY: called once, right after the connection, outside any transaction's user code.
    unsafe {
        pg_sys::SetSessionAuthorization(role, false);
        pg_sys::SetUserIdAndSecContext(role, pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32);
    }
}

/// Whether `role` is a superuser.
pub fn is_superuser(role: pg_sys::Oid) -> bool {
    // SAFETY: a syscache look-up inside a transaction.
    unsafe { pg_sys::superuser_arg(role) }
}
