//! Decoded rows into the target: copied into an empty one, merged by key into any other, removed by key.
//!
//! ```text
//! decoded pages ─► last row of each key ─► filter (reads only) ─► rows that differ ─► INSERT … ON CONFLICT DO UPDATE
//!                                             unchanged rows        former images ─► undo text
//!                                             end here
//! ```
//!
//! An unchanged row is neither written nor locked. The caller has opened a transaction as the run-as role and commits
//! it; everything here belongs to that transaction. Statements are prepared once an [`Applier`] and outlive
//! transactions. The target's shape is looked at again, under the writer's lock, before each batch.

mod undo;

pub use undo::{Reverted, UndoText, preview_revert, revert};

use crate::pg::copy::copy_rows;
use crate::pg::relation::{RelationKind, Target, lock_target, refuse_row_security};
use crate::pg::rowset::{Field, Rowset, RowsetWriter};
use crate::pg::statement::{Pinned, Planning, Session, Statement, session};
use pgrx::PgBuiltInOids;
use sluice_core::data::{DecodedPage, Mapping, fields, split_keys, split_rows};
use sluice_core::error::{Result, TargetError};
use sluice_core::sql_text::{CHANGED, FOUND, GONE, INCOMING, KnowsInserted, TargetText};
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use undo::Images;

/// Whether former images are kept, so that the change can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepUndo {
    Yes,
    No,
}

/// What a batch did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    pub inserted: u64,
    pub updated: u64,
    /// Rows that were there already, byte for byte.
    pub unchanged: u64,
    pub deleted: u64,
    /// Records whose key came again later in the same batch; the last one counts.
    pub duplicates: u64,
    /// `None` when nothing changed or nothing was to be kept.
    pub undo: Option<UndoText>,
}

/// Writes one target for one mapping.
pub struct Applier {
    target: Target,
    fingerprint: String,
    text: TargetText,
    columns: Vec<Field>,
    key: Vec<Field>,
    all_binary: bool,
    /// Whether keys that PostgreSQL takes for equal may differ in their bytes.
    key_is_loose: bool,
    statements: Statements,
}

/// Prepared when first needed: a statement names relations that must be there while it is prepared.
#[derive(Default)]
struct Statements {
    settle: OnceCell<Statement>,
    filter: OnceCell<Statement>,
    count_existing: OnceCell<Statement>,
    former_of_changed: OnceCell<Statement>,
    insert: OnceCell<Statement>,
    upsert: OnceCell<Statement>,
    upsert_returning: OnceCell<Statement>,
    find_gone: OnceCell<Statement>,
}

impl Applier {
    /// Fails where the target cannot take what the mapping gives: not a table, unknown, generated or always-identity
    /// columns, no unique index on a key that is not empty.
    pub fn new(target: &Target, mapping: &Mapping) -> Result<Applier> {
        refuse_kind(target)?;
        let mapped: Vec<String> = mapping.columns.iter().map(|c| c.name.clone()).collect();
        let key: Vec<String> = mapping.key.iter().map(|&i| mapped[i].clone()).collect();
        refuse_columns(target, &mapped, &key)?;
        let field = |(i, c): (usize, &sluice_core::data::Column)| {
            Ok(Field::of(
                target.expect_column(&c.name)?,
                format!("c{}", i + 1),
                c.ty.format(),
            ))
        };
        let mut columns = mapping
            .columns
            .iter()
            .enumerate()
            .map(field)
            .collect::<Result<Vec<_>>>()?;
        let key_fields = mapping.key.iter().enumerate();
        let key_fields = key_fields
            .map(|(i, &c)| Field {
                name: format!("k{}", i + 1),
                ..columns[c].clone()
            })
            .collect();
        columns.push(Field::plain("ordinal", PgBuiltInOids::INT8OID));
        let is_loose = |name: &String| target.column(name).is_none_or(|c| !c.equal_is_identical);
        Ok(Applier {
            fingerprint: target.fingerprint(),
            text: target_text(target, mapped, &key)?,
            columns,
            key: key_fields,
            all_binary: mapping.all_binary(),
            key_is_loose: key.iter().any(is_loose),
            statements: Statements::default(),
            target: target.clone(),
        })
    }

