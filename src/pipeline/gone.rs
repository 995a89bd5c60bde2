//! What a read no longer has: keys of the published read that are in none of its pages.
//!
//! Where both reads consist of the same pages nothing can have vanished, and no key is looked at.

use super::plan::Plan;
use super::read::ReadState;
use crate::pg::latch;
use crate::store::state::State;
use crate::store::{ingest, missing, page, reject};
use sluice_core::Result;
use sluice_core::data::{self, Mapping};
use sluice_core::error::{Error, InternalError};
use sluice_core::keys::{Pass, passes};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A stored page key set never unpacks to more than this.
pub const MOST_KEY_BYTES: usize = 1 << 30;

/// The keys of a read, compared with what the target holds.
#[derive(Default)]
pub struct Compared {
    pub records: u64,
    pub distinct: u64,
    pub duplicates: u64,
    /// The job's own rows before the read.
    pub rows_before: u64,
    /// The ledger has every page from the first to the last.
    pub gapless: bool,
    /// Keys of this job's rows that the read does not have.
    pub gone: Vec<Vec<u8>>,
    /// How many of them the complete read before did not have either.
    pub confirmed: HashSet<Vec<u8>>,
    /// Pages that must be applied, in order.
    pub fresh: Vec<Page>,
    /// Published pages whose records need not be looked at again, in order: those that the read does not have, and those
    /// that are applied for a rejected record.
    pub dropped: Vec<Page>,
    /// The places of records that the published read rejected, by page.
    pub rejected_before: HashMap<i64, Vec<u64>>,
}

impl Compared {
    /// Has all pages of the read applied, whatever the published ones were.
    pub fn apply_all(&mut self, pages: Vec<Page>) {
        self.fresh = pages.into_iter().filter(|p| p.2 > 0).collect();
        self.dropped.clear();
    }

    /// A key that was sent to us came later than what is known of its absence.
    fn heed(&mut self, sent: &Sent) {
        let since: HashSet<&Vec<u8>> = sent.since.iter().collect();
        if !since.is_empty() {
            self.gone.retain(|key| !since.contains(key));
        }
        for key in sent.before.iter().chain(&sent.since) {
            self.confirmed.remove(key);
        }
    }
}

/// Keys that payloads brought since the published read began: their rows are the job's own, too.
struct Sent {
    /// Before this read began: it should have them.
    before: Vec<Vec<u8>>,
    /// After it began: it may have passed their place already, and says nothing of them.
    since: Vec<Vec<u8>>,
}

impl Sent {
    fn load(job: i64, form: &str, published: i64, generation: i64) -> Result<Sent> {
        Ok(Sent {
            before: ingest::keys_between(job, form, published, Some(generation))?,
            since: ingest::keys_between(job, form, generation, None)?,
        })
    }
}

/// Compares the read of `generation` with the published one.
pub fn compare(plan: &Plan, read: &ReadState, generation: i64, mapping: &Arc<Mapping>) -> Result<Compared> {
    let job = plan.job.id;
    let now = page::of_generation(job, generation)?;
    // Upserts since then are left out: what only they have brought is not removed, because an upsert keeps no keys.
    let before = match read.state.whole_generation {
        Some(whole) if whole != generation => page::of_generation(job, whole)?,
        _ => Vec::new(),
    };
    let is_last = read.state.whole_generation == read.state.published_generation;
    let same_mapping = read.state.published_version.as_deref() == Some(mapping.version().0.as_slice());
    let form = key_form(plan);
    let missing_before = match read.state.whole_generation {
        Some(whole) => missing::of_generation(job, whole, &form)?,
        None => Vec::new(),
    };
    let sent = Sent::load(job, &form, read.state.whole_generation.unwrap_or(0), generation)?;
    let keys = KeyReader {
        job,
        mapping,
        same_mapping: same_mapping && is_last,
    };
    let rejected_before = match read.state.whole_generation {
        Some(whole) => reject::places(job, whole)?,
        None => HashMap::new(),
    };
    let has_rejects = !rejected_before.is_empty() || reject::count(job, generation)?.all > 0;
    let mut compared =
        if !read.verifying && !has_rejects && same_mapping && sent.before.is_empty() && same_pages(&now, &before) {
            unchanged(&read.state, missing_before)
        } else {
            compare_keys(&keys, &now, &before, (&missing_before, &sent.before))?
        };
    compared.heed(&sent);
    compared.rows_before = match is_last {
        true => u64::try_from(read.state.published_rows).unwrap_or(0),
        false => records_of(&before),
    };
    // At least that many: some of them may be among the pages' rows.
    compared.rows_before = compared.rows_before.max(sent.before.len() as u64);
    compared.gapless = (1..).zip(&now).all(|(expected, (number, ..))| *number == expected);
    compared.records = records_of(&now);
    // A key that comes twice makes the order of pages matter: then every page is applied.
    if read.verifying || compared.duplicates > 0 || !same_mapping {
        compared.apply_all(now);
    } else {
        (compared.fresh, compared.dropped) = differing(&now, &before, &rejected_before);
    }
    compared.rejected_before = rejected_before;
    Ok(compared)
}

