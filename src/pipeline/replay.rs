//! Makes rows of rejected records again, in one transaction: as a run with an undo set of its own.
//!
//! What waits is by its making the newest version that is known of its key: a later one settles it in the commit that
//! brings it. Where that could not be seen (no key could be read then, or keys were of another form), a row that is there
//! counts as the later version.

use super::apply::{Applier, KeepUndo, Outcome};
use super::batch::{current_target, keep_undo_set, signed};
use super::gone;
use super::plan::Plan;
use super::refused::{Care, Origin, Sieve, Suspect, Writing};
use super::rejects::{reason_of, reason_of_refusal};
use super::rollback;
use super::{Ended, Work};
use crate::pg::key_identity::KeyIdentity;
use crate::pg::shmem::Phase;
use crate::pg::{clock, failpoint, latch, transaction};
use crate::store::reject::{self, Settled, Version, Waiting};
use crate::store::run::{self, Counts};
use crate::store::state;
use sluice_core::data::{self, DecodedPage, Mapping, keys_of_rows, split_rows};
use sluice_core::job::Mode;
use sluice_core::keys::KeyId;
use sluice_core::run::RunStatus;
use sluice_core::{Class, Result};
use std::collections::HashMap;

/// Records that are looked at together.
const AT_ONCE: i64 = 100;

/// Replays what waits; committed when it returns.
pub(super) fn run(work: &Work, plan: &Plan) -> Result<Ended> {
    work.phase(Phase::Publishing);
    let mut care = Care::Parts;
    loop {
        match transaction::run(|| once(work, plan, care)) {
            Ok(()) => return Ok(Ended::Published),
            // What is refused at the rows is met there: this came at the commit.
            Err(error) if error.class() == Class::Data => care = care.after(&error, Origin::Rows).ok_or(error)?,
            Err(error) => return Err(error),
        }
    }
}

fn once(work: &Work, plan: &Plan, care: Care) -> Result<()> {
    care.begin()?;
    let state = state::load(work.job, clock::now())?;
    if let Some(generation) = state.published_generation {
        run::set_generation(work.run, generation)?;
    }
    let before = state::position(work.job)?;
    let mapping = rollback::mapping(plan)?;
    let applier = Applier::new(&current_target(plan)?, &mapping)?;
    let identity = KeyIdentity::new(&plan.target, &plan.job.key);
    let newest = newest_of_each_key(work.job, &mapping, &identity)?;
    let replay = Replay {
        work,
        plan,
        mapping: &mapping,
        applier: &applier,
        key_form: gone::key_form(plan),
        published: state.published_generation.unwrap_or(0),
        newest: &newest,
        identity: &identity,
    };
    let mut total = Counts::default();
    each_share(work.job, |share| replay.take(&share, &mut total))?;
    failpoint::hit("replay.applied");
    run::add_counts(work.run, &total)?;
    state::add_rows(work.job, work.run, total.inserted)?;
    run::note_published(work.run, &before, 0, None)?;
    run::finish(work.run, RunStatus::Succeeded, clock::now())?;
    failpoint::hit("replay.before_commit");
    Ok(())
}

/// Goes through what waits, in the order in which it came.
fn each_share(job: i64, mut take: impl FnMut(Vec<Waiting>) -> Result<()>) -> Result<()> {
    let mut after: Version = (-1, 0, 0);
    loop {
        latch::check_interrupts();
        let share = reject::waiting_after(job, after, AT_ONCE)?;
        let Some(last) = share.last() else { return Ok(()) };
        after = last.version;
        take(share)?;
    }
}

/// The latest version of each key that a record has now; of keys that could not be read before, too.
fn newest_of_each_key(job: i64, mapping: &Mapping, identity: &KeyIdentity) -> Result<HashMap<KeyId, i64>> {
    let mut newest = HashMap::new();
    each_share(job, |share| {
        for one in &share {
            let Some(raw) = &one.raw else { continue };
            let sifted = data::sift(&format!("[{raw}]"), mapping)?;
            identity.each(&sifted.all_keys(), mapping.key.len(), |_, key| {
                newest.insert(key, one.id);
            })?;
        }
        Ok(())
    })?;
    Ok(newest)
}

