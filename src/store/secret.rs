//! `sluice._secret`: sealed values. Nothing here opens one.

use super::{execute, returning, row, value};
use crate::pg::Oid;
use crate::pg::clock;
use pgrx::datum::Uuid;
use sluice_core::Result;
use sluice_core::secret::{KeyRing, SealRandom, SecretLabel, Source, seal};
use zeroize::Zeroizing;

/// A secret as it is stored.
pub struct Sealed {
    pub id: [u8; 16],
    pub owner: Oid,
    pub name: String,
    pub origin: Option<String>,
    pub version: i32,
    /// Whether `sealed` is the value or says where it is.
    pub source: Source,
    pub sealed: Vec<u8>,
}

/// Seals a value for this label, with fresh random bytes.
pub fn seal_value(keys: &KeyRing, label: &SecretLabel, value: &[u8]) -> Vec<u8> {
    let random = Zeroizing::new(clock::random_bytes::<{ SealRandom::BYTES }>());
    seal(keys.current(), label, value, SealRandom::from_bytes(&random))
}

/// The secret of this name that `owner` may name: an own one first, then one that was granted.
pub fn find(owner: Oid, name: &str) -> Result<Option<Sealed>> {
    let sql = include_str!("../../sql/query/find_secret.sql");
    row(sql, &[owner.into(), name.into()], |r| {
        Ok(Sealed {
            id: *r.need::<Uuid>(1)?.as_bytes(),
            owner: r.need(2)?,
            name: r.need(3)?,
            origin: r.get(4)?,
            version: r.need(5)?,
            sealed: r.need(6)?,
            source: Source::of(&r.need::<String>(7)?).expect("the table checks it"),
        })
    })
}

/// The id that a new secret gets, or the existing one's id and version.
pub fn slot(owner: Oid, name: &str) -> Result<([u8; 16], i32)> {
    let sql = "SELECT s.id, s.version FROM sluice._secret AS s \
               WHERE s.name = $2 AND sluice._role_now(s.owner_oid, s.owner_name, s.armed_in) = $1 \
               ORDER BY s.armed_in = sluice._here() DESC LIMIT 1 FOR UPDATE";
    let found = returning(sql, &[owner.into(), name.into()], |r| {
        Ok((*r.need::<Uuid>(1)?.as_bytes(), r.need::<i32>(2)?))
    })?;
    match found {
        Some((id, version)) => Ok((id, version + 1)),
        None => {
            let id = value::<Uuid>("SELECT pg_catalog.gen_random_uuid()", &[])?.expect("a function without arguments");
            Ok((*id.as_bytes(), 1))
        }
    }
}

/// Stores a sealed value under its owner and name; false where another value was stored since this one's version was taken.
pub fn store(secret: &Sealed, owner_name: &str) -> Result<bool> {
    let sql = match secret.version {
        1 => include_str!("../../sql/query/insert_secret.sql"),
        _ => include_str!("../../sql/query/store_secret.sql"),
    };
    let args = [
        Uuid::from_bytes(secret.id).into(),
        secret.owner.into(),
        owner_name.into(),
        secret.name.as_str().into(),
        secret.origin.clone().into(),
        secret.version.into(),
        secret.sealed.clone().into(),
        secret.source.as_str().into(),
    ];
    Ok(execute(sql, &args)? == 1)
}

pub fn drop(owner: Oid, name: &str) -> Result<bool> {
    let sql = "DELETE FROM sluice._secret \
               WHERE name = $2 AND sluice._role_now(owner_oid, owner_name, armed_in) = $1";
    Ok(execute(sql, &[owner.into(), name.into()])? > 0)
}

/// Lets another role's servers name this secret.
pub fn grant(id: [u8; 16], role: Oid, role_name: &str) -> Result<()> {
    let sql = "INSERT INTO sluice._secret_grant (secret_id, role_oid, role_name) VALUES ($1, $2, $3) \
               ON CONFLICT DO NOTHING";
    execute(sql, &[Uuid::from_bytes(id).into(), role.into(), role_name.into()]).map(std::mem::drop)
}
