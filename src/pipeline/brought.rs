//! The keys of what upserts brought: an upsert's pages are not stored, and its rows are the job's own all the same.
//!
//! A job's own rows are those of its last read of the whole collection, and what upserts and payloads brought since,
//! without the rows whose tombstones were applied.

use super::gone::{self, KeyReader, Page};
use super::plan::Plan;
use crate::pg::key_identity::KeyIdentity;
use crate::pg::latch;
use crate::store::brought::{self, Entry};
use crate::store::state::State;
use crate::store::{ingest, missing, page};
use sluice_core::Result;
use sluice_core::data::{self, DecodedPage, Mapping, Sifted};
use sluice_core::keys::{KeyId, Own, Pass, passes};
use std::borrow::Cow;
use std::collections::HashMap;

/// From so many keys more than were made into few batches before, they are made so again.
const WORTH_MERGING: i64 = 100_000;
/// No page of a read has such a number.
const AFTER_ALL_PAGES: i64 = 1 << 40;
/// Keys of one batch that was made of several.
const KEYS_PER_BATCH: usize = 100_000;

/// Keeps the keys of a batch's pages, as `(generation, first page, run)`. A rejected record that has a key is among them,
/// since its row may be there.
pub fn keep(plan: &Plan, at: (i64, i64, i64), sifted: &[&Sifted]) -> Result<()> {
    let (generation, number, run) = at;
    let keys: Vec<Cow<[u8]>> = sifted.iter().map(|page| page.all_keys()).collect();
    let pages: Vec<&DecodedPage> = sifted.iter().map(|sifted| &sifted.page).collect();
    let gone = last_gone(plan, &pages)?;
    let records: u64 = sifted
        .iter()
        .map(|page| page.with_key() + page.buried.len() as u64)
        .sum();
    if records == 0 {
        return Ok(());
    }
    brought::keep(brought::Batch {
        job: plan.job.id,
        generation,
        number,
        run,
        form: &gone::key_form(plan),
        records: i64::try_from(records).unwrap_or(i64::MAX),
        keys: data::compress(&keys.concat()),
        gone: (!gone.is_empty()).then(|| data::compress(&gone)),
        merged: false,
    })
}

/// The keys whose last word in these pages is a tombstone.
pub fn last_gone(plan: &Plan, pages: &[&DecodedPage]) -> Result<Vec<u8>> {
    if pages.iter().all(|page| page.gone.is_empty()) {
        return Ok(Vec::new());
    }
    let (identity, columns) = (KeyIdentity::new(&plan.target, &plan.job.key), plan.job.key.len());
    let mut last: HashMap<KeyId, Option<&[u8]>> = HashMap::new();
    for page in pages {
        let buried = identity.ids(data::split_keys(&page.gone, columns))?;
        let buried = data::split_keys(&page.gone, columns).zip(buried);
        let mut buried = buried.zip(&page.gone_after).peekable();
        for (at, key) in (0u32..).zip(identity.ids(data::split_keys(&page.keys, columns))?) {
            while let Some(((gone, id), _)) = buried.next_if(|(_, after)| **after <= at) {
                last.insert(id, Some(gone));
            }
            last.insert(key, None);
        }
        last.extend(buried.map(|((gone, id), _)| (id, Some(gone))));
    }
    Ok(last.into_values().flatten().collect::<Vec<_>>().concat())
}

/// Keys that came more than once in a read.
pub fn duplicates(plan: &Plan, generation: i64) -> Result<u64> {
    let mut batches = brought::after(plan.job.id, generation - 1, &gone::key_form(plan))?;
    batches.retain(|batch| batch.generation == generation && batch.number > 0);
    let of = passes(records_of(&batches));
    let identity = KeyIdentity::new(&plan.target, &plan.job.key);
    let mut duplicates = 0;
    for number in 0..of {
        let mut pass = Pass::new(number, of);
        for batch in &batches {
            let (keys, _) = unpacked(plan, batch)?;
            identity.each(&keys, plan.job.key.len(), |_, id| pass.see(id))?;
        }
        duplicates += pass.duplicates;
    }
    Ok(duplicates)
}

fn records_of(batches: &[Entry]) -> u64 {
    let each = batches.iter().map(|batch| u64::try_from(batch.records).unwrap_or(0));
    each.sum()
}

fn unpacked(plan: &Plan, batch: &Entry) -> Result<(Vec<u8>, Vec<u8>)> {
    latch::check_interrupts();
    let (keys, gone) = brought::keys(plan.job.id, batch)?.ok_or_else(gone::lost)?;
    let unpack = |packed: &[u8]| data::decompress(packed, gone::MOST_KEY_BYTES);
    let gone = gone.map(|packed| unpack(&packed)).transpose()?;
    Ok((unpack(&keys)?, gone.unwrap_or_default()))
}

/// Where the keys of a job's own rows are.
pub struct Sources<'a> {
    plan: &'a Plan,
    keys: KeyReader<'a>,
    /// Keys that the last whole read did not have, and whose rows are still there.
    waiting: Vec<Vec<u8>>,
    whole_generation: i64,
    whole: Vec<Page>,
    batches: Vec<Entry>,
    /// Payloads count up to the read of this generation: what was sent after it began is not its to judge.
    sent_before: i64,
}

