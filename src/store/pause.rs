//! `sluice._connection_pause`: connections whose jobs wait.

use super::{execute, row, rows, value};
use crate::pg::Oid;
use crate::pg::clock::Timestamp;
use pgrx::datum::TimestampWithTimeZone;
use sluice_core::Result;
use std::collections::HashSet;

/// Has the jobs of a connection wait; None: until somebody resumes it. What was said before is replaced.
pub fn pause(server: Oid, reason: Option<&str>, by: &str, until: Option<Timestamp>) -> Result<()> {
    let sql = "INSERT INTO sluice._connection_pause (server_oid, server_name, reason, paused_by, until) \
               SELECT s.oid, s.srvname, $2, $3, $4 FROM pg_catalog.pg_foreign_server AS s WHERE s.oid = $1 \
               ON CONFLICT (server_oid) DO UPDATE SET server_name = excluded.server_name, armed_in = excluded.armed_in, reason = excluded.reason, paused_by = excluded.paused_by, \
               paused_at = excluded.paused_at, until = excluded.until";
    let until = until.map(TimestampWithTimeZone::from);
    execute(sql, &[server.into(), reason.into(), by.into(), until.into()]).map(drop)
}

/// Whether it was paused.
pub fn resume(server: Oid) -> Result<bool> {
    let sql = "DELETE FROM sluice._connection_pause WHERE server_oid = $1";
    Ok(execute(sql, &[server.into()])? > 0)
}

/// The reason of a paused connection, NULL where none was given; None where it is not paused.
pub fn reason(server: Oid) -> Result<Option<Option<String>>> {
    let sql = "SELECT reason FROM sluice._connection_pause WHERE server_oid = $1";
    row(sql, &[server.into()], |r| r.get(1))
}

/// Ends the pauses whose time has come, and gives those that last.
pub fn lasting(now: Timestamp) -> Result<HashSet<Oid>> {
    let over = "SELECT EXISTS (SELECT FROM sluice._connection_pause WHERE until <= $1)";
    let at = || TimestampWithTimeZone::from(now).into();
    if value::<bool>(over, &[at()])?.unwrap_or(false) {
        execute("DELETE FROM sluice._connection_pause WHERE until <= $1", &[at()])?;
    }
    let left = rows("SELECT server_oid FROM sluice._connection_pause", &[], |r| r.need(1))?;
    Ok(left.into_iter().collect())
}

/// Seconds until the next pause ends by itself.
pub fn seconds_to_next(now: Timestamp) -> Result<Option<f64>> {
    let sql = "SELECT date_part('epoch', min(until) - $1) FROM sluice._connection_pause";
    value::<f64>(sql, &[TimestampWithTimeZone::from(now).into()])
}
