//! `sluice._oauth`: what connections are connected with. Nothing here opens a token.

use super::connection::Server;
use super::{execute, row, rows, value};
use crate::pg::catalog::{self, storable};
use crate::pg::clock::Timestamp;
use crate::pg::spi::Row;
use crate::pg::{Oid, bgworker};
use pgrx::datum::{TimestampWithTimeZone, Uuid};
use sluice_core::oauth::Grant as Kind;
use sluice_core::{Error, Result};

/// A connection's grant, or the place where one will be.
#[derive(Debug, Clone)]
pub struct Grant {
    pub id: i64,
    pub uuid: [u8; 16],
    pub server: Oid,
    pub owner: Oid,
    pub connected: bool,
    pub needs_person: bool,
    pub definition: String,
    pub version: i32,
    pub access: Option<Vec<u8>>,
    pub refresh: Option<Vec<u8>>,
    /// The refresh token before, and its version: until the new one has worked.
    pub previous: Option<(i32, Vec<u8>)>,
    pub scope: Option<String>,
    /// Seconds until then; None: not known.
    pub renew_in: Option<f64>,
    pub expires_in: Option<f64>,
    pub failures: u32,
    /// Tells one failure from the next.
    pub failed_at: Option<f64>,
    pub error: Option<String>,
}

const SELECT: &str = "SELECT o.id, o.uuid, o.server_oid, o.owner_oid, o.state = 'connected', o.needs_person, o.definition, \
     o.version, o.access_sealed, o.refresh_sealed, o.previous_version, o.previous_sealed, o.scope, \
     date_part('epoch', o.renew_at - $2), date_part('epoch', o.expires_at - $2), o.failures, \
     date_part('epoch', o.failed_at), CASE WHEN o.sqlstate = 'SY010' THEN o.error_detail \
     ELSE nullif(concat_ws('. ', o.error_message, o.error_detail), '') END FROM sluice._oauth AS o";

fn read(r: &Row) -> Result<Grant> {
    Ok(Grant {
        id: r.need(1)?,
        uuid: *r.need::<Uuid>(2)?.as_bytes(),
        server: r.need(3)?,
        owner: r.need(4)?,
        connected: r.need(5)?,
        needs_person: r.need(6)?,
        definition: r.need(7)?,
        version: r.need(8)?,
        access: r.get(9)?,
        refresh: r.get(10)?,
        previous: r.get::<i32>(11)?.zip(r.get::<Vec<u8>>(12)?),
        scope: r.get(13)?,
        renew_in: r.get(14)?,
        expires_in: r.get(15)?,
        failures: u32::try_from(r.need::<i32>(16)?).unwrap_or(0),
        failed_at: r.get(17)?,
        error: r.get(18)?,
    })
}

/// What a refresh token is bound to: the server that takes it, and the API that it was got for.
pub fn refresh_origin(token_origin: &str, api_origin: &str) -> String {
    format!("{token_origin} for {api_origin}")
}

/// The table's own oid: the class of the locks that say "this token is being renewed".
pub fn table() -> Result<Oid> {
    value("SELECT 'sluice._oauth'::pg_catalog.regclass::oid", &[])
        .map(|oid| oid.expect("a cast of a constant is not null"))
}

fn here() -> (i64, Oid) {
    (catalog::system_identifier(), bgworker::my_database_oid())
}

/// The grant of a server, as far as it belongs to this database.
pub fn of_server(server: Oid, now: Timestamp) -> Result<Option<Grant>> {
    let (system, database) = here();
    let sql = format!("{SELECT} WHERE o.server_oid = $1 AND o.armed_system = $3 AND o.armed_database = $4");
    row(
        &sql,
        &[server.into(), stamp(now).into(), system.into(), database.into()],
        read,
    )
}

pub fn by_id(id: i64, now: Timestamp) -> Result<Option<Grant>> {
    row(
        &format!("{SELECT} WHERE o.id = $1"),
        &[id.into(), stamp(now).into()],
        read,
    )
}

/// Makes the place for a server's grant where there is none.
pub fn prepare(server: &Server, kind: Kind, definition: &str) -> Result<()> {
    let sql = "INSERT INTO sluice._oauth (server_oid, server_name, owner_oid, owner_name, state, needs_person, definition, \
               armed_system, armed_database) VALUES ($1, $2, $3, $4, 'reauth_required', $5, $6, $7, $8) \
               ON CONFLICT (server_oid, armed_system, armed_database) DO NOTHING";
    let (system, database) = here();
    let args = [
        server.oid.into(),
        server.name.as_str().into(),
        server.owner.into(),
        server.owner_name.as_str().into(),
        kind.needs_a_person().into(),
        definition.into(),
        system.into(),
        database.into(),
    ];
    execute(sql, &args).map(drop)
}

/// Tokens as they are stored: sealed under `version`.
pub struct Sealed<'a> {
    pub version: i32,
    pub access: Vec<u8>,
    pub refresh: Option<Vec<u8>>,
    /// The refresh token is another than before.
    pub replaces: bool,
    pub scope: Option<String>,
    pub definition: &'a str,
    pub token_origin: String,
    pub api_origin: String,
    pub renew_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub due_at: Option<Timestamp>,
    pub now: Timestamp,
}

