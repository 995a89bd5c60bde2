//! Pages that wait for their commit, and what the ledger and the page store keep of them.

use super::apply::Outcome;
use super::batch::signed;
use super::decode::{Arrived, Content, Decoder, Fresh};
use super::read::ReadState;
use crate::pg::clock::{self, Timestamp};
use crate::store::page;
use crate::store::run::Counts;
use sluice_core::Result;
use sluice_core::data::{DecodedPage, Mapping, content_hash_bytes};
use sluice_core::settings::CommitEvery;
use sluice_fetch::FetchedPage;
use std::sync::Arc;
use std::time::Instant;

/// Pages that wait for their commit.
pub struct Batch {
    pub pages: Vec<(FetchedPage<Arrived>, Timestamp)>,
    pub bytes: u64,
    begun: Option<Instant>,
}

impl Batch {
    pub fn new() -> Batch {
        Batch {
            pages: Vec::new(),
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

    pub fn fresh(&self) -> impl Iterator<Item = &Fresh> {
        let arrived = self.pages.iter().filter_map(|(p, _)| p.page.as_ref());
        arrived.filter_map(|a| a.fresh.as_ref())
    }

    pub fn fresh_pages(&self) -> Vec<&DecodedPage> {
        self.fresh().map(|fresh| &fresh.page).collect()
    }

    /// Decodes those pages again that were decoded with another mapping.
    pub fn decode_anew(&mut self, decoder: &Decoder, mapping: &Arc<Mapping>) -> Result<()> {
        for (fetched, _) in &mut self.pages {
            if let Some(arrived) = &mut fetched.page
                && let Some(anew) = decoder.decode_anew(arrived, mapping)?
            {
                *arrived = anew;
            }
        }
        Ok(())
    }
}

/// Where the checkpoint stands behind a batch.
pub fn next_of(read: &ReadState, batch: &Batch) -> (i64, Option<String>) {
    match batch.pages.last() {
        Some((page, _)) => (signed(page.number) + 1, page.next.as_ref().map(|token| token.0.clone())),
        None => (read.next_page, read.next_token.clone()),
    }
}

/// What the page store keeps of a page; None where it has that already.
pub fn body(fetched: &FetchedPage<Arrived>) -> Option<page::Body<'_>> {
    let arrived = fetched.page.as_ref()?;
    let Content::Stored { body, keys } = &arrived.fresh.as_ref()?.content else {
        return None;
    };
    Some(page::Body {
        hash: &arrived.hash.0,
        records: signed(arrived.records),
        body,
        keys,
    })
}

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
    }
}

pub fn counts(batch: &Batch, outcome: &Outcome) -> Counts {
    Counts {
        pages: signed(batch.pages.len() as u64),
        records: signed(batch.pages.iter().map(|(p, _)| p.records).sum()),
        inserted: signed(outcome.inserted),
        updated: signed(outcome.updated),
        deleted: signed(outcome.deleted),
        unchanged: signed(outcome.unchanged),
        bytes: signed(batch.pages.iter().map(|(p, _)| p.bytes).sum()),
    }
}
