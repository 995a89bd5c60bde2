//! What the catalogs say of the function that a job calls when a read becomes visible.

use super::role;
use crate::pg::{Oid, identity, spi};
use sluice_core::Result;
use sluice_core::job::{FunctionFault, FunctionName};

/// The function of this name, which `role` will call; refused where there is none or where `role` must not call it. A
/// name without a schema is looked for along the caller's search path.
pub fn callable(name: &FunctionName, role: Oid) -> Result<Oid> {
    let schemas = match &name.schema {
        Some(schema) => vec![schema.clone()],
        None => spi::rows(
            "SELECT pg_catalog.unnest(pg_catalog.current_schemas(true))::pg_catalog.text",
            &[],
            |r| r.need(1),
        )?,
    };
    let sql = include_str!("../../sql/query/find_function.sql");
    let args = [schemas.into(), name.name.clone().into(), role.into()];
    let found = super::row(sql, &args, |r| {
        Ok((r.need::<Oid>(1)?, r.need::<bool>(2)?, r.get::<String>(3)?))
    })?;
    let name = name.clone();
    match found {
        None => Err(FunctionFault::Missing { name }.into()),
        Some((_, false, _)) => Err(FunctionFault::Denied {
            name,
            role: role::name_of(role)?,
        }
        .into()),
        // What an ordinary role can change must not run as superuser.
        Some((_, true, Some(owner))) if identity::is_superuser(role) => {
            Err(FunctionFault::Foreign { name, owner }.into())
        }
        Some((function, true, _)) => Ok(function),
    }
}