/// What a source says of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Comes,
    /// A tombstone that was applied.
    Goes,
    /// A tombstone that was not.
    Announced,
}

impl From<ingest::Word> for Word {
    fn from(word: ingest::Word) -> Word {
        match word {
            ingest::Word::Comes => Word::Comes,
            ingest::Word::Goes => Word::Goes,
        }
    }
}

impl<'a> Sources<'a> {
    pub fn new(plan: &'a Plan, state: &State, mapping: &'a Mapping) -> Result<Sources<'a>> {
        let job = plan.job.id;
        let form = gone::key_form(plan);
        let whole = state.whole_generation;
        Ok(Sources {
            plan,
            keys: KeyReader::new(plan, mapping, state),
            whole_generation: whole.unwrap_or(0),
            waiting: whole.map_or(Ok(Vec::new()), |whole| missing::of_generation(job, whole, &form))?,
            whole: whole.map_or(Ok(Vec::new()), |whole| page::of_generation(job, whole))?,
            batches: brought::after(job, whole.unwrap_or(0), &form)?,
            sent_before: i64::MAX,
        })
    }

    /// Without what was sent to us after the read of a generation began.
    pub fn sent_before(mut self, generation: i64) -> Sources<'a> {
        self.sent_before = generation;
        self
    }

    /// Whether upserts have brought anything since the last whole read.
    pub fn is_any_brought(&self) -> bool {
        !self.batches.is_empty()
    }

    fn count(&self) -> Result<u64> {
        let sent = self.sent().count()?;
        Ok(gone::records_of(&self.whole) + records_of(&self.batches) + self.waiting.len() as u64 + sent)
    }

    /// The passes that comparing these with so many others takes.
    pub fn passes(&self, others: u64) -> Result<u64> {
        Ok(passes(self.count()? + others))
    }

    /// What payloads brought since the last whole read.
    fn sent(&self) -> ingest::Sent {
        let form = gone::key_form(self.plan);
        ingest::Sent::new(self.plan.job.id, form, self.whole_generation, self.sent_before)
    }

    /// Every key in the order of its coming, with the generation that says the word (0: a whole read).
    fn each(&self, mut take: impl FnMut(i64, Word, (&[u8], KeyId))) -> Result<()> {
        let identity = &self.keys.identity;
        let waiting = identity.ids(self.waiting.iter().map(Vec::as_slice))?;
        let waiting = self.waiting.iter().zip(waiting);
        waiting.for_each(|(key, id)| take(0, Word::Comes, (key, id)));
        for (_, hash, records) in &self.whole {
            let come = |key: &[u8], id| take(0, Word::Comes, (key, id));
            self.keys.each(hash, false, *records, come)?;
        }
        let columns = self.plan.job.key.len();
        let mut sent = self.sent();
        for batch in &self.batches {
            // What was sent after a read began comes after all that the read says.
            sent.each_before(batch.generation, |from, key, word| {
                take(from, word.into(), (key, identity.id(key)?));
                Ok(())
            })?;
            let (keys, gone) = unpacked(self.plan, batch)?;
            identity.each(&keys, columns, |key, id| take(batch.generation, Word::Comes, (key, id)))?;
            let word = if batch.applied { Word::Goes } else { Word::Announced };
            identity.each(&gone, columns, |key, id| take(batch.generation, word, (key, id)))?;
        }
        sent.each_before(i64::MAX, |from, key, word| {
            take(from, word.into(), (key, identity.id(key)?));
            Ok(())
        })
    }

    /// The job's own keys of one pass.
    pub fn own(&self, number: u64, of: u64) -> Result<Own> {
        let mut own = Own::new(number, of);
        self.each(|_, word, (_, id)| match word {
            Word::Comes => own.comes(id),
            Word::Goes => own.goes(id),
            Word::Announced => {}
        })?;
        Ok(own)
    }

    /// How many rows the job has, and which of these keys are among theirs.
    pub fn own_among(&self, keys: &[Vec<u8>]) -> Result<(u64, Vec<Vec<u8>>)> {
        let ids = self.keys.identity.ids(keys.iter().map(Vec::as_slice))?;
        let (mut rows, mut found) = (0, Vec::new());
        let of = self.passes(keys.len() as u64)?;
        for number in 0..of {
            let own = self.own(number, of)?;
            rows += own.count();
            let mine = keys.iter().zip(&ids).filter(|(_, id)| own.has(**id));
            found.extend(mine.map(|(key, _)| key.clone()));
        }
        Ok((rows, found))
    }

    /// Hands out each of the job's own keys, maybe more than once.
    pub fn each_own(&self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let of = self.passes(0)?;
        for number in 0..of {
            let (own, mut done) = (self.own(number, of)?, Ok(()));
            self.each(|_, word, (key, id)| {
                if done.is_ok() && word == Word::Comes && own.has(id) {
                    done = take(key);
                }
            })?;
            done?;
        }
        Ok(())
    }

    /// Own keys that a read does not have, each once.
    pub fn gone(&self, own: &Own, pass: &mut Pass, mut take: impl FnMut(&[u8], KeyId)) -> Result<()> {
        self.each(|_, word, (key, id)| {
            if word == Word::Comes && own.has(id) && pass.is_gone(id) {
                take(key, id);
            }
        })
    }

    /// How many rows the job had before the read of a generation, and which of its rows that read's tombstones remove.
    pub fn announced(&self, generation: i64) -> Result<(u64, Vec<Vec<u8>>)> {
        let (mut rows, mut announced) = (0, Vec::new());
        if !self.batches.iter().any(|b| b.generation == generation && b.has_gone) {
            return Ok((rows, announced));
        }
        let of = self.passes(0)?;
        for number in 0..of {
            let (mut own, mut before) = (Own::new(number, of), None);
            let mut pending: HashMap<KeyId, Vec<u8>> = HashMap::new();
            self.each(|from, word, (key, id)| {
                if from == generation && before.is_none() {
                    before = Some(own.count());
                }
                match word {
                    Word::Comes => {
                        pending.remove(&id);
                        own.comes(id);
                    }
                    Word::Goes => own.goes(id),
                    Word::Announced if from == generation && own.has(id) => drop(pending.insert(id, key.to_vec())),
                    Word::Announced => {}
                }
            })?;
            rows += before.unwrap_or(0);
            announced.extend(pending.into_values());
        }
        Ok((rows, announced))
    }
}

