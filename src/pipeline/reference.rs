//! Values of secrets that are kept elsewhere, read as they are now. What a role may no longer read, its secrets do not read
//! either.

use crate::pg::{Oid, program, secret_file};
use crate::store::role::{self, Level};
use crate::store::vault;
use sluice_core::http::Secret;
use sluice_core::secret::{ReferenceFault, SecretFault, Source, check_secret_value, without_line_end, words};
use sluice_core::{Class, Result};
use std::path::Path;
use std::process::Command;
use zeroize::Zeroizing;

type Found = std::result::Result<Zeroizing<Vec<u8>>, ReferenceFault>;

/// The value of a secret of `owner`, given what is sealed of it.
///
/// # Errors
/// What keeps it from being read, or that it is none.
pub fn value(name: &str, owner: Oid, source: Source, place: Secret) -> Result<Secret> {
    let found = match source {
        Source::Value => return Ok(place),
        Source::File => in_file(owner, place.expose())?,
        Source::Command => printed(owner, place.expose())?,
        Source::Vault => in_vault(owner, place.expose())?,
    };
    let content = found.map_err(|fault| SecretFault::Reference {
        name: name.into(),
        fault,
    })?;
    let wrong = || SecretFault::WrongSecretValue { name: name.into() };
    let text = std::str::from_utf8(without_line_end(&content)).map_err(|_| wrong())?;
    check_secret_value(name, text)?;
    Ok(Secret::new(text.to_owned()))
}

fn in_file(owner: Oid, path: &str) -> Result<Found> {
    let (role, is_admin) = (role::name_of(owner)?, role::has_level(owner, Level::Admin)?);
    Ok(secret_file::read(Path::new(path), &role, is_admin))
}

/// Whether a role may have programs run, and what it is called.
///
/// # Errors
/// Only what the catalogs could not tell.
pub fn may_run(owner: Oid) -> Result<std::result::Result<(), ReferenceFault>> {
    Ok(match role::may_run_programs(owner)? {
        true => Ok(()),
        false => Err(ReferenceFault::MayNotRun {
            role: role::name_of(owner)?,
        }),
    })
}

fn printed(owner: Oid, command: &str) -> Result<Found> {
    if let Err(fault) = may_run(owner)? {
        return Ok(Err(fault));
    }
    let words = words(command);
    let mut command = Command::new(words.first().copied().unwrap_or_default());
    command.args(words.iter().skip(1)).current_dir("/");
    Ok(program::output(command)?.map_err(|what| ReferenceFault::Program { what }))
}

fn in_vault(owner: Oid, name: &str) -> Result<Found> {
    if !vault::is_installed()? {
        return Ok(Err(ReferenceFault::NoVault));
    }
    match vault::read(owner, name) {
        Ok(Some(value)) => Ok(Ok(value)),
        Ok(None) => Ok(Err(ReferenceFault::NotInVault {
            role: role::name_of(owner)?,
        })),
        Err(error) if error.class() == Class::Cancelled => Err(error),
        Err(error) => Ok(Err(ReferenceFault::Vault { why: error.to_string() })),
    }
}
