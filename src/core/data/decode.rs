//! Records to rows: one pass over the array's text, no tree of values, each field encoded from its raw text.
//!
//! A record that does not fit is passed over and told; what is not an array of records in valid JSON is no page.

use super::column::{Column, Mapping};
use super::encode::{encode, make_key};
use super::error::{DataError, excerpt};
use super::kind::{JsonKind, trim};
use super::noted::{Inferring, Noted, Notes};
use super::records::each_record;
use super::tree::Members;
use crate::cursor::{Reach, Watcher};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A page as PostgreSQL takes it; the module `tuple` says how the bytes are laid out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecodedPage {
    /// One tuple of COPY BINARY for each record, without the file's header and trailer.
    pub rows: Vec<u8>,
    /// For each record its key fields, in the key's order.
    pub keys: Vec<u8>,
    pub records: u32,
    /// The key fields of each tombstone, which is no row.
    pub gone: Vec<u8>,
    /// For each tombstone, how many rows came before it.
    pub gone_after: Vec<u32>,
    /// How far they reach; nothing where the mapping watches no cursor.
    pub reach: Reach,
}

/// A record that no row can be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Counted from 1 within its page.
    pub record: u64,
    /// Its key's fields, as in [`DecodedPage::keys`]; None where they cannot be read.
    pub key: Option<Vec<u8>>,
    pub error: DataError,
}

/// A page whose records were taken one by one: rows of those that fit, and the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sifted {
    pub page: DecodedPage,
    /// In the order of the page.
    pub rejects: Vec<Reject>,
    /// The places of the tombstones, in the order of the page.
    pub buried: Vec<u64>,
}

impl Sifted {
    /// The keys of all records that have a readable one, rejected or not.
    pub fn all_keys(&self) -> Cow<'_, [u8]> {
        let rejected: Vec<&[u8]> = self.rejects.iter().filter_map(|reject| reject.key.as_deref()).collect();
        match rejected.is_empty() {
            true => Cow::Borrowed(&self.page.keys),
            false => Cow::Owned([self.page.keys.as_slice(), &rejected.concat()].concat()),
        }
    }

    /// Takes over what the same page's rejects were that are no objects, whatever the mapping.
    pub fn keep_unreadable(&mut self, before: &Sifted) {
        let is_unreadable = |error: &DataError| {
            matches!(
                error,
                DataError::NotAnObject { .. } | DataError::UnreadableRecord { .. }
            )
        };
        for reject in self.rejects.iter_mut().filter(|reject| is_unreadable(&reject.error)) {
            if let Ok(at) = before
                .rejects
                .binary_search_by_key(&reject.record, |former| former.record)
            {
                reject.error = before.rejects[at].error.clone();
            }
        }
    }

    /// How many records have a readable key.
    pub fn with_key(&self) -> u64 {
        let rejected = self.rejects.iter().filter(|reject| reject.key.is_some()).count();
        u64::from(self.page.records) + rejected as u64
    }

    /// The places of the records that became rows, in the order of the rows.
    pub fn places(&self) -> impl Iterator<Item = u64> {
        let mut rejected = self.rejects.iter().map(|reject| reject.record).peekable();
        let mut buried = self.buried.iter().copied().peekable();
        (1..=self.records())
            .filter(move |place| rejected.next_if_eq(place).is_none() && buried.next_if_eq(place).is_none())
    }

    /// All records of the page, whatever became of them.
    pub fn records(&self) -> u64 {
        u64::from(self.page.records) + (self.rejects.len() + self.buried.len()) as u64
    }
}

/// Makes rows of the array of records. The first record that does not fit is the error.
pub fn decode(records_text: &str, mapping: &Mapping) -> Result<DecodedPage, DataError> {
    let mut sifted = sift(records_text, mapping)?;
    match sifted.rejects.is_empty() {
        true => Ok(sifted.page),
        false => Err(sifted.rejects.swap_remove(0).error),
    }
}

/// Makes rows of those records of the array that fit. An error is about the page as a whole.
pub fn sift(records_text: &str, mapping: &Mapping) -> Result<Sifted, DataError> {
    sift_noting(records_text, mapping, Inferring::No).map(|(sifted, _)| sifted)
}

/// The same, and what the records look like besides: those that fit, and the others.
pub fn sift_noting(records_text: &str, mapping: &Mapping, inferring: Inferring) -> Result<(Sifted, Noted), DataError> {
    let text = trim(records_text);
    let mut writer = Writer::new(mapping, text.len(), inferring);
    let mut parser = serde_json::Deserializer::from_str(text);
    let outcome = parser.deserialize_seq(Records(&mut writer)).and_then(|()| parser.end());
    match outcome {
        Ok(()) => Ok(writer.finish()),
        Err(_) if writer.is_full() => Err(writer.too_large()),
        Err(error) => sift_each(text, mapping, inferring, &error),
    }
}