struct Replay<'a> {
    work: &'a Work,
    plan: &'a Plan,
    mapping: &'a Mapping,
    applier: &'a Applier,
    key_form: String,
    published: i64,
    newest: &'a HashMap<KeyId, i64>,
    identity: &'a KeyIdentity,
}

impl Replay<'_> {
    fn take(&self, share: &[Waiting], total: &mut Counts) -> Result<()> {
        // A record of which only the beginning is kept waits for the next read, and so does a line that is no record.
        let whole: Vec<&Waiting> = share.iter().filter(|one| one.raw.is_some()).collect();
        let texts: Vec<&str> = whole.iter().filter_map(|one| one.raw.as_deref()).collect();
        let sifted = data::sift(&format!("[{}]", texts.join(",")), self.mapping)?;
        for bad in &sifted.rejects {
            let one = whole[bad.record as usize - 1];
            let (_, _, position) = one.version;
            reject::explain(
                one.id,
                &reason_of(&bad.error.clone().of_record(position.unsigned_abs())),
            )?;
        }
        let (page, places, outdated) = self.current(&sifted, &whole)?;
        reject::settle(&outdated, Settled::Superseded, self.work.run)?;
        let keep = match self.plan.settings.undo.keep_runs {
            0 => KeepUndo::No,
            _ => KeepUndo::Yes,
        };
        let writing = Writing {
            target: &self.plan.target,
            mapping: self.mapping,
            write: &|page| self.applier.put(self.plan.mode, &[page], keep),
            swapping: (self.plan.mode != Mode::Append).then_some(self.applier),
        };
        let mut sieve = Sieve::new(writing, u64::MAX);
        let suspect = Suspect {
            number: 0,
            page: &page,
            places: places.clone(),
        };
        let mut outcomes = sieve.take(&[suspect])?;
        let (refused, more) = sieve.finish()?;
        outcomes.extend(more);
        for one in &refused {
            let at = one.record as usize - 1;
            let (_, page, position) = whole[at].version;
            let came = one.at(page, position.unsigned_abs());
            reject::explain(whole[at].id, &reason_of_refusal(&came, texts[at], self.mapping))?;
        }
        let written = places.iter().filter(|at| !refused.iter().any(|one| one.record == **at));
        let ids: Vec<i64> = written.map(|at| whole[*at as usize - 1].id).collect();
        reject::settle(&ids, Settled::Replayed, self.work.run)?;
        let mut outcome = Outcome::default();
        for part in &outcomes {
            keep_undo_set(self.work, part)?;
            outcome.count(part);
        }
        total.records += signed(whole.len() as u64);
        total.inserted += signed(outcome.inserted);
        total.updated += signed(outcome.updated);
        total.unchanged += signed(outcome.unchanged);
        total.rejected += signed((whole.len() - ids.len() - outdated.len()) as u64);
        Ok(())
    }

    /// The rows that are to be written, with their places in the share; and the rejects of which a later version is known.
    fn current(&self, sifted: &data::Sifted, whole: &[&Waiting]) -> Result<(DecodedPage, Vec<u64>, Vec<i64>)> {
        let (mut page, mut places, mut outdated) = (DecodedPage::default(), Vec::new(), Vec::new());
        let rows = split_rows(&sifted.page.rows, self.mapping.columns.len());
        let keys = keys_of_rows(&sifted.page.keys, self.mapping.key.len());
        for (at, (row, key)) in sifted.places().zip(rows.zip(keys)) {
            let one = whole[at as usize - 1];
            // Without a key no record is a version of another.
            let is_newest = key.is_empty() || self.newest.get(&self.identity.id(key)?) == Some(&one.id);
            let may_be_older = !key.is_empty() && self.may_be_older(one);
            if !is_newest || (may_be_older && !self.applier.present(&[key])?.is_empty()) {
                outdated.push(one.id);
                continue;
            }
            page.rows.extend_from_slice(row);
            page.keys.extend_from_slice(key);
            page.records += 1;
            places.push(at);
        }
        Ok((page, places, outdated))
    }

    /// Whether a later read may have brought another version of it without being seen to do so.
    fn may_be_older(&self, one: &Waiting) -> bool {
        one.version.0 < self.published && (!one.has_key || one.key_form != self.key_form)
    }
}
