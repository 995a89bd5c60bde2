//! Our tables: one module a table, and the only place that names them.
//!
//! Every function runs elevated with a pinned search path (see `pg::identity`), so callers may be anybody: a session
//! of an ordinary role, a worker as the run-as role, the scheduler. Who may do what is decided by the callers.

pub mod alert;
pub mod arming;
pub mod audit;
pub mod brought;
pub mod connection;
pub mod drift;
pub mod due;
pub mod error_rule;
pub mod event;
pub mod failure;
pub mod function;
pub mod history;
pub mod ingest;
pub mod job;
pub mod missing;
pub mod oauth;
pub mod oauth_flow;
pub mod optimize;
pub mod origin;
pub mod page;
pub mod page_size;
pub mod parent;
pub mod parent_cursor;
pub mod pause;
pub mod rate;
pub mod reject;
pub mod repair;
pub mod retry;
pub mod role;
pub mod rotation;
pub mod run;
pub mod secret;
pub mod snapshot;
pub mod state;
pub mod timing;
pub mod undo;
pub mod vault;

use crate::pg::{identity, spi};
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use sluice_core::Result;

fn rows<T>(sql: &str, args: &[DatumWithOid], read: impl FnMut(&spi::Row) -> Result<T>) -> Result<Vec<T>> {
    identity::elevated(|| spi::rows(sql, args, read))
}

fn row<T>(sql: &str, args: &[DatumWithOid], read: impl FnMut(&spi::Row) -> Result<T>) -> Result<Option<T>> {
    identity::elevated(|| spi::row(sql, args, read))
}

fn value<T: FromDatum + IntoDatum>(sql: &str, args: &[DatumWithOid]) -> Result<Option<T>> {
    identity::elevated(|| spi::value(sql, args))
}

fn execute(sql: &str, args: &[DatumWithOid]) -> Result<u64> {
    identity::elevated(|| spi::execute(sql, args))
}

fn all_returning<T>(sql: &str, args: &[DatumWithOid], read: impl FnMut(&spi::Row) -> Result<T>) -> Result<Vec<T>> {
    identity::elevated(|| spi::all_returning(sql, args, read))
}

fn returning<T>(sql: &str, args: &[DatumWithOid], read: impl FnMut(&spi::Row) -> Result<T>) -> Result<Option<T>> {
    identity::elevated(|| spi::returning(sql, args, read))
}

/// The jobs table's own oid: the class of the locks that say "this job is running".
pub fn jobs_table() -> Result<crate::pg::Oid> {
    value("SELECT 'sluice._job'::pg_catalog.regclass::oid", &[])
        .map(|oid| oid.expect("a cast of a constant is not null"))
}
