//! What a batch changed, as text, and taking it back.
//!
//! Values are what each type's output function writes and its input function reads, so that every type comes back
//! exactly. A row is recognised by its key, and as ours by a fingerprint of what was stored when we had written it: of
//! all columns for an inserted row (removing it would take local values along), of the mapped ones for an updated row
//! (only those are put back). A row that is not ours any more is left and reported.

use super::aside::{move_away, ways};
use super::dropped::{SentKeys, fit};
use super::left::Left;
use super::shape::lock_same;
use crate::pg::relation::Target;
use crate::pg::rowset::{Field, Rowset, RowsetWriter};
use crate::pg::statement::{Pinned, Planning, Session, Statement, session, time_zone};
use crate::pg::transaction;
use serde::{Deserialize, Serialize};
use sluice_core::data::FieldFormat;
use sluice_core::error::{Error, Result, TargetError};
use sluice_core::sql_text::{FOUND, Locking, TargetText, UNDO, UndoOp};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The undo set of one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoText {
    /// The columns whose values a deleted row keeps: all that can be given a value.
    pub columns: Vec<String>,
    /// Their numbers in the table.
    pub attnums: Vec<i64>,
    /// JSON: `{"time_zone": …, "key": […], "mapped": […], "types": {column: type}, "rows": [["i" | "u" | "d", [key values], fingerprint, [former
    /// values]], …]}`, values as text or null.
    pub payload: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Payload {
    /// The session's when the fingerprints were taken: text of timestamps depends on it.
    time_zone: String,
    pub key: Vec<String>,
    pub mapped: Vec<String>,
    /// Of columns that may get a wider one: what the texts are texts of.
    #[serde(default)]
    pub types: BTreeMap<String, String>,
    pub rows: Vec<Entry>,
}

/// Values as texts.
pub type Values = Vec<Option<String>>;

/// Operation, key, fingerprint of what we wrote, former values.
#[derive(Serialize, Deserialize)]
pub(super) struct Entry(pub UndoOp, pub Values, pub Option<String>, pub Option<Values>);

/// Collects the entries of a batch.
pub(super) struct Images {
    columns: Vec<String>,
    attnums: Vec<i64>,
    payload: Payload,
}

impl Images {
    pub fn new(text: &TargetText) -> Images {
        let key = text.key.iter().map(|k| k.name.clone()).collect();
        let payload = Payload {
            time_zone: time_zone(),
            key,
            mapped: text.mapped.clone(),
            types: text
                .types
                .iter()
                .map(|(name, ty)| (name.clone(), ty.sql().to_owned()))
                .collect(),
            rows: Vec::new(),
        };
        Images {
            columns: text.all.clone(),
            attnums: text.attnums.clone(),
            payload,
        }
    }

    pub fn inserted(&mut self, key: &[Option<String>], hash: &Option<String>) {
        self.payload
            .rows
            .push(Entry(UndoOp::Inserted, key.to_vec(), hash.clone(), None));
    }

    pub fn updated(&mut self, key: &[Option<String>], hash: &Option<String>, former: &[Option<String>]) {
        self.payload.rows.push(Entry(
            UndoOp::Updated,
            key.to_vec(),
            hash.clone(),
            Some(former.to_vec()),
        ));
    }

    /// `row` is the key and then all columns.
    pub fn deleted(&mut self, row: &[Option<String>]) {
        let (key, former) = row.split_at(self.payload.key.len());
        self.payload
            .rows
            .push(Entry(UndoOp::Deleted, key.to_vec(), None, Some(former.to_vec())));
    }

    pub fn len(&self) -> u64 {
        self.payload.rows.len() as u64
    }

    /// `None` when nothing was collected.
    pub fn finish(self) -> Option<UndoText> {
        if self.payload.rows.is_empty() {
            return None;
        }
        let payload = serde_json::to_string(&self.payload).expect("lists of strings are always JSON");
        Some(UndoText {
            columns: self.columns,
            attnums: self.attnums,
            payload,
        })
    }
}

/// What taking back did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reverted {
    /// Updated rows that have their former values again.
    pub restored: u64,
    /// Inserted rows that were removed.
    pub removed: u64,
    /// Deleted rows that are there again.
    pub reinserted: u64,
    /// Rows that someone else has changed since; they were left as they are.
    pub left: Left,
    /// How many of them were left because it cannot be told whether someone has.
    pub untold: u64,
    /// Columns whose former values could not be put back: the target no longer has them.
    pub dropped: BTreeSet<String>,
}

