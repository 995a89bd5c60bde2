//! Rows that are only added: by COPY, or, where the job has a key, those of keys that are not there yet.

use super::undo::Images;
use super::{Applier, KeepUndo, Outcome, count_records};
use crate::pg::statement::{Pinned, session};
use sluice_core::data::DecodedPage;
use sluice_core::error::Result;
use sluice_core::job::Mode;
use sluice_core::sql_text::INCOMING;

impl Applier {
    /// Writes pages into a target that holds rows already, as the mode has it.
    pub fn put(&self, mode: Mode, pages: &[&DecodedPage], keep: KeepUndo) -> Result<Outcome> {
        match mode {
            Mode::Replace | Mode::Upsert => self.merge(pages, keep),
            Mode::Append if self.key.is_empty() => self.copy(pages),
            Mode::Append => self.append(pages, keep),
        }
    }

    /// Adds the rows whose keys are not there, the first of each key. The others count as unchanged.
    fn append(&self, pages: &[&DecodedPage], keep: KeepUndo) -> Result<Outcome> {
        self.lock_shape()?;
        let _exact = Pinned::exact_text();
        session(|session| {
            let incoming = self.incoming(session, pages, 0..)?;
            let (statements, text) = (&self.statements, &self.text);
            let mut images = Images::new(text);
            let inserted = incoming.named(session, INCOMING, || match keep {
                KeepUndo::No => statements.append.get(session, text).run(session),
                KeepUndo::Yes => {
                    let written = statements.append_returning.get(session, text).texts(session);
                    for row in &written {
                        let (key, returned) = row.split_at(self.key.len());
                        images.inserted(key, &returned[0]);
                    }
                    written.len() as u64
                }
            });
            Ok(Outcome {
                inserted,
                unchanged: count_records(pages).saturating_sub(inserted),
                undo: images.finish(),
                ..Outcome::default()
            })
        })
    }
}
