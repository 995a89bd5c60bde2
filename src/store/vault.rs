//! Supabase Vault, where it is installed: `vault.decrypted_secrets`, read with the rights of the secret's owner.

use super::value;
use crate::pg::{Oid, attempt, identity, spi};
use sluice_core::Result;
use zeroize::Zeroizing;

/// Whether there is a vault that nobody but a superuser has made: its view runs with the rights of who reads it.
pub fn is_installed() -> Result<bool> {
    let sql = include_str!("../../sql/query/has_vault.sql");
    Ok(value::<bool>(sql, &[])?.unwrap_or(false))
}

/// The value of this name, as far as `owner` may see it.
///
/// # Errors
/// What the server says of it, as that `owner` has no right to the vault.
pub fn read(owner: Oid, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let sql = "SELECT d.decrypted_secret::pg_catalog.text FROM vault.decrypted_secrets AS d \
               WHERE d.name OPERATOR(pg_catalog.=) $1 LIMIT 1";
    let found = attempt::given_up(|| identity::acting_as(owner, || spi::value::<String>(sql, &[name.into()])))?;
    Ok(found.map(|value| Zeroizing::new(value.into_bytes())))
}
