//! What work would do, seen from a session and without writing anything: a rollback, or a read (`records`).

pub mod columns;
pub mod records;

pub use super::apply::dropped_message;
use super::apply::{Foreseen, Foresight};
use super::{plan, rollback};
use crate::pg::relation::{self, Target};
use crate::pg::type_name::{self, TypeName};
use crate::pg::{identity, latch};
use crate::store::job::Job;
use crate::store::undo;
use sluice_core::Result;
use sluice_core::target::TargetError;

/// The rows that a rollback to the state after run `after` would change. The rows of a first load are not among them:
/// they are looked at only when they are removed.
///
/// The table is looked at with the rights of its owner, as the rollback would: a default, or a domain in a type, may be
/// code of that role, and is not to run as whoever asks.
pub fn rollback(job: &Job, after: i64) -> Result<Foreseen> {
    let target = relation::read_target(job.target)?.ok_or(TargetError::Missing {
        oid: job.target.to_u32(),
    })?;
    plan::refuse_foreign_code(&target)?;
    let target = with_base_types(target);
    let mut foresight = Foresight::new(&target);
    for batch in undo::after(job.id, after)?.iter().filter(|batch| !batch.first_load) {
        latch::check_interrupts();
        let images = rollback::text(batch)?;
        identity::acting_as(target.owner, || foresight.look(&images))?;
    }
    Ok(foresight.foreseen)
}

/// The same with the types below domains: what is only compared meets no constraint.
fn with_base_types(mut target: Target) -> Target {
    for column in &mut target.columns {
        let declared = TypeName {
            oid: column.type_oid,
            typmod: column.typmod,
        };
        TypeName {
            oid: column.type_oid,
            typmod: column.typmod,
        } = type_name::base(declared);
    }
    target
}
