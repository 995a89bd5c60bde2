//! What a read no longer has: keys of the published read that are in none of its pages.
//!
//! Where both reads consist of the same pages nothing can have vanished, and no key is looked at.

use super::brought::Sources;
use super::heed::{Heed, Sent};
use super::plan::Plan;
use super::publish::Occasion;
use super::read::ReadState;
use crate::pg::key_identity::KeyIdentity;
use crate::pg::latch;
use crate::store::state::State;
use crate::store::{missing, page, parent, reject};
use sluice_core::Result;
use sluice_core::data::{self, Mapping};
use sluice_core::error::{Error, InternalError};
use sluice_core::keys::{KeyId, Pass, passes};
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
    /// Every parent was read, or what it had before stands for it.
    pub complete: bool,
    /// What was read is one page, or one page below each parent.
    pub single: bool,
    /// Keys of this job's rows that the read does not have: all of them, or the first.
    pub gone: Vec<Vec<u8>>,
    /// The other ones.
    more: More,
    /// Those of the keys that the complete read before did not have either.
    pub confirmed: HashSet<Vec<u8>>,
    /// Those of them for which the read has a tombstone: they are gone, whatever else is to be said of the read.
    pub buried: HashSet<Vec<u8>>,
    /// Pages that must be applied, in order.
    pub fresh: Vec<Page>,
    /// Published pages whose records need not be looked at again, in order: those that the read does not have, and those
    /// that are applied for a rejected record.
    pub dropped: Vec<Page>,
    /// The places of records that the published read rejected, by page.
    pub rejected_before: HashMap<i64, Vec<u64>>,
    /// Keys that a payload has removed: their rows are neither missing nor were they there.
    removed: u64,
}

/// How many missing keys are wanted. An answer without records lacks those of the whole table, and a guard may need but
/// their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    First,
    All,
}

impl Wanted {
    fn most(self) -> usize {
        match self {
            // So few where it is tested that scenarios have more.
            Wanted::First if cfg!(feature = "failpoints") => 100,
            Wanted::First => 1_000_000,
            Wanted::All => usize::MAX,
        }
    }
}

/// Missing keys that are only counted.
#[derive(Default)]
struct More {
    all: u64,
    /// Those without a tombstone.
    confirmed: u64,
    buried: u64,
}

impl Compared {
    /// Has all pages of the read applied, whatever the published ones were.
    pub fn apply_all(&mut self, pages: Vec<Page>) {
        self.fresh = pages.into_iter().filter(|p| p.2 > 0).collect();
        self.dropped.clear();
    }

    /// What the read before did not have says nothing.
    fn forget_confirmed(&mut self) {
        self.confirmed.clear();
        self.more.confirmed = 0;
    }

    /// How many rows are missing.
    pub fn missing(&self) -> u64 {
        self.gone.len() as u64 + self.more.all
    }

    /// Whether more keys are missing than are there.
    pub fn is_cut(&self) -> bool {
        self.more.all > 0
    }
}

