//! Our errors as PostgreSQL reports, and PostgreSQL's reports as our errors.

use super::catalog::storable;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::{CaughtError, ErrorReport};
use pgrx::prelude::*;
use sluice_core::error::{DatabaseError, Error, InternalError};
use std::cell::{Cell, UnsafeCell};

/// The report that raises `error`: its SQLSTATE, detail and hint included.
pub fn report(error: &Error) -> ErrorReport {
    let code = PgSqlErrorCode::from(sqlstate_code(error.sqlstate()));
    let mut report = ErrorReport::new(code, storable(error.to_string()), "pg_sluice");
    if let Some(detail) = error.detail() {
        report = report.set_detail(storable(detail));
    }
    if let Some(hint) = error.hint() {
        report = report.set_hint(storable(hint));
    }
    report
}

/// Raises `error` in this session; never comes back.
pub fn raise(error: &Error) -> ! {
    let code = sqlstate_code(error.sqlstate());
    if PgSqlErrorCode::from(code) as i32 != code {
        put_sqlstate(code);
    }
    report(error).report(PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}

unsafe extern "C-unwind" {
    fn errcode(code: core::ffi::c_int) -> core::ffi::c_int;
}

thread_local! {
    /// The context that gives the next error its SQLSTATE. It outlives the unwinding, as no value on a stack would.
    static CONTEXT: UnsafeCell<pg_sys::ErrorContextCallback> = const {
        UnsafeCell::new(pg_sys::ErrorContextCallback {
            previous: std::ptr::null_mut(),
            callback: Some(set_sqlstate),
            arg: std::ptr::null_mut(),
        })
    };
    static SQLSTATE: Cell<i32> = const { Cell::new(0) };
}

/// Has the error that is about to be raised carry a SQLSTATE of ours. pgrx turns those that it does not know into
/// XX000; a context callback of the server is asked after that, and may set another.
fn put_sqlstate(code: i32) {
    SQLSTATE.set(code);
    CONTEXT.with(|context| {
        // SAFETY: the server walks this list only in this thread and while it reports an error; the callback takes the
        // context out of it again, and so does whoever catches the error.
        unsafe {
            (*context.get()).previous = pg_sys::error_context_stack;
            pg_sys::error_context_stack = context.get();
        }
    });
}

unsafe extern "C-unwind" fn set_sqlstate(_arg: *mut core::ffi::c_void) {
    let code = SQLSTATE.replace(0);
    CONTEXT.with(|context| {
        // SAFETY: called by the server while it reports an error, which is when errcode may be.
        unsafe {
            if pg_sys::error_context_stack == context.get() {
                pg_sys::error_context_stack = (*context.get()).previous;
            }
            if code != 0 {
                errcode(code);
            }
        }
    });
}

/// Tells the session something good: a NOTICE with the next step as its hint.
pub fn tell(message: String, hint: String) {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
        storable(message),
        "pg_sluice",
    )
    .set_hint(storable(hint))
    .report(PgLogLevel::NOTICE);
}

/// Warns the session of something that works otherwise than one might think.
pub fn warn(message: String, detail: String, hint: String) {
    ErrorReport::new(PgSqlErrorCode::ERRCODE_WARNING, storable(message), "pg_sluice")
        .set_detail(storable(detail))
        .set_hint(storable(hint))
        .report(PgLogLevel::WARNING);
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
            record: None,
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
