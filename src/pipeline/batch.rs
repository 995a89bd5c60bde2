//! Pages that are written together, and the commit that makes them durable.
//!
//! One transaction holds the rows, their former images, the ledger, the page store, the counters and the checkpoint.
//! Only [`Applied`] leads to a checkpoint, and only writing rows makes one.

use super::apply::{Applier, KeepUndo, Outcome};
use super::decode::{Arrived, Decoder};
use super::drift::Known;
use super::evolve::{self, Evolved};
use super::new_fields::Wanted;
use super::pending::{Batch, body, counts, entry, next_of};
use super::plan::Plan;
use super::read::ReadState;
use super::refused::{self, Suspect, Writing};
use super::{Work, gone};
use crate::pg::clock;
use crate::pg::{failpoint, relation, transaction};
use crate::store::undo::{self, UndoBatch};
use crate::store::{brought, page, run, state};
use sluice_core::call::CallError;
use sluice_core::cursor::Reach;
use sluice_core::data::{self, DecodedPage};
use sluice_core::error::{DatabaseError, Error};
use sluice_core::target::TargetError;
use sluice_core::{Class, Result};
use sluice_fetch::FetchedPage;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// How often a batch is tried again that a lock, a deadlock or a serialization failure threw back.
const BATCH_TRIES: u32 = 5;
const FIRST_DELAY: Duration = Duration::from_millis(250);
const UNIQUE_VIOLATION: &str = "23505";

/// Rows of a batch that were written in the open transaction: the only way to a checkpoint.
struct Applied {
    outcome: Outcome,
}

/// What a committed batch has changed for those that follow.
struct Step {
    known: Known,
    evolved: Option<(Evolved, Applier)>,
}

/// Writes the batches of one read.
pub struct Writer<'a> {
    work: &'a Work,
    plan: &'a Plan,
    /// The plan with the columns that this read has added.
    evolved: Option<Plan>,
    decoder: Arc<Decoder>,
    applier: Option<Applier>,
    known: Option<Known>,
    /// Members that were to have a column and cannot.
    without_column: HashSet<String>,
    rows: u64,
    bytes: u64,
}

