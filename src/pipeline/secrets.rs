//! Opening a connection's credential, in a worker or a probe, for one origin.

use super::reference;
use crate::pg::{failpoint, key_file};
use crate::store::connection::Server;
use crate::store::secret::{self, Sealed};
use sluice_core::call::CallError;
use sluice_core::connection::{ApiKeyIn, AuthKind, ConnectionOptions};
use sluice_core::http::{Auth, KeyPlace, Secret};
use sluice_core::secret::{KeyRing, SecretLabel, open};
use sluice_core::{Error, Result};
use sluice_fetch::Tls;
use zeroize::Zeroizing;

/// What the connection sends to prove who it is, where that is a secret that somebody has set; tokens are got by
/// [`super::tokens`].
pub fn auth(server: &Server, options: &ConnectionOptions) -> Result<Auth> {
    let Some(name) = &options.secret else {
        return Ok(Auth::None);
    };
    let value = named(server, name, &options.origin())?;
    Ok(match options.auth {
        AuthKind::Basic => Auth::Basic {
            username: options.username.clone().unwrap_or_default(),
            password: value,
        },
        AuthKind::ApiKey => Auth::ApiKey {
            name: options.api_key_name.clone().unwrap_or_default(),
            place: if options.api_key_in == ApiKeyIn::Query {
                KeyPlace::Query
            } else {
                KeyPlace::Header
            },
            value,
        },
        _ => Auth::Bearer(value),
    })
}

/// Another credential in the place of one that the remote no longer takes; None where there is none. Of OAuth 2, `tokens` gets
/// another one; here a secret that was set anew since the run began is taken.
pub fn renewed(server: &Server, options: &ConnectionOptions, refused: &Auth) -> Result<Option<Auth>> {
    let now = auth(server, options)?;
    Ok((now != *refused).then_some(now))
}

/// Whom the connection trusts in TLS, and the certificate that it shows, with its key.
pub fn tls(server: &Server, options: &ConnectionOptions) -> Result<Tls> {
    let key = match &options.tls.client {
        Some(certificate) => Some(named(server, &certificate.key, &options.origin())?),
        None => None,
    };
    Ok(Tls::new(&options.tls, key.as_ref())?)
}

/// The secret that a connection names: its server's owner must own it or have been granted it, and it must be bound to
/// the origin that it is sent to.
pub fn named(server: &Server, name: &str, origin: &str) -> Result<Secret> {
    let found = secret::find(server.owner, name)?.ok_or_else(|| unknown(server, name))?;
    let sealed = bound(found, origin, server)?;
    let plain = plain(&key_file::load()?, &label(&sealed, origin), &sealed.sealed)?;
    let plain = String::from_utf8(plain.to_vec()).map_err(|_| unknown(server, name))?;
    reference::value(&sealed.name, sealed.owner, sealed.source, Secret::new(plain))
}

/// What was sealed, opened with whichever of the keys it was sealed with.
pub fn plain(keys: &KeyRing, label: &SecretLabel, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let key = keys.key_of(label, sealed).map_err(Error::from)?;
    open(key, label, sealed).map_err(Error::from)
}

fn unknown(server: &Server, name: &str) -> CallError {
    CallError::UnknownSecret {
        name: name.to_string(),
        hint: format!(
            "{} owns connection \"{}\" and sets it: SELECT sluice.set_secret('{name}', '…').",
            server.owner_name, server.name
        ),
    }
}

/// The secret for this origin. One that is not bound yet is bound now, for good, by a connection of its own owner.
fn bound(found: Sealed, origin: &str, server: &Server) -> Result<Sealed> {
    match &found.origin {
        Some(bound_to) if bound_to == origin => Ok(found),
        None if found.owner == server.owner => {
            let name = found.name.clone();
            match bind(found, origin)? {
                Some(bound) => Ok(bound),
                // It was set anew meanwhile.
                None => bound(
                    secret::find(server.owner, &name)?.ok_or_else(|| unknown(server, &name))?,
                    origin,
                    server,
                ),
            }
        }
        bound_to => Err(CallError::WrongOrigin {
            name: found.name.clone(),
            bound_to: bound_to.clone().unwrap_or_else(|| "no origin yet".into()),
            origin: origin.to_string(),
        }
        .into()),
    }
}

/// Seals the value again with its origin in the associated data: from now on it cannot be opened for another. None where
/// another value was stored meanwhile.
fn bind(found: Sealed, origin: &str) -> Result<Option<Sealed>> {
    let keys = key_file::load()?;
    let plain = plain(&keys, &label(&found, ""), &found.sealed)?;
    let mut next = Sealed {
        origin: Some(origin.to_string()),
        version: found.version + 1,
        ..found
    };
    next.sealed = crate::store::secret::seal_value(&keys, &label(&next, origin), &plain);
    failpoint::hit("secret.binding");
    let stored = secret::store(&next, &crate::store::role::name_of(next.owner)?)?;
    Ok(stored.then_some(next))
}

fn label<'a>(secret: &'a Sealed, origin: &'a str) -> SecretLabel<'a> {
    SecretLabel {
        name: &secret.name,
        uuid: secret.id,
        kind: secret.source.as_str(),
        version: u32::try_from(secret.version).unwrap_or(0),
        origin,
    }
}
