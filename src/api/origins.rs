//! Origins that an admin allows once, so that applications make their own connections.

use super::{caller_name, given};
use crate::pg::catalog;
use crate::pg::report::or_raise;
use crate::store::{origin, role};
use pgrx::prelude::*;
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::url_policy::OriginPattern;

/// Lets a role make connections to the origins that a pattern holds.
#[pg_extern(volatile, parallel_unsafe)]
fn allow_origin(pattern: Option<&str>, role: Option<&str>) {
    or_raise(given("pattern", pattern).and_then(|pattern| allow(pattern, given("role", role)?)));
}

fn allow(pattern: &str, role_name: &str) -> Result<()> {
    catalog::require_primary()?;
    let pattern = OriginPattern::parse(pattern)?;
    origin::allow(&pattern, role::by_name(role_name)?, role_name, &caller_name()?)
}

/// Takes that back. Connections stay, and their runs are refused.
#[pg_extern(volatile, parallel_unsafe)]
fn revoke_origin(pattern: Option<&str>, role: Option<&str>) {
    or_raise(given("pattern", pattern).and_then(|pattern| revoke(pattern, given("role", role)?)));
}

fn revoke(pattern: &str, role_name: &str) -> Result<()> {
    catalog::require_primary()?;
    let pattern = OriginPattern::parse(pattern)?;
    match origin::revoke(&pattern, role_name)? {
        true => Ok(()),
        false => Err(CallError::NoAllowedOrigin {
            pattern: pattern.to_string(),
            role: role_name.into(),
        }
        .into()),
    }
}
