//! Writes payloads that others sent us: webhooks, queued by `sluice.ingest`.
//!
//! ```text
//! queue ─► next payloads in order ─► records ─► rows ─► one transaction {rows, undo, own keys, payloads gone}
//!                                       │          │ refused: once more, each by itself
//!                                       └──────────┴─► refused alone: set aside with its error, the next ones go on
//! ```
//!
//! A payload leaves the queue in the transaction that writes its rows, so that it is written once, whatever dies. A run
//! takes what waits when it begins, then gives the job back: reads and payloads take turns. What a payload brought is a row
//! of the job's own, which the next complete read confirms, corrects or removes; `tombstones` removes what payloads say is gone.

mod tombstones;

use crate::pg::shmem::{self, Phase};
use crate::pg::{bgworker, clock, failpoint, latch, transaction};
use crate::pipeline::apply::{Applier, KeepUndo, Outcome};
use crate::pipeline::batch::{current_target, keep_undo_set, signed};
use crate::pipeline::pages::check_end;
use crate::pipeline::plan::Plan;
use crate::pipeline::read::{self, MappingParts};
use crate::pipeline::refused::{Origin, Suspect, Writing};
use crate::pipeline::rejects::Rejects;
use crate::pipeline::{Ended, Work, gone, named};
use crate::store::ingest::{self, Payload};
use crate::store::run::{self, Counts};
use crate::store::{history, state, undo};
use sluice_core::data::{self, DecodedPage, Mapping};
use sluice_core::ingest::BATCH_PAYLOADS;
use sluice_core::job::Mode;
use sluice_core::run::RunStatus;
use sluice_core::target::TargetError;
use sluice_core::{Class, Error, Result};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;
use tombstones::{Buried, Tombstones};

/// How often a batch is tried that a lock, a deadlock or a serialization failure threw back.
const TRIES: u32 = 5;

/// Writes the payloads that wait now.
pub(super) fn run(work: &Work, plan: &Plan) -> Result<Ended> {
    work.phase(Phase::Writing);
    bgworker::report_activity("writing payloads");
    let (latest, known) = transaction::run(|| {
        let known = match plan.takes_parent() {
            // What was sent lies below no parent: these columns are left as they are.
            true => MappingParts::of(plan)
                .mapping(|name| !plan.is_of_parent(name))
                .map(Arc::new),
            false => read::known_mapping(plan, &state::load(work.job, clock::now())?),
        };
        // The next read would not see any more that somebody has emptied the target.
        if plan.mode != Mode::Append && read::is_empty(plan)? {
            state::read_all_anew(work.job)?;
        }
        Ok((ingest::latest(work.job)?, known))
    })?;
    let mut intake = Intake {
        work,
        plan,
        latest: latest.unwrap_or(0),
        known,
        tombstones: Tombstones::new(work, plan),
        set_aside: 0,
        at: Cell::default(),
    };
    intake.take_all()?;
    transaction::run(|| intake.finish())?;
    Ok(Ended::Ingested)
}

/// A run's way through the queue.
struct Intake<'a> {
    work: &'a Work,
    plan: &'a Plan,
    /// The last payload that this run takes.
    latest: i64,
    /// The mapping of the job's reads; before the first of them each payload has one of its own.
    known: Option<Arc<Mapping>>,
    tombstones: Tombstones<'a>,
    set_aside: u64,
    /// What the latest transaction was doing.
    at: Cell<Origin>,
}

/// Payloads that are written together.
struct Share {
    payloads: Vec<Payload>,
    /// The text of each payload's records, and its rows.
    texts: Vec<String>,
    pages: Vec<DecodedPage>,
    /// What they say is gone, as versions of those records.
    graves: Vec<DecodedPage>,
    mapping: Arc<Mapping>,
}

