//! What one transaction holds of a batch, and in which order it comes there.
//!
//! Only [`Applied`] leads to a checkpoint, and only writing rows makes one.

use super::{Step, Writer, keep_undo_set, signed};
use crate::pg::{clock, failpoint};
use crate::pipeline::apply::{Applier, KeepUndo, Outcome};
use crate::pipeline::collect::{self, Batch, WithWaiting, body, counts, duplicates, entry, next_of, tombstones};
use crate::pipeline::evolve::{self, Evolved, Wishes};
use crate::pipeline::plan::Plan;
use crate::pipeline::read::ReadState;
use crate::pipeline::refused::{Care, Origin, Refused, Sieve, Writing};
use crate::pipeline::rejects::{self, Rejects};
use crate::pipeline::{brought, widen};
use crate::store::{page, parent, run, state};
use sluice_core::Result;
use sluice_core::cursor::Reach;
use sluice_core::data::{self, DecodedPage, Mapping, Sifted};
use sluice_core::job::Mode;
use std::collections::HashSet;
use std::sync::Arc;

/// Rows of a batch that were written in the open transaction: the only way to a checkpoint.
struct Applied {
    /// What each part came to; usually there is one.
    outcomes: Vec<Outcome>,
    /// Records that PostgreSQL refused and that were left out.
    refused: Vec<Refused>,
}
/// What a batch is written with.
struct Shape<'w> {
    plan: &'w Plan,
    /// None until the first page with records has come.
    mapping: Option<Arc<Mapping>>,
    applier: Option<&'w Applier>,
}
impl<'a> Writer<'a> {
    pub(super) fn write_once(&self, read: &ReadState, batch: &mut Batch, last: bool, care: Care) -> Result<Step> {
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
    pub(super) fn swapping<'w>(&self, applier: &'w Applier) -> Option<&'w Applier> {
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
        let undecoded = |most| batch.undecoded(mapping, with_waiting, most);
        self.rejects()
            .refuse_many(batch.count_undecoded(with_waiting), undecoded)?;
        let mut kept = self.rejects().without_repeated(undecoded(usize::MAX)?)?;
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
    pub(super) fn reach_with(&self, read: &ReadState, batch: &Batch) -> Reach {
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
}
