//! Our errors as PostgreSQL reports, and PostgreSQL's reports as our errors.

use pgrx::pg_sys;
use pgrx::pg_sys::panic::{CaughtError, ErrorReport};
use pgrx::prelude::*;
use sluice_core::error::{DatabaseError, Error, InternalError};
use std::ffi::CString;

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
        raise_own(error, code);
    }
    report(error).report(PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}

/// Raises `error` with an SQLSTATE of our own, which pgrx's list of codes does not have.
fn raise_own(error: &Error, code: i32) {
    let text = |text: String| CString::new(text.replace('\0', "")).unwrap_or_default();
    let message = text(error.to_string());
    let (detail, hint) = (error.detail().map(text), error.hint().map(text));
    let pointer = |text: &Option<CString>| text.as_ref().map_or(std::ptr::null_mut(), |t| t.as_ptr().cast_mut());
    let mut data = pg_sys::ErrorData {
        elevel: PgLogLevel::ERROR as i32,
        sqlerrcode: code,
        message: message.as_ptr().cast_mut(),
        detail: pointer(&detail),
        hint: pointer(&hint),
        ..Default::default()
    };
    // SAFETY: the server copies the texts before it raises the error, which unwinds through pgrx's guard.
    unsafe { pg_sys::ThrowErrorData(&raw mut data) };
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
