//! Undo sets of a table that has lost columns since, or has wider ones.
//!
//! What is left of each row goes back, and the lost columns are told. A fingerprint that a lost column was part of cannot
//! be taken any more: a row then counts as ours while it is as the run's pages, which the page store keeps as long as
//! the undo set, brought it.

use super::Applier;
use super::shape::target_text;
use super::undo::{Entry, Payload, UndoText, Values};
use super::unfilled::unfilled;
use crate::pg::relation::Target;
use crate::pg::statement::{Pinned, Planning, Statement, session};
use sluice_core::data::{DecodedPage, InferredType, Widening, content_hash_bytes};
use sluice_core::error::{Result, TargetError};
use sluice_core::sql_text::{INCOMING, Locking, TargetText, UndoOp};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// An undo set as far as the target can take it.
pub(super) struct Fitted {
    pub text: TargetText,
    pub rows: Vec<Entry>,
    /// Columns that it has values of and the target no longer has.
    pub dropped: BTreeSet<String>,
    /// The operations whose fingerprints such a column was part of.
    pub blind: Vec<UndoOp>,
}

/// The name that a column of an undo set has now; None where the target no longer has it. A column is known by its
/// number; one that came since under the name of a lost one stands for it.
pub fn name_now<'t>(target: &'t Target, columns: &[String], attnums: &[i64], name: &str) -> Option<&'t str> {
    let place = columns.iter().position(|column| column == name);
    let by_name = target.column(name);
    let found = match place.and_then(|at| attnums.get(at)) {
        None => by_name,
        Some(number) => target
            .columns
            .iter()
            .find(|column| i64::from(column.attnum) == *number)
            .or(by_name.filter(|column| !attnums.contains(&column.attnum.into()))),
    };
    found.map(|column| column.name.as_str())
}

/// The set keeps the values of its columns of deleted rows, and their fingerprint of inserted ones.
pub(super) fn fit(target: &Target, payload: Payload, undo: &UndoText) -> Result<Fitted> {
    let all = undo.columns.as_slice();
    let now = |name: &String| name_now(target, all, &undo.attnums, name);
    let is_there = |name: &String| now(name).is_some();
    let dropped_key = |key: &String| TargetError::UndoKeyDropped {
        table: target.full_name(),
        column: key.clone(),
    };
    let key = |name: &String| now(name).map(str::to_owned).ok_or_else(|| dropped_key(name).into());
    let key = payload.key.iter().map(key).collect::<Result<Vec<String>>>()?;
    let lost = |columns: &[String]| columns.iter().any(|column| !is_there(column));
    let ops = [(UndoOp::Inserted, all), (UndoOp::Updated, payload.mapped.as_slice())];
    let blind = ops
        .into_iter()
        .filter(|(_, columns)| lost(columns))
        .map(|(op, _)| op)
        .collect();
    let dropped = all
        .iter()
        .chain(&payload.mapped)
        .filter(|name| !is_there(name))
        .cloned();
    let dropped = dropped.collect();
    let left = |columns: &[String]| -> Vec<String> { columns.iter().filter_map(now).map(str::to_owned).collect() };
    let mut text = target_text(target, left(&payload.mapped), &key)?;
    text.all = left(all);
    let types = payload
        .types
        .iter()
        .filter_map(|(name, ty)| Some((now(name)?.to_owned(), ty.clone())));
    text.widened = widened(&types.collect(), &text.types);
    text.unfilled = unfilled(target, &undo.attnums, &[])?;
    let kept = |values: Values, columns: &[String]| -> Values {
        let both = columns.iter().zip(values);
        both.filter(|(name, _)| is_there(name))
            .map(
                |(name, value)| match now(name).and_then(|name| text.widened.get(name)) {
                    Some(widening) => value.map(|former| widening.text_of(&former).into_owned()),
                    None => value,
                },
            )
            .collect()
    };
    let rows = payload.rows.into_iter().map(|Entry(op, key, hash, former)| {
        let columns = if op == UndoOp::Deleted { all } else { &payload.mapped };
        Entry(op, key, hash, former.map(|values| kept(values, columns)))
    });
    let rows = rows.collect();
    Ok(Fitted {
        text,
        rows,
        dropped,
        blind,
    })
}

/// The columns that have a wider type now than then.
fn widened(then: &BTreeMap<String, String>, now: &BTreeMap<String, InferredType>) -> BTreeMap<String, Widening> {
    let of = |(name, then): (&String, &String)| {
        let widening = Widening::new(InferredType::of_sql(then)?, *now.get(name)?)?;
        Some((name.clone(), widening))
    };
    then.iter().filter_map(of).collect()
}

/// What a person is told of columns that were left out.
pub fn dropped_message(columns: &BTreeSet<String>) -> Option<String> {
    let named: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
    let what = match named.as_slice() {
        [] => return None,
        [one] => format!("column {one}, which the target no longer has, is"),
        several => format!("columns {}, which the target no longer has, are", several.join(", ")),
    };
    Some(format!("{what} left out"))
}

/// Keys of rows that are as a run's pages brought them; only their hashes, since there may be many.
#[derive(Default)]
pub struct SentKeys {
    keys: HashSet<[u8; 32]>,
    /// Whether all of the run's pages are there: what is not among the keys was changed then.
    pub is_known: bool,
}

impl SentKeys {
    pub(super) fn has(&self, key: &Values) -> bool {
        self.keys.contains(&digest(key))
    }
}

/// Each value with its length before it, so that no two keys run together to the same bytes.
fn digest(key: &[Option<String>]) -> [u8; 32] {
    let mut bytes = Vec::new();
    for value in key {
        let length = value.as_ref().map_or(u64::MAX, |value| value.len() as u64);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(value.as_deref().unwrap_or_default().as_bytes());
    }
    content_hash_bytes(&bytes)
}

impl Applier {
    /// Adds the keys of those rows of these pages that are as they came. Locks nothing.
    pub fn find_sent(&self, pages: &[&DecodedPage], found: &mut SentKeys) -> Result<()> {
        self.lock_shape()?;
        let _exact = Pinned::exact_text();
        let text = self.text.find_as_sent(Locking::Unlocked);
        session(|session| {
            let rows = self.last_of_each_key(pages)?;
            let incoming = self.settle(session, self.incoming(session, pages, rows.into_iter())?);
            let find = || Statement::prepare(session, &text, Planning::Probe).texts(session);
            let same = incoming.named(session, INCOMING, find).into_iter();
            let same = same.filter(|row| row[2].as_deref() == Some("t"));
            found.keys.extend(same.map(|row| digest(&row[3..])));
            Ok(())
        })
    }
}
