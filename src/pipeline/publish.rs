//! Makes a read visible, in one transaction: what differs is written, what is proven gone is removed.
//!
//! The guards decide inside that transaction, before its first write. Readers see the old rows or the new ones.

use super::apply::{Applier, Outcome};
use super::batch::{current_target, is_unique_violation, keep_undo_set, signed};
use super::difference::{Difference, Part, Share};
use super::evolve;
use super::gone::{self, Compared, Wanted};
use super::named;
use super::parents::watermarks;
use super::persist::persist;
use super::plan::Plan;
use super::publication::{Publication, finish_published, tidy};
use super::read::{self, MappingParts, ReadState};
use super::refused::{Care, Origin, Sieve, Writing};
use super::rejects::{self, Rejects};
use super::sweep::{keep_undo, sweep};
use super::{Ended, Work, settle};
use crate::pg::clock;
use crate::pg::shmem::{self, Phase};
use crate::pg::{bgworker, failpoint, transaction};
use crate::store::run::{self, Counts};
use crate::store::{job, missing, page, reject, state};
use sluice_core::data::{self, DecodedPage, Mapping};
use sluice_core::guard::{self, Decision, Found, Live, ReadFacts, Reason, Removals};
use sluice_core::run::RunStatus;
use sluice_core::settings::OnMissing;
use sluice_core::target::TargetError;
use sluice_core::{Error, Result};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// What a publishing transaction came to.
enum Verdict {
    Published,
    Held(String),
    KeptBack(Error),
    Altered,
}

/// Publishes a read of a `replace` job by its difference from what the target holds.
pub fn by_difference(work: &Work, plan: &Plan, read: &mut ReadState) -> Result<Ended> {
    // What the read declared, how long it paused and what became of the target is known only now that it is complete.
    transaction::run(|| {
        read.state = state::load(work.job, clock::now())?;
        read.verifying |= read.state.published_rows > 0 && read::is_empty(plan)?;
        Ok(())
    })?;
    let read = &*read;
    publish(work, plan, Occasion::Read, &|| Ok(Cow::Borrowed(read)))
}

/// Publishes a held run that a person has approved.
pub fn approved(work: &Work, plan: &Plan, generation: i64) -> Result<Ended> {
    if transaction::run(|| run::held_direct(work.run))? {
        return settle::approved(work, plan, generation);
    }
    let mut read = transaction::run(|| read::of_generation(work, plan, generation))?;
    read.verifying = true;
    let read = &read;
    publish(work, plan, Occasion::Approved, &|| Ok(Cow::Borrowed(read)))
}

/// Why a read is published.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// It has just come from the remote.
    Read,
    /// A guard held it, and a person has decided.
    Approved,
    /// It was published before, and its pages are in the store.
    Replayed,
}

/// Publishes what `prepare` gives, which belongs to the publishing transaction.
pub fn publish<'a>(
    work: &Work,
    plan: &Plan,
    occasion: Occasion,
    prepare: &dyn Fn() -> Result<Cow<'a, ReadState>>,
) -> Result<Ended> {
    work.phase(Phase::Publishing);
    bgworker::report_activity("publishing");
    transaction::run(|| run::set_status(work.run, RunStatus::Publishing))?;
    let mut care = Care::Whole;
    loop {
        let doing = Doing::default();
        let once = || {
            doing.at.set(Origin::default());
            care.begin()?;
            if !job::stays(&plan.job)? {
                return Ok(Verdict::Altered);
            }
            let read = prepare()?;
            let publishing = Publishing {
                work,
                plan,
                read: &read,
                occasion,
                care,
                rejects: Rejects::new(work, plan, read.generation).repeating(read.state.whole_generation),
                doing: &doing,
            };
            publishing.once()
        };
        // The pages are in the store: trying again costs no request.
        match persist(once).map_err(|error| plan.rules.of_failure(error, None)) {
            Ok(Verdict::Published) => break,
            Ok(Verdict::Held(reason)) => return Ok(Ended::Held(reason)),
            Ok(Verdict::KeptBack(error)) => return Ok(Ended::KeptBack(error)),
            Ok(Verdict::Altered) => return Ok(Ended::Altered),
            Err(error) if error.ruling().is_some() => return Err(error),
            // Two that change places are refused as one that is wrong.
            Err(error) if care == Care::Whole && is_unique_violation(&error) => care = Care::Parts,
            Err(error) if !Rejects::are_kept(plan) => return Err(doing.name_record(error, plan)),
            Err(error) => care = care.after(&error, doing.at.get()).ok_or(error)?,
        }
    }
    tidy(work, plan);
    Ok(Ended::Published)
}

