//! Our errors as PostgreSQL reports, and PostgreSQL's reports as our errors.

use pgrx::pg_sys;
use pgrx::pg_sys::panic::{CaughtError, ErrorReport};
use pgrx::prelude::*;
use sluice_core::error::{DatabaseError, Error, InternalError};

/// The report that raises `error`: its SQLSTATE, detail and hint included.
pub fn report(error: &Error) -> ErrorReport {
    let code = PgSqlErrorCode::from(sqlstate_code(error.sqlstate()));
    let mut report = ErrorReport::new(code, error.to_string(), "pg_sluice");
    if let Some(detail) = error.detail() {
        report = report.set_detail(detail);
    }
    if let Some(hint) = error.hint() {
        report = report.set_hint(hint);
    }
    report
}

/// Raises `error` in this session; never comes back.
pub fn raise(error: &Error) -> ! {
    let code = sqlstate_code(error.sqlstate());
    if PgSqlErrorCode::from(code) as i32 != code {
        keep_own_code(code);
    }
    report(error).report(PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}

/// Has the report that is about to be raised carry an SQLSTATE of our own.
///
/// pgrx knows PostgreSQL's codes only and makes XX000 of any other. The server asks the context callbacks while it
/// finishes a report, and there the code may still be set. The callback takes itself off the stack; where it is not
/// reached, the server does so when it cleans up after the error.
fn keep_own_code(code: i32) {
    static mut CALLBACK: pg_sys::ErrorContextCallback = pg_sys::ErrorContextCallback {
        previous: std::ptr::null_mut(),
        callback: Some(set_code),
        arg: std::ptr::null_mut(),
    };
    // SAFETY: only the session's one thread comes here, and the callback's memory lives as long as the library.
    unsafe {
        CALLBACK.previous = pg_sys::error_context_stack;
        CALLBACK.arg = code as usize as *mut core::ffi::c_void;
        pg_sys::error_context_stack = &raw mut CALLBACK;
    }
}

unsafe extern "C-unwind" {
    /// Sets the code of the report that the server is at (elog.h); pgrx does not bind it.
    fn errcode(code: core::ffi::c_int) -> core::ffi::c_int;
}

unsafe extern "C-unwind" fn set_code(code: *mut core::ffi::c_void) {
    // SAFETY: called by the server while it finishes a report; we are on top of the stack that it walks.
    unsafe {
        errcode(code as usize as i32);
        pg_sys::error_context_stack = (*pg_sys::error_context_stack).previous;
    }
}

/// Tells the session something good: a NOTICE with the next step as its hint.
pub fn tell(message: String, hint: String) {
    ErrorReport::new(PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, message, "pg_sluice")
        .set_hint(hint)
        .report(PgLogLevel::NOTICE);
}

/// The value, or the error raised in this session.
pub fn or_raise<T>(result: Result<T, Error>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => raise(&error),
    }
}

/// What PostgreSQL (or a panic) said, as one of our errors.
pub fn from_caught(caught: CaughtError) -> Error {
    match caught {
        CaughtError::PostgresError(r) | CaughtError::ErrorReport(r) => Error::Database(DatabaseError {
            sqlstate: sqlstate_text(r.sql_error_code() as i32),
            message: r.message().to_string(),
            detail: r.detail().map(str::to_string),
            hint: r.hint().map(str::to_string),
        }),
        CaughtError::RustPanic { ereport, .. } => Error::Internal(InternalError::Panic {
            message: ereport.message().to_string(),
        }),
    }
}

/// PostgreSQL packs five characters of six bits each into an integer (`MAKE_SQLSTATE`).
fn sqlstate_code(text: &str) -> i32 {
    text.bytes()
        .take(5)
        .enumerate()
        .fold(0, |code, (i, byte)| code | ((i32::from(byte) - 0x30) & 0x3F) << (6 * i))
}

fn sqlstate_text(code: i32) -> String {
    (0..5)
        .map(|i| char::from((((code >> (6 * i)) & 0x3F) + 0x30) as u8))
        .collect()
}
