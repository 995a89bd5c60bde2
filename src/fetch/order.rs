//! The order of a read: what came before its turn, what is ready to be taken, what failed.
//!
//! Pages come in any order and are given out by number. A failure counts when it is its page's turn: past the end of
//! the collection it does not matter what a remote answers.

use std::collections::{BTreeMap, VecDeque};

use sluice_core::error::Error;
use sluice_core::http::HttpError;
use sluice_core::pagination::{Answer, Ask, PageToken, ReadPlan, Verdict};

use crate::pages::{Failure, FetchedPage, Poll};
use crate::spec::ReadSpec;

/// Pages beyond `concurrency` that may be asked for before the earliest one is taken.
const WINDOW_SLACK: u64 = 2;

/// A page that was fetched and decoded, before it is known what it means.
pub(crate) struct Fetched<P> {
    pub answer: Answer,
    pub page: Option<P>,
    pub bytes: u64,
    /// Bytes of the decoded body: what the page weighs while it waits.
    pub weight: u64,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    pub requests: u32,
    /// A rule has taken the answer for a page without records.
    pub ignored: bool,
}

/// How work on a page ended without one.
pub(crate) struct Failed {
    pub error: Error,
    pub requests: u32,
}

pub(crate) struct Order<P> {
    /// None where the read failed before it began.
    plan: Option<ReadPlan>,
    /// By page number: came, but pages before it have not.
    done: BTreeMap<u64, (Ask, Result<Fetched<P>, Failed>)>,
    ready: VecDeque<(u64, FetchedPage<P>)>,
    /// The weight of all ready pages, and up to where it holds nothing up.
    ready_bytes: u64,
    ahead: u64,
    failure: Option<Failure>,
    /// Highest page number that may be asked for; grows as pages are taken.
    through: u64,
}

impl<P> Order<P> {
    /// Checks what can be checked before anything is sent; what is wrong is told by the first poll.
    pub fn new(spec: &ReadSpec) -> Order<P> {
        let start = spec.start.clone().unwrap_or_default();
        let first = start.number.max(1);
        let plan = spec
            .first_url()
            .and_then(|_| ReadPlan::new(&spec.pagination, spec.page_size, start));
        let through = first - 1 + spec.concurrency.max(1) as u64 + WINDOW_SLACK;
        let mut order = Order {
            plan: None,
            done: BTreeMap::new(),
            ready: VecDeque::new(),
            ready_bytes: 0,
            ahead: spec.limits.ahead,
            failure: None,
            through,
        };
        match plan {
            Ok(plan) => order.plan = Some(plan),
            Err(error) => {
                order.failure = Some(Failure {
                    error: error.into(),
                    page: first,
                    attempts: 0,
                })
            }
        }
        order
    }

    /// Whether nothing is left to be fetched.
    pub fn is_over(&self) -> bool {
        self.failure.is_some() || self.plan.as_ref().is_none_or(ReadPlan::is_finished)
    }

    /// Whether the answer to an ask would still be of use.
    pub fn wants(&self, ask: &Ask) -> bool {
        !self.is_over() && self.plan.as_ref().is_some_and(|plan| plan.wants(ask.number, ask.epoch))
    }

    /// The next page that may be fetched now.
    pub fn next_ask(&mut self) -> Option<Ask> {
        if self.is_over() {
            return None;
        }
        // Past a page that is known to fail nothing is worth asking for.
        let failed = self.done.values().find(|(_, outcome)| outcome.is_err());
        let waiting = if self.ready_bytes < self.ahead {
            self.ready.len()
        } else {
            0
        };
        let through = self.through + waiting as u64;
        let through = failed.map_or(through, |(ask, _)| through.min(ask.number - 1));
        self.plan.as_mut()?.next_ask(through)
    }

    /// The headers of a page name the next one.
    pub fn foresee(&mut self, ask: &Ask, next: Option<&PageToken>) {
        if let Some(plan) = self.plan.as_mut() {
            plan.foresee(ask.number, ask.epoch, next);
        }
    }

    /// Takes what became of an ask, and makes every page ready whose turn has come.
    pub fn insert(&mut self, ask: Ask, outcome: Result<Fetched<P>, Failed>) {
        if !self.wants(&ask) {
            return;
        }
        self.done.insert(ask.number, (ask, outcome));
        while let Some((ask, outcome)) = self.take_expected() {
            self.take(ask, outcome);
        }
    }

    fn take_expected(&mut self) -> Option<(Ask, Result<Fetched<P>, Failed>)> {
        if self.is_over() {
            self.done.clear();
        }
        self.done.remove(&self.plan.as_ref()?.expected())
    }

    fn take(&mut self, ask: Ask, outcome: Result<Fetched<P>, Failed>) {
        let Some(plan) = self.plan.as_mut() else { return };
        let epoch = plan.epoch();
        let taken = outcome.and_then(|fetched| {
            let requests = fetched.requests;
            let verdict = plan.answered(fetched.answer.clone());
            verdict.map(|verdict| (verdict, fetched)).map_err(|error| Failed {
                error: error.into(),
                requests,
            })
        });
        if plan.epoch() != epoch {
            self.done.clear();
        }
        match taken {
            Ok((verdict, fetched)) => {
                let weight = fetched.weight;
                if let Some(page) = page(ask, fetched, verdict) {
                    self.ready_bytes += weight;
                    self.ready.push_back((weight, page));
                }
            }
            Err(Failed { error, requests }) => {
                self.failure = Some(Failure {
                    error,
                    page: ask.number,
                    attempts: requests,
                });
            }
        }
    }

    /// Ends the read for a reason outside of any page.
    pub fn fail(&mut self, error: HttpError) {
        let page = self.plan.as_ref().map_or(1, ReadPlan::expected);
        self.failure.get_or_insert(Failure {
            error: error.into(),
            page,
            attempts: 0,
        });
    }

    /// Whether a status such as 404 for this page ends the read.
    pub fn is_end_when_absent(&self, number: u64, status: u16) -> bool {
        let plan = self.plan.as_ref();
        plan.is_some_and(|plan| plan.is_end_when_absent(number, status))
    }

    /// The next page in order, or how the read stands.
    pub fn poll(&mut self) -> Poll<P> {
        if let Some((weight, page)) = self.ready.pop_front() {
            self.ready_bytes -= weight;
            self.through += 1;
            return Poll::Page(page);
        }
        match &self.failure {
            Some(failure) => Poll::Failed(failure.clone()),
            None if self.is_over() => Poll::Finished,
            None => Poll::Pending,
        }
    }
}

fn page<P>(ask: Ask, fetched: Fetched<P>, verdict: Verdict) -> Option<FetchedPage<P>> {
    let (last, next) = match verdict {
        Verdict::Page { last, next } => (last, next),
        Verdict::End => (true, None),
        Verdict::Stale => return None,
    };
    Some(FetchedPage {
        number: ask.number,
        token: ask.token,
        next,
        last,
        page: fetched.page,
        records: fetched.answer.records,
        total: fetched.answer.total,
        total_pages: fetched.answer.total_pages,
        bytes: fetched.bytes,
        etag: fetched.etag,
        last_modified: fetched.last_modified,
        requests: fetched.requests,
        ignored: fetched.ignored,
    })
}
