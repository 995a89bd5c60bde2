//! Arming: what came with a dump, a copy or an upgrade is given the oids of this place. Every table that holds oids says
//! where they are from; rows of this place are left as they are.

use super::{execute, returning, rows};
use crate::pg::Oid;
use sluice_core::Result;

/// The other tables, one statement each: what is not here under its name stays as it is, and means nothing.
const REST: [&str; 6] = [
    include_str!("../../sql/query/arm_secrets.sql"),
    include_str!("../../sql/query/arm_secret_grants.sql"),
    include_str!("../../sql/query/arm_origins.sql"),
    include_str!("../../sql/query/arm_error_rules.sql"),
    include_str!("../../sql/query/arm_pauses.sql"),
    include_str!("../../sql/query/arm_oauth.sql"),
];

/// Stamps every job that is not armed here and whose objects are all here by name; how many.
pub fn arm_all(here: (i64, Oid)) -> Result<i64> {
    let sql = include_str!("../../sql/query/arm_jobs.sql");
    let armed = returning(sql, &[here.0.into(), here.1.into()], |r| r.need(1))?.unwrap_or(0);
    for sql in REST {
        execute(sql, &[])?;
    }
    Ok(armed)
}

/// A job that could not be armed, and what is missing.
pub struct Left {
    pub job: String,
    pub missing: String,
}

/// The jobs that are not armed.
pub fn left() -> Result<Vec<Left>> {
    rows(include_str!("../../sql/query/jobs_left_unarmed.sql"), &[], |r| {
        Ok(Left {
            job: r.need(1)?,
            missing: r.need(2)?,
        })
    })
}

/// Notes the present names of roles beside their oids, as far as those are of this place: they go with the next dump.
pub fn follow_roles() -> Result<()> {
    for (table, role, name, armed_in) in [
        (
            "_job",
            "owner_oid",
            "owner_name",
            "armed_system || '/' || armed_database",
        ),
        (
            "_oauth",
            "owner_oid",
            "owner_name",
            "armed_system || '/' || armed_database",
        ),
        ("_secret", "owner_oid", "owner_name", "armed_in"),
        ("_secret_grant", "role_oid", "role_name", "armed_in"),
    ] {
        let sql = format!(
            "UPDATE sluice.{table} AS x SET {name} = r.rolname FROM pg_catalog.pg_roles AS r \
             WHERE r.oid = x.{role} AND r.rolname <> x.{name} AND {armed_in} = sluice._here()"
        );
        execute(&sql, &[])?;
    }
    Ok(())
}