/// Which keys had their tombstones applied since the last whole read, and have not come again, each once.
pub fn buried(sources: &Sources) -> Result<Vec<Vec<u8>>> {
    let mut buried: HashMap<KeyId, Vec<u8>> = HashMap::new();
    if sources.batches.iter().any(|batch| batch.applied) || ingest::is_any_buried(sources.plan.job.id)? {
        sources.each(|_, word, (key, id)| match word {
            Word::Comes => drop(buried.remove(&id)),
            Word::Goes => drop(buried.insert(id, key.to_vec())),
            Word::Announced => {}
        })?;
    }
    Ok(buried.into_values().collect())
}

/// Counts rows as the job's own again after all that its reads have said: they were put back.
pub fn recall(plan: &Plan, run: i64, generation: i64, keys: &[Vec<u8>]) -> Result<()> {
    for (number, chunk) in (AFTER_ALL_PAGES..).zip(keys.chunks(KEYS_PER_BATCH)) {
        brought::keep(brought::Batch {
            job: plan.job.id,
            generation,
            number: number + run * 1_000,
            run,
            form: &gone::key_form(plan),
            records: i64::try_from(chunk.len()).unwrap_or(i64::MAX),
            keys: data::compress(&chunk.concat()),
            gone: None,
            merged: false,
        })?;
    }
    Ok(())
}

/// Forgets what is not needed any more, and makes many small batches into few.
pub fn tidy(plan: &Plan) -> Result<()> {
    let job = plan.job.id;
    brought::prune(job)?;
    match brought::mergeable(job)? {
        Some((generation, more)) if more > WORTH_MERGING => merge(plan, generation),
        _ => Ok(()),
    }
}

/// Writes each key of the batches up to a generation once.
fn merge(plan: &Plan, generation: i64) -> Result<()> {
    let job = plan.job.id;
    let form = gone::key_form(plan);
    let mut batches = brought::after(job, 0, &form)?;
    batches.retain(|batch| batch.generation <= generation);
    let of = passes(records_of(&batches));
    let mut merged: Vec<(usize, Vec<u8>)> = Vec::new();
    for number in 0..of {
        let keys = each_once(plan, &batches, number, of)?;
        merged.extend(
            keys.chunks(KEYS_PER_BATCH)
                .map(|chunk| (chunk.len(), data::compress(&chunk.concat()))),
        );
    }
    let Some(run) = brought::take_up_to(job, generation)? else {
        return Ok(());
    };
    for (number, (records, keys)) in (1..).zip(merged) {
        brought::keep(brought::Batch {
            job,
            generation,
            number,
            run,
            form: &form,
            records: i64::try_from(records).unwrap_or(i64::MAX),
            keys,
            gone: None,
            merged: true,
        })?;
    }
    Ok(())
}

/// The keys of a pass that came and have not gone since.
fn each_once(plan: &Plan, batches: &[Entry], number: u64, of: u64) -> Result<Vec<Vec<u8>>> {
    let columns = plan.job.key.len();
    let identity = KeyIdentity::new(&plan.target, &plan.job.key);
    let mut own = Own::new(number, of);
    for batch in batches {
        let (keys, gone) = unpacked(plan, batch)?;
        identity.each(&keys, columns, |_, id| own.comes(id))?;
        let gone = if batch.applied { gone } else { Vec::new() };
        identity.each(&gone, columns, |_, id| own.goes(id))?;
    }
    let (mut told, mut once) = (Pass::new(number, of), Vec::new());
    for batch in batches {
        let (keys, _) = unpacked(plan, batch)?;
        identity.each(&keys, columns, |key, id| {
            if own.has(id) && told.is_gone(id) {
                once.push(key.to_vec());
            }
        })?;
    }
    Ok(once)
}
