//! What the catalogs say of roles and of a target's owner.

use super::{row, rows, value};
use crate::pg::identity::RunAs;
use crate::pg::{Oid, bgworker};
use sluice_core::Result;
use sluice_core::call::CallError;

/// The owner of a target: the role that a worker runs as.
pub struct RunAsRole {
    pub oid: Oid,
    pub may_login: bool,
}

/// The owner of a relation; None where the relation is gone.
pub fn owner_of(relation: Oid) -> Result<Option<RunAsRole>> {
    let sql = "SELECT a.oid, a.rolcanlogin FROM pg_catalog.pg_class AS c \
               JOIN pg_catalog.pg_roles AS a ON a.oid = c.relowner WHERE c.oid = $1";
    row(sql, &[relation.into()], |r| {
        Ok(RunAsRole {
            oid: r.need(1)?,
            may_login: r.need(2)?,
        })
    })
}

/// A role as one that a worker runs as; None where it is gone.
pub fn as_run_as(role: Oid) -> Result<Option<RunAsRole>> {
    let sql = "SELECT a.oid, a.rolcanlogin FROM pg_catalog.pg_roles AS a WHERE a.oid = $1";
    row(sql, &[role.into()], |r| {
        Ok(RunAsRole {
            oid: r.need(1)?,
            may_login: r.need(2)?,
        })
    })
}

impl RunAsRole {
    /// How a worker becomes it.
    pub fn run_as(&self) -> RunAs {
        match self.may_login || !bgworker::ASSUMES_NOLOGIN {
            true => RunAs::Session(self.oid),
            false => RunAs::Assumed(self.oid),
        }
    }
}

pub fn exists(role: Oid) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE oid = $1)";
    Ok(value::<bool>(sql, &[role.into()])?.unwrap_or(false))
}

pub fn may_login(role: Oid) -> Result<bool> {
    let sql = "SELECT rolcanlogin FROM pg_catalog.pg_roles WHERE oid = $1";
    Ok(value::<bool>(sql, &[role.into()])?.unwrap_or(false))
}

pub fn name_of(role: Oid) -> Result<String> {
    Ok(value::<String>("SELECT pg_catalog.pg_get_userbyid($1)::text", &[role.into()])?.unwrap_or_default())
}

pub fn by_name(name: &str) -> Result<Oid> {
    value::<Oid>("SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1", &[name.into()])?
        .ok_or_else(|| CallError::UnknownRole { name: name.into() }.into())
}

/// Whether `role` may become `other` with SET ROLE.
pub fn may_become(role: Oid, other: Oid) -> Result<bool> {
    // From 16 on membership alone no longer allows SET ROLE.
    let privilege = if cfg!(feature = "pg15") { "MEMBER" } else { "SET" };
    let sql = "SELECT pg_catalog.pg_has_role($1, $2, $3)";
    Ok(value::<bool>(sql, &[role.into(), other.into(), privilege.into()])?.unwrap_or(false))
}

/// Whether `role` has the rights of `other` (its own included).
pub fn has_rights_of(role: Oid, other: Oid) -> Result<bool> {
    let sql = "SELECT pg_catalog.pg_has_role($1, $2, 'USAGE')";
    Ok(value::<bool>(sql, &[role.into(), other.into()])?.unwrap_or(false))
}

/// Whether `role` may have programs run as the server's user, as COPY … PROGRAM asks.
pub fn may_run_programs(role: Oid) -> Result<bool> {
    let sql = "SELECT pg_catalog.pg_has_role($1, 'pg_execute_server_program', 'USAGE')";
    Ok(value::<bool>(sql, &[role.into()])?.unwrap_or(false))
}

/// An access level, as `grant_access` gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Operator,
    Admin,
}

/// Whether `role` has a level: it may execute the level's marker function.
pub fn has_level(role: Oid, level: Level) -> Result<bool> {
    let marker = match level {
        Level::Operator => "sluice._operator_level()",
        Level::Admin => "sluice._admin_level()",
    };
    let sql = "SELECT pg_catalog.has_function_privilege($1, $2, 'EXECUTE')";
    Ok(value::<bool>(sql, &[role.into(), marker.into()])?.unwrap_or(false))
}

/// Code that an ordinary role could run through a write to a superuser's table: (kind, name, the statement that mends
/// it). None: a superuser may write to it.
pub fn foreign_code(relation: Oid) -> Result<Option<(String, String, String)>> {
    let sql = include_str!("../../sql/query/foreign_code.sql");
    row(sql, &[relation.into()], |r| Ok((r.need(1)?, r.need(2)?, r.need(3)?)))
}

/// The first of these table privileges that `role` lacks.
pub fn missing_privilege(role: Oid, relation: Oid, privileges: &[&str]) -> Result<Option<String>> {
    let sql = "SELECT p FROM unnest($3::text[]) AS p WHERE NOT pg_catalog.has_table_privilege($1, $2, p) LIMIT 1";
    let wanted: Vec<String> = privileges.iter().map(|p| (*p).to_string()).collect();
    value::<String>(sql, &[role.into(), relation.into(), wanted.into()])
}

/// What `ALTER ROLE … SET` has given a role for this database, the weaker first: (setting, value).
pub fn settings_of(role: Oid) -> Result<Vec<(String, String)>> {
    let sql = include_str!("../../sql/query/role_settings.sql");
    let entries: Vec<String> = rows(sql, &[role.into()], |r| r.need(1))?;
    let pair = |entry: &String| {
        entry
            .split_once('=')
            .map(|(name, value)| (name.to_string(), value.to_string()))
    };
    Ok(entries.iter().filter_map(pair).collect())
}