/// Takes one batch back, in the caller's transaction and as the target's owner. The batches of a run, and the runs of a
/// job, are to be taken back in the opposite order of their writing. `sent` stands in for fingerprints that a dropped
/// column was part of.
pub fn revert(target: &Target, undo: &UndoText, sent: Option<&SentKeys>) -> Result<Reverted> {
    lock_same(target, &target.fingerprint())?;
    let _exact = Pinned::exact_text();
    let mut plan = RevertPlan::new(target, undo)?;
    plan.sent = sent;
    match transaction::attempt(|| plan.revert()) {
        // Rows that changed places stand in each other's way again.
        Err(Error::Database(met)) if met.sqlstate == UNIQUE_VIOLATION => {
            plan.ways = ways(target, &plan.text)?;
            plan.revert()
        }
        outcome => outcome,
    }
}

const UNIQUE_VIOLATION: &str = "23505";

/// The keys of the rows that a batch inserted, in the key's order; none where it was found by another key.
pub fn inserted_keys(undo: &UndoText, key: &[String], table: &str) -> Result<Vec<Values>> {
    let payload = parse(undo, table)?;
    let inserted = payload.rows.into_iter().filter(|entry| entry.0 == UndoOp::Inserted);
    let keys = inserted.map(|Entry(_, key, ..)| key);
    Ok(if payload.key == key { keys.collect() } else { Vec::new() })
}

pub(super) fn parse(undo: &UndoText, table: &str) -> Result<Payload> {
    let malformed = |e: serde_json::Error| TargetError::MalformedUndo {
        table: table.into(),
        reason: e.to_string(),
    };
    Ok(serde_json::from_str(&undo.payload).map_err(malformed)?)
}

