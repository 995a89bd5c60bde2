//! All that is sealed, whatever table it is in: for wrapping it again with another key, and for forgetting it.

use super::oauth::{refresh_origin, stamp};
use super::{execute, rows};
use crate::pg::answer_file;
use crate::pg::clock::{self, Timestamp};
use pgrx::datum::Uuid;
use sluice_core::Result;
use sluice_core::secret::{KeyRing, SecretFault, SecretLabel, rewrap as rewrapped};

/// A sealed value, and what it was sealed as.
pub struct Value {
    place: Place,
    kind: String,
    uuid: [u8; 16],
    version: i32,
    origin: String,
    sealed: Vec<u8>,
}

/// The column that holds it.
#[derive(Debug, Clone, Copy)]
enum Place {
    Secret,
    Access,
    Refresh,
    Previous,
}

impl Place {
    const ALL: [Place; 4] = [Place::Secret, Place::Access, Place::Refresh, Place::Previous];

    /// Its rows that were sealed with another key than $1: the key's id stands behind the format's byte.
    fn select(self) -> &'static str {
        match self {
            Place::Secret => {
                "SELECT id, version, origin, NULL::text, sealed, source FROM sluice._secret \
                 WHERE substring(sealed from 2 for 8) <> $1 ORDER BY id"
            }
            Place::Access => {
                "SELECT uuid, version, token_origin, api_origin, access_sealed, 'oauth_access' FROM sluice._oauth \
                 WHERE substring(access_sealed from 2 for 8) <> $1 ORDER BY id"
            }
            Place::Refresh => {
                "SELECT uuid, version, token_origin, api_origin, refresh_sealed, 'oauth_refresh' FROM sluice._oauth \
                 WHERE substring(refresh_sealed from 2 for 8) <> $1 ORDER BY id"
            }
            Place::Previous => {
                "SELECT uuid, previous_version, token_origin, api_origin, previous_sealed, 'oauth_refresh' FROM sluice._oauth \
                 WHERE substring(previous_sealed from 2 for 8) <> $1 ORDER BY id"
            }
        }
    }

    /// Only where it is still what was read: a token may have been renewed meanwhile.
    fn update(self) -> &'static str {
        match self {
            Place::Secret => "UPDATE sluice._secret SET sealed = $3 WHERE id = $1 AND sealed = $2",
            Place::Access => "UPDATE sluice._oauth SET access_sealed = $3 WHERE uuid = $1 AND access_sealed = $2",
            Place::Refresh => "UPDATE sluice._oauth SET refresh_sealed = $3 WHERE uuid = $1 AND refresh_sealed = $2",
            Place::Previous => "UPDATE sluice._oauth SET previous_sealed = $3 WHERE uuid = $1 AND previous_sealed = $2",
        }
    }

    fn origin(self, token: Option<String>, api: Option<String>) -> String {
        let (token, api) = (token.unwrap_or_default(), api.unwrap_or_default());
        match self {
            Place::Secret => token,
            Place::Access => api,
            Place::Refresh | Place::Previous => refresh_origin(&token, &api),
        }
    }
}

/// What is sealed with another key than the current one.
pub fn sealed_otherwise(keys: &KeyRing) -> Result<Vec<Value>> {
    let current = keys.current().id().as_bytes().to_vec();
    let mut found = Vec::new();
    for place in Place::ALL {
        found.extend(rows(place.select(), &[current.clone().into()], |r| {
            Ok(Value {
                place,
                uuid: *r.need::<Uuid>(1)?.as_bytes(),
                version: r.need(2)?,
                origin: place.origin(r.get(3)?, r.get(4)?),
                sealed: r.need(5)?,
                kind: r.need(6)?,
            })
        })?);
    }
    Ok(found)
}

/// Wraps the data key of a value again; false where its key is not here, or it is damaged.
pub fn rewrap(keys: &KeyRing, value: &Value) -> Result<bool> {
    let label = SecretLabel {
        name: "",
        uuid: value.uuid,
        kind: &value.kind,
        version: u32::try_from(value.version).unwrap_or(0),
        origin: &value.origin,
    };
    let again = keys
        .key_of(&label, &value.sealed)
        .and_then(|old| rewrapped(old, keys.current(), &label, &value.sealed, clock::random_bytes()));
    let sealed = match again {
        Ok(sealed) => sealed,
        Err(SecretFault::AnotherKey { .. } | SecretFault::Damaged { .. } | SecretFault::UnknownFormat { .. }) => {
            return Ok(false);
        }
        Err(fault) => return Err(fault.into()),
    };
    let args = [
        Uuid::from_bytes(value.uuid).into(),
        value.sealed.clone().into(),
        sealed.into(),
    ];
    execute(value.place.update(), &args).map(|_| true)
}

/// Authorizations that nobody has finished in time are sealed, too; they are not wrapped again.
pub fn forget_lapsed(now: Timestamp) -> Result<()> {
    execute(
        "DELETE FROM sluice._oauth_flow WHERE expires_at <= $1",
        &[stamp(now).into()],
    )
    .map(drop)
}

/// Forgets everything that is sealed; how many secrets and grants.
pub fn forget_all() -> Result<i64> {
    execute("DELETE FROM sluice._oauth_flow", &[])?;
    answer_file::forget_all();
    let grants = execute("DELETE FROM sluice._oauth", &[])?;
    let secrets = execute("DELETE FROM sluice._secret", &[])?;
    Ok(i64::try_from(grants + secrets).unwrap_or(i64::MAX))
}