/// Compares a read with the published one.
pub fn compare(
    plan: &Plan,
    read: &ReadState,
    mapping: &Arc<Mapping>,
    occasion: Occasion,
    wanted: Wanted,
) -> Result<Compared> {
    let (job, generation) = (plan.job.id, read.generation);
    let now = page::of_generation(job, generation)?;
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
    // Rows that wait for confirmation are there, though the published pages do not have them.
    let waiting = missing_before.len() as u64;
    let sent = Sent::load(job, &form, read.state.whole_generation.unwrap_or(0), generation)?;
    let keys = KeyReader::new(plan, mapping, &read.state);
    let sources = Sources::new(plan, &read.state, mapping)?.sent_before(generation);
    let rejected_before = match read.state.whole_generation {
        Some(whole) => reject::places_of_published(job, whole)?,
        None => HashMap::new(),
    };
    let has_rejects = !rejected_before.is_empty() || reject::count(job, generation)?.all > 0;
    let is_same = !read.verifying && !has_rejects && same_mapping && sent.before.is_empty() && sent.buried.is_empty();
    let heed = Heed::new(&sent, &keys.identity, occasion, wanted.most())?;
    let mut compared = if sources.is_any_brought() {
        compare_own(&keys, &now, &sources, (&missing_before, &heed))?
    } else if is_same && same_pages(&now, &before) {
        unchanged(&read.state, &keys.identity, (&missing_before, &heed))?
    } else {
        let more = (missing_before.as_slice(), sent.before.as_slice());
        compare_keys(&keys, (&now, &before), more, &heed)?
    };
    let removed = compared.removed;
    compared.rows_before = match is_last {
        _ if sources.is_any_brought() => compared.rows_before,
        true => (u64::try_from(read.state.published_rows).unwrap_or(0) + waiting).saturating_sub(removed),
        false => (records_of(&before) + waiting).saturating_sub(removed),
    };
    // At least that many: some of them may be among the pages' rows.
    compared.rows_before = compared.rows_before.max(sent.before.len() as u64);
    let has_all = (1..).zip(&now).all(|(expected, (number, ..))| *number == expected);
    compared.gapless = has_all && !page::has_ignored(job, generation)?;
    if let Some(whole) = read.state.whole_generation
        && page::has_ignored(job, whole)?
    {
        // What the read before did not have may have been in the answer that was ignored.
        compared.forget_confirmed();
    }
    if occasion == Occasion::Replayed {
        // A read that is looked at twice is one read.
        compared.forget_confirmed();
    }
    compared.complete = parent::failed(job, generation)?.1 == 0;
    compared.single = match plan.settings.foreach {
        Some(_) => parent::most_pages(job, generation)? <= 1,
        None => read.next_page <= 2,
    };
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

pub fn records_of(pages: &[Page]) -> u64 {
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
fn unchanged(state: &State, identity: &KeyIdentity, (missing, heed): (&[Vec<u8>], &Heed)) -> Result<Compared> {
    let mut compared = Compared {
        distinct: u64::try_from(state.published_rows).unwrap_or(0),
        ..Compared::default()
    };
    let ids = identity.ids(missing.iter().map(Vec::as_slice))?;
    for (key, id) in missing.iter().zip(ids) {
        compared.miss((key, id), (true, false), heed);
    }
    Ok(compared)
}

/// `more`: keys of rows that are in no page of the former read: missing from it, and sent to us since.
fn compare_keys(
    keys: &KeyReader,
    (now, before): (&[Page], &[Page]),
    more: (&[Vec<u8>], &[Vec<u8>]),
    heed: &Heed,
) -> Result<Compared> {
    let (missing, sent) = more;
    let mut compared = Compared::default();
    let dropped = not_among(before, now);
    let others = (missing.len() + sent.len()) as u64;
    let of = passes(records_of(now) + records_of(&dropped) + others);
    let confirmed: HashSet<&[u8]> = missing.iter().map(Vec::as_slice).collect();
    for number in 0..of {
        let mut pass = compared.see(keys, now, (number, of))?;
        let mut gone = |key: &[u8], id: KeyId| {
            if pass.is_gone(id) {
                compared.miss((key, id), (confirmed.contains(key), pass.is_buried(id)), heed);
            }
        };
        for (_, hash, records) in &dropped {
            keys.each(hash, false, *records, &mut gone)?;
        }
        let more: Vec<&[u8]> = missing.iter().chain(sent).map(Vec::as_slice).collect();
        let ids = keys.identity.ids(more.iter().copied())?;
        more.into_iter().zip(ids).for_each(|(key, id)| gone(key, id));
    }
    Ok(compared)
}

/// The same where upserts have brought rows since the last whole read: all keys are looked at.
fn compare_own(
    keys: &KeyReader,
    now: &[Page],
    sources: &Sources,
    (missing, heed): (&[Vec<u8>], &Heed),
) -> Result<Compared> {
    let mut compared = Compared::default();
    let of = sources.passes(records_of(now))?;
    let confirmed: HashSet<&[u8]> = missing.iter().map(Vec::as_slice).collect();
    for number in 0..of {
        let mut pass = compared.see(keys, now, (number, of))?;
        let own = sources.own(number, of)?;
        compared.rows_before += own.count();
        let mut gone: Vec<(Vec<u8>, KeyId)> = Vec::new();
        sources.gone(&own, &mut pass, |key, id| gone.push((key.to_vec(), id)))?;
        for (key, id) in &gone {
            let known = (confirmed.contains(key.as_slice()), pass.is_buried(*id));
            compared.miss((key, *id), known, heed);
        }
    }
    Ok(compared)
}

impl Compared {
    /// Takes the keys and the tombstones of a read's pages into a pass, as `(number, of)`.
    fn see(&mut self, keys: &KeyReader, now: &[Page], (number, of): (u64, u64)) -> Result<Pass> {
        let mut pass = Pass::new(number, of);
        for (_, hash, records) in now.iter().filter(|(_, _, records)| *records > 0) {
            keys.each(hash, true, *records, |_, id| pass.see(id))?;
            keys.each_tombstone(hash, |id| pass.bury(id))?;
        }
        self.distinct += pass.distinct();
        self.duplicates += pass.duplicates;
        Ok(pass)
    }

    /// A row of the job is not in the read. Whether the read before did not have it either, and whether the read has a
    /// tombstone for it.
    fn miss(&mut self, (key, id): (&[u8], KeyId), (confirmed, buried): (bool, bool), heed: &Heed) {
        if heed.spared.contains(&id) {
            return;
        }
        if heed.removed.contains(&id) {
            self.removed += 1;
            return;
        }
        let confirmed = confirmed && !heed.unconfirmed.contains(&id);
        if self.gone.len() >= heed.most {
            self.more.all += 1;
            self.more.confirmed += u64::from(confirmed && !buried);
            self.more.buried += u64::from(buried);
            return;
        }
        self.gone.push(key.to_vec());
        if confirmed {
            self.confirmed.insert(key.to_vec());
        }
        if buried {
            self.buried.insert(key.to_vec());
        }
    }

    /// How many of the missing rows are proven gone by this read and the one before.
    pub fn proven(&self) -> u64 {
        self.confirmed.union(&self.buried).count() as u64 + self.more.confirmed + self.more.buried
    }
}

/// Reads the keys of stored pages.
pub struct KeyReader<'a> {
    job: i64,
    mapping: &'a Mapping,
    /// Whether the former pages' keys were stored in the present form.
    same_mapping: bool,
    pub identity: KeyIdentity,
}

impl<'a> KeyReader<'a> {
    pub fn new(plan: &Plan, mapping: &'a Mapping, state: &State) -> KeyReader<'a> {
        KeyReader {
            job: plan.job.id,
            identity: KeyIdentity::new(&plan.target, &plan.job.key),
            mapping,
            same_mapping: state.whole_version.as_deref() == Some(mapping.version().0.as_slice()),
        }
    }

    /// Hands out the key of each tombstone of a page that was decoded with the present mapping.
    fn each_tombstone(&self, hash: &[u8], take: impl FnMut(KeyId)) -> Result<()> {
        if self.mapping.aside.deleted_when.is_none() {
            return Ok(());
        }
        if let Some(packed) = page::gone(self.job, hash)? {
            let keys = data::decompress(&packed, MOST_KEY_BYTES)?;
            let ids = self.identity.ids(data::split_keys(&keys, self.mapping.key.len()))?;
            ids.into_iter().for_each(take);
        }
        Ok(())
    }

    /// Hands out each key of a page. `current`: the page was decoded with the present mapping.
    pub fn each(&self, hash: &[u8], current: bool, records: i64, take: impl FnMut(&[u8], KeyId)) -> Result<()> {
        latch::check_interrupts();
        if records == 0 {
            return Ok(());
        }
        let keys = if current || self.same_mapping {
            self.stored(hash)?
        } else {
            self.decoded_anew(hash)?
        };
        self.identity.each(&keys, self.mapping.key.len(), take)
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
