//! Pages that wait for the commit that makes them durable, and what is kept of each.

use super::apply::Outcome;
use super::batch::signed;
use super::decode::{Arrived, Content, Decoder, Fresh};
use super::new_fields::Wanted;
use super::read::ReadState;
use super::refused::Suspect;
use super::rejects;
use super::widen::{Wider, join};
use crate::pg::clock::{self, Timestamp};
use crate::store::page;
use crate::store::parent::Mark;
use crate::store::reject::Rejected;
use crate::store::run::Counts;
use sluice_core::Result;
use sluice_core::data::{self, Mapping, content_hash_bytes};
use sluice_core::error::{Error, InternalError};
use sluice_core::job::Mode;
use sluice_core::settings::CommitEvery;
use sluice_fetch::FetchedPage;
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
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

    /// The second half of its pages, which is taken away; None where there is nothing to halve. The states of parents
    /// belong to all of them.
    pub fn halve(&mut self) -> Option<Batch> {
        if self.pages.len() < 2 || !self.marks.is_empty() {
            return None;
        }
        let mut rest = Batch::new();
        rest.pages = self.pages.split_off(self.pages.len() / 2);
        Some(rest)
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

    /// The members that are to have a column, without these: each with a type for all its values.
    pub fn wanted(&self, without: &HashSet<String>) -> Vec<Wanted> {
        let mut all: Vec<Wanted> = Vec::new();
        let of_pages = self.fresh().flat_map(|(_, fresh)| &fresh.wanted);
        for wanted in of_pages.filter(|wanted| !without.contains(&wanted.member)) {
            match all.iter_mut().find(|w| w.member == wanted.member) {
                Some(known) => known.ty = known.ty.join(wanted.ty),
                None => all.push(wanted.clone()),
            }
        }
        all
    }

    /// The columns that are to become wider, without these.
    pub fn wider(&self, without: &HashSet<String>) -> Vec<Wider> {
        let mut all = Vec::new();
        let of_pages = self.fresh().flat_map(|(_, fresh)| &fresh.waiting.columns);
        of_pages
            .filter(|wider| !without.contains(&wider.column))
            .for_each(|wider| join(&mut all, wider.clone()));
        all
    }

    /// What is wrong with the first record that has waited for a wider column in vain.
    pub fn in_vain(&self) -> Option<Error> {
        let mut rejects = self.fresh().flat_map(|(_, fresh)| &fresh.sifted.rejects);
        rejects.next().map(|reject| reject.error.clone().into())
    }

    /// How many records could not be decoded: with those that wait for a wider column, or without.
    pub fn count_undecoded(&self, with_waiting: WithWaiting) -> u64 {
        let each = self.fresh().map(|(_, fresh)| match with_waiting {
            WithWaiting::Yes => fresh.sifted.rejects.len(),
            WithWaiting::No => fresh.sifted.rejects.len() - fresh.waiting.records.len(),
        });
        each.map(|count| count as u64).sum()
    }

    /// The first of them, as they are kept aside.
    pub fn undecoded(&self, mapping: &Mapping, with_waiting: WithWaiting, most: usize) -> Result<Vec<Rejected>> {
        let mut kept = Vec::new();
        for (number, fresh) in self.fresh().filter(|(_, fresh)| !fresh.sifted.rejects.is_empty()) {
            let text = fresh.content.text().ok_or_else(lost)?;
            let records = data::split_records(&text)?;
            let is_kept = |place: &u64| with_waiting == WithWaiting::Yes || !fresh.waiting.records.contains(place);
            let rejects = fresh.sifted.rejects.iter();
            for reject in rejects.filter(|reject| is_kept(&reject.record)).take(most - kept.len()) {
                let record = records.get(reject.record as usize - 1).copied().unwrap_or_default();
                kept.push(rejects::of_decoding(number, reject.record, reject, record, mapping));
            }
        }
        Ok(kept)
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

/// Whether records that wait for a wider column are taken for rejects: their columns did not become wider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithWaiting {
    Yes,
    No,
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
        ignored: fetched.ignored,
    }
}

/// What the batch adds to its run.
pub fn counts(batch: &Batch, outcome: &Outcome) -> Counts {
    Counts {
        pages: signed(batch.pages.len() as u64),
        records: signed(batch.pages.iter().map(|(p, _)| p.records).sum()),
        inserted: signed(outcome.inserted),
        updated: signed(outcome.updated),
        deleted: signed(outcome.deleted),
        unchanged: signed(outcome.unchanged),
        bytes: signed(batch.pages.iter().map(|(p, _)| p.bytes).sum()),
        rejected: 0,
    }
}

/// In a first load, a row that is there already came earlier in the same read; where rows are only added it came once.
pub fn duplicates(mode: Mode, read: &ReadState, outcome: &Outcome) -> i64 {
    let again = if read.first_load || mode == Mode::Append {
        outcome.updated + outcome.unchanged
    } else {
        0
    };
    signed(outcome.duplicates + again)
}

/// Records of the batch that are no rows, but say that one is gone.
pub fn tombstones(batch: &Batch) -> i64 {
    signed(batch.fresh().map(|(_, fresh)| fresh.sifted.buried.len() as u64).sum())
}

/// For texts that were in memory and are not whole any more.
pub fn lost() -> Error {
    Error::Internal(InternalError::Corrupt {
        what: "the text of a page".into(),
    })
}
