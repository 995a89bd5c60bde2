//! Writing pages together, and the commit that makes them durable.
//!
//! One transaction holds the rows, their former images, the ledger, the page store, the counters and the checkpoint.
//! Only [`Applied`] leads to a checkpoint, and only writing rows makes one.
//!
//! Size: what one transaction holds, and in which order, is read in one place.

use super::apply::{Applier, KeepUndo, Outcome};
use super::collect::{self, Batch, WithWaiting, body, counts, duplicates, entry, next_of, tombstones};
use super::decode::Decoder;
use super::drift::Known;
use super::evolve::{self, Evolved, Wishes};
use super::named;
use super::plan::Plan;
use super::read::ReadState;
use super::refused::{Care, Origin, Refused, Sieve, Writing};
use super::rejects::{self, Rejects};
use super::{Work, brought, widen};
use crate::pg::clock;
use crate::pg::{failpoint, relation, transaction};
use crate::store::undo::{self, UndoBatch};
use crate::store::{page, parent, run, state};
use sluice_core::call::CallError;
use sluice_core::cursor::Reach;
use sluice_core::data::{self, DecodedPage, Mapping, Sifted};
use sluice_core::error::{DatabaseError, Error};
use sluice_core::error_rule::Action;
use sluice_core::job::Mode;
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

/// Rows of a batch that were written in the open transaction: the only way to a checkpoint.
struct Applied {
    /// What each part came to; usually there is one.
    outcomes: Vec<Outcome>,
    /// Records that PostgreSQL refused and that were left out.
    refused: Vec<Refused>,
}

/// What a committed batch has changed for those that follow.
struct Step {
    known: Known,
    evolved: Option<(Evolved, Applier)>,
}

