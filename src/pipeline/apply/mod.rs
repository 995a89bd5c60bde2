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

mod append;
mod aside;
mod copies;
mod dropped;
mod foreseen;
mod left;
mod mark;
mod shape;
mod undo;
mod unfilled;
mod write;

pub use copies::{Copied, OwnKeys, Restorer, copied_columns, read_all};
pub use dropped::{SentKeys, dropped_message, name_now};
pub use foreseen::{Foreseen, Foresight};
pub use undo::{Reverted, UndoText, Values, inserted_keys, revert};

use crate::pg::copy::copy_rows;
use crate::pg::relation::Target;
use crate::pg::rowset::{Field, Rowset, RowsetWriter};
use crate::pg::statement::{Pinned, Planning, Session, Statement, session};
pub use shape::expect_owner;
use shape::{lock_same, refuse_columns, target_text};
use sluice_core::data::{DecodedPage, Mapping, fields, key_fields, split_keys, split_rows};
use sluice_core::error::{Result, TargetError};
use sluice_core::sql_text::{CHANGED, FOUND, GONE, INCOMING, Locking, TargetText};
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

impl Outcome {
    /// Counts what another did; its undo text stays with it.
    pub fn count(&mut self, more: &Outcome) {
        self.inserted += more.inserted;
        self.updated += more.updated;
        self.unchanged += more.unchanged;
        self.deleted += more.deleted;
        self.duplicates += more.duplicates;
    }
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

/// A statement that is prepared when it is first needed: the relations that it names must be there then.
struct Lazy {
    text: fn(&TargetText) -> String,
    planning: Planning,
    prepared: OnceCell<Statement>,
}

impl Lazy {
    fn new(text: fn(&TargetText) -> String, planning: Planning) -> Lazy {
        Lazy {
            text,
            planning,
            prepared: OnceCell::new(),
        }
    }

    fn get(&self, session: &Session, target: &TargetText) -> &Statement {
        self.prepared
            .get_or_init(|| Statement::prepare(session, &(self.text)(target), self.planning))
    }
}

struct Statements {
    settle: Lazy,
    filter: Lazy,
    count_existing: Lazy,
    former_of_changed: Lazy,
    insert: Lazy,
    append: Lazy,
    append_returning: Lazy,
    upsert: Lazy,
    upsert_returning: Lazy,
    find_gone: Lazy,
    find_as_sent: Lazy,
}

impl Statements {
    fn new() -> Statements {
        Statements {
            settle: Lazy::new(TargetText::settle, Planning::Ordinary),
            filter: Lazy::new(TargetText::filter, Planning::Probe),
            count_existing: Lazy::new(TargetText::count_existing, Planning::Ordinary),
            former_of_changed: Lazy::new(TargetText::former_of_changed, Planning::Probe),
            insert: Lazy::new(TargetText::insert, Planning::Ordinary),
            append: Lazy::new(TargetText::append, Planning::Ordinary),
            append_returning: Lazy::new(TargetText::append_returning, Planning::Ordinary),
            upsert: Lazy::new(TargetText::upsert, Planning::Ordinary),
            upsert_returning: Lazy::new(TargetText::upsert_returning, Planning::Ordinary),
            find_gone: Lazy::new(TargetText::find_gone, Planning::Probe),
            find_as_sent: Lazy::new(|text| text.find_as_sent(Locking::Locked), Planning::Probe),
        }
    }
}

impl Applier {
    /// Fails where the target cannot take what the mapping gives: not a table, unknown, generated or always-identity
    /// columns, no unique index on a key that is not empty.
    pub fn new(target: &Target, mapping: &Mapping) -> Result<Applier> {
        target.expect_table()?;
        let mapped: Vec<String> = mapping.columns.iter().map(|c| c.name.clone()).collect();
        let key: Vec<String> = mapping.key.iter().map(|&i| mapped[i].clone()).collect();
        refuse_columns(target, &mapped, &key)?;
        let columns = column_fields(target, mapping)?;
        let renamed = |(i, &c): (usize, &usize)| Field {
            name: format!("k{}", i + 1),
            ..columns[c].clone()
        };
        let key_fields = mapping.key.iter().enumerate().map(renamed).collect();
        let is_loose = |name: &String| {
            target
                .column(name)
                .is_none_or(|c| !c.equal_is_identical || !c.is_known_by_bytes)
        };
        Ok(Applier {
            fingerprint: target.fingerprint(),
            text: target_text(target, mapped, &key)?,
            columns,
            key: key_fields,
            all_binary: mapping.all_binary(),
            key_is_loose: key.iter().any(is_loose),
            statements: Statements::new(),
            target: target.clone(),
        })
    }

