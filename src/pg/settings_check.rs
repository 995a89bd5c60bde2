//! What a setting with a format may hold: checked when it is given (ALTER SYSTEM, postgresql.conf), so that a slip of
//! the pen is an error there, and not a rule that silently does not hold.

use pgrx::pg_sys;
use pgrx::prelude::*;
use sluice_core::url_policy::lists::{ListFault, parse_hosts, parse_networks};
use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;

/// The server's signature of a check.
pub type Check = unsafe extern "C-unwind" fn(*mut *mut c_char, *mut *mut c_void, pg_sys::GucSource::Type) -> bool;

/// Why a value is refused, and what to write instead.
struct Refusal {
    detail: String,
    hint: String,
}

impl From<ListFault> for Refusal {
    fn from(fault: ListFault) -> Refusal {
        Refusal {
            detail: format!("{fault}."),
            hint: fault.hint(),
        }
    }
}

#[pg_guard]
pub unsafe extern "C-unwind" fn networks(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: called by the server with the value that is to be set.
    unsafe { accept(value, |text| Ok(parse_networks(text).map(drop)?)) }
}

#[pg_guard]
pub unsafe extern "C-unwind" fn hosts(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: as above.
    unsafe { accept(value, |text| Ok(parse_hosts(text).map(drop)?)) }
}

#[pg_guard]
pub unsafe extern "C-unwind" fn key_file(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: as above.
    unsafe { accept(value, |text| whole_path(text, "pg_sluice.key")) }
}

#[pg_guard]
pub unsafe extern "C-unwind" fn arm_file(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: as above.
    unsafe { accept(value, |text| whole_path(text, "pg_sluice.armed")) }
}

#[pg_guard]
pub unsafe extern "C-unwind" fn directories(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: as above.
    unsafe { accept(value, whole_directories) }
}

fn whole_directories(text: &str) -> Result<(), Refusal> {
    let mut paths = text.split(',').map(str::trim).filter(|path| !path.is_empty());
    match paths.all(|path| Path::new(path).is_absolute() && path != "/" && !path.contains("..")) {
        true => Ok(()),
        false => Err(Refusal {
            detail: "Each is a whole path, without .. and not the root.".into(),
            hint: "For example: '/run/secrets, /etc/pg_sluice/secrets'.".into(),
        }),
    }
}

/// A server's working directory is its data directory, whose copies would have the file too.
fn whole_path(text: &str, example: &str) -> Result<(), Refusal> {
    if text.is_empty() || Path::new(text).is_absolute() {
        return Ok(());
    }
    Err(Refusal {
        detail: "A relative path would begin in the data directory, where neither a key nor an arm file may lie."
            .into(),
        hint: format!("Give the whole path: '/etc/postgresql/{example}'."),
    })
}

unsafe fn accept(value: *mut *mut c_char, check: impl FnOnce(&str) -> Result<(), Refusal>) -> bool {
    // SAFETY: the caller passes the server's pointer to the new value, which is NULL or a C string.
    let text = unsafe { (!(*value).is_null()).then(|| CStr::from_ptr(*value).to_string_lossy()) };
    let Some(Err(refusal)) = text.map(|text| check(&text)) else {
        return true;
    };
    // SAFETY: the server reads these right after the check and frees them with the error.
    unsafe {
        pg_sys::GUC_check_errdetail_string = for_error(refusal.detail);
        pg_sys::GUC_check_errhint_string = for_error(refusal.hint);
    }
    false
}

unsafe fn for_error(text: String) -> *mut c_char {
    let text = CString::new(text).unwrap_or_default();
    // SAFETY: the context of errors exists in every process of the server.
    unsafe { pg_sys::MemoryContextStrdup(pg_sys::ErrorContext, text.as_ptr()) }
}
