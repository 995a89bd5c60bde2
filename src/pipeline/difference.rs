//! The pages that a publish applies, without the records that the published pages had too.
//!
//! Both reads are gone through side by side. How far a record may have moved between them is bounded by memory: what
//! moved further is decoded and compared with the target's row, and found unchanged there.

use super::gone::{Compared, Page, body_text};
use super::refused::Suspect;
use crate::pg::latch;
use sluice_core::Result;
use sluice_core::data::{self, Former, Mapping, Sifted, Unknown};
use std::collections::HashMap;

/// Records that are known behind and ahead of the present page, at least.
const REACH: usize = 125_000;
/// A batch is applied when it has so many records, or bytes of rows.
const BATCH_RECORDS: u64 = 10_000;
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// And when so much text was looked through: in a batch that PostgreSQL refuses it is gone through once more.
const BATCH_TEXT: usize = 16 * 1024 * 1024;

pub struct Difference<'a> {
    job: i64,
    mapping: &'a Mapping,
    fresh: std::slice::Iter<'a, Page>,
    dropped: std::slice::Iter<'a, Page>,
    /// The places of records that the published read rejected, by page.
    rejected_before: &'a HashMap<i64, Vec<u64>>,
    former: Former,
    /// Records of both reads that were gone through.
    fresh_seen: i64,
    dropped_seen: i64,
}

/// Decoded pages that are applied together.
#[derive(Default)]
pub struct Share {
    pub pages: Vec<Part>,
    /// The read's pages that they are taken from: number and hash.
    pub of: Vec<(i64, Vec<u8>)>,
    text_bytes: usize,
}

/// What is to be applied of a page.
pub struct Part {
    pub number: i64,
    pub sifted: Sifted,
    /// An array of the records, and their places in the page.
    pub unknown: Unknown,
}

impl Part {
    /// The places of the rows' records in the page.
    pub fn places(&self) -> Vec<u64> {
        self.sifted
            .places()
            .map(|at| self.unknown.places[at as usize - 1])
            .collect()
    }

    pub fn suspect(&self) -> Suspect<'_> {
        Suspect {
            number: self.number,
            page: &self.sifted.page,
            places: self.places(),
        }
    }
}

impl Share {
    fn is_full(&self) -> bool {
        let records: u64 = self.pages.iter().map(|p| u64::from(p.sifted.page.records)).sum();
        let bytes: usize = self.pages.iter().map(|p| p.sifted.page.rows.len()).sum();
        records >= BATCH_RECORDS || bytes >= BATCH_BYTES || self.text_bytes >= BATCH_TEXT
    }
}

impl<'a> Difference<'a> {
    pub fn new(job: i64, mapping: &'a Mapping, compared: &'a Compared) -> Difference<'a> {
        Difference {
            job,
            mapping,
            fresh: compared.fresh.iter(),
            dropped: compared.dropped.iter(),
            rejected_before: &compared.rejected_before,
            former: Former::new(2 * REACH),
            fresh_seen: 0,
            dropped_seen: 0,
        }
    }

    /// The next pages to apply, in order; none when all were given out.
    pub fn next(&mut self) -> Result<Option<Share>> {
        let mut share = Share::default();
        while !share.is_full() {
            let Some((number, hash, records)) = self.fresh.next() else {
                break;
            };
            latch::check_interrupts();
            self.fresh_seen += records;
            self.look_ahead()?;
            let text = body_text(self.job, hash)?;
            share.of.push((*number, hash.clone()));
            share.text_bytes += text.len();
            if let Some(unknown) = self.former.without(&text)? {
                share.pages.push(Part {
                    number: *number,
                    sifted: data::sift(&unknown.text, self.mapping)?,
                    unknown,
                });
            }
        }
        Ok((!share.of.is_empty()).then_some(share))
    }

    /// Takes published pages in until they reach far enough past the present one.
    fn look_ahead(&mut self) -> Result<()> {
        while self.dropped_seen < self.fresh_seen + REACH as i64 {
            let Some((number, hash, records)) = self.dropped.next() else {
                break;
            };
            latch::check_interrupts();
            self.dropped_seen += records;
            let rejected = self.rejected_before.get(number).map_or(&[][..], Vec::as_slice);
            self.former.add(&body_text(self.job, hash)?, rejected)?;
        }
        Ok(())
    }
}