/// The parser stumbled: over the syntax, or over a record that is valid JSON and no object that can be walked.
#[cold]
fn sift_each(
    text: &str,
    mapping: &Mapping,
    inferring: Inferring,
    error: &serde_json::Error,
) -> Result<(Sifted, Noted), DataError> {
    if serde_json::from_str::<&RawValue>(text).is_err() {
        return Err(DataError::from_json(text, error));
    }
    if JsonKind::of(text) != JsonKind::Array {
        return Err(DataError::NotAnArray {
            path: mapping.records.to_string(),
            found: JsonKind::of(text),
        });
    }
    let mut writer = Writer::new(mapping, text.len(), inferring);
    each_record(text, |raw| {
        let record = writer.place + 1;
        let walked = match JsonKind::of(raw) {
            JsonKind::Object => writer.walk(raw).map_err(|_| DataError::UnreadableRecord {
                record,
                excerpt: excerpt(raw),
            }),
            found => Err(DataError::NotAnObject { record, found }),
        };
        match walked {
            Ok(()) => writer.take_record(),
            Err(error) => writer.pass_over(error),
        }
        match writer.is_full() {
            true => Err(writer.too_large()),
            false => Ok(()),
        }
    })?;
    Ok(writer.finish())
}

/// Bytes that the rows of a page, and what is told of its rejects, may have, and how many times its text where that is
/// more. A few bytes may be a whole row: of each column that a record lacks the row has a field.
const MOST_BYTES: usize = if cfg!(test) { 1 << 22 } else { 1 << 28 };
const MOST_TIMES: usize = 4;

/// Collects rows and keys. `slots` is used again for every record.
struct Writer<'m, 'a> {
    mapping: &'m Mapping,
    slots: Vec<Option<&'a str>>,
    /// Where each column's field (its length included) begins in the page's rows.
    starts: Vec<usize>,
    watcher: Option<Watcher<'m, 'a>>,
    /// The record that was looked at last, counted from 1.
    place: u64,
    /// Bytes of the rows and of what is told of the rejects, at the most.
    limit: usize,
    /// What the rejects take.
    rejects: usize,
    sifted: Sifted,
    notes: Notes,
}

impl<'m, 'a> Writer<'m, 'a> {
    fn new(mapping: &'m Mapping, text_bytes: usize, inferring: Inferring) -> Self {
        let columns = mapping.columns.len();
        let page = DecodedPage {
            rows: Vec::with_capacity(text_bytes),
            ..DecodedPage::default()
        };
        Writer {
            mapping,
            slots: vec![None; mapping.slots()],
            starts: vec![0; columns],
            watcher: mapping.aside.watch.as_ref().map(Watcher::new),
            place: 0,
            limit: text_bytes.saturating_mul(MOST_TIMES).max(MOST_BYTES),
            rejects: 0,
            sifted: Sifted {
                page,
                rejects: Vec::new(),
                buried: Vec::new(),
            },
            notes: Notes::new(columns, inferring),
        }
    }

    /// Writes the record that the slots hold, and empties them. Of a record that does not fit no byte stays.
    fn take_record(&mut self) {
        let page = &self.sifted.page;
        let (rows, keys, gone) = (page.rows.len(), page.keys.len(), page.gone.len());
        let written = match self.is_tombstone() {
            true => self.write_tombstone(),
            false => {
                self.note_kinds();
                self.write_record()
            }
        };
        match written {
            Ok(()) => {
                self.place += 1;
                self.watch();
            }
            Err(error) => {
                self.sifted.page.rows.truncate(rows);
                self.sifted.page.keys.truncate(keys);
                self.sifted.page.gone.truncate(gone);
                self.pass_over(error);
            }
        }
        self.slots.fill(None);
    }

    /// Whether the page has become larger than a page may.
    #[inline]
    fn is_full(&self) -> bool {
        self.sifted.page.rows.len() + self.rejects > self.limit
    }

    #[cold]
    fn too_large(&self) -> DataError {
        DataError::TooLarge {
            what: "the page as rows",
            limit: self.limit,
        }
    }

    #[inline]
    fn note_kinds(&mut self) {
        for (slot, tally) in self.slots.iter().zip(&mut self.notes.noted.columns) {
            if let Some(raw) = slot {
                tally.add(JsonKind::of(raw));
            }
        }
    }

    /// Fills the slots from the text of a record.
    fn walk(&mut self, record: &'a str) -> serde_json::Result<()> {
        let tree = self.mapping.tree();
        match self.mapping.has_whole_column() {
            true => tree.walk(record, &mut self.slots),
            false => tree.walk_noting(record, &mut self.slots, &mut self.notes),
        }
    }

    fn is_tombstone(&self) -> bool {
        let whole = self.slots.last().copied().flatten();
        let when = self.mapping.aside.deleted_when.as_ref();
        when.zip(whole).is_some_and(|(when, record)| when.holds(record))
    }