impl<'a> Writer<'a> {
    pub fn new(work: &'a Work, plan: &'a Plan, decoder: Arc<Decoder>) -> Writer<'a> {
        Writer {
            work,
            plan,
            evolved: None,
            decoder,
            applier: None,
            known: None,
            without_column: HashSet::new(),
            rows: 0,
            bytes: 0,
        }
    }

    /// Commits a batch that more pages follow.
    pub fn commit(&mut self, read: &mut ReadState, batch: Batch) -> Result<()> {
        if batch.pages.is_empty() {
            Ok(())
        } else {
            self.write(read, batch, false)
        }
    }

    /// Commits the last batch, perhaps an empty one, and with it that the read is complete.
    pub fn finish(&mut self, read: &mut ReadState, batch: Batch) -> Result<()> {
        self.write(read, batch, true)
    }

    fn plan(&self) -> &Plan {
        self.evolved.as_ref().unwrap_or(self.plan)
    }

    fn write(&mut self, read: &mut ReadState, mut batch: Batch, last: bool) -> Result<()> {
        self.count(&batch)?;
        self.prepare(read)?;
        let mut delay = FIRST_DELAY;
        for attempt in 1.. {
            self.decode_stale(&mut batch)?;
            match transaction::run(|| self.write_once(read, &mut batch, last)) {
                Ok(step) => {
                    self.take_step(read, &batch, step);
                    break;
                }
                Err(error) if read.copy && is_unique_violation(&error) => read.copy = false,
                Err(error) if error.class() == Class::Database && attempt < BATCH_TRIES => {
                    pause(delay)?;
                    delay *= 2;
                }
                Err(error) => {
                    self.decode_stale(&mut batch)?;
                    return Err(self.name_record(error, read, &batch));
                }
            }
        }
        self.advance(read, &batch, last);
        Ok(())
    }

    /// What all batches of a read need; the mapping may be known only once its first page has come.
    fn prepare(&mut self, read: &ReadState) -> Result<()> {
        if self.known.is_none() {
            self.known = Some(transaction::run(|| Known::load(self.plan, read.generation))?);
        }
        if self.applier.is_none()
            && read.direct
            && let Some(mapping) = self.decoder.mapping()
        {
            let target = transaction::run(|| current_target(self.plan))?;
            self.applier = Some(Applier::new(&target, &mapping)?);
        }
        Ok(())
    }

    /// Pages that came before the target got columns, and those of a batch that was to bring them and could not.
    fn decode_stale(&self, batch: &mut Batch) -> Result<()> {
        match self.decoder.mapping() {
            Some(mapping) => batch.decode_anew(&self.decoder, &mapping),
            None => Ok(()),
        }
    }

    /// Committed: what follows is decoded and written with the columns that there are now.
    fn take_step(&mut self, read: &mut ReadState, batch: &Batch, step: Step) {
        self.known = Some(step.known);
        if let Some((evolved, applier)) = step.evolved {
            self.decoder.set_mapping(&evolved.mapping);
            read.mapping = Some(evolved.mapping);
            self.applier = Some(applier);
            self.evolved = Some(evolved.plan);
        }
        let left: Vec<String> = self
            .wanted(read, batch)
            .into_iter()
            .map(|wanted| wanted.member)
            .collect();
        self.without_column.extend(left);
    }

    /// The members that are to have a column before this batch can be written: each with a type for all its values.
    fn wanted(&self, read: &ReadState, batch: &Batch) -> Vec<Wanted> {
        let mut all: Vec<Wanted> = Vec::new();
        let of_pages = batch.fresh().filter(|_| read.direct).flat_map(|fresh| &fresh.wanted);
        for wanted in of_pages.filter(|wanted| !self.without_column.contains(&wanted.member)) {
            match all.iter_mut().find(|w| w.member == wanted.member) {
                Some(known) => known.ty = known.ty.join(wanted.ty),
                None => all.push(wanted.clone()),
            }
        }
        all
    }

    /// The error with the record that it is about, where PostgreSQL refused one.
    fn name_record(&self, error: Error, read: &ReadState, batch: &Batch) -> Error {
        let (Some(applier), Some(mapping)) = (&self.applier, self.decoder.mapping()) else {
            return error;
        };
        let write = |page: &DecodedPage| match read.copy {
            true => applier.copy(&[page]),
            false => applier.merge(&[page], KeepUndo::No),
        };
        let writing = Writing {
            target: &self.plan().target,
            mapping: &mapping,
            write: &write,
        };
        let suspects: Vec<Suspect> = batch.pages.iter().filter_map(|(fetched, _)| suspect(fetched)).collect();
        refused::named(error, &suspects, &writing)
    }

    /// Limits of a run are met before the batch that would exceed them is written.
    fn count(&mut self, batch: &Batch) -> Result<()> {
        self.rows += batch.pages.iter().map(|(p, _)| p.records).sum::<u64>();
        self.bytes += batch.bytes;
        let limits = &self.plan.settings.limits;
        let exceeded = [("rows", limits.rows, self.rows), ("bytes", limits.bytes, self.bytes)];
        for (what, limit, value) in exceeded {
            if let Some(limit) = limit.filter(|limit| value > *limit) {
                return Err(CallError::RunLimit { what, limit }.into());
            }
        }
        Ok(())
    }

    fn write_once(&self, read: &ReadState, batch: &mut Batch, last: bool) -> Result<Step> {
        let known = self.known.as_ref().expect("prepare() has loaded it");
        let known = known.record(batch.fresh(), self.decoder.new_fields())?;
        let evolved = self.evolve(read, batch)?;
        let applier = evolved.as_ref().map(|(_, applier)| applier).or(self.applier.as_ref());
        let applied = self.apply(applier, read, batch)?;
        failpoint::hit("batch.applied");
        self.keep_pages(read, batch)?;
        if evolved.is_none() {
            self.keep_mapped(read)?;
        }
        self.keep_keys(read, batch)?;
        self.checkpoint(read, batch, last, applied)?;
        failpoint::hit("batch.before_commit");
        Ok(Step { known, evolved })
    }

    /// Adds the columns that the batch needs, and decodes its pages for them.
    fn evolve(&self, read: &ReadState, batch: &mut Batch) -> Result<Option<(Evolved, Applier)>> {
        let wanted = self.wanted(read, batch);
        let Some(mapping) = self.decoder.mapping().filter(|_| !wanted.is_empty()) else {
            return Ok(None);
        };
        let Some(evolved) = evolve::evolve(self.plan(), &mapping, &wanted, self.work.run)? else {
            return Ok(None);
        };
        batch.decode_anew(&self.decoder, &evolved.mapping)?;
        let applier = Applier::new(&evolved.plan.target, &evolved.mapping)?;
        Ok(Some((evolved, applier)))
    }

    /// Writes the rows, as the run-as role.
    fn apply(&self, applier: Option<&Applier>, read: &ReadState, batch: &Batch) -> Result<Applied> {
        let pages = batch.fresh_pages();
        let outcome = match applier {
            Some(applier) if read.direct && !pages.is_empty() => {
                if read.copy {
                    applier.copy(&pages)?
                } else {
                    applier.merge(&pages, self.keep_undo(read))?
                }
            }
            _ => Outcome::default(),
        };
        Ok(Applied { outcome })
    }

    /// A first load needs no former images: what was there before it is nothing.
    fn keep_undo(&self, read: &ReadState) -> KeepUndo {
        if self.plan.settings.undo.keep_runs == 0 || read.first_load {
            KeepUndo::No
        } else {
            KeepUndo::Yes
        }
    }

    /// Page store and ledger: one statement each for the whole batch.
    fn keep_pages(&self, read: &ReadState, batch: &Batch) -> Result<()> {
        let bodies: Vec<page::Body> = batch.pages.iter().filter_map(|(fetched, _)| body(fetched)).collect();
        if !bodies.is_empty() {
            page::keep_bodies(self.work.job, &bodies)?;
        }
        let entries: Vec<page::Entry> = batch.pages.iter().map(|(fetched, at)| entry(fetched, *at)).collect();
        if !entries.is_empty() {
            page::record(self.work.job, read.generation, self.work.run, &entries)?;
        }
        Ok(())
    }

    /// The first page decides which columns this read and later ones fill.
    fn keep_mapped(&self, read: &ReadState) -> Result<()> {
        if read.mapping.is_none()
            && let Some(mapping) = self.decoder.mapping()
        {
            let names: Vec<String> = mapping.columns.iter().map(|c| c.name.clone()).collect();
            state::set_mapped(self.work.job, &names, &self.plan().target.fingerprint())?;
        }
        Ok(())
    }

    /// The keys that an upsert brings: its pages are not stored, and its rows are the job's own.
    fn keep_keys(&self, read: &ReadState, batch: &Batch) -> Result<()> {
        let pages = batch.fresh_pages();
        let records: u64 = pages.iter().map(|page| u64::from(page.records)).sum();
        match batch.pages.first() {
            Some((first, _)) if !read.whole && records > 0 => brought::keep(brought::Batch {
                job: self.work.job,
                generation: read.generation,
                number: signed(first.number),
                run: self.work.run,
                form: &gone::key_form(self.plan),
                records: signed(records),
                keys: data::compress(
                    &pages
                        .iter()
                        .map(|page| page.keys.as_slice())
                        .collect::<Vec<_>>()
                        .concat(),
                ),
            }),
            _ => Ok(()),
        }
    }

    /// How far the read reaches with this batch, and what the batch's own records do not tell.
    fn reach_with(&self, read: &ReadState, batch: &Batch) -> Reach {
        let mut reach = Reach {
            highest: read.state.reach.highest.clone(),
            ..Reach::default()
        };
        if let Some(cursor) = &self.plan.settings.cursor {
            let pages = batch.fresh_pages();
            pages.iter().for_each(|page| reach.add(&page.reach, cursor.format));
        }
        reach
    }

    /// Moves the checkpoint behind the rows that were applied in this transaction.
    fn checkpoint(&self, read: &ReadState, batch: &Batch, last: bool, applied: Applied) -> Result<()> {
        let Applied { outcome } = applied;
        keep_undo_set(self.work, &outcome)?;
        run::add_counts(self.work.run, &counts(batch, &outcome))?;
        let (next_page, next_token) = next_of(read, batch);
        state::advance(&state::Advance {
            job: self.work.job,
            generation: read.generation,
            from_page: read.next_page,
            next_page,
            next_token,
            complete: last,
            total: batch.pages.iter().rev().find_map(|(p, _)| p.total).map(signed),
            total_pages: batch.pages.iter().rev().find_map(|(p, _)| p.total_pages).map(signed),
            duplicates: duplicates(read, &outcome),
            reach: self.reach_with(read, batch),
            now: clock::now(),
        })
    }

    fn advance(&self, read: &mut ReadState, batch: &Batch, last: bool) {
        (read.next_page, read.next_token) = next_of(read, batch);
        read.complete = last;
        read.state.reach.highest = self.reach_with(read, batch).highest;
        if read.mapping.is_none() {
            read.mapping = self.decoder.mapping();
        }
    }
}

