//! Writing pages together, and the commit that makes them durable.
//!
//! One transaction holds the rows, their former images, the ledger, the page store, the counters and the checkpoint: it is
//! in `write`. Here it is tried, tried again with more care or less at once, and followed.

mod write;

use super::Work;
use super::apply::{Applier, KeepUndo, Outcome, expect_owner};
use super::collect::{Batch, next_of};
use super::decode::Decoder;
use super::drift::Known;
use super::evolve::{Evolved, Wishes};
use super::named;
use super::plan::Plan;
use super::read::ReadState;
use super::refused::{Care, Origin, Writing};
use super::rejects::Rejects;
use crate::pg::{relation, transaction};
use crate::store::page;
use crate::store::undo::{self, UndoBatch};
use sluice_core::call::CallError;
use sluice_core::data::{self, DecodedPage};
use sluice_core::error::{DatabaseError, Error};
use sluice_core::error_rule::Action;
use sluice_core::target::TargetError;
use sluice_core::{Class, Result};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// How often a batch is tried again that a lock, a deadlock or a serialization failure threw back.
const BATCH_TRIES: u32 = 5;
const FIRST_DELAY: Duration = Duration::from_millis(250);
const UNIQUE_VIOLATION: &str = "23505";

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
    /// Columns that were to become wider and cannot.
    not_widened: HashSet<String>,
    rejects: Option<Rejects<'a>>,
    /// What the open transaction is doing.
    at: Cell<Origin>,
    /// Records and bytes of the read, in all; None until the first batch comes.
    had: Option<(u64, u64)>,
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
            not_widened: HashSet::new(),
            rejects: None,
            at: Cell::default(),
            had: None,
        }
    }

    /// Commits a batch that more pages follow.
    pub fn commit(&mut self, read: &mut ReadState, batch: Batch) -> Result<()> {
        if batch.is_empty() {
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

    fn write(&mut self, read: &mut ReadState, batch: Batch, last: bool) -> Result<()> {
        self.count(read, &batch)?;
        self.prepare(read)?;
        self.write_part(read, batch, last)
    }

    fn write_part(&mut self, read: &mut ReadState, mut batch: Batch, last: bool) -> Result<()> {
        let (mut delay, mut care) = (FIRST_DELAY, Care::Whole);
        for attempt in 1.. {
            self.decode_stale(&mut batch)?;
            let written = transaction::run(|| self.write_once(read, &mut batch, last, care));
            match written.map_err(|error| self.plan.rules.of_failure(error, None)) {
                Ok(step) => {
                    self.take_step(read, &batch, step);
                    break;
                }
                Err(error) if read.copy && is_unique_violation(&error) => read.copy = false,
                // What ran short may be enough for half of it.
                Err(error) if error.class() == Class::Resource && attempt < BATCH_TRIES && is_tried_again(&error) => {
                    pause(delay)?;
                    delay *= 2;
                    if let Some(rest) = batch.halve() {
                        self.write_part(read, batch, false)?;
                        return self.write_part(read, rest, last);
                    }
                }
                Err(error) if error.class() == Class::Database && attempt < BATCH_TRIES && is_tried_again(&error) => {
                    pause(delay)?;
                    delay *= 2;
                }
                Err(error) if error.ruling().is_some() => return Err(error),
                // Two that change places are refused as one that is wrong.
                Err(error) if care == Care::Whole && is_unique_violation(&error) => care = Care::Parts,
                Err(error) if !Rejects::are_kept(self.plan) => {
                    self.decode_stale(&mut batch)?;
                    return Err(self.name_record(error, read, &batch));
                }
                Err(error) => care = care.after(&error, self.at.get()).ok_or(error)?,
            }
        }
        self.advance(read, &batch, last);
        Ok(())
    }

    /// What all batches of a read need; the mapping may be known only once its first page has come.
    fn prepare(&mut self, read: &ReadState) -> Result<()> {
        let published = read.state.whole_generation.filter(|_| !read.direct);
        self.rejects = Some(Rejects::new(self.work, self.plan, read.generation).repeating(published));
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
            self.decoder.set_columns(&evolved.mapping, &evolved.widenable);
            read.mapping = Some(evolved.mapping);
            self.applier = Some(applier);
            self.evolved = Some(evolved.plan);
        }
        let left = self.wishes(read, batch);
        self.without_column
            .extend(left.new.into_iter().map(|wanted| wanted.member));
        self.not_widened
            .extend(left.wider.into_iter().map(|wider| wider.column));
    }

    /// What has to become of the target before this batch can be written.
    fn wishes(&self, read: &ReadState, batch: &Batch) -> Wishes {
        match read.direct {
            true => Wishes {
                new: batch.wanted(&self.without_column),
                wider: batch.wider(&self.not_widened),
            },
            false => Wishes::default(),
        }
    }

    /// The error with the record that it is about, where PostgreSQL refused one.
    fn name_record(&self, error: Error, read: &ReadState, batch: &Batch) -> Error {
        let (Some(applier), Some(mapping)) = (&self.applier, self.decoder.mapping()) else {
            return error;
        };
        let write = |page: &DecodedPage| match read.copy {
            true => applier.copy(&[page]),
            false => applier.put(self.plan.mode, &[page], KeepUndo::No),
        };
        let writing = Writing {
            target: &self.plan().target,
            mapping: &mapping,
            write: &write,
            swapping: self.swapping(applier),
        };
        let text = |number| batch.text(number).map(Cow::into_owned);
        named::named(error, &batch.suspects(), writing, &text)
    }

    /// Limits of a read are met before the batch that would exceed them is written.
    fn count(&mut self, read: &ReadState, batch: &Batch) -> Result<()> {
        let (rows, bytes) = match self.had {
            Some(had) => had,
            // It may have begun before: until a token was renewed, in another turn, or in another run.
            None => transaction::run(|| page::brought(self.work.job, read.generation))?,
        };
        let rows = rows + batch.pages.iter().map(|(p, _)| p.records).sum::<u64>();
        let bytes = bytes + batch.pages.iter().map(|(p, _)| p.bytes).sum::<u64>();
        self.had = Some((rows, bytes));
        let limits = &self.plan.settings.limits;
        let exceeded = [("rows", limits.rows, rows), ("bytes", limits.bytes, bytes)];
        for (what, limit, value) in exceeded {
            if let Some(limit) = limit.filter(|limit| value > *limit) {
                return Err(CallError::RunLimit { what, limit }.into());
            }
        }
        Ok(())
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
            attnums: images.attnums.clone(),
            rows: signed(outcome.inserted + outcome.updated + outcome.deleted),
            payload: Some(data::compress(images.payload.as_bytes())),
        },
    )
}

/// Counters are bigint in PostgreSQL.
pub fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The target as it is now, which must still be the run-as role's.
pub fn current_target(plan: &Plan) -> Result<relation::Target> {
    let target = relation::read_target(plan.target.oid)?.ok_or_else(|| TargetError::Gone {
        target: plan.target.full_name(),
        job: plan.job.name.clone(),
    })?;
    expect_owner(&target)?;
    Ok(target)
}

/// Whether the same batch is written once more in this run: of its class, unless a rule has it otherwise.
fn is_tried_again(error: &Error) -> bool {
    error.ruling().is_none_or(|ruling| ruling.action == Action::Retry)
}

pub fn is_unique_violation(error: &Error) -> bool {
    matches!(error, Error::Database(DatabaseError { sqlstate, .. }) if sqlstate == UNIQUE_VIOLATION)
}

fn pause(delay: Duration) -> Result<()> {
    transaction::guarded(|| {
        crate::pg::latch::wait(delay);
        Ok(())
    })
}
