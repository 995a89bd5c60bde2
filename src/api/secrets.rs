//! Secrets come in, sealed, and never go out.

use super::{caller_name, given};
use crate::pg::report::{or_raise, tell};
use crate::pg::{Oid, catalog, clock, failpoint, identity, key_file};
use crate::pipeline::reference;
use crate::store::role::{self, Level};
use crate::store::rotation;
use crate::store::secret::{self, Sealed};
use crate::store::{audit, oauth};
use pgrx::prelude::*;
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::http::Secret;
use sluice_core::secret::{
    KeyRing, SecretFault, SecretLabel, Source, check_secret_name, check_secret_value, parse_reference,
};
use sluice_core::url_policy::parse_origin;

/// Seals a value under a name of the caller. An error inside does not put the statement, and with it the value, into
/// the server's log.
#[pg_extern(volatile, parallel_unsafe)]
fn set_secret(name: Option<&str>, value: Option<&str>, origin: default!(Option<&str>, "NULL")) {
    let hidden = [("log_min_error_statement", "panic")];
    identity::with_settings(&hidden, || {
        or_raise(given("name", name).and_then(|name| set(name, given("value", value)?, origin)));
    });
}

/// Says where the value of a secret of the caller is kept: it is read there each time that it is needed.
#[pg_extern(volatile, parallel_unsafe)]
fn set_secret_source(name: Option<&str>, source: Option<&str>, origin: default!(Option<&str>, "NULL")) {
    // Whoever gives a value by mistake does not find it in the log.
    let hidden = [("log_min_error_statement", "panic")];
    identity::with_settings(&hidden, || {
        or_raise(given("name", name).and_then(|name| set_source(name, given("source", source)?, origin)));
    });
}

fn set_source(name: &str, text: &str, origin: Option<&str>) -> Result<()> {
    catalog::require_primary()?;
    check_secret_name(name)?;
    let (source, place) = parse_reference(text)?;
    let owner = identity::current_user();
    match source {
        // It is run when it is needed, and not to see whether it would.
        Source::Command => reference::may_run(owner)?.map_err(|fault| SecretFault::Reference {
            name: name.into(),
            fault,
        })?,
        _ => reference::value(name, owner, source, Secret::new(place.to_owned())).map(drop)?,
    }
    store(name, (source, place), origin)
}

fn set(name: &str, value: &str, origin: Option<&str>) -> Result<()> {
    catalog::require_primary()?;
    check_secret_name(name)?;
    check_secret_value(name, value)?;
    store(name, (Source::Value, value), origin)
}

fn store(name: &str, (source, text): (Source, &str), origin: Option<&str>) -> Result<()> {
    let origin = origin.map(parse_origin).transpose()?;
    let owner = identity::current_user();
    let key = key_file::load()?;
    if oauth::hasten_for_owner(owner, clock::now())? {
        super::wake();
    }
    let owner_name = caller_name()?;
    // Another session may make the first value of this name just now: its secret is given this value then.
    while !secret::store(&sealed(owner, name, (source, text), origin.clone(), &key)?, &owner_name)? {}
    Ok(())
}

/// The value as the next version of the secret.
fn sealed(
    owner: Oid,
    name: &str,
    (source, text): (Source, &str),
    origin: Option<String>,
    key: &KeyRing,
) -> Result<Sealed> {
    let (id, version) = secret::slot(owner, name)?;
    let bound = match origin {
        Some(origin) => Some(origin),
        // A new value keeps the binding of the old one.
        None => secret::find(owner, name)?
            .filter(|s| s.owner == owner)
            .and_then(|s| s.origin),
    };
    let label = SecretLabel {
        name,
        uuid: id,
        kind: source.as_str(),
        version: u32::try_from(version).unwrap_or(0),
        origin: bound.as_deref().unwrap_or(""),
    };
    let sealed = secret::seal_value(key, &label, text.as_bytes());
    Ok(Sealed {
        id,
        owner,
        name: name.into(),
        origin: bound,
        version,
        source,
        sealed,
    })
}

/// Forgets a secret of the caller; an admin may forget anybody's by its owner's name.
#[pg_extern(volatile, parallel_unsafe)]
fn drop_secret(name: Option<&str>, owner: default!(Option<&str>, "NULL")) {
    or_raise(given("name", name).and_then(|name| forget(name, owner)));
}

fn forget(name: &str, owner: Option<&str>) -> Result<()> {
    catalog::require_primary()?;
    let caller = identity::current_user();
    let owner = match owner {
        None => caller,
        Some(owner) => role::by_name(owner)?,
    };
    if !role::has_rights_of(caller, owner)? && !role::has_level(caller, Level::Admin)? {
        return Err(CallError::Denied {
            what: format!("secret \"{name}\""),
            detail: "It belongs to another role.".into(),
            hint: "Its owner or an admin may drop it.".into(),
        }
        .into());
    }
    if secret::drop(owner, name)? {
        Ok(())
    } else {
        Err(unknown(name))
    }
}

/// Lets servers of another role name a secret of the caller. It must be bound to an origin: that is what limits where
/// it can be sent.
#[pg_extern(volatile, parallel_unsafe)]
fn grant_secret(name: Option<&str>, role: Option<&str>) {
    or_raise(given("name", name).and_then(|name| grant(name, given("role", role)?)));
}

fn grant(name: &str, role_name: &str) -> Result<()> {
    catalog::require_primary()?;
    let caller = identity::current_user();
    let found = secret::find(caller, name)?
        .filter(|s| s.owner == caller)
        .ok_or_else(|| unknown(name))?;
    let grantee = role::by_name(role_name)?;
    if found.origin.is_none() {
        return Err(CallError::UnboundSecret { name: name.into() }.into());
    }
    secret::grant(found.id, grantee, role_name)
}

/// Wraps the data key of each sealed value again with the current key; at most so many at a time. All or nothing: a call
/// that is broken off has changed nothing, and the older keys open what they opened before.
#[pg_extern(volatile, parallel_unsafe)]
fn rotate_key(
    most: default!(Option<i64>, "NULL"),
) -> TableIterator<'static, (name!(rewrapped, i64), name!(remaining, i64))> {
    TableIterator::once(or_raise(rotate(most)))
}

fn rotate(most: Option<i64>) -> Result<(i64, i64)> {
    catalog::require_primary()?;
    let keys = key_file::load()?;
    audit::note_here("rotate_key")?;
    rotation::forget_lapsed(clock::now())?;
    let (mut rewrapped, mut remaining) = (0, 0);
    for value in rotation::sealed_otherwise(&keys)? {
        let may = most.is_none_or(|most| rewrapped < most);
        match may && rotation::rewrap(&keys, &value)? {
            true => rewrapped += 1,
            false => remaining += 1,
        }
        failpoint::hit("rotation.rewrapped");
    }
    if remaining == 0 {
        tell(
            "every value is sealed with the current key".into(),
            "Older keys can be taken away; keep them with the backups that were made until now.".into(),
        );
    }
    Ok((rewrapped, remaining))
}

/// Forgets every secret and every token of this database, so that a copy of it can be given away.
#[pg_extern(volatile, parallel_unsafe)]
fn forget_secrets() -> i64 {
    or_raise(catalog::require_primary().and_then(|()| {
        audit::note_here("forget_secrets")?;
        rotation::forget_all()
    }))
}

fn unknown(name: &str) -> sluice_core::Error {
    let hint = "SELECT name FROM sluice.sync_secrets shows the secrets that you may see.".into();
    CallError::UnknownSecret {
        name: name.into(),
        hint,
    }
    .into()
}
