//! `sluice._audit`: who did what. Definitions are noted by a trigger of their tables; this is for operations that are no row.

use sluice_core::Result;

/// Notes an operation of the caller on an object of this kind and name.
pub fn note(action: &str, kind: &str, object: &str) -> Result<()> {
    let sql = "SELECT true FROM sluice._note_operation($1, $2, $3)";
    super::returning(sql, &[action.into(), kind.into(), object.into()], |_| Ok(())).map(drop)
}

/// Notes that the caller armed the jobs of this database; each that was not is noted with it, by the trigger of its table.
pub fn note_armed(jobs: i64) -> Result<()> {
    let sql = "SELECT true FROM sluice._note_operation('arm', 'database', pg_catalog.current_database()::text, NULL, NULL, \
               pg_catalog.jsonb_build_object('jobs', $1))";
    super::returning(sql, &[jobs.into()], |_| Ok(())).map(drop)
}
