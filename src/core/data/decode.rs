//! Records to rows: one pass over the array's text, no tree of values, each field encoded from its raw text.

use super::column::{Column, Mapping};
use super::encode::encode;
use super::error::{DataError, excerpt};
use super::kind::{JsonKind, trim};
use super::noted::{Inferring, Noted, Notes};
use super::tree::Members;
use crate::cursor::{Reach, Watcher};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// A page as PostgreSQL takes it; the module `tuple` says how the bytes are laid out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecodedPage {
    /// One tuple of COPY BINARY for each record, without the file's header and trailer.
    pub rows: Vec<u8>,
    /// For each record its key fields, in the key's order.
    pub keys: Vec<u8>,
    pub records: u32,
    /// How far they reach; nothing where the mapping watches no cursor.
    pub reach: Reach,
}

/// Makes rows of the array of records. The first record that does not fit is the error.
pub fn decode(records_text: &str, mapping: &Mapping) -> Result<DecodedPage, DataError> {
    decode_noting(records_text, mapping, Inferring::No).map(|(page, _)| page)
}

/// The same, and what the records look like besides.
pub fn decode_noting(
    records_text: &str,
    mapping: &Mapping,
    inferring: Inferring,
) -> Result<(DecodedPage, Noted), DataError> {
    let text = trim(records_text);
    let mut writer = Writer::new(mapping, text.len(), inferring);
    let mut parser = serde_json::Deserializer::from_str(text);
    let outcome = parser.deserialize_seq(Records(&mut writer)).and_then(|()| parser.end());
    match outcome {
        Ok(()) => Ok(writer.finish()),
        Err(error) => Err(writer.refused.take().unwrap_or_else(|| diagnose(text, mapping, &error))),
    }
}

/// What the parser stumbled over: a value of the wrong kind where valid JSON has one, else the syntax.
#[cold]
fn diagnose(text: &str, mapping: &Mapping, error: &serde_json::Error) -> DataError {
    if serde_json::from_str::<&RawValue>(text).is_err() {
        return DataError::from_json(text, error);
    }
    let Ok(records) = serde_json::from_str::<Vec<&RawValue>>(text) else {
        return DataError::NotAnArray {
            path: mapping.records.to_string(),
            found: JsonKind::of(text),
        };
    };
    let kinds = records.iter().map(|record| JsonKind::of(record.get()));
    let odd = (1u64..).zip(kinds).find(|(_, kind)| *kind != JsonKind::Object);
    odd.map_or_else(
        || DataError::from_json(text, error),
        |(record, found)| DataError::NotAnObject { record, found },
    )
}

/// Collects rows and keys. `slots` is used again for every record.
struct Writer<'m, 'a> {
    mapping: &'m Mapping,
    slots: Vec<Option<&'a str>>,
    /// Where each column's field (its length included) begins in `page.rows`.
    starts: Vec<usize>,
    watcher: Option<Watcher<'m, 'a>>,
    page: DecodedPage,
    notes: Notes,
    /// The error proper; what goes through the parser is only a sign that there is one.
    refused: Option<DataError>,
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
            watcher: mapping.watch.as_ref().map(Watcher::new),
            page,
            notes: Notes::new(columns, inferring),
            refused: None,
        }
    }

    /// Writes the record that the slots hold, and empties them.
    fn write_record(&mut self) -> Result<(), DataError> {
        let record = self.page.records + 1;
        let mapping = self.mapping;
        self.page
            .rows
            .extend_from_slice(&(mapping.columns.len() as u16).to_be_bytes());
        for (at, column) in mapping.columns.iter().enumerate() {
            self.starts[at] = self.page.rows.len();
            let came = self.slots[at].take();
            if let Some(raw) = came {
                self.notes.noted.columns[at].add(JsonKind::of(raw));
            }
            let raw = came.or(column.default.as_deref()).unwrap_or("null");
            write_field(column, raw, &mut self.page.rows).map_err(|reason| DataError::DoesNotFit {
                record: record.into(),
                column: column.name.clone(),
                type_name: column.ty.name(),
                excerpt: excerpt(raw),
                reason,
            })?;
        }
        self.write_key(record)?;
        self.page.records = record;
        self.watch();
        Ok(())
    }

    fn watch(&mut self) {
        if let Some(watcher) = &mut self.watcher {
            watcher.see(self.slots[self.mapping.columns.len()].take());
        }
    }

    fn finish(self) -> (DecodedPage, Noted) {
        let page = DecodedPage {
            reach: self.watcher.map(Watcher::finish).unwrap_or_default(),
            ..self.page
        };
        (page, self.notes.noted)
    }

    fn write_key(&mut self, record: u32) -> Result<(), DataError> {
        for &at in &self.mapping.key {
            let start = self.starts[at];
            let end = self.starts.get(at + 1).copied().unwrap_or(self.page.rows.len());
            let field = &self.page.rows[start..end];
            if field == NULL_FIELD {
                let column = self.mapping.columns[at].name.clone();
                return Err(DataError::KeyMissing {
                    record: record.into(),
                    column,
                });
            }
            self.page.keys.extend_from_slice(field);
        }
        Ok(())
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
            if let Err(refused) = self.0.write_record() {
                self.0.refused = Some(refused);
                return Err(A::Error::custom("the record was refused"));
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
        tree.walk(raw, &mut self.0.slots).map_err(D::Error::custom)
    }
}