impl Share {
    fn suspects(&self) -> Vec<Suspect<'_>> {
        let numbered = (1..).zip(&self.pages);
        let each = numbered.map(|(number, page)| Suspect {
            number,
            page,
            places: (1..=u64::from(page.records)).collect(),
        });
        each.collect()
    }

    /// All that these payloads say of any record.
    fn versions(&self) -> Vec<Suspect<'_>> {
        let graves = (1..).zip(&self.graves).map(|(number, page)| Suspect {
            number,
            page,
            places: Vec::new(),
        });
        self.suspects().into_iter().chain(graves).collect()
    }
}

impl Intake<'_> {
    fn take_all(&mut self) -> Result<()> {
        // Payloads that were refused together are written one by one.
        let mut alone: usize = 0;
        loop {
            check_end(self.work, None)?;
            let most = match alone > 0 || self.known.is_none() {
                true => 1,
                false => BATCH_PAYLOADS,
            };
            let payloads = transaction::run(|| ingest::next(self.work.job, self.latest, most))?;
            if payloads.is_empty() {
                return Ok(());
            }
            let count = payloads.len();
            let only = payloads[0].id;
            self.at.set(Origin::Rows);
            match self.share(payloads).and_then(|share| self.write(&share)) {
                Ok(()) => alone = alone.saturating_sub(count),
                Err(error) if !self.is_of_the_payload(&error) => return Err(error),
                Err(_) if count > 1 => alone = count,
                Err(error) => {
                    transaction::run(|| ingest::set_aside(only, self.work.run, &error))?;
                    self.set_aside += 1;
                    alone = alone.saturating_sub(1);
                }
            }
        }
    }

    /// Makes rows of payloads.
    fn share(&self, payloads: Vec<Payload>) -> Result<Share> {
        let records = &self.plan.settings.records;
        let text = |payload: &Payload| Ok(data::payload_records(&payload.text, records)?.into_owned());
        let texts = payloads.iter().map(text).collect::<Result<Vec<String>>>()?;
        let mapping = match &self.known {
            Some(mapping) => Arc::clone(mapping),
            None => self.mapping_of(&texts)?,
        };
        let decode = |text: &String| Ok(data::decode(text, &mapping)?);
        let pages = texts.iter().map(decode).collect::<Result<Vec<DecodedPage>>>()?;
        Ok(Share {
            payloads,
            texts,
            graves: pages.iter().map(tombstones::as_versions).collect(),
            pages,
            mapping,
        })
    }

    fn mapping_of(&self, texts: &[String]) -> Result<Arc<Mapping>> {
        let mut members = Vec::new();
        for text in texts {
            members.extend(data::members(text)?);
        }
        let mapping = MappingParts::of(self.plan).mapping(|name| members.iter().any(|m| m == name));
        Ok(Arc::new(mapping.ok_or(data::DataError::NoColumns)?))
    }

    /// Writes a share, again where a lock or a deadlock threw it back; an error names the record that it is about.
    fn write(&self, share: &Share) -> Result<()> {
        let target = transaction::run(|| current_target(self.plan))?;
        let applier = Applier::new(&target, &share.mapping)?;
        let mut delay = Duration::from_millis(250);
        for attempt in 1.. {
            match transaction::run(|| self.write_once(&applier, share)) {
                Ok(buried) => {
                    self.tombstones.count(buried);
                    break;
                }
                Err(error) if error.class() == Class::Database && attempt < TRIES => {
                    transaction::guarded(|| {
                        latch::wait(delay);
                        Ok(())
                    })?;
                    delay *= 2;
                }
                Err(error) if share.payloads.len() == 1 => return Err(self.name_record(error, &applier, share)),
                Err(error) => return Err(error),
            }
        }
        shmem::update_progress(self.work.slot, |progress| {
            progress.pages_done += signed(share.payloads.len() as u64);
            progress.records_done += records(share);
            progress.bytes_done += share.payloads.iter().map(|payload| payload.bytes).sum::<i64>();
        });
        Ok(())
    }

    fn write_once(&self, applier: &Applier, share: &Share) -> Result<Buried> {
        self.at.set(Origin::Rows);
        let outcome = applier.put(
            self.plan.mode,
            &share.pages.iter().collect::<Vec<_>>(),
            self.keep_undo(),
        )?;
        self.at.set(Origin::Ours);
        failpoint::hit("ingest.applied");
        // A later read may find nothing to do, because a payload has done it: taken back, both go back to here.
        run::keep_position(self.work.run, &state::position(self.work.job)?)?;
        keep_undo_set(self.work, &outcome)?;
        self.keep_keys(share)?;
        self.at.set(Origin::Rows);
        let buried = self.tombstones.apply(applier, &share.pages, &share.mapping)?;
        self.at.set(Origin::Ours);
        run::add_counts(self.work.run, &counts(share, &outcome, buried))?;
        // What was sent is later than whatever a read has rejected.
        Rejects::later_than_all(self.work, self.plan).note_versions(|| share.versions())?;
        state::note_ingest(self.work.job)?;
        ingest::take(&share.payloads.iter().map(|payload| payload.id).collect::<Vec<_>>())?;
        failpoint::hit("ingest.before_commit");
        self.at.set(Origin::Rows);
        Ok(buried)
    }

    /// The rows are the job's own from now on: for tombstones, and for whatever reads the whole collection one day.
    fn keep_keys(&self, share: &Share) -> Result<()> {
        let job = self.work.job;
        let width = share.mapping.key.len();
        if width == 0 {
            return Ok(());
        }
        let keys = share.pages.iter().flat_map(|page| data::split_keys(&page.keys, width));
        let keys: Vec<Vec<u8>> = keys.map(<[u8]>::to_vec).collect();
        let generation = state::load(job, clock::now())?.generation;
        ingest::keep_keys(job, generation, &gone::key_form(self.plan), self.work.run, &keys)
    }

    fn keep_undo(&self) -> KeepUndo {
        match self.plan.settings.undo.keep_runs {
            0 => KeepUndo::No,
            _ => KeepUndo::Yes,
        }
    }

    fn name_record(&self, error: Error, applier: &Applier, share: &Share) -> Error {
        let suspects = share.suspects();
        let writing = Writing {
            target: &self.plan.target,
            mapping: &share.mapping,
            write: &|page| applier.put(self.plan.mode, &[page], KeepUndo::No),
            swapping: None,
        };
        let text = |number: i64| share.texts.get(usize::try_from(number - 1).ok()?).cloned();
        named::named(error, &suspects, writing, &text)
    }

    /// Whether an error is about the payload itself: it would come again, however often it is tried.
    fn is_of_the_payload(&self, error: &Error) -> bool {
        match error {
            Error::Database(refusal) => self.at.get() == Origin::Rows && refusal.may_be_a_records(),
            Error::Data(data::DataError::NoColumns) | Error::Target(TargetError::TooManyTombstones { .. }) => true,
            other => other.class() == Class::Data,
        }
    }

    fn finish(&self) -> Result<()> {
        if self.set_aside > 0 {
            let payloads = sluice_core::counted::counted(signed(self.set_aside), "payload");
            run::note(
                self.work.run,
                &format!("{payloads} could not become rows and were set aside: see sync_ingest"),
                None,
            )?;
        }
        run::finish(self.work.run, RunStatus::Succeeded, clock::now())?;
        let keep = &self.plan.settings.undo;
        let bytes = keep.keep_bytes.map(signed);
        undo::prune(
            self.work.job,
            i64::from(keep.keep_runs),
            i64::from(keep.keep_days),
            bytes,
        )?;
        history::prune_runs(self.work.job, clock::now())?;
        Ok(())
    }
}

fn counts(share: &Share, outcome: &Outcome, buried: Buried) -> Counts {
    Counts {
        pages: signed(share.payloads.len() as u64),
        records: records(share),
        deleted: signed(buried.removed),
        inserted: signed(outcome.inserted),
        updated: signed(outcome.updated),
        unchanged: signed(outcome.unchanged),
        bytes: share.payloads.iter().map(|payload| payload.bytes).sum(),
        ..Counts::default()
    }
}

/// Tombstones are records, too.
fn records(share: &Share) -> i64 {
    let each = share.pages.iter();
    each.map(|page| i64::from(page.records) + signed(page.gone_after.len() as u64))
        .sum()
}
