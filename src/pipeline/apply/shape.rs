//! Whether a target can take what a mapping gives, and whether it still is the table that this was decided for.

use crate::pg::identity;
use crate::pg::relation::{RelationKind, Target, lock_target, refuse_row_security};
use sluice_core::data::InferredType;
use sluice_core::error::{Result, TargetError};
use sluice_core::sql_text::{TableKind, TargetText};
use std::collections::BTreeMap;

/// Takes the writer's lock on the target and fails if it is not the same table any more, or hides rows from the writer.
pub(super) fn lock_same(target: &Target, fingerprint: &str) -> Result<()> {
    let now = lock_target(target.oid)?.ok_or_else(|| TargetError::Dropped {
        table: target.full_name(),
    })?;
    if now.fingerprint() != fingerprint || (&now.schema, &now.name) != (&target.schema, &target.name) {
        return Err(TargetError::ShapeChanged {
            table: target.full_name(),
        }
        .into());
    }
    expect_owner(&now)?;
    refuse_row_security(&now)
}

/// Refuses a target that is not, or no longer, the current user's own: code that its owner hangs on it would run with the
/// rights of somebody else.
pub fn expect_owner(target: &Target) -> Result<()> {
    match target.owner == identity::current_user() {
        true => Ok(()),
        false => Err(TargetError::OwnerChanged {
            table: target.full_name(),
        }
        .into()),
    }
}

pub(super) fn refuse_columns(target: &Target, mapped: &[String], key: &[String]) -> Result<()> {
    for name in mapped {
        let column = target.expect_column(name)?;
        let (table, column_name) = (target.full_name(), name.clone());
        if column.generated {
            return Err(TargetError::GeneratedColumn {
                table,
                column: column_name,
            }
            .into());
        }
        // An INSERT may override it, an UPDATE may not: only a key is never updated.
        if column.identity_always && !key.contains(name) {
            return Err(TargetError::IdentityColumn {
                table,
                column: column_name,
            }
            .into());
        }
    }
    Ok(())
}

/// What the statements need to know of a target.
pub(super) fn target_text(target: &Target, mapped: Vec<String>, key: &[String]) -> Result<TargetText> {
    let no_index = || TargetError::NoUniqueIndex {
        table: target.full_name(),
        key: key.to_vec(),
    };
    let key_columns = if key.is_empty() {
        Vec::new()
    } else {
        target.key_columns(key).ok_or_else(no_index)?
    };
    let settable = || target.columns.iter().filter(|c| !c.generated);
    Ok(TargetText {
        schema: target.schema.clone(),
        name: target.name.clone(),
        mapped,
        key: key_columns,
        all: settable().map(|c| c.name.clone()).collect(),
        attnums: settable().map(|c| c.attnum.into()).collect(),
        unfilled: Vec::new(),
        types: target
            .columns
            .iter()
            .filter_map(|c| Some((c.name.clone(), InferredType::of_column(c.encoding())?)))
            .collect(),
        widened: BTreeMap::new(),
        kind: match target.kind {
            RelationKind::Table => TableKind::Plain,
            _ => TableKind::Partitioned,
        },
    })
}
