//! Small looks into the system catalogs that need no SQL.

use pgrx::pg_sys;
use sluice_core::call::CallError;
use sluice_core::target::TargetError;
use sluice_core::{Error, Result};
use std::ffi::{CStr, CString};

/// A database that could hold jobs.
pub struct DatabaseName {
    pub oid: u32,
    pub name: String,
}

/// `pg_database.datconnlimit` of a database whose creation or drop was interrupted.
const INVALID_DATABASE: i32 = -2;

/// Every database that takes connections and is no template. Shared catalogs only: works without a database.
pub fn databases() -> Vec<DatabaseName> {
    let mut found = Vec::new();
    // SAFETY: the steps of the server's own launchers: a transaction, a catalog scan, its end. Rows are copied out
    // before the next is fetched.
    unsafe {
        pg_sys::StartTransactionCommand();
        pg_sys::GetTransactionSnapshot();
        let relation = pg_sys::table_open(pg_sys::DatabaseRelationId, pg_sys::AccessShareLock as i32);
        let scan = pg_sys::table_beginscan_catalog(relation, 0, std::ptr::null_mut());
        loop {
            let tuple = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tuple.is_null() {
                break;
            }
            let form = &*(pg_sys::GETSTRUCT(tuple) as *mut pg_sys::FormData_pg_database);
            if form.datallowconn && !form.datistemplate && form.datconnlimit != INVALID_DATABASE {
                let name = CStr::from_ptr(form.datname.data.as_ptr())
                    .to_string_lossy()
                    .into_owned();
                found.push(DatabaseName {
                    oid: form.oid.to_u32(),
                    name,
                });
            }
        }
        pg_sys::table_endscan(scan);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
        pg_sys::CommitTransactionCommand();
    }
    found
}

/// Whether our extension is installed in this database. Needs a transaction.
pub fn extension_exists() -> bool {
    // SAFETY: a catalog look-up with a static name; missing is allowed.
    unsafe { pg_sys::get_extension_oid(c"pg_sluice".as_ptr(), true) != pg_sys::InvalidOid }
}

/// The database of this name. Needs a transaction.
pub fn database_oid(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: a catalog look-up; missing is allowed.
    let oid = unsafe { pg_sys::get_database_oid(name.as_ptr(), true) };
    (oid != pg_sys::InvalidOid).then(|| oid.to_u32())
}

/// The name of this process's database. Needs a transaction.
pub fn database_name() -> String {
    // SAFETY: a catalog look-up; the name is freshly allocated, or NULL.
    unsafe {
        let name = pg_sys::get_database_name(pg_sys::MyDatabaseId);
        match name.is_null() {
            true => String::new(),
            false => CStr::from_ptr(name).to_string_lossy().into_owned(),
        }
    }
}

/// The role of this name. Needs a transaction.
pub fn role_oid(name: &str) -> Option<pg_sys::Oid> {
    let name = CString::new(name).ok()?;
    // SAFETY: a catalog look-up; missing is allowed.
    let oid = unsafe { pg_sys::get_role_oid(name.as_ptr(), true) };
    (oid != pg_sys::InvalidOid).then_some(oid)
}

/// The catalog class of foreign servers, as a validator is told it.
pub fn foreign_server_class() -> pg_sys::Oid {
    pg_sys::ForeignServerRelationId
}

/// The catalog class of foreign tables.
pub fn foreign_table_class() -> pg_sys::Oid {
    pg_sys::ForeignTableRelationId
}

/// The cluster's own number, as `pg_controldata` shows it.
pub fn system_identifier() -> i64 {
    // SAFETY: reads shared memory that is set at the server's start.
    unsafe { pg_sys::GetSystemIdentifier() as i64 }
}

/// A text that this database can hold whatever its encoding: as it is in UTF8; elsewhere with escapes for all but ASCII,
/// since what cannot be converted would be an error in place of what was to be told.
pub fn storable(text: String) -> String {
    if is_holdable(&text) {
        return text;
    }
    let escaped = |c: char| match c.is_ascii() {
        true => c.to_string(),
        false => c
            .encode_utf16(&mut [0; 2])
            .iter()
            .map(|unit| format!("\\u{unit:04x}"))
            .collect(),
    };
    text.chars().map(escaped).collect()
}

/// Whether a text has the same bytes in this database's encoding: all of them in UTF8, elsewhere ASCII.
pub fn is_holdable(text: &str) -> bool {
    // SAFETY: reads a global of the session.
    text.is_ascii() || unsafe { pg_sys::GetDatabaseEncoding() } == pg_sys::pg_enc::PG_UTF8 as i32
}

/// The error for a name, or for a text of a definition, that is not [holdable](is_holdable).
pub fn not_ascii(what: String, remedy: &'static str) -> Error {
    // SAFETY: gives a static C string.
    let encoding = unsafe { CStr::from_ptr(pg_sys::GetDatabaseEncodingName()) };
    TargetError::NotAscii {
        what,
        encoding: encoding.to_string_lossy().into_owned(),
        remedy,
    }
    .into()
}

/// Refuses what writes where nothing can be written.
pub fn require_primary() -> Result<()> {
    if in_recovery() {
        return Err(CallError::Standby.into());
    }
    Ok(())
}

/// Whether the server is a standby.
fn in_recovery() -> bool {
    // SAFETY: reads shared memory.
    unsafe { pg_sys::RecoveryInProgress() }
}
