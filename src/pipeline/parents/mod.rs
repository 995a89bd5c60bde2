//! A read below each row of a query: one parent after another, all pages in one order.
//!
//! ```text
//! query (read-only, as the run-as role) ─► parents kept ─► several are read ahead ─► pages of the first one ─► batch
//!                                                          └ by one pace            │ its end: done, the next one
//!                                                                                   └ absent, unusable: failed
//! ```
//!
//! Pages are numbered through; the checkpoint is the number of the next page, and the parents' states say below which
//! one it lies. Both move in the commit that writes the rows, so a crash goes on at the exact page of the exact parent.
//! A parent that failed keeps what it had: in a read of the whole collection its former pages stand for it.
//!
//! `list` asks for the parents, `below` reads one, `former` finds the pages that stand for a failed one, `watermarks` says
//! from where on each is asked for and how far it was read. What a parent is, fills and means is in `sluice_core::foreach`.

mod below;
mod former;
mod list;
pub mod watermarks;

use self::below::{Below, Step};
use super::batch::{Writer, signed};
use super::collect::Batch;
use super::decode::{Arrived, BelowParent, Decoder};
use super::drift;
use super::pages::{self, Fetched, Turn, check_end, is_altered, note_page, spec, wait};
use super::plan::Plan;
use super::read::ReadState;
use super::{Work, failures, rates};
use crate::pg::{latch, signals, transaction};
use crate::store::parent::{self, Pending};
use crate::store::{page, run, state};
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::error::{Error, InternalError};
use sluice_core::foreach::{Foreach, ParentState, Places};
use sluice_core::pagination::{PageToken, Position};
use sluice_fetch::{self as fetch, FetchedPage, ReadSpec, Transport, UreqTransport};
use std::collections::VecDeque;
use std::sync::Arc;

/// Parents that are looked up at a time.
const LOOKED_UP: i64 = 500;

/// Reads below all parents from the checkpoint on. On success everything that was read is committed.
pub fn fetch_all(work: &Work, plan: &Plan, read: &mut ReadState, foreach: &Foreach) -> Result<Fetched> {
    list::keep(work, plan, read, foreach)?;
    let spec = transaction::run(|| spec(plan, read, None, rates::asks(work)?))?;
    let transport: Arc<dyn Transport> = Arc::new(UreqTransport::new(spec.agent_settings()));
    let decoder = Arc::new(transaction::run(|| Decoder::new(plan, read))?);
    let (bell, rope) = latch::bell().map_err(|e| Error::Internal(InternalError::Os { what: e.to_string() }))?;
    let mut parents = Parents {
        work,
        plan,
        foreach,
        places: Places::of(&plan.job.path, &spec.params, spec.body.as_ref())?,
        next_number: read.next_page,
        generation: read.generation,
        wake: Arc::new(move || rope.pull()),
        bell,
        transport: Arc::clone(&transport),
        decoder: Arc::clone(&decoder),
        spec,
        looked_up: VecDeque::new(),
        last: 0,
        is_all_looked_up: false,
        window: VecDeque::new(),
        batch: Batch::new(),
        turn: Turn::begin(work, plan),
    };
    let mut writer = Writer::new(work, plan, decoder);
    let result = parents.take_pages(read, &mut writer);
    parents.window.clear();
    transport.close();
    result
}

struct Parents<'a> {
    work: &'a Work,
    plan: &'a Plan,
    foreach: &'a Foreach,
    places: Places,
    generation: i64,
    /// The number of the next page of the whole read.
    next_number: i64,
    wake: Arc<dyn Fn() + Send + Sync>,
    bell: latch::Bell,
    transport: Arc<dyn Transport>,
    decoder: Arc<Decoder>,
    spec: ReadSpec,
    looked_up: VecDeque<Pending>,
    /// The last parent that was looked up, and whether there are no more.
    last: i64,
    is_all_looked_up: bool,
    /// Parents that are read at the same time; pages are taken of the first one.
    window: VecDeque<Below>,
    batch: Batch,
    turn: Turn,
}

