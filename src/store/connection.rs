//! Connections: foreign servers of the wrapper `pg_sluice`, as the catalogs hold them.

use super::{execute, row, rows, value};
use crate::pg::Oid;
use crate::pg::spi::Row;
use sluice_core::call::CallError;
use sluice_core::sql_text::literal;
use sluice_core::sql_text::quote;
use sluice_core::{Error, Result};

/// A foreign server with its options.
#[derive(Debug, Clone)]
pub struct Server {
    pub oid: Oid,
    pub name: String,
    pub owner: Oid,
    pub owner_name: String,
    pub options: Vec<(String, String)>,
}

const SELECT: &str = "SELECT s.oid, s.srvname::text, s.srvowner, pg_catalog.pg_get_userbyid(s.srvowner)::text, \
     coalesce(s.srvoptions, '{}') FROM pg_catalog.pg_foreign_server AS s \
     JOIN pg_catalog.pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw AND w.fdwname = 'pg_sluice'";

fn read(r: &Row) -> Result<Server> {
    let options: Vec<String> = r.need(5)?;
    Ok(Server {
        oid: r.need(1)?,
        name: r.need(2)?,
        owner: r.need(3)?,
        owner_name: r.need(4)?,
        options: options.iter().map(|option| split_option(option)).collect(),
    })
}

/// Options are kept as `name=value`; values may hold further `=`.
pub fn split_option(option: &str) -> (String, String) {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    (name.to_string(), value.to_string())
}

pub fn by_oid(oid: Oid) -> Result<Option<Server>> {
    row(&format!("{SELECT} WHERE s.oid = $1"), &[oid.into()], read)
}

/// The connection of this name, or the error that names the nearest one.
pub fn by_name(name: &str) -> Result<Server> {
    if let Some(server) = row(&format!("{SELECT} WHERE s.srvname = $1"), &[name.into()], read)? {
        return Ok(server);
    }
    let names: Vec<String> = rows(SELECT, &[], |r| r.need(2))?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let nearest = sluice_core::connection::nearest(name, &names).map(str::to_string);
    Err(CallError::UnknownConnection {
        name: name.into(),
        nearest,
    }
    .into())
}

/// Whether a server of this name exists, of whatever wrapper.
pub fn exists(name: &str) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_foreign_server WHERE srvname = $1)";
    Ok(value::<bool>(sql, &[name.into()])?.unwrap_or(false))
}

/// Makes a server for a role that may not make one itself; the options were checked, and belong to the role's origins.
pub fn create_for(name: &str, options: &str, owner: &str) -> Result<()> {
    execute(&create_statement(name, options), &[])?;
    let sql = format!("ALTER SERVER {} OWNER TO {}", quote(name), quote(owner));
    execute(&sql, &[]).map(drop)
}

/// `options` is the list that stands in the parentheses.
pub fn create_statement(name: &str, options: &str) -> String {
    format!(
        "CREATE SERVER {} FOREIGN DATA WRAPPER pg_sluice OPTIONS ({options})",
        quote(name)
    )
}

/// The error for a role that may not have a connection to an origin.
pub fn origin_denied(origin: &str, role: &str) -> Error {
    CallError::Denied {
        what: format!("origin \"{origin}\""),
        detail: format!("Role \"{role}\" has neither an allowed origin that holds it nor USAGE on the wrapper."),
        hint: format!(
            "An admin allows it: SELECT sluice.allow_origin({}, {});",
            literal(origin),
            literal(role)
        ),
    }
    .into()
}

/// Whether `role` may use the server.
pub fn may_use(role: Oid, server: Oid) -> Result<bool> {
    let sql = "SELECT pg_catalog.has_server_privilege($1, $2, 'USAGE')";
    Ok(value::<bool>(sql, &[role.into(), server.into()])?.unwrap_or(false))
}