    /// Only the key counts: whatever else a tombstone has or lacks is no row's.
    fn write_tombstone(&mut self) -> Result<(), DataError> {
        let record = self.place + 1;
        let mapping = self.mapping;
        let page = &mut self.sifted.page;
        for &at in &mapping.key {
            let column = &mapping.columns[at];
            let raw = self.slots[at].or(column.default.as_deref()).unwrap_or("null");
            if raw == "null" {
                let column = column.name.clone();
                return Err(DataError::KeyMissing { record, column });
            }
            let key = page.gone.len();
            write_field(column, raw, &mut page.gone).map_err(|reason| misfit(record, column, raw, reason))?;
            make_key(column.ty, &mut page.gone, key);
        }
        page.gone_after.push(page.records);
        self.sifted.buried.push(record);
        Ok(())
    }

    #[cold]
    fn pass_over(&mut self, error: DataError) {
        self.place += 1;
        let key = match error {
            DataError::DoesNotFit { .. } => self.key_of_slots(),
            _ => None,
        };
        self.rejects += size_of::<Reject>() + key.as_ref().map_or(0, Vec::len) + error.text_bytes();
        self.sifted.rejects.push(Reject {
            record: self.place,
            key,
            error,
        });
        self.slots.fill(None);
    }

    fn raw(&self, at: usize) -> &str {
        self.slots[at]
            .or(self.mapping.columns[at].default.as_deref())
            .unwrap_or("null")
    }

    fn write_record(&mut self) -> Result<(), DataError> {
        let record = self.place + 1;
        let mapping = self.mapping;
        let page = &mut self.sifted.page;
        page.rows
            .extend_from_slice(&(mapping.columns.len() as u16).to_be_bytes());
        for (at, column) in mapping.columns.iter().enumerate() {
            self.starts[at] = page.rows.len();
            let raw = self.slots[at].or(column.default.as_deref()).unwrap_or("null");
            write_field(column, raw, &mut page.rows).map_err(|reason| misfit(record, column, raw, reason))?;
        }
        self.write_key(record)?;
        self.sifted.page.records += 1;
        Ok(())
    }

    fn write_key(&mut self, record: u64) -> Result<(), DataError> {
        let page = &mut self.sifted.page;
        for &at in &self.mapping.key {
            let start = self.starts[at];
            let end = self.starts.get(at + 1).copied().unwrap_or(page.rows.len());
            let field = &page.rows[start..end];
            if field == NULL_FIELD {
                let column = self.mapping.columns[at].name.clone();
                return Err(DataError::KeyMissing { record, column });
            }
            let key = page.keys.len();
            page.keys.extend_from_slice(field);
            make_key(self.mapping.columns[at].ty, &mut page.keys, key);
        }
        Ok(())
    }

    /// A rejected record is not followed: it may come again, mended.
    fn watch(&mut self) {
        if let Some(watcher) = &mut self.watcher {
            watcher.see(self.slots[self.mapping.columns.len()]);
        }
    }

    fn finish(self) -> (Sifted, Noted) {
        let mut sifted = self.sifted;
        sifted.page.reach = self.watcher.map(Watcher::finish).unwrap_or_default();
        (sifted, self.notes.noted)
    }

    /// The key of the record that the slots hold, where all of it can be read.
    fn key_of_slots(&self) -> Option<Vec<u8>> {
        let mut key = Vec::new();
        for &at in &self.mapping.key {
            let (raw, ty, start) = (self.raw(at), self.mapping.columns[at].ty, key.len());
            encode(ty, raw, &mut key).ok().filter(|()| raw != "null")?;
            make_key(ty, &mut key, start);
        }
        (!key.is_empty()).then_some(key)
    }
}

#[cold]
fn misfit(record: u64, column: &Column, raw: &str, reason: super::Misfit) -> DataError {
    DataError::DoesNotFit {
        record,
        column: column.name.clone(),
        type_name: column.ty.name(),
        excerpt: excerpt(raw),
        reason,
    }
}

/// The length that stands for NULL.
const NULL_FIELD: [u8; 4] = (-1i32).to_be_bytes();

#[inline]
fn write_field(column: &Column, raw: &str, out: &mut Vec<u8>) -> Result<(), super::Misfit> {
    if raw == "null" {
        out.extend_from_slice(&NULL_FIELD);
        return Ok(());
    }
    encode(column.ty, raw, out)
}

struct Records<'w, 'm, 'a>(&'w mut Writer<'m, 'a>);

impl<'a> Visitor<'a> for Records<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Record(self.0))?.is_some() {
            self.0.take_record();
            if self.0.is_full() {
                return Err(A::Error::custom("the page is too large"));
            }
        }
        Ok(())
    }
}

struct Record<'w, 'm, 'a>(&'w mut Writer<'m, 'a>);

impl<'a> DeserializeSeed<'a> for Record<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        let tree = self.0.mapping.tree();
        if !tree.wants_whole() {
            return deserializer.deserialize_map(Members::noting(tree, &mut self.0.slots, &mut self.0.notes));
        }
        let raw = <&'a RawValue>::deserialize(deserializer)?.get();
        if JsonKind::of(raw) != JsonKind::Object {
            return Err(D::Error::custom("the record is not an object"));
        }
        self.0.walk(raw).map_err(D::Error::custom)
    }
}