fn shown(key: &Values) -> String {
    key.iter()
        .map(|value| value.as_deref().unwrap_or("NULL"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The fields by which found rows are written: ordinal, address, partition.
pub(super) fn address_fields() -> Vec<Field> {
    vec![Field::number("ordinal"), Field::row_id("row_id"), Field::part("part")]
}

/// A column of a result that holds a number.
pub(super) fn number(row: &[Option<String>], column: usize) -> Option<usize> {
    row.get(column)?.as_deref()?.parse().ok()
}

/// One batch's undo set with the statements that go with it.
pub(super) struct RevertPlan<'a> {
    target: &'a Target,
    text: TargetText,
    time_zone: String,
    pub rows: Vec<Entry>,
    pub dropped: BTreeSet<String>,
    blind: Vec<UndoOp>,
    sent: Option<&'a SentKeys>,
    /// Where updated rows are moved before they are restored.
    ways: Vec<(String, String)>,
}

impl<'a> RevertPlan<'a> {
    pub fn new(target: &'a Target, undo: &UndoText) -> Result<Self> {
        let payload = parse(undo, &target.full_name())?;
        let time_zone = payload.time_zone.clone();
        let fitted = fit(target, payload, undo)?;
        Ok(RevertPlan {
            target,
            text: fitted.text,
            time_zone,
            rows: fitted.rows,
            dropped: fitted.dropped,
            blind: fitted.blind,
            sent: None,
            ways: Vec::new(),
        })
    }

    fn revert(&self) -> Result<Reverted> {
        let mut reverted = Reverted {
            dropped: self.dropped.clone(),
            ..Reverted::default()
        };
        session(|session| {
            reverted.removed = self.act(session, UndoOp::Inserted, &mut reverted)?;
            reverted.restored = self.act(session, UndoOp::Updated, &mut reverted)?;
            reverted.reinserted = self.reinsert(session, &mut reverted.left)?;
            Ok(reverted)
        })
    }

    /// Whether a found row still is as we left it.
    pub fn is_ours(&self, op: UndoOp, row: &Values) -> bool {
        let entry = number(row, 0).and_then(|ordinal| self.rows.get(ordinal));
        let is_unfilled = row.get(4).is_some_and(|unfilled| unfilled.as_deref() == Some("t"));
        is_unfilled
            && match (entry, self.sent) {
                (Some(Entry(_, key, ..)), Some(sent)) if self.blind.contains(&op) => sent.has(key),
                (Some(_), None) if self.blind.contains(&op) => true,
                _ => row.get(3).is_some_and(|ours| ours.as_deref() == Some("t")),
            }
    }

    pub fn entries(&self, op: UndoOp) -> impl Iterator<Item = (usize, &Entry)> {
        self.rows.iter().enumerate().filter(move |(_, entry)| entry.0 == op)
    }

    /// The columns whose former values an entry has.
    fn kept(&self, op: UndoOp) -> &[String] {
        match op {
            UndoOp::Inserted => &[],
            UndoOp::Updated => &self.text.mapped,
            UndoOp::Deleted => &self.text.all,
        }
    }

    fn value_fields(&self, op: UndoOp) -> Result<Vec<Field>> {
        let field = |(i, name): (usize, &String)| {
            Ok(Field::of(
                self.target.expect_column(name)?,
                format!("c{}", i + 1),
                FieldFormat::Text,
            ))
        };
        self.kept(op).iter().enumerate().map(field).collect()
    }

    /// The entries of one kind as the relation [`UNDO`].
    fn rowset(&self, session: &Session, op: UndoOp) -> Result<Rowset> {
        let mut shape = vec![Field::number("ordinal"), Field::number("hash")];
        for (i, key) in self.text.key.iter().enumerate() {
            shape.push(Field::of(
                self.target.expect_column(&key.name)?,
                format!("k{}", i + 1),
                FieldFormat::Text,
            ));
        }
        shape.extend(self.value_fields(op)?);
        let mut writer = RowsetWriter::new(session, &shape, &self.target.full_name());
        for (ordinal, Entry(_, key, hash, former)) in self.entries(op) {
            let ordinal = Some(ordinal.to_string());
            let values = [&ordinal, hash].into_iter().chain(key).chain(former.iter().flatten());
            writer.add(values.map(|v| v.as_deref().map(str::as_bytes)))?;
        }
        Ok(writer.finish())
    }

    /// Ordinal, address, partition and "still ours" of each entry whose row exists.
    pub fn find(&self, session: &Session, op: UndoOp, locking: Locking) -> Result<Vec<Values>> {
        let entries = self.rowset(session, op)?;
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let text = self.text.find_undo(op, locking);
        let _zone = Pinned::time_zone(&self.time_zone);
        Ok(entries.named(session, UNDO, || {
            Statement::prepare(session, &text, Planning::Probe).texts(session)
        }))
    }

    /// Removes inserted rows or restores updated ones that are still ours; returns how many.
    fn act(&self, session: &Session, op: UndoOp, reverted: &mut Reverted) -> Result<u64> {
        let is_untold = self.blind.contains(&op) && self.sent.is_some_and(|sent| !sent.is_known);
        let found = self.find(session, op, Locking::Locked)?;
        let ours: Vec<_> = found.iter().filter(|row| self.is_ours(op, row)).collect();
        let written = self.write_found(session, op, &ours)?;
        let present: HashSet<_> = found.iter().filter_map(|row| number(row, 0)).collect();
        for (ordinal, Entry(_, key, ..)) in self.entries(op) {
            let missed = op == UndoOp::Updated || present.contains(&ordinal);
            if missed && !written.contains(&ordinal) {
                reverted.left.add(|| shown(key));
                reverted.untold += u64::from(is_untold && present.contains(&ordinal));
            }
        }
        Ok(written.len() as u64)
    }

    /// Writes found rows by their addresses; returns the ordinals of what was written.
    fn write_found(&self, session: &Session, op: UndoOp, found: &[&Values]) -> Result<HashSet<usize>> {
        let statement = match op {
            UndoOp::Updated => self.text.restore_found(),
            _ => Some(self.text.delete_found()),
        };
        let Some(statement) = statement.filter(|_| !found.is_empty()) else {
            return Ok(HashSet::new());
        };
        let shape: Vec<_> = address_fields().into_iter().chain(self.value_fields(op)?).collect();
        let moved = match op {
            UndoOp::Updated if !self.ways.is_empty() => {
                let addresses = found.iter().map(|row| &row[1..3]);
                move_away(session, (self.target, &self.text), &self.ways, addresses)?
            }
            _ => Vec::new(),
        };
        let mut now: HashMap<usize, &[Option<String>]> = HashMap::new();
        now.extend(moved.iter().filter_map(|row| Some((number(row, 0)?, &row[1..]))));
        let mut writer = RowsetWriter::new(session, &shape, &self.target.full_name());
        for (at, row) in found.iter().enumerate() {
            let former = number(row, 0)
                .and_then(|o| self.rows.get(o))
                .and_then(|entry| entry.3.as_ref());
            let address = now.get(&at).copied().unwrap_or(&row[1..3]);
            let values = row[..1].iter().chain(address).chain(former.into_iter().flatten());
            writer.add(values.map(|v| v.as_deref().map(str::as_bytes)))?;
        }
        let run = || Statement::prepare(session, &statement, Planning::ProbeThenOrdinary).texts(session);
        let written = writer.finish().named(session, FOUND, run);
        Ok(written.iter().filter_map(|row| number(row, 0)).collect())
    }

    /// Puts deleted rows back where their keys are free; returns how many.
    fn reinsert(&self, session: &Session, left: &mut Left) -> Result<u64> {
        let entries = self.rowset(session, UndoOp::Deleted)?;
        if entries.is_empty() {
            return Ok(0);
        }
        let run = || Statement::prepare(session, &self.text.reinsert(), Planning::Ordinary).texts(session);
        let written = entries.named(session, UNDO, run);
        let keys: HashSet<_> = written.iter().collect();
        let missed = self
            .entries(UndoOp::Deleted)
            .filter(|(_, Entry(_, key, ..))| !keys.contains(key));
        missed.for_each(|(_, Entry(_, key, ..))| left.add(|| shown(key)));
        Ok(written.len() as u64)
    }
}