/// The pages that must be applied, and those of before whose records need not be looked at again. A page with a rejected
/// record is applied although it is the same: all but that record are known.
fn differing(now: &[Page], before: &[Page], rejected: &HashMap<i64, Vec<u64>>) -> (Vec<Page>, Vec<Page>) {
    if rejected.is_empty() {
        return (not_among(now, before), not_among(before, now));
    }
    let taken: Vec<Page> = before
        .iter()
        .filter(|page| !rejected.contains_key(&page.0))
        .cloned()
        .collect();
    let fresh = not_among(now, &taken);
    let is_fresh: HashSet<&[u8]> = fresh.iter().map(|page| page.1.as_slice()).collect();
    let kept: Vec<Page> = now
        .iter()
        .filter(|page| !is_fresh.contains(page.1.as_slice()))
        .cloned()
        .collect();
    let dropped = not_among(before, &kept);
    (fresh, dropped)
}

/// What decides how a key is written down: the key's columns and their types, whatever else the mapping has.
pub fn key_form(plan: &Plan) -> String {
    let column = |name: &String| {
        let ty = plan.target.column(name).map(|column| column.type_oid.to_u32());
        format!("{name} {}", ty.unwrap_or_default())
    };
    plan.job.key.iter().map(column).collect::<Vec<_>>().join(", ")
}

/// A page of a ledger: number, hash, records.
pub type Page = (i64, Vec<u8>, i64);

fn records_of(pages: &[Page]) -> u64 {
    let each = pages.iter().map(|(_, _, records)| u64::try_from(*records).unwrap_or(0));
    each.sum()
}

/// The pages with records whose content is in none of the others.
fn not_among(pages: &[Page], others: &[Page]) -> Vec<Page> {
    let known: HashSet<&[u8]> = others.iter().map(|(_, hash, _)| hash.as_slice()).collect();
    let is_new = |(_, hash, records): &&Page| *records > 0 && !known.contains(hash.as_slice());
    pages.iter().filter(is_new).cloned().collect()
}

fn same_pages(now: &[Page], before: &[Page]) -> bool {
    let hashes = |pages: &[Page]| {
        let mut hashes: Vec<Vec<u8>> = pages.iter().filter(|p| p.2 > 0).map(|p| p.1.clone()).collect();
        hashes.sort_unstable();
        hashes
    };
    hashes(now) == hashes(before)
}

/// The same pages hold the same keys: only what was missing before is missing again.
fn unchanged(state: &State, missing_before: Vec<Vec<u8>>) -> Compared {
    Compared {
        distinct: u64::try_from(state.published_rows).unwrap_or(0),
        confirmed: missing_before.iter().cloned().collect(),
        gone: missing_before,
        ..Compared::default()
    }
}

/// `more`: keys of rows that are in no page of the former read: missing from it, and sent to us since.
fn compare_keys(keys: &KeyReader, now: &[Page], before: &[Page], more: (&[Vec<u8>], &[Vec<u8>])) -> Result<Compared> {
    let (missing, sent) = more;
    let mut compared = Compared::default();
    let dropped = not_among(before, now);
    let total: i64 = now.iter().map(|(_, _, records)| *records).sum();
    let of = passes(u64::try_from(total).unwrap_or(0));
    let confirmed: HashSet<&[u8]> = missing.iter().map(Vec::as_slice).collect();
    for number in 0..of {
        let mut pass = Pass::new(number, of);
        for (_, hash, records) in now.iter().filter(|(_, _, records)| *records > 0) {
            keys.each(hash, true, *records, |key| pass.see(key))?;
        }
        compared.distinct += pass.distinct();
        compared.duplicates += pass.duplicates;
        let mut gone = |key: &[u8]| {
            if pass.is_gone(key) {
                compared.gone.push(key.to_vec());
            }
        };
        for (_, hash, records) in &dropped {
            keys.each(hash, false, *records, &mut gone)?;
        }
        missing.iter().chain(sent).for_each(|key| gone(key));
    }
    if !sent.is_empty() {
        // They may be in the former pages as well.
        compared.gone.sort_unstable();
        compared.gone.dedup();
    }
    compared.confirmed = compared
        .gone
        .iter()
        .filter(|key| confirmed.contains(key.as_slice()))
        .cloned()
        .collect();
    Ok(compared)
}

/// Reads the keys of stored pages.
struct KeyReader<'a> {
    job: i64,
    mapping: &'a Mapping,
    /// Whether the former pages' keys were stored in the present form.
    same_mapping: bool,
}

impl KeyReader<'_> {
    /// Hands out each key of a page. `current`: the page was decoded with the present mapping.
    fn each(&self, hash: &[u8], current: bool, records: i64, mut take: impl FnMut(&[u8])) -> Result<()> {
        latch::check_interrupts();
        if records == 0 {
            return Ok(());
        }
        let keys = if current || self.same_mapping {
            self.stored(hash)?
        } else {
            self.decoded_anew(hash)?
        };
        data::split_keys(&keys, self.mapping.key.len()).for_each(&mut take);
        Ok(())
    }

    fn stored(&self, hash: &[u8]) -> Result<Vec<u8>> {
        let packed = page::keys(self.job, hash)?.ok_or_else(lost)?;
        Ok(data::decompress(&packed, MOST_KEY_BYTES)?)
    }

    /// The mapping has changed since: keys in its former form could not be compared.
    fn decoded_anew(&self, hash: &[u8]) -> Result<Vec<u8>> {
        let body = body_text(self.job, hash)?;
        Ok(data::sift(&body, self.mapping)?.all_keys().into_owned())
    }
}

/// The records text of a stored page.
pub fn body_text(job: i64, hash: &[u8]) -> Result<String> {
    let packed = page::body(job, hash)?.ok_or_else(lost)?;
    Ok(data::decompress_text(&packed, MOST_KEY_BYTES)?)
}

pub fn lost() -> Error {
    Error::Internal(InternalError::Corrupt {
        what: "a page of the page store".into(),
    })
}
