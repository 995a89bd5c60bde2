//! `sluice._audit`: who did what. Definitions are noted by a trigger of their tables; this is for operations that are no row.

use sluice_core::Result;

/// Notes an operation of the caller on an object of this kind and name.
pub fn note(action: &str, kind: &str, object: &str) -> Result<()> {
    let sql = "SELECT true FROM sluice._note_operation($1, $2, $3)";
    super::returning(sql, &[action.into(), kind.into(), object.into()], |_| Ok(())).map(drop)
}

/// Notes an operation on the whole database.
pub fn note_here(action: &str) -> Result<()> {
    let sql = "SELECT true FROM sluice._note_operation($1, 'database', pg_catalog.current_database())";
    super::returning(sql, &[action.into()], |_| Ok(())).map(drop)
}
