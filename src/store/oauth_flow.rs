//! `sluice._oauth_flow`: authorizations that a person has begun and not finished.

use super::oauth::stamp;
use super::{execute, returning, row};
use crate::pg::Oid;
use crate::pg::clock::Timestamp;
use crate::pg::spi::Row;
use pgrx::datum::Uuid;
use sluice_core::Result;
use std::time::Duration;

/// An authorization that waits.
#[derive(Debug, Clone)]
pub struct Flow {
    pub id: [u8; 16],
    pub redirect_uri: Option<String>,
    pub definition: String,
    /// The PKCE verifier, or the device code.
    pub sealed: Vec<u8>,
    /// The code that the callback brought.
    pub code: Option<Vec<u8>>,
    pub poll_every: Option<f64>,
    /// Seconds until it lapses.
    pub expires_in: f64,
}

const COLUMNS: &str = "f.id, f.redirect_uri, f.definition, f.sealed, f.code_sealed, \
     date_part('epoch', f.poll_every), date_part('epoch', f.expires_at - $2)";

fn read(r: &Row) -> Result<Flow> {
    Ok(Flow {
        id: *r.need::<Uuid>(1)?.as_bytes(),
        redirect_uri: r.get(2)?,
        definition: r.need(3)?,
        sealed: r.need(4)?,
        code: r.get(5)?,
        poll_every: r.get(6)?,
        expires_in: r.need(7)?,
    })
}

/// What is stored when one begins.
pub struct Begun<'a> {
    pub id: [u8; 16],
    pub server: Oid,
    pub role: Oid,
    /// A hash of the state; None: a device.
    pub state_hash: Option<Vec<u8>>,
    pub redirect_uri: Option<&'a str>,
    pub definition: &'a str,
    pub sealed: Vec<u8>,
    pub poll_every: Option<Duration>,
    pub expires_at: Timestamp,
}

/// Stores one that begins. Those of the server that have lapsed are forgotten; a device has one at a time.
pub fn begin(begun: Begun<'_>, now: Timestamp) -> Result<()> {
    let is_device = begun.state_hash.is_none();
    let stale = "DELETE FROM sluice._oauth_flow WHERE server_oid = $1 AND (expires_at <= $2 OR $3 AND kind = 'device')";
    execute(stale, &[begun.server.into(), stamp(now).into(), is_device.into()])?;
    let sql = "INSERT INTO sluice._oauth_flow (id, server_oid, role_oid, kind, state_hash, redirect_uri, definition, sealed, \
               poll_every, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, \
               $9 * interval '1 second', $10)";
    let args = [
        Uuid::from_bytes(begun.id).into(),
        begun.server.into(),
        begun.role.into(),
        if is_device { "device" } else { "code" }.into(),
        begun.state_hash.into(),
        begun.redirect_uri.into(),
        begun.definition.into(),
        begun.sealed.into(),
        begun.poll_every.map(|every| every.as_secs_f64()).into(),
        stamp(begun.expires_at).into(),
    ];
    execute(sql, &args).map(drop)
}

/// The one that a callback belongs to: of this state, connection and role, not answered and not lapsed. The row is locked.
pub fn awaited(state_hash: &[u8], server: Oid, role: Oid, now: Timestamp) -> Result<Option<Flow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM sluice._oauth_flow AS f WHERE f.state_hash = $1 AND f.expires_at > $2 \
         AND f.server_oid = $3 AND f.role_oid = $4 AND f.code_sealed IS NULL FOR UPDATE"
    );
    let args = [
        state_hash.to_vec().into(),
        stamp(now).into(),
        server.into(),
        role.into(),
    ];
    returning(&sql, &args, read)
}

/// The code has come: the state serves no second time.
pub fn answer(id: [u8; 16], code: Vec<u8>) -> Result<()> {
    let sql = "UPDATE sluice._oauth_flow SET code_sealed = $2 WHERE id = $1";
    execute(sql, &[Uuid::from_bytes(id).into(), code.into()]).map(drop)
}

/// What a worker can do something about: the newest code that has come, else a device that is asked about.
pub fn open_of(server: Oid, now: Timestamp) -> Result<Option<Flow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM sluice._oauth_flow AS f WHERE f.server_oid = $1 \
         AND (f.code_sealed IS NOT NULL OR f.kind = 'device') \
         ORDER BY f.code_sealed IS NOT NULL DESC, f.created_at DESC LIMIT 1"
    );
    row(&sql, &[server.into(), stamp(now).into()], read)
}

/// The remote wants to be asked less often.
pub fn slow_down(id: [u8; 16]) -> Result<()> {
    let sql = "UPDATE sluice._oauth_flow SET poll_every = poll_every + interval '5 seconds' WHERE id = $1";
    execute(sql, &[Uuid::from_bytes(id).into()]).map(drop)
}

pub fn forget(id: [u8; 16]) -> Result<()> {
    let sql = "DELETE FROM sluice._oauth_flow WHERE id = $1";
    execute(sql, &[Uuid::from_bytes(id).into()]).map(drop)
}
