//! The pages that a publish applies, without the records that the published pages had too.
//!
//! Both reads are gone through side by side. How far a record may have moved between them is bounded by memory: what
//! moved further is decoded and compared with the target's row, and found unchanged there.

use super::gone::{Compared, Page, body_text};
use crate::pg::latch;
use sluice_core::Result;
use sluice_core::data::{self, DecodedPage, Former, Mapping};

/// Records that are known behind and ahead of the present page, at least.
const REACH: usize = 125_000;
/// A batch is applied when it has so many records, or bytes of rows.
const BATCH_RECORDS: u64 = 10_000;
const BATCH_BYTES: usize = 8 * 1024 * 1024;

pub struct Difference<'a> {
    job: i64,
    mapping: &'a Mapping,
    fresh: std::slice::Iter<'a, Page>,
    dropped: std::slice::Iter<'a, Page>,
    former: Former,
    /// Records of both reads that were gone through.
    fresh_seen: i64,
    dropped_seen: i64,
}

/// Decoded pages that are applied together.
#[derive(Default)]
pub struct Share {
    pub pages: Vec<DecodedPage>,
    /// How many of the read's pages they stand for.
    pub of_pages: i64,
}

impl Share {
    fn is_full(&self) -> bool {
        let records: u64 = self.pages.iter().map(|p| u64::from(p.records)).sum();
        let bytes: usize = self.pages.iter().map(|p| p.rows.len()).sum();
        records >= BATCH_RECORDS || bytes >= BATCH_BYTES
    }
}

impl<'a> Difference<'a> {
    pub fn new(job: i64, mapping: &'a Mapping, compared: &'a Compared) -> Difference<'a> {
        Difference {
            job,
            mapping,
            fresh: compared.fresh.iter(),
            dropped: compared.dropped.iter(),
            former: Former::new(2 * REACH),
            fresh_seen: 0,
            dropped_seen: 0,
        }
    }

    /// The next pages to apply, in order; none when all were given out.
    pub fn next(&mut self) -> Result<Option<Share>> {
        let mut share = Share::default();
        while !share.is_full() {
            let Some((_, hash, records)) = self.fresh.next() else {
                break;
            };
            latch::check_interrupts();
            share.of_pages += 1;
            self.fresh_seen += records;
            self.look_ahead()?;
            let text = body_text(self.job, hash)?;
            if let Some(new) = self.former.without(&text)? {
                share.pages.push(data::decode(&new, self.mapping)?);
            }
        }
        Ok((share.of_pages > 0).then_some(share))
    }

    /// Takes published pages in until they reach far enough past the present one.
    fn look_ahead(&mut self) -> Result<()> {
        while self.dropped_seen < self.fresh_seen + REACH as i64 {
            let Some((_, hash, records)) = self.dropped.next() else {
                break;
            };
            latch::check_interrupts();
            self.dropped_seen += records;
            self.former.add(&body_text(self.job, hash)?)?;
        }
        Ok(())
    }
}
