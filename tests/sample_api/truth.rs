//! What the server holds now, for comparison with what a client made of it.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::catalogue::Snapshot;
use crate::record::Entry;

/// Sums over all live products that SQL can compute too; the README has the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    pub count: u64,
    pub sum_id: u64,
    pub sum_price_cents: u64,
    pub sum_stock: u64,
    /// Seconds since 1970; 0 without products.
    pub max_updated_at: u64,
    /// Of the lines of `/_control/truth`, each with its line feed.
    pub json_sha256: String,
    /// Of `id|sku|name|description|price|stock|active|category|updated_at` in order of id, joined by line feeds, with
    /// the time in seconds since 1970.
    pub rows_sha256: String,
}

/// Records as JSON, by id.
pub(crate) fn records(snapshot: &Snapshot) -> BTreeMap<u64, String> {
    snapshot.entries.iter().map(|entry| (entry.id, json(*entry))).collect()
}

/// One record as JSON, if it exists.
pub(crate) fn record(snapshot: &Snapshot, id: u64) -> Option<String> {
    let at = snapshot.entries.binary_search_by_key(&id, |entry| entry.id).ok()?;
    Some(json(snapshot.entries[at]))
}

fn json(entry: Entry) -> String {
    let mut out = Vec::with_capacity(400);
    entry.push_json(&mut out);
    String::from_utf8(out).expect("records are written from strings")
}

/// All records as lines of JSON, in pieces of about 100 KB.
pub(crate) fn lines(snapshot: &Snapshot) -> impl Iterator<Item = Vec<u8>> {
    snapshot.entries.chunks(300).map(|entries| {
        let mut out = Vec::with_capacity(128 * 1024);
        for entry in entries {
            entry.push_json(&mut out);
            out.push(b'\n');
        }
        out
    })
}

pub(crate) fn checksum(snapshot: &Snapshot) -> Checksum {
    let entries = &snapshot.entries;
    let sum = |of: fn(Entry) -> u64| entries.iter().map(|entry| of(*entry)).sum();
    Checksum {
        count: entries.len() as u64,
        sum_id: sum(|entry| entry.id),
        sum_price_cents: sum(Entry::price_cents),
        sum_stock: sum(Entry::stock),
        max_updated_at: entries.iter().map(|entry| entry.updated_at()).max().unwrap_or(0),
        json_sha256: sha256(lines(snapshot)),
        rows_sha256: sha256(entries.iter().enumerate().map(|(at, entry)| {
            let mut row = if at == 0 { vec![] } else { vec![b'\n'] };
            entry.push_row(&mut row);
            row
        })),
    }
}

fn sha256(pieces: impl Iterator<Item = Vec<u8>>) -> String {
    let mut digest = Sha256::new();
    pieces.for_each(|piece| digest.update(piece));
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