/// What a batch is written with.
struct Shape<'w> {
    plan: &'w Plan,
    /// None until the first page with records has come.
    mapping: Option<Arc<Mapping>>,
    applier: Option<&'w Applier>,
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

    fn write_once(&self, read: &ReadState, batch: &mut Batch, last: bool, care: Care) -> Result<Step> {
        self.at.set(Origin::Rows);
        care.begin()?;
        self.at.set(Origin::Ours);
        let fresh = batch.fresh().map(|(_, fresh)| fresh);
        let known = self.known.as_ref().expect("prepare() has loaded it");
        let known = known.record(fresh, self.decoder.new_fields())?;
        let evolved = self.evolve(read, batch)?;
        let shape = self.shape(evolved.as_ref());
        self.at.set(Origin::Rows);
        let applied = self.apply(&shape, read, batch, care)?;
        self.at.set(Origin::Ours);
        failpoint::hit("batch.applied");
        self.keep_pages(read, batch)?;
        if evolved.is_none() {
            self.keep_mapped(read)?;
        }
        self.keep_rejects(&shape, read, batch, &applied)?;
        self.keep_keys(read, batch)?;
        self.checkpoint(read, batch, last, applied)?;
        failpoint::hit("batch.before_commit");
        self.at.set(Origin::Rows);
        Ok(Step { known, evolved })
    }

    /// Adds the columns that the batch needs, and makes wider those that do not take its values; its pages are decoded for
    /// them.
    fn evolve(&self, read: &ReadState, batch: &mut Batch) -> Result<Option<(Evolved, Applier)>> {
        let Some(mut mapping) = self.decoder.mapping() else {
            return Ok(None);
        };
        let (mut wishes, mut tried) = (self.wishes(read, batch), HashSet::new());
        let mut done: Option<Evolved> = None;
        while !wishes.is_empty() {
            let plan = done.as_ref().map_or(self.plan(), |evolved| &evolved.plan);
            let Some(evolved) = evolve::evolve(plan, &mapping, &wishes, self.work.run)? else {
                break;
            };
            tried.extend(wishes.wider.into_iter().map(|wider| (wider.column, wider.ty)));
            mapping = Arc::clone(&evolved.mapping);
            batch.decode_anew(&self.decoder, &mapping)?;
            done = Some(evolved);
            // Of a record that fits nowhere one column is told at a time.
            let more = self.wishes(read, batch).wider.into_iter();
            let wider = more.filter(|wider| !tried.contains(&(wider.column.clone(), wider.ty)));
            wishes = Wishes {
                wider: wider.collect(),
                ..Wishes::default()
            };
            widen::tell(self.plan(), read.generation, &wishes.wider)?;
        }
        let Some(evolved) = done else { return Ok(None) };
        let applier = Applier::new(&evolved.plan.target, &evolved.mapping)?;
        Ok(Some((evolved, applier)))
    }

    fn shape<'w>(&'w self, evolved: Option<&'w (Evolved, Applier)>) -> Shape<'w> {
        match evolved {
            Some((evolved, applier)) => Shape {
                plan: &evolved.plan,
                mapping: Some(Arc::clone(&evolved.mapping)),
                applier: Some(applier),
            },
            None => Shape {
                plan: self.plan(),
                mapping: self.decoder.mapping(),
                applier: self.applier.as_ref(),
            },
        }
    }

    /// Writes the rows, as the run-as role.
    fn apply(&self, shape: &Shape, read: &ReadState, batch: &Batch, care: Care) -> Result<Applied> {
        let (mut outcomes, mut refused) = (Vec::new(), Vec::new());
        let pages: Vec<&DecodedPage> = batch.fresh().map(|(_, fresh)| &fresh.sifted.page).collect();
        if let Some(applier) = shape.applier.filter(|_| read.direct && !pages.is_empty()) {
            let (keep, mode) = (self.keep_undo(read), self.plan.mode);
            match care {
                Care::Whole if read.copy => outcomes.push(applier.copy(&pages)?),
                Care::Whole => outcomes.push(applier.put(mode, &pages, keep)?),
                _ => {
                    let write = |page: &DecodedPage| applier.put(mode, &[page], keep);
                    (outcomes, refused) = self.sieve(shape, batch, &write)?;
                }
            }
        }
        Ok(Applied { outcomes, refused })
    }

    /// Writes the rows in parts, without those that PostgreSQL refuses.
    fn sieve(
        &self,
        shape: &Shape,
        batch: &Batch,
        write: &dyn Fn(&DecodedPage) -> Result<Outcome>,
    ) -> Result<(Vec<Outcome>, Vec<Refused>)> {
        let writing = Writing {
            target: &shape.plan.target,
            mapping: shape.mapping.as_ref().ok_or(data::DataError::NoColumns)?,
            write,
            swapping: shape.applier.and_then(|applier| self.swapping(applier)),
        };
        let mut sieve = Sieve::new(writing, self.rejects().room()?);
        let mut outcomes = sieve.take(&batch.suspects())?;
        let (refused, more) = sieve.finish()?;
        outcomes.extend(more);
        Ok((outcomes, refused))
    }

    /// Rows that are only added change no places.
    fn swapping<'w>(&self, applier: &'w Applier) -> Option<&'w Applier> {
        (self.plan.mode != Mode::Append && !self.plan.job.key.is_empty()).then_some(applier)
    }

    fn rejects(&self) -> &Rejects<'a> {
        self.rejects.as_ref().expect("made before the first batch is written")
    }

    /// Keeps aside what could not become rows, and settles what has come in a later version.
    fn keep_rejects(&self, shape: &Shape, read: &ReadState, batch: &Batch, applied: &Applied) -> Result<()> {
        let Some(mapping) = &shape.mapping else {
            return Ok(());
        };
        if let Some(refused) = applied.refused.first().filter(|_| !Rejects::are_kept(self.plan)) {
            return Err(refused.error.clone().into());
        }
        let with_waiting = if read.direct { WithWaiting::Yes } else { WithWaiting::No };
        if let Some(error) = batch.in_vain().filter(|_| read.direct && !Rejects::are_kept(self.plan)) {
            return Err(error);
        }
        let mut kept = self
            .rejects()
            .without_repeated(batch.undecoded(mapping, with_waiting)?)?;
        let text = |number| Ok(batch.text(number).ok_or_else(collect::lost)?.into_owned());
        kept.extend(rejects::of_refusals(&applied.refused, mapping, text)?);
        self.rejects().keep(&kept)?;
        match read.direct {
            true => self.rejects().note_versions(|| batch.suspects()),
            false => Ok(()),
        }
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
        if !batch.marks.is_empty() {
            parent::mark(self.work.job, read.generation, &batch.marks)?;
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

    /// The keys that an upsert brings: its pages are not stored, and its rows are the job's own. A rejected record that has
    /// a key is among them, since its row may be there.
    fn keep_keys(&self, read: &ReadState, batch: &Batch) -> Result<()> {
        match batch.pages.first() {
            Some((first, _)) if !read.whole && !self.plan.job.key.is_empty() => {
                let at = (read.generation, signed(first.number), self.work.run);
                let pages: Vec<&Sifted> = batch.fresh().map(|(_, fresh)| &fresh.sifted).collect();
                brought::keep(self.plan, at, &pages)
            }
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
            let pages = batch.fresh();
            pages.for_each(|(_, fresh)| reach.add(&fresh.sifted.page.reach, cursor.format));
        }
        reach
    }

    /// Moves the checkpoint behind the rows that were applied in this transaction.
    fn checkpoint(&self, read: &ReadState, batch: &Batch, last: bool, applied: Applied) -> Result<()> {
        let mut outcome = Outcome::default();
        for part in &applied.outcomes {
            keep_undo_set(self.work, part)?;
            outcome.count(part);
        }
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
            duplicates: duplicates(self.plan.mode, read, &outcome),
            tombstones: tombstones(batch),
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