/// In a first load, a row that is there already came earlier in the same read.
fn duplicates(read: &ReadState, outcome: &Outcome) -> i64 {
    let again = if read.first_load {
        outcome.updated + outcome.unchanged
    } else {
        0
    };
    signed(outcome.duplicates + again)
}

/// Keeps the former images of what was written in this transaction.
pub fn keep_undo_set(work: &Work, outcome: &Outcome) -> Result<()> {
    let Some(images) = &outcome.undo else { return Ok(()) };
    undo::keep(
        work.job,
        &UndoBatch {
            run: work.run,
            batch: 0,
            first_load: false,
            columns: images.columns.clone(),
            rows: signed(outcome.inserted + outcome.updated + outcome.deleted),
            payload: Some(data::compress(images.payload.as_bytes())),
        },
    )
}

/// A page that PostgreSQL may have refused; None where nothing of it was to be written.
fn suspect(fetched: &FetchedPage<Arrived>) -> Option<Suspect<'_>> {
    let fresh = fetched.page.as_ref()?.fresh.as_ref()?;
    Some(Suspect {
        number: signed(fetched.number),
        text: fresh.content.text()?.into_owned(),
        page: &fresh.page,
    })
}

/// Counters are bigint in PostgreSQL.
pub fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The target as it is now; its shape must be what the plan was made for.
pub fn current_target(plan: &Plan) -> Result<relation::Target> {
    relation::read_target(plan.target.oid).ok_or_else(|| {
        TargetError::Gone {
            target: plan.target.full_name(),
            job: plan.job.name.clone(),
        }
        .into()
    })
}

fn is_unique_violation(error: &Error) -> bool {
    matches!(error, Error::Database(DatabaseError { sqlstate, .. }) if sqlstate == UNIQUE_VIOLATION)
}

fn pause(delay: Duration) -> Result<()> {
    transaction::guarded(|| {
        crate::pg::latch::wait(delay);
        Ok(())
    })
}