    /// Puts pages into an empty or append-only target. A key that is there already is PostgreSQL's 23505.
    pub fn copy(&self, pages: &[&DecodedPage]) -> Result<Outcome> {
        self.lock_shape()?;
        let inserted = if self.all_binary {
            let chunks: Vec<&[u8]> = pages.iter().map(|p| p.rows.as_slice()).collect();
            copy_rows(&self.target, &self.text.mapped, &chunks)?
        } else {
            session(|session| {
                let rows = pages.iter().flat_map(|p| split_rows(&p.rows, self.width()));
                let incoming = self.incoming(session, rows)?;
                let insert = || saved(&self.statements.insert, session, self.text.insert(), Planning::Ordinary);
                Ok::<_, sluice_core::Error>(incoming.named(session, INCOMING, || insert().run(session)))
            })?
        };
        Ok(Outcome {
            inserted,
            ..Outcome::default()
        })
    }

    /// Brings the rows of these pages up to date by key: inserts new ones, updates those that differ, leaves the others
    /// untouched. Columns that are not mapped keep their values.
    pub fn merge(&self, pages: &[&DecodedPage], keep: KeepUndo) -> Result<Outcome> {
        self.require_key()?;
        self.lock_shape()?;
        let _exact = Pinned::exact_text();
        session(|session| {
            let rows = self.last_of_each_key(pages);
            let records: usize = pages.iter().map(|p| p.records as usize).sum();
            let incoming = self.settle(session, self.incoming(session, rows)?);
            let filter = || saved(&self.statements.filter, session, self.text.filter(), Planning::Probe);
            let changed = incoming.named(session, INCOMING, || filter().rowset(session));
            let mut outcome = changed.named(session, CHANGED, || match keep {
                _ if changed.is_empty() => Ok(Outcome::default()),
                KeepUndo::Yes => self.write_keeping(session),
                KeepUndo::No => Ok(self.write(session)),
            })?;
            outcome.unchanged = incoming.len() - changed.len();
            outcome.duplicates = records as u64 - incoming.len();
            Ok(outcome)
        })
    }

    /// Deletes the rows with these keys (tuples as in [`DecodedPage::keys`]). Keys without a row are nothing.
    pub fn delete_keys(&self, keys: &[&[u8]], keep: KeepUndo) -> Result<Outcome> {
        self.require_key()?;
        self.lock_shape()?;
        let _exact = Pinned::exact_text();
        session(|session| {
            let mut gone = RowsetWriter::new(session, &self.key, &self.target.full_name());
            for key in keys.iter().collect::<HashSet<_>>() {
                gone.add(key_fields(key))?;
            }
            let find = || {
                saved(
                    &self.statements.find_gone,
                    session,
                    self.text.find_gone(),
                    Planning::Probe,
                )
            };
            let found = gone.finish().named(session, GONE, || find().texts(session));
            if found.is_empty() {
                return Ok(Outcome::default());
            }
            let mut images = Images::new(&self.text);
            for ordinal in self.delete_found(session, &found)? {
                if let Some(row) = ordinal.and_then(|o| found.get(o)) {
                    images.deleted(&row[2..]);
                }
            }
            let deleted = images.len();
            let undo = (keep == KeepUndo::Yes).then(|| images.finish()).flatten();
            Ok(Outcome {
                deleted,
                undo,
                ..Outcome::default()
            })
        })
    }

    fn delete_found(&self, session: &Session, found: &[Vec<Option<String>>]) -> Result<Vec<Option<usize>>> {
        let mut rows = RowsetWriter::new(session, &undo::address_fields(), &self.target.full_name());
        for (ordinal, row) in found.iter().enumerate() {
            let ordinal = ordinal.to_string();
            let address = row[..2].iter().map(|t| t.as_deref().map(str::as_bytes));
            rows.add(std::iter::once(Some(ordinal.as_bytes())).chain(address))?;
        }
        // Planned anew each time: a plan kept from when the table was small would be kept for too long.
        let run = || Statement::prepare(session, &self.text.delete_found(), Planning::ProbeThenOrdinary).texts(session);
        let deleted = rows.finish().named(session, FOUND, run);
        Ok(deleted.iter().map(|row| undo::number(row, 0)).collect())
    }

    /// Holds the target's shape until the transaction ends, if it still is what the statements were made for.
    fn lock_shape(&self) -> Result<()> {
        lock_same(&self.target, &self.fingerprint)
    }

    fn require_key(&self) -> Result<()> {
        if self.key.is_empty() {
            return Err(TargetError::NoUniqueIndex {
                table: self.target.full_name(),
                key: Vec::new(),
            }
            .into());
        }
        Ok(())
    }

    fn width(&self) -> usize {
        self.text.mapped.len()
    }

