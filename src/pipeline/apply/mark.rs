//! Rows that are gone and stay: a column says since when.

use super::shape::target_text;
use super::undo::{self, Images, number};
use super::{Applier, KeepUndo, Outcome};
use crate::pg::rowset::RowsetWriter;
use crate::pg::statement::{Pinned, Planning, Session, Statement, session};
use sluice_core::error::{Result, TargetError};
use sluice_core::sql_text::{FOUND, TargetText};
use sluice_core::target::DELETED_AT;

impl Applier {
    /// Marks the rows with these keys as gone since now. Keys without a row, and rows that are marked, are nothing.
    pub fn mark_keys(&self, keys: &[&[u8]], keep: KeepUndo) -> Result<Outcome> {
        self.require_key()?;
        self.lock_shape()?;
        let _exact = Pinned::exact_text();
        let text = self.marking()?;
        let place = self.text.all.iter().position(|column| column == DELETED_AT);
        let place = place.ok_or_else(|| TargetError::NoMarkColumn {
            table: self.target.full_name(),
        })?;
        session(|session| {
            let mut found = self.find_keys(session, self.keys(session, keys)?);
            found.retain(|row| row[2 + self.key.len() + place].is_none());
            let mut images = Images::new(&text);
            for row in self.mark_found(session, &text, &found)? {
                let key = number(&row, 0)
                    .and_then(|o| found.get(o))
                    .map(|row| &row[2..2 + self.key.len()]);
                if let Some(key) = key {
                    let former: Vec<Option<String>> = key.iter().cloned().chain([None]).collect();
                    images.updated(key, &row[1], &former);
                }
            }
            Ok(Outcome {
                deleted: images.len(),
                undo: (keep == KeepUndo::Yes).then(|| images.finish()).flatten(),
                ..Outcome::default()
            })
        })
    }

    /// The target as if only the key and the mark were mapped.
    fn marking(&self) -> Result<TargetText> {
        let key: Vec<String> = self.text.key.iter().map(|column| column.name.clone()).collect();
        let mapped = key.iter().cloned().chain([DELETED_AT.to_owned()]).collect();
        target_text(&self.target, mapped, &key)
    }

    /// Ordinal and fingerprint of each row that was marked.
    fn mark_found(
        &self,
        session: &Session,
        text: &TargetText,
        found: &[Vec<Option<String>>],
    ) -> Result<Vec<Vec<Option<String>>>> {
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let mut rows = RowsetWriter::new(session, &undo::address_fields(), &self.target.full_name());
        for (ordinal, row) in found.iter().enumerate() {
            let ordinal = ordinal.to_string();
            let address = row[..2].iter().map(|t| t.as_deref().map(str::as_bytes));
            rows.add(std::iter::once(Some(ordinal.as_bytes())).chain(address))?;
        }
        let run =
            || Statement::prepare(session, &text.mark_found(DELETED_AT), Planning::ProbeThenOrdinary).texts(session);
        Ok(rows.finish().named(session, FOUND, run))
    }
}