impl Parents<'_> {
    fn take_pages(&mut self, read: &mut ReadState, writer: &mut Writer) -> Result<Fetched> {
        let limit = self.plan.settings.timeouts.run;
        let deadline = limit.map(|limit| (read.began + limit, limit));
        let commit_every = &self.plan.settings.commit_every;
        loop {
            check_end(self.work, deadline)?;
            failures::write_down(self.work, self.plan)?;
            self.fill_window(read)?;
            if self.window.is_empty() {
                self.commit(read, writer)?;
                self.judge()?;
                writer.finish(read, self.batch.take())?;
                return Ok(Fetched::Whole);
            }
            let mut is_due = false;
            let step = match self.window.front() {
                Some(first) => first.step(self.plan, self.foreach.absent, self.next_number),
                None => Step::Nothing,
            };
            match step {
                Step::Page(page) => self.take(*page)?,
                Step::End => self.leave(ParentState::Done, None)?,
                Step::Failed(reason) => self.leave(ParentState::Failed, Some(reason))?,
                Step::Error(error) => {
                    // What came in order before the failure is good, and the checkpoint belongs behind it.
                    self.commit(read, writer)?;
                    transaction::run(|| drift::record_refused(self.plan, self.generation, &error))?;
                    return Err(error);
                }
                Step::Nothing if self.batch.is_due(commit_every) => is_due = true,
                Step::Nothing => self.wait()?,
            }
            let is_due = is_due || self.batch.is_full(commit_every);
            if is_due {
                self.commit(read, writer)?;
            }
            if self.turn.is_over() || is_due && is_altered(self.plan)? {
                self.commit(read, writer)?;
                return Ok(Fetched::TurnOver);
            }
        }
    }

    /// A read in which no parent could be read says nothing of any; one in which some could not says so.
    fn judge(&self) -> Result<()> {
        let (job, generation) = (self.work.job, self.generation);
        transaction::run(|| {
            let parents = parent::count(job, generation)?;
            let (failed, _) = parent::failed(job, generation)?;
            if let Some(told) = list::told_of_failed(failed, parents) {
                run::note(self.work.run, &told, None)?;
            }
            Ok(failed > 0 && failed == parents)
        })
        .and_then(|all| match all {
            false => Ok(()),
            true => {
                // The next run asks for all of them again.
                transaction::run(|| state::give_up_read(job))?;
                Err(CallError::NoParentRead.into())
            }
        })
    }

    fn commit(&mut self, read: &mut ReadState, writer: &mut Writer) -> Result<()> {
        let mut batch = self.batch.take();
        if let Some(first) = self.window.front().filter(|first| first.pages > 0) {
            batch.mark(first.mark(ParentState::Reading));
        }
        writer.commit(read, batch)
    }

    fn wait(&mut self) -> Result<()> {
        match self.window.front().map(|first| &first.remote) {
            Some(Ok(remote)) => {
                rates::keep(self.plan)?;
                wait(self.work, remote, &mut self.bell)
            }
            _ => Ok(()),
        }
    }

    fn take(&mut self, mut page: FetchedPage<Arrived>) -> Result<()> {
        let number = self.next_number;
        if let Some(limit) = self.plan.settings.limits.pages.filter(|limit| signed(*limit) < number) {
            return Err(CallError::RunLimit { what: "pages", limit }.into());
        }
        page.number = u64::try_from(number).unwrap_or(0);
        if let Some(first) = self.window.front_mut() {
            first.see(&page, self.plan.settings.cursor.as_ref());
        }
        // A parent's total says nothing of the others'.
        (page.total, page.total_pages, page.last) = (None, None, false);
        self.next_number += 1;
        self.turn.pages += 1;
        note_page(self.work, &page);
        self.batch.add(page)
    }

    /// The first parent of the window is through.
    fn leave(&mut self, state: ParentState, reason: Option<String>) -> Result<()> {
        let Some(first) = self.window.pop_front() else {
            return Ok(());
        };
        let mut mark = first.mark(state);
        if state == ParentState::Failed {
            mark.kept = self.keep_former(&first)?;
            mark.error = reason;
        }
        self.batch.mark(mark);
        Ok(())
    }

    /// The pages that a failed parent had in the published read stand for it. False where they cannot: then nothing is
    /// removed by this read.
    fn keep_former(&mut self, failed: &Below) -> Result<bool> {
        let (job, mapping) = (self.work.job, self.decoder.mapping());
        let pages = transaction::run(|| former::pages(job, mapping.as_deref(), &failed.parent))?;
        let Some(pages) = pages else { return Ok(false) };
        for arrived in pages {
            let number = u64::try_from(self.next_number).unwrap_or(0);
            self.next_number += 1;
            self.batch.add(former::standing_in(number, arrived))?;
        }
        Ok(true)
    }

    fn fill_window(&mut self, read: &ReadState) -> Result<()> {
        let most = self.spec.concurrency.max(1);
        while self.window.len() < most {
            if self.looked_up.is_empty() && !self.is_all_looked_up {
                let (job, generation) = (self.work.job, self.generation);
                let last = self.last;
                self.looked_up = transaction::run(|| parent::pending(job, generation, last, LOOKED_UP))?.into();
                self.is_all_looked_up = self.looked_up.is_empty();
            }
            let Some(next) = self.looked_up.pop_front() else {
                return Ok(());
            };
            self.last = next.ordinal;
            let below = self.begin(next, read)?;
            self.window.push_back(below);
        }
        Ok(())
    }

    fn begin(&self, next: Pending, read: &ReadState) -> Result<Below> {
        let start = match next.first_page {
            Some(first) => Some(transaction::run(|| self.position(first, read))?),
            None => None,
        };
        let (pages, records) = start
            .as_ref()
            .map_or((0, 0), |s| (signed(s.number) - 1, signed(s.records)));
        let remote = self.places.fill(&next.parent).map(|mut filled| {
            pages::since(self.plan, next.bound.as_deref(), &mut filled.params, &mut filled.body);
            let abreast = self.spec.concurrency.min(self.looked_up.len() + 1).max(1);
            let mut spec = ReadSpec {
                path: filled.path,
                params: filled.params,
                body: filled.body,
                start,
                concurrency: (self.spec.concurrency / abreast).max(1),
                ..self.spec.clone()
            };
            spec.limits.ahead /= abreast as u64;
            let below = BelowParent {
                decoder: Arc::clone(&self.decoder),
                parent: next.parent.clone(),
            };
            let (transport, wake) = (Arc::clone(&self.transport), Arc::clone(&self.wake));
            signals::with_all_blocked(|| fetch::start(spec, transport, Arc::new(below), wake))
        });
        Ok(Below {
            ordinal: next.ordinal,
            parent: next.parent,
            remote,
            first_page: next.first_page,
            pages,
            records,
            reach: next.reach,
            totals: next.totals,
        })
    }

    /// Where the parent goes on whose first pages are committed.
    fn position(&self, first: i64, read: &ReadState) -> Result<Position> {
        let before = page::seen(self.work.job, self.generation, first)?;
        Ok(Position {
            number: u64::try_from(read.next_page - first + 1).unwrap_or(1),
            token: read.next_token.clone().map(PageToken),
            total_seen: None,
            pages_seen: None,
            records: before.iter().map(|page| page.records).sum(),
            before,
        })
    }
}