    /// The rows of the pages without those whose key comes again.
    fn last_of_each_key<'a>(&self, pages: &[&'a DecodedPage]) -> impl Iterator<Item = &'a [u8]> {
        let keys = pages
            .iter()
            .flat_map(|p| split_keys(&p.keys, self.key.len()))
            .enumerate();
        let mut last: HashMap<&[u8], usize> = HashMap::new();
        last.extend(keys.map(|(ordinal, key)| (key, ordinal)));
        let mut kept: Vec<usize> = last.into_values().collect();
        kept.sort_unstable();
        let width = self.width();
        let rows = pages
            .to_vec()
            .into_iter()
            .flat_map(move |p| split_rows(&p.rows, width))
            .enumerate();
        let mut kept = kept.into_iter().peekable();
        rows.filter_map(move |(ordinal, row)| kept.next_if_eq(&ordinal).map(|_| row))
    }

    fn incoming<'a>(&self, session: &Session, rows: impl Iterator<Item = &'a [u8]>) -> Result<Rowset> {
        let mut writer = RowsetWriter::new(session, &self.columns, &self.target.full_name());
        for (ordinal, row) in rows.enumerate() {
            let ordinal = ordinal.to_string();
            writer.add(fields(row).chain(std::iter::once(Some(ordinal.as_bytes()))))?;
        }
        Ok(writer.finish())
    }

    /// Drops rows whose keys are equal to PostgreSQL but not in their bytes.
    fn settle(&self, session: &Session, incoming: Rowset) -> Rowset {
        if !self.key_is_loose {
            return incoming;
        }
        let settle = || saved(&self.statements.settle, session, self.text.settle(), Planning::Ordinary);
        incoming.named(session, INCOMING, || settle().rowset(session))
    }

    fn write(&self, session: &Session) -> Outcome {
        let statements = &self.statements;
        let count = saved(
            &statements.count_existing,
            session,
            self.text.count_existing(),
            Planning::Ordinary,
        );
        let existing = count
            .texts(session)
            .first()
            .and_then(|row| undo::number(row, 0))
            .unwrap_or(0) as u64;
        let written = saved(&statements.upsert, session, self.text.upsert(), Planning::Ordinary).run(session);
        let updated = existing.min(written);
        Outcome {
            inserted: written - updated,
            updated,
            ..Outcome::default()
        }
    }

    fn write_keeping(&self, session: &Session) -> Result<Outcome> {
        let (statements, text) = (&self.statements, &self.text);
        let former = saved(
            &statements.former_of_changed,
            session,
            text.former_of_changed(),
            Planning::Probe,
        );
        let former = former.texts(session);
        let upsert = saved(
            &statements.upsert_returning,
            session,
            text.upsert_returning(),
            Planning::Ordinary,
        );
        let written = upsert.texts(session);
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

fn saved<'a>(cell: &'a OnceCell<Statement>, session: &Session, text: String, planning: Planning) -> &'a Statement {
    cell.get_or_init(|| Statement::prepare(session, &text, planning))
}

/// Takes the writer's lock on the target and fails if it is not the same table any more, or hides rows from the writer.
fn lock_same(target: &Target, fingerprint: &str) -> Result<()> {
    let now = lock_target(target.oid).ok_or(TargetError::Missing {
        oid: target.oid.to_u32(),
    })?;
    if now.fingerprint() != fingerprint || (&now.schema, &now.name) != (&target.schema, &target.name) {
        return Err(TargetError::ShapeChanged {
            table: target.full_name(),
        }
        .into());
    }
    refuse_row_security(&now)
}

fn refuse_kind(target: &Target) -> Result<()> {
    match target.kind {
        RelationKind::Table | RelationKind::Partitioned => Ok(()),
        RelationKind::Other(kind) => Err(TargetError::NotATable {
            table: target.full_name(),
            kind,
        }
        .into()),
    }
}

fn refuse_columns(target: &Target, mapped: &[String], key: &[String]) -> Result<()> {
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
fn target_text(target: &Target, mapped: Vec<String>, key: &[String]) -> Result<TargetText> {
    let no_index = || TargetError::NoUniqueIndex {
        table: target.full_name(),
        key: key.to_vec(),
    };
    let key_columns = if key.is_empty() {
        Vec::new()
    } else {
        target.key_columns(key).ok_or_else(no_index)?
    };
    let settable = target.columns.iter().filter(|c| !c.generated);
    Ok(TargetText {
        schema: target.schema.clone(),
        name: target.name.clone(),
        mapped,
        key: key_columns,
        all: settable.map(|c| c.name.clone()).collect(),
        knows_inserted: match target.kind {
            RelationKind::Table => KnowsInserted::Yes,
            _ => KnowsInserted::No,
        },
    })
}

/// The fields of a key tuple: length and bytes, again and again.
fn key_fields(mut key: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    std::iter::from_fn(move || {
        let (length, rest) = key.split_first_chunk::<4>()?;
        let (field, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        key = rest;
        Some(Some(field))
    })
}