    /// Whether keys that PostgreSQL takes for equal may differ in their bytes.
    pub fn key_is_loose(&self) -> bool {
        self.key_is_loose
    }

    /// Puts pages into an empty or append-only target. A key that is there already is PostgreSQL's 23505.
    pub fn copy(&self, pages: &[&DecodedPage]) -> Result<Outcome> {
        self.lock_shape()?;
        let inserted = if self.all_binary {
            let chunks: Vec<&[u8]> = pages.iter().map(|p| p.rows.as_slice()).collect();
            copy_rows(&self.target, &self.text.mapped, &chunks)?
        } else {
            session(|session| {
                let incoming = self.incoming(session, pages, 0..)?;
                let insert = || self.statements.insert.get(session, &self.text);
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
            let kept = self.last_of_each_key(pages)?.into_iter();
            let incoming = self.settle(session, self.incoming(session, pages, kept)?);
            let filter = || self.statements.filter.get(session, &self.text);
            let changed = incoming.named(session, INCOMING, || filter().rowset(session));
            let mut outcome = self.write_changed(session, &changed, keep)?;
            outcome.unchanged = incoming.len() - changed.len();
            outcome.duplicates = count_records(pages) - incoming.len();
            Ok(outcome)
        })
    }

    fn write_changed(&self, session: &Session, changed: &Rowset, keep: KeepUndo) -> Result<Outcome> {
        changed.named(session, CHANGED, || match keep {
            _ if changed.is_empty() => Ok(Outcome::default()),
            KeepUndo::Yes => self.write_keeping(session),
            KeepUndo::No => Ok(self.write(session)),
        })
    }

    /// Deletes the rows with these keys (tuples as in [`DecodedPage::keys`]). Keys without a row are nothing.
    pub fn delete_keys(&self, keys: &[&[u8]], keep: KeepUndo) -> Result<Outcome> {
        self.require_key()?;
        self.lock_shape()?;
        let _exact = Pinned::exact_text();
        session(|session| {
            let gone = self.keys(session, keys)?;
            let found = self.find_keys(session, gone);
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

    fn keys(&self, session: &Session, keys: &[&[u8]]) -> Result<RowsetWriter> {
        let mut rows = RowsetWriter::new(session, &self.key, &self.target.full_name());
        for key in keys.iter().collect::<HashSet<_>>() {
            rows.add(key_fields(key))?;
        }
        Ok(rows)
    }

    /// Address, key and all columns of the rows with these keys, locked.
    fn find_keys(&self, session: &Session, keys: RowsetWriter) -> Vec<Vec<Option<String>>> {
        let find = || self.statements.find_gone.get(session, &self.text);
        keys.finish().named(session, GONE, || find().texts(session))
    }

    /// Has rows count as changed where somebody has filled a column that came after those of these numbers.
    pub fn mind_columns_after(&mut self, attnums: &[i64]) -> Result<()> {
        self.text.unfilled = unfilled::unfilled(&self.target, attnums, &self.text.mapped)?;
        Ok(())
    }

    /// Takes a first load back: deletes the rows of these pages that are still as they came. How many, and the keys
    /// of those that someone has changed since.
    pub fn remove_unchanged(&self, pages: &[&DecodedPage]) -> Result<(u64, Vec<String>)> {
        self.require_key()?;
        self.lock_shape()?;
        let _exact = Pinned::exact_text();
        session(|session| {
            let rows = self.last_of_each_key(pages)?;
            let incoming = self.settle(session, self.incoming(session, pages, rows.into_iter())?);
            let find = || self.statements.find_as_sent.get(session, &self.text).texts(session);
            let (same, left): (Vec<_>, Vec<_>) = incoming
                .named(session, INCOMING, find)
                .into_iter()
                .partition(|row| row[2].as_deref() == Some("t"));
            let removed = if same.is_empty() {
                0
            } else {
                self.delete_found(session, &same)?.len()
            };
            let key = |row: &Vec<Option<String>>| row[3..].iter().flatten().cloned().collect::<Vec<_>>().join(", ");
            Ok((removed as u64, left.iter().map(key).collect()))
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

    /// Which of these keys (tuples as in [`DecodedPage::keys`]) have a row; those rows are locked.
    pub fn present(&self, keys: &[&[u8]]) -> Result<Vec<Vec<Option<String>>>> {
        self.require_key()?;
        self.lock_shape()?;
        let _exact = Pinned::exact_text();
        session(|session| {
            let mut wanted = RowsetWriter::new(session, &self.key, &self.target.full_name());
            for key in keys {
                wanted.add(key_fields(key))?;
            }
            let find = || self.statements.find_gone.get(session, &self.text);
            Ok(wanted.finish().named(session, GONE, || find().texts(session)))
        })
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

    /// The places of the records whose key does not come again, counted over all pages.
    fn last_of_each_key(&self, pages: &[&DecodedPage]) -> Result<Vec<usize>> {
        let mut last: HashMap<&[u8], usize> = HashMap::new();
        let mut found = 0;
        for key in pages.iter().flat_map(|p| split_keys(&p.keys, self.key.len())) {
            last.insert(key, found);
            found += 1;
        }
        self.require_records(pages, found)?;
        let mut kept: Vec<usize> = last.into_values().collect();
        kept.sort_unstable();
        Ok(kept)
    }

    /// The rows at the places `kept` (ascending) as a rowset.
    fn incoming(&self, session: &Session, pages: &[&DecodedPage], kept: impl Iterator<Item = usize>) -> Result<Rowset> {
        let mut writer = RowsetWriter::new(session, &self.columns, &self.target.full_name());
        let (mut kept, mut found) = (kept.peekable(), 0);
        for row in pages.iter().flat_map(|p| split_rows(&p.rows, self.width())) {
            if kept.next_if_eq(&found).is_some() {
                let ordinal = found.to_string();
                writer.add(fields(row).chain(std::iter::once(Some(ordinal.as_bytes()))))?;
            }
            found += 1;
        }
        self.require_records(pages, found)?;
        Ok(writer.finish())
    }

    /// A page that cannot be walked to its end must not pass as a short one.
    fn require_records(&self, pages: &[&DecodedPage], found: usize) -> Result<()> {
        let records = count_records(pages);
        match found as u64 == records {
            true => Ok(()),
            false => Err(TargetError::TruncatedBatch {
                table: self.target.full_name(),
                records,
                found,
            }
            .into()),
        }
    }

    /// Drops rows whose keys are equal to PostgreSQL but not in their bytes.
    fn settle(&self, session: &Session, incoming: Rowset) -> Rowset {
        if !self.key_is_loose {
            return incoming;
        }
        let settle = || self.statements.settle.get(session, &self.text);
        incoming.named(session, INCOMING, || settle().rowset(session))
    }
}

fn count_records(pages: &[&DecodedPage]) -> u64 {
    pages.iter().map(|p| u64::from(p.records)).sum()
}

/// `c1 … cn` of the mapped columns' types, and the ordinal.
fn column_fields(target: &Target, mapping: &Mapping) -> Result<Vec<Field>> {
    let mut columns = Vec::with_capacity(mapping.columns.len() + 1);
    for (i, column) in mapping.columns.iter().enumerate() {
        let found = target.expect_column(&column.name)?;
        columns.push(Field::of(found, format!("c{}", i + 1), column.ty.format()));
    }
    columns.push(Field::number("ordinal"));
    Ok(columns)
}
