//! What taking batches back would do, seen without writing or locking anything.
//!
//! A row that several batches changed is judged once, by the newest. Where a local edit lies between two of the batches
//! [`revert`](super::revert) stops at that edit and reports the row, which cannot be seen here; nor can edits of rows that
//! have lost a column since.

use super::undo::{Entry, RevertPlan, UndoText, Values, number};
use crate::pg::relation::Target;
use crate::pg::statement::{Pinned, Session, session};
use sluice_core::Result;
use sluice_core::keys::KeyId;
use sluice_core::sql_text::{Locking, UndoOp};
use std::collections::{BTreeSet, HashMap};

/// What would be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Foreseen {
    pub restored: u64,
    pub removed: u64,
    pub reinserted: u64,
    /// Rows that someone else has changed since.
    pub left: u64,
    /// Columns whose former values could not be put back: the target no longer has them.
    pub dropped: BTreeSet<String>,
}

/// How the row of an undo entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// As we left it: for a deleted row, not there.
    Ours,
    /// Changed by someone else since.
    Theirs,
    /// Not there any more.
    Absent,
}

/// Goes through batches, the newest first, one at a time: of those before it keeps what was found of each key.
pub struct Foresight<'a> {
    target: &'a Target,
    fates: HashMap<KeyId, Fate>,
    pub foreseen: Foreseen,
}

impl<'a> Foresight<'a> {
    pub fn new(target: &'a Target) -> Foresight<'a> {
        Foresight {
            target,
            fates: HashMap::new(),
            foreseen: Foreseen::default(),
        }
    }

    /// Looks at the rows of one more batch.
    pub fn look(&mut self, undo: &UndoText) -> Result<()> {
        let _exact = Pinned::exact_text();
        let plan = RevertPlan::new(self.target, undo)?;
        for op in [UndoOp::Inserted, UndoOp::Updated, UndoOp::Deleted] {
            session(|session| self.judge(session, &plan, op))?;
        }
        for Entry(op, key, ..) in &plan.rows {
            let fate = self.fates.get(&id(key)).copied();
            self.foreseen.count(*op, fate.unwrap_or(Fate::Absent));
        }
        self.foreseen.dropped.extend(plan.dropped);
        Ok(())
    }

    fn judge(&mut self, session: &Session, plan: &RevertPlan, op: UndoOp) -> Result<()> {
        let found = plan.find(session, op, Locking::Unlocked)?;
        let found: HashMap<_, _> = found
            .iter()
            .map(|row| (number(row, 0), plan.is_ours(op, row)))
            .collect();
        for (ordinal, Entry(_, key, ..)) in plan.entries(op) {
            let fate = match (op, found.get(&Some(ordinal))) {
                (UndoOp::Deleted, None) | (UndoOp::Inserted | UndoOp::Updated, Some(true)) => Fate::Ours,
                (_, Some(_)) => Fate::Theirs,
                (_, None) => Fate::Absent,
            };
            self.fates.entry(id(key)).or_insert(fate);
        }
        Ok(())
    }
}

/// What a key is known by here: its values as texts.
fn id(key: &Values) -> KeyId {
    let mut bytes = Vec::new();
    for value in key {
        let length = value.as_ref().map_or(u64::MAX, |text| text.len() as u64);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(value.as_deref().unwrap_or_default().as_bytes());
    }
    KeyId::of(&bytes)
}

impl Foreseen {
    fn count(&mut self, op: UndoOp, fate: Fate) {
        match (op, fate) {
            (UndoOp::Inserted, Fate::Ours) => self.removed += 1,
            (UndoOp::Updated, Fate::Ours) => self.restored += 1,
            // Nothing in its place is enough for a deleted row.
            (UndoOp::Deleted, Fate::Ours | Fate::Absent) => self.reinserted += 1,
            // Already gone is what the undo wants.
            (UndoOp::Inserted, Fate::Absent) => {}
            _ => self.left += 1,
        }
    }
}