/// Stores new tokens. The refresh token before stays until the new one has worked, where it was replaced.
pub fn store(id: i64, server: &Server, sealed: Sealed<'_>) -> Result<()> {
    let sql = include_str!("../../sql/query/store_tokens.sql");
    let args = [
        id.into(),
        sealed.version.into(),
        sealed.access.into(),
        sealed.refresh.into(),
        sealed.scope.into(),
        sealed.definition.into(),
        sealed.renew_at.map(stamp).into(),
        sealed.expires_at.map(stamp).into(),
        sealed.due_at.map(stamp).into(),
        stamp(sealed.now).into(),
        server.owner.into(),
        server.owner_name.as_str().into(),
        server.name.as_str().into(),
        sealed.replaces.into(),
        sealed.token_origin.into(),
        sealed.api_origin.into(),
    ];
    execute(sql, &args).map(drop)
}

/// The new refresh token has worked.
pub fn forget_previous(id: i64, version: i32) -> Result<()> {
    let sql = "UPDATE sluice._oauth SET previous_sealed = NULL, previous_version = NULL WHERE id = $1 AND version = $2 \
               AND previous_sealed IS NOT NULL";
    execute(sql, &[id.into(), version.into()]).map(drop)
}

/// What becomes of a grant whose renewal failed.
#[derive(Debug, Clone, Copy)]
pub struct Failed {
    /// 0: what failed was not the renewal.
    pub failures: u32,
    pub connected: bool,
    pub needs_person: bool,
    pub due_at: Option<Timestamp>,
    pub now: Timestamp,
}

/// Notes a failure, unless other tokens were stored meanwhile; whether it did.
pub fn note_failure(grant: &Grant, failed: Failed, error: &Error) -> Result<bool> {
    let sql = "UPDATE sluice._oauth SET failures = $3, state = CASE WHEN $4 THEN 'connected' ELSE 'reauth_required' END, \
               needs_person = $5, due_at = $6, failed_at = $7, error_class = $8, sqlstate = $9, error_message = $10, \
               error_detail = $11, error_hint = $12, updated_at = clock_timestamp() WHERE id = $1 AND version = $2";
    let args = [
        grant.id.into(),
        grant.version.into(),
        i32::try_from(failed.failures).unwrap_or(i32::MAX).into(),
        failed.connected.into(),
        failed.needs_person.into(),
        failed.due_at.map(stamp).into(),
        stamp(failed.now).into(),
        error.class().as_str().into(),
        error.sqlstate().into(),
        storable(error.to_string()).into(),
        error.detail().map(storable).into(),
        error.hint().map(storable).into(),
    ];
    Ok(execute(sql, &args)? == 1)
}

/// Has a worker look at it then; None: not before somebody asks.
pub fn plan(id: i64, at: Option<Timestamp>) -> Result<()> {
    let sql = "UPDATE sluice._oauth SET due_at = $2 WHERE id = $1";
    execute(sql, &[id.into(), at.map(stamp).into()]).map(drop)
}

/// The same by its server, for authorizations that were begun or finished.
pub fn plan_for_server(server: Oid, at: Timestamp) -> Result<()> {
    let sql =
        "UPDATE sluice._oauth SET due_at = $2 WHERE server_oid = $1 AND armed_system = $3 AND armed_database = $4";
    let (system, database) = here();
    execute(sql, &[server.into(), stamp(at).into(), system.into(), database.into()]).map(drop)
}

/// A secret was set anew: what waits for one of its owner's is tried again.
pub fn hasten_for_owner(owner: Oid, now: Timestamp) -> Result<bool> {
    let sql = "UPDATE sluice._oauth SET due_at = $2 WHERE owner_oid = $1 AND failures > 0 AND NOT needs_person \
               AND armed_system = $3 AND armed_database = $4";
    let (system, database) = here();
    Ok(execute(sql, &[owner.into(), stamp(now).into(), system.into(), database.into()])? > 0)
}

/// A grant that a worker is to look at.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    pub id: i64,
    pub server: Oid,
    /// Negative when its time has passed.
    pub seconds: f64,
}

/// The grants of this database that have a time, the earliest first.
pub fn due(now: Timestamp) -> Result<Vec<Due>> {
    let sql = "SELECT o.id, o.server_oid, date_part('epoch', o.due_at - $1) FROM sluice._oauth AS o \
               JOIN pg_catalog.pg_foreign_server AS s ON s.oid = o.server_oid \
               WHERE o.due_at IS NOT NULL AND o.armed_system = $2 AND o.armed_database = $3 ORDER BY o.due_at LIMIT 100";
    let (system, database) = here();
    rows(sql, &[stamp(now).into(), system.into(), database.into()], |r| {
        Ok(Due {
            id: r.need(1)?,
            server: r.need(2)?,
            seconds: r.need(3)?,
        })
    })
}

/// The jobs of a server whose last run ended because it was not connected; their waiting retries become due.
pub fn waiting_jobs(server: Oid, now: Timestamp) -> Result<Vec<i64>> {
    let sql = "UPDATE sluice._retry AS q SET next_retry_at = least(q.next_retry_at, $2), updated_at = clock_timestamp() \
               FROM sluice._job AS j WHERE j.id = q.job_id AND j.server_oid = $1 AND q.status = 'pending'";
    execute(sql, &[server.into(), stamp(now).into()])?;
    rows(
        include_str!("../../sql/query/waiting_jobs.sql"),
        &[server.into()],
        |r| r.need(1),
    )
}

pub(super) fn stamp(time: Timestamp) -> TimestampWithTimeZone {
    time.into()
}
