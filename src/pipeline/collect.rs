//! Pages that wait for the commit that makes them durable, and what is kept of each.

use super::batch::signed;
use super::decode::{Arrived, Content, Fresh};
use super::refused::Suspect;
use crate::pg::clock::{self, Timestamp};
use crate::store::page;
use crate::store::parent::Mark;
use sluice_core::Result;
use sluice_core::data::content_hash_bytes;
use sluice_core::settings::CommitEvery;
use sluice_fetch::FetchedPage;
use std::borrow::Cow;
use std::time::Instant;

/// Pages that wait for their commit.
pub struct Batch {
    pub pages: Vec<(FetchedPage<Arrived>, Timestamp)>,
    /// What became of parents with these pages.
    pub marks: Vec<Mark>,
    pub bytes: u64,
    begun: Option<Instant>,
}

impl Batch {
    pub fn new() -> Batch {
        Batch {
            pages: Vec::new(),
            marks: Vec::new(),
            bytes: 0,
            begun: None,
        }
    }

    pub fn add(&mut self, page: FetchedPage<Arrived>) -> Result<()> {
        self.bytes += page.page.as_ref().map_or(0, |p| p.bytes);
        self.begun.get_or_insert_with(Instant::now);
        self.pages.push((page, clock::now()));
        Ok(())
    }

    pub fn mark(&mut self, mark: Mark) {
        self.begun.get_or_insert_with(Instant::now);
        self.marks.push(mark);
    }

    pub fn is_empty(&self) -> bool {
        self.pages.is_empty() && self.marks.is_empty()
    }

    pub fn is_full(&self, limit: &CommitEvery) -> bool {
        self.bytes >= limit.bytes || limit.pages.is_some_and(|n| self.pages.len() as u64 >= n) || self.is_due(limit)
    }

    pub fn is_due(&self, limit: &CommitEvery) -> bool {
        self.begun.is_some_and(|begun| begun.elapsed() >= limit.time)
    }

    /// The pages so far; the batch is empty after it.
    pub fn take(&mut self) -> Batch {
        std::mem::replace(self, Batch::new())
    }

    /// The pages whose content is new, with their numbers.
    pub fn fresh(&self) -> impl Iterator<Item = (i64, &Fresh)> {
        self.pages.iter().filter_map(|(fetched, _)| {
            let fresh = fetched.page.as_ref()?.fresh.as_ref()?;
            Some((signed(fetched.number), fresh))
        })
    }

    pub fn suspects(&self) -> Vec<Suspect<'_>> {
        let each = self.fresh().map(|(number, fresh)| Suspect {
            number,
            page: &fresh.sifted.page,
            places: fresh.sifted.places().collect(),
        });
        each.collect()
    }

    /// The text of a page's records.
    pub fn text(&self, number: i64) -> Option<Cow<'_, str>> {
        self.fresh().find(|(other, _)| *other == number)?.1.content.text()
    }
}

/// What the page store keeps of a page; None where it has that already.
pub fn body(fetched: &FetchedPage<Arrived>) -> Option<page::Body<'_>> {
    let arrived = fetched.page.as_ref()?;
    let Content::Stored { body, keys, gone } = &arrived.fresh.as_ref()?.content else {
        return None;
    };
    Some(page::Body {
        hash: &arrived.hash.0,
        records: signed(arrived.records),
        body,
        keys,
        gone: gone.as_deref(),
    })
}

/// The ledger's row of a page.
pub fn entry(fetched: &FetchedPage<Arrived>, at: Timestamp) -> page::Entry {
    let hash = match &fetched.page {
        Some(arrived) => arrived.hash.0.to_vec(),
        None => content_hash_bytes(b"").to_vec(),
    };
    page::Entry {
        number: signed(fetched.number),
        token_in: fetched.token.0.clone(),
        token_out: fetched.next.as_ref().map(|t| t.0.clone()),
        records: signed(fetched.records),
        bytes: signed(fetched.bytes),
        hash,
        etag: fetched.etag.clone(),
        last_modified: fetched.last_modified.clone(),
        total: fetched.total.map(signed),
        total_pages: fetched.total_pages.map(signed),
        received_at: at,
        parent: fetched.page.as_ref().and_then(|page| page.parent).map(|id| id.to_vec()),
    }
}