/// What an attempt is doing, for the error that ends it.
#[derive(Default)]
struct Doing {
    at: Cell<Origin>,
    mapping: RefCell<Option<Arc<Mapping>>>,
    /// The pages that are being written: number and hash.
    writing: RefCell<Vec<(i64, Vec<u8>)>>,
}

impl Doing {
    /// The error with the record that it is about, where PostgreSQL refused one.
    fn name_record(&self, error: Error, plan: &Plan) -> Error {
        match &*self.mapping.borrow() {
            Some(mapping) if self.at.get() == Origin::Rows => {
                named::named_in_store(error, plan, mapping, &self.writing.borrow())
            }
            _ => error,
        }
    }
}

/// One attempt at a publishing transaction.
struct Publishing<'a> {
    work: &'a Work,
    plan: &'a Plan,
    read: &'a ReadState,
    occasion: Occasion,
    care: Care,
    rejects: Rejects<'a>,
    doing: &'a Doing,
}

impl Publishing<'_> {
    fn once(&self) -> Result<Verdict> {
        let mapping = self.mapping().ok_or(data::DataError::NoColumns)?;
        let compare = |wanted| gone::compare(self.plan, self.read, &mapping, self.occasion, wanted);
        let mut compared = compare(Wanted::First)?;
        self.doing.mapping.replace(Some(Arc::clone(&mapping)));
        if compared.duplicates > 0 {
            self.rejects.keep_anew();
        }
        self.rejects.refuse_all(compared.records)?;
        let live = self.live(&compared);
        let facts = self.facts(&compared)?;
        let removals = match self.occasion {
            Occasion::Approved => guard::decide_approved(&facts, &live, &self.plan.settings),
            Occasion::Read | Occasion::Replayed => match self.decide(&facts, &live)? {
                Decision::Publish { removals, reason, .. } => (removals, reason),
                Decision::Hold(kept) => return Ok(Verdict::Held(kept.reason())),
                Decision::RollBack(kept) => return Ok(Verdict::KeptBack(TargetError::from(kept).into())),
            },
        };
        if compared.is_cut() {
            compared = compare(Wanted::All)?;
        }
        self.apply(&mapping, &mut compared, removals)?;
        Ok(Verdict::Published)
    }

    /// What becomes of the read, noted with what it amounts to.
    fn decide(&self, facts: &ReadFacts, live: &Live) -> Result<Decision> {
        let decision = guard::decide(facts, live, &self.plan.settings);
        run::note_answer(self.work.run, decision.state())?;
        if self.occasion == Occasion::Read {
            state::note_read(self.work.job, signed(facts.records))?;
            // A read with a gap is no complete one, however little it had.
            state::count_empty_reads(self.work.job, signed(facts.records.max(u64::from(!facts.gapless))))?;
        }
        Ok(decision)
    }

    /// The mapping that the pages were decoded with. Where not one record has come, there is nothing to map but keys.
    fn mapping(&self) -> Option<Arc<Mapping>> {
        let of_keys = || MappingParts::of(self.plan).mapping(|_| false).map(Arc::new);
        self.read.mapping.clone().or_else(of_keys)
    }

    fn live(&self, compared: &Compared) -> Live {
        Live {
            rows_before: compared.rows_before,
            candidates_gone: compared.missing(),
            gone_confirmed: compared.proven(),
        }
    }

    fn facts(&self, compared: &Compared) -> Result<ReadFacts> {
        let state = &self.read.state;
        let declared = |total: Option<i64>| total.and_then(|t| u64::try_from(t).ok());
        Ok(ReadFacts {
            found: Found::Pages,
            complete: compared.complete,
            gapless: compared.gapless,
            longest_pause: Duration::from_secs_f64(state.longest_pause.max(0.0)),
            proof: self.plan.settings.pagination.is_proof() || compared.single,
            declared_first: declared(state.total_first),
            declared_last: declared(state.total_last),
            // A declared total counts tombstones, too.
            distinct_keys: compared.records - compared.duplicates,
            duplicate_keys: compared.duplicates,
            records: compared.records,
            empty_reads_before: match self.occasion {
                Occasion::Read => u32::try_from(state.empty_reads).unwrap_or(0),
                Occasion::Approved | Occasion::Replayed => 0,
            },
            rejects_without_key: self.rejects.without_key()?,
        })
    }

    fn apply(&self, mapping: &Arc<Mapping>, compared: &mut Compared, removals: (Removals, Reason)) -> Result<()> {
        self.doing.at.set(Origin::Ours);
        let evolved = evolve::evolve_stored(self.plan, mapping, self.read.generation, self.work.run)?;
        let mapping = evolved.as_ref().map_or(mapping, |evolved| &evolved.mapping);
        if evolved.is_some() {
            compared.apply_all(page::of_generation(self.work.job, self.read.generation)?);
        }
        self.doing.at.set(Origin::Rows);
        let applier = Applier::new(&current_target(self.plan)?, mapping)?;
        let was_empty = read::is_empty(self.plan)?;
        let mut total = Outcome::default();
        // Removed first and written after it: where a key's type has no hash for its equality, the table may hold two
        // spellings equal that are told apart here. What the read has under another one comes back.
        let unconfirmed = self.remove(&applier, compared, removals.0, &mut total)?;
        if total.deleted > 0 && applier.key_is_loose() {
            compared.apply_all(page::of_generation(self.work.job, self.read.generation)?);
        }
        self.write(&applier, mapping, compared, &mut total)?;
        self.doing.at.set(Origin::Ours);
        failpoint::hit("publish.applied");
        // Rows were written, and not one is left: a trigger did that. The last good rows come back with the abort.
        let wrote = total.inserted + total.updated > 0;
        if self.occasion != Occasion::Approved && wrote && !was_empty && read::is_empty(self.plan)? {
            let table = self.plan.target.full_name();
            return Err(TargetError::Emptied { table }.into());
        }
        self.rejects.refuse_all(compared.records)?;
        if self.occasion != Occasion::Replayed {
            watermarks::forget_absent(self.work, self.plan, self.read.generation)?;
        }
        let rejected = self.rejects.count()?;
        // Without tombstones, which are no rows.
        let kept_aside = rejected.all - rejected.without_key;
        let unchanged = compared
            .distinct
            .saturating_sub(total.inserted + total.updated + kept_aside);
        run::add_counts(
            self.work.run,
            &Counts {
                inserted: signed(total.inserted),
                updated: signed(total.updated),
                deleted: signed(total.deleted),
                unchanged: signed(unchanged),
                ..Counts::default()
            },
        )?;
        self.finish(&Publication {
            occasion: self.occasion,
            mapping,
            rows: signed(compared.distinct.saturating_sub(rejected.all - rejected.without_key)),
            unconfirmed,
            removals: Some(removals.1),
            // Keys that came twice leave open which of them the target holds.
            skip_valid: compared.duplicates == 0,
            cursor: self.read.state.cursor.clone(),
            repeated_rejects: self.rejects.repeated(),
        })?;
        failpoint::hit("publish.before_commit");
        self.doing.at.set(Origin::Rows);
        Ok(())
    }

    /// Writes what the pages have that the target has not, and keeps aside what does not become a row.
    fn write(&self, applier: &Applier, mapping: &Mapping, compared: &Compared, total: &mut Outcome) -> Result<()> {
        shmem::update_progress(self.work.slot, |p| {
            p.pages_total = signed(compared.fresh.len() as u64);
            p.pages_done = 0;
        });
        let keep = keep_undo(self.plan);
        let merge = |page: &DecodedPage| applier.merge(&[page], keep);
        let writing = Writing {
            target: &self.plan.target,
            mapping,
            write: &merge,
            swapping: Some(applier),
        };
        let mut sieve = match self.care {
            Care::Whole => None,
            _ => Some(Sieve::new(writing, self.rejects.room()?)),
        };
        let known = reject::places(self.work.job, self.read.generation)?;
        let mut difference = Difference::new(self.work.job, mapping, compared);
        while let Some(share) = difference.next()? {
            self.doing.writing.replace(share.of.clone());
            self.keep_undecoded(&share, &known, mapping)?;
            let outcomes = match &mut sieve {
                _ if share.pages.is_empty() => Vec::new(),
                None => vec![applier.merge(
                    &share.pages.iter().map(|part| &part.sifted.page).collect::<Vec<_>>(),
                    keep,
                )?],
                Some(sieve) => sieve.take(&share.pages.iter().map(Part::suspect).collect::<Vec<_>>())?,
            };
            self.count(&outcomes, total)?;
            if compared.duplicates > 0 {
                self.rejects
                    .note_versions(|| share.pages.iter().map(Part::suspect).collect())?;
            }
            shmem::update_progress(self.work.slot, |p| p.pages_done += share.of.len() as i64);
        }
        let Some(sieve) = sieve else { return Ok(()) };
        let (refused, more) = sieve.finish()?;
        self.count(&more, total)?;
        let hash = |number| {
            compared
                .fresh
                .iter()
                .find(|page| page.0 == number)
                .map_or(&[][..], |page| &page.1)
        };
        let text = |number| gone::body_text(self.work.job, hash(number));
        if let Some(refused) = refused.first().filter(|_| !Rejects::are_kept(self.plan)) {
            return Err(refused.error.clone().into());
        }
        self.rejects.keep(&rejects::of_refusals(&refused, mapping, text)?)
    }

    fn count(&self, outcomes: &[Outcome], total: &mut Outcome) -> Result<()> {
        outcomes.iter().try_for_each(|outcome| {
            keep_undo_set(self.work, outcome)?;
            total.count(outcome);
            Ok(())
        })
    }

    /// Keeps aside what could not be decoded, where that was not done when the page came: its definition was another.
    fn keep_undecoded(&self, share: &Share, known: &HashMap<i64, Vec<u64>>, mapping: &Mapping) -> Result<()> {
        let mut kept = Vec::new();
        for part in share.pages.iter().filter(|part| !part.sifted.rejects.is_empty()) {
            if !Rejects::are_kept(self.plan) {
                return Err(part.sifted.rejects[0].error.clone().into());
            }
            let records = data::split_records(&part.unknown.text)?;
            for reject in &part.sifted.rejects {
                let at = reject.record as usize - 1;
                let place = part.unknown.places[at];
                if !known.get(&part.number).is_some_and(|places| places.contains(&place)) {
                    kept.push(rejects::of_decoding(part.number, place, reject, records[at], mapping));
                }
            }
        }
        self.rejects.keep(&kept)
    }

    /// Removes what is gone for sure, and remembers what is only missing; how many of those there are.
    fn remove(&self, applier: &Applier, compared: &Compared, removals: Removals, total: &mut Outcome) -> Result<i64> {
        let is_doomed = |key: &Vec<u8>| match removals {
            Removals::All => true,
            Removals::Confirmed if compared.confirmed.contains(key) => true,
            _ => compared.buried.contains(key),
        };
        let (doomed, waiting): (Vec<&Vec<u8>>, Vec<&Vec<u8>>) = compared.gone.iter().partition(|key| is_doomed(key));
        total.count(&sweep(self.work, self.plan, applier, &doomed)?);
        let waiting: Vec<Vec<u8>> = match self.plan.settings.on_missing {
            OnMissing::Keep => Vec::new(),
            OnMissing::Delete | OnMissing::Mark => waiting.into_iter().cloned().collect(),
        };
        missing::keep(
            self.work.job,
            self.read.generation,
            &gone::key_form(self.plan),
            &waiting,
        )?;
        Ok(signed(waiting.len() as u64))
    }

    fn finish(&self, publication: &Publication) -> Result<()> {
        finish_published(self.work, self.plan, self.read, self.read.generation, publication)
    }
}
