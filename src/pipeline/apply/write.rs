//! The second half of a merge: rows that the filter let through are written, and what they were is kept.

use super::undo::{Images, number};
use super::{Applier, Outcome};
use crate::pg::statement::{Planning, Session, Statement};
use sluice_core::error::{Result, TargetError};
use std::collections::HashMap;

impl Applier {
    /// Writes the rows of the relation CHANGED; what was there before is lost.
    pub(super) fn write(&self, session: &Session) -> Outcome {
        let count = self.statements.count_existing.get(session, &self.text);
        let existing = count.texts(session).first().and_then(|row| number(row, 0)).unwrap_or(0) as u64;
        let written = self.statements.upsert.get(session, &self.text).run(session);
        let updated = existing.min(written);
        Outcome {
            inserted: written - updated,
            updated,
            ..Outcome::default()
        }
    }

    /// Writes them and keeps what they were. Former images are read and locked first; then each written row tells
    /// whether it was new, which may differ from what the filter saw.
    pub(super) fn write_keeping(&self, session: &Session) -> Result<Outcome> {
        let (statements, text) = (&self.statements, &self.text);
        let former = statements.former_of_changed.get(session, text).texts(session);
        let written = statements.upsert_returning.get(session, text).texts(session);
        let mut images = Images::new(text);
        let (mut inserted, mut updated) = (0, 0);
        let mut former: HashMap<_, _> = former.iter().map(|row| row.split_at(self.key.len())).collect();
        for row in &written {
            let (key, returned) = row.split_at(self.key.len());
            let known = returned[0].as_deref().map(|t| t == "t");
            match (former.remove(key), known) {
                (Some(image), _) => {
                    updated += 1;
                    images.updated(key, &returned[2], image);
                }
                (None, Some(false)) => return Err(self.unforeseen(session, key)),
                (None, _) => {
                    inserted += 1;
                    images.inserted(key, &returned[1]);
                }
            }
        }
        Ok(Outcome {
            inserted,
            updated,
            undo: images.finish(),
            ..Outcome::default()
        })
    }

    /// A row was updated that the filter had not seen: it came in between, or a trigger changed a key.
    fn unforeseen(&self, session: &Session, key: &[Option<String>]) -> sluice_core::Error {
        let table = self.target.full_name();
        let sent = Statement::prepare(session, &self.text.keys_of_changed(), Planning::Ordinary).texts(session);
        if sent.iter().any(|k| k == key) {
            return TargetError::ConcurrentInsert { table }.into();
        }
        TargetError::KeyAltered {
            table,
            key: key.iter().flatten().cloned().collect(),
        }
        .into()
    }
}
