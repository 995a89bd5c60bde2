//! `sluice._allowed_origin`: where roles without USAGE on the wrapper may connect to.

use super::{execute, rows, value};
use crate::pg::Oid;
use sluice_core::Result;
use sluice_core::connection::ConnectionOptions;
use sluice_core::url_policy::OriginPattern;

/// The first origin of these options that a role may not have a connection to: USAGE on the wrapper allows every one, a
/// pattern those that it holds. An authorization server counts as much as the API.
pub fn refused(role: Oid, options: &ConnectionOptions) -> Result<Option<String>> {
    if may_use_wrapper(role)? {
        return Ok(None);
    }
    let sql = "SELECT a.pattern FROM sluice._allowed_origin AS a \
               JOIN pg_catalog.pg_roles AS r ON r.oid = a.role_oid AND r.rolname = a.role_name \
               AND a.armed_in = sluice._here() \
               WHERE pg_catalog.pg_has_role($1, a.role_oid, 'USAGE')";
    let patterns: Vec<String> = rows(sql, &[role.into()], |r| r.need(1))?;
    // What is stored was read before; what cannot be read any more allows nothing.
    let patterns: Vec<OriginPattern> = patterns
        .iter()
        .filter_map(|text| OriginPattern::parse(text).ok())
        .collect();
    let is_held = |url| patterns.iter().any(|pattern| pattern.holds(url));
    let outside = options.endpoints().into_iter().find(|url| !is_held(url));
    Ok(outside.map(sluice_core::url_policy::origin))
}

/// What PostgreSQL itself asks for on CREATE SERVER.
pub fn may_use_wrapper(role: Oid) -> Result<bool> {
    let sql = "SELECT pg_catalog.has_foreign_data_wrapper_privilege($1, 'pg_sluice', 'USAGE')";
    Ok(value::<bool>(sql, &[role.into()])?.unwrap_or(false))
}

/// Allows a pattern to a role, under the name that it has now.
pub fn allow(pattern: &OriginPattern, role: Oid, role_name: &str, by: &str) -> Result<()> {
    let sql = "INSERT INTO sluice._allowed_origin (pattern, role_oid, role_name, allowed_by) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (pattern, role_oid, armed_in) DO UPDATE SET role_name = excluded.role_name \
               WHERE _allowed_origin.role_name <> excluded.role_name";
    let args = [pattern.to_string().into(), role.into(), role_name.into(), by.into()];
    execute(sql, &args).map(drop)
}

/// Takes a pattern back; false where there was none. Also of a role that is gone or was renamed.
pub fn revoke(pattern: &OriginPattern, role_name: &str) -> Result<bool> {
    let sql = "DELETE FROM sluice._allowed_origin AS a WHERE a.pattern = $1 AND (a.role_name = $2 \
               OR a.armed_in = sluice._here() \
               AND a.role_oid = (SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = $2))";
    Ok(execute(sql, &[pattern.to_string().into(), role_name.into()])? > 0)
}
