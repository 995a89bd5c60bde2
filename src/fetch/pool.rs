//! What the threads of one read share: the plan, the pages that came out of order, those ready to be taken, and the
//! waits.
//!
//! Memory is bounded by the window: at most `concurrency + 2` pages are asked for, decoded or ready at a time, and at
//! most `concurrency` of them are bodies. The lock is never held while sending, decoding or waking the caller.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sluice_core::error::Error;
use sluice_core::http::HttpError;
use sluice_core::pagination::{Answer, Ask, PageToken, Position, ReadPlan, Verdict};
use sluice_core::retry::SplitMix64;

use crate::pages::{Failure, FetchedPage, Poll, ReadSpec};

/// Pages beyond `concurrency` that may be asked for before the earliest one is taken.
const WINDOW_SLACK: u64 = 2;

pub(crate) struct Shared<P> {
    pub spec: ReadSpec,
    pub requests: AtomicU64,
    pub retries: AtomicU64,
    state: Mutex<State<P>>,
    changed: Condvar,
    wake: Arc<dyn Fn() + Send + Sync>,
}

/// A page that was fetched and decoded, before it is known what it means.
pub(crate) struct Fetched<P> {
    pub answer: Answer,
    pub page: Option<P>,
    pub bytes: u64,
    pub etag: Option<String>,
    pub requests: u32,
}

/// How work on a page ended without one.
pub(crate) struct Failed {
    pub error: Error,
    pub requests: u32,
}

/// What a page waits for.
#[derive(Debug, Clone)]
pub(crate) enum Wait {
    Retry {
        attempt: u32,
        attempts: u32,
        reason: String,
    },
    Rate {
        reason: String,
    },
}

struct State<P> {
    plan: Option<ReadPlan>,
    /// By page number: came, but pages before it have not.
    done: BTreeMap<u64, (Ask, Result<Fetched<P>, Failed>)>,
    ready: VecDeque<FetchedPage<P>>,
    failure: Option<Failure>,
    stopped: bool,
    /// Highest page number that may be asked for; grows as pages are taken.
    through: u64,
    /// Waits by page number.
    waits: BTreeMap<u64, (Instant, Wait)>,
    /// No request is sent before this time.
    not_before: Instant,
    random: SplitMix64,
}

impl<P: Send + 'static> Shared<P> {
    pub fn new(spec: ReadSpec, wake: Arc<dyn Fn() + Send + Sync>) -> Shared<P> {
        let start = spec.start.clone().unwrap_or_default();
        let first = start.number.max(1);
        let mut state = State {
            plan: None,
            done: BTreeMap::new(),
            ready: VecDeque::new(),
            failure: None,
            stopped: false,
            through: first - 1 + spec.concurrency.max(1) as u64 + WINDOW_SLACK,
            waits: BTreeMap::new(),
            not_before: Instant::now(),
            random: SplitMix64::new(spec.seed),
        };
        match plan(&spec, start) {
            Ok(plan) => state.plan = Some(plan),
            Err(error) => {
                state.failure = Some(Failure {
                    error: error.into(),
                    page: first,
                    attempts: 0,
                })
            }
        }
        Shared {
            spec,
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            state: Mutex::new(state),
            changed: Condvar::new(),
            wake,
        }
    }

    /// The next page to fetch; waits for one. None: the thread is not needed any more.
    pub fn take_ask(&self) -> Option<Ask> {
        let mut state = self.lock();
        loop {
            if state.is_over() {
                return None;
            }
            let through = state.through.min(state.first_failed().saturating_sub(1));
            if let Some(ask) = state.plan.as_mut().and_then(|plan| plan.next_ask(through)) {
                return Some(ask);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The headers of a page name the next one.
    pub fn foresee(&self, ask: &Ask, next: Option<&PageToken>) {
        let mut state = self.lock();
        if let Some(plan) = state.plan.as_mut() {
            plan.foresee(ask.number, ask.epoch, next);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Takes what became of an ask, and gives out every page whose turn has come.
    pub fn deliver(&self, ask: Ask, outcome: Result<Fetched<P>, Failed>) {
        let mut state = self.lock();
        state.waits.remove(&ask.number);
        if state.wants(&ask) {
            state.done.insert(ask.number, (ask, outcome));
            state.give_out();
        }
        drop(state);
        self.announce();
    }

    /// Ends the read for a reason outside of any page.
    pub fn fail(&self, error: HttpError) {
        let mut state = self.lock();
        let page = state.plan.as_ref().map_or(1, ReadPlan::expected);
        state.failure.get_or_insert(Failure {
            error: error.into(),
            page,
            attempts: 0,
        });
        drop(state);
        self.announce();
    }

    /// Waits until a request for `ask` may be sent. False: it is not wanted any more.
    pub fn admit(&self, ask: &Ask) -> bool {
        let mut state = self.lock();
        loop {
            if !state.wants(ask) {
                return false;
            }
            let now = Instant::now();
            if now >= state.not_before {
                state.not_before = now + self.spec.min_delay;
                self.requests.fetch_add(1, Ordering::Relaxed);
                return true;
            }
            let left = state.not_before - now;
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits before a request is repeated. False: it is not wanted any more.
    pub fn pause(&self, ask: &Ask, delay: Duration, wait: Wait) -> bool {
        let until = Instant::now() + delay;
        let mut state = self.lock();
        if matches!(wait, Wait::Rate { .. }) {
            // The remote's budget is one: no thread of this read sends before the wait is over.
            state.not_before = state.not_before.max(until);
        }
        state.waits.insert(ask.number, (until, wait));
        while state.wants(ask) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.waits.remove(&ask.number);
                self.retries.fetch_add(1, Ordering::Relaxed);
                return true;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.waits.remove(&ask.number);
        false
    }

    /// Evenly spread in [0, 1).
    pub fn random(&self) -> f64 {
        self.lock().random.next_f64()
    }

    /// Whether status 404 for this page ends the read.
    pub fn is_end_when_absent(&self, number: u64) -> bool {
        self.lock()
            .plan
            .as_ref()
            .is_some_and(|plan| plan.is_end_when_absent(number))
    }

    pub fn poll(&self) -> Poll<P> {
        let mut state = self.lock();
        if let Some(page) = state.ready.pop_front() {
            state.through += 1;
            drop(state);
            self.changed.notify_all();
            return Poll::Page(page);
        }
        match (&state.failure, &state.plan) {
            (Some(failure), _) => Poll::Failed(failure.clone()),
            (None, Some(plan)) if plan.is_finished() => Poll::Finished,
            _ => Poll::Pending,
        }
    }

    pub fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    pub fn waiting(&self) -> Option<String> {
        let state = self.lock();
        let (until, wait) = state.waits.values().next()?;
        let left = until.saturating_duration_since(Instant::now()).as_secs_f64();
        Some(match wait {
            Wait::Retry {
                attempt,
                attempts,
                reason,
            } => {
                format!("retry {attempt} of {attempts} in {left:.1} s: {reason}")
            }
            Wait::Rate { reason } => format!("rate limit, {left:.1} s to go: {reason}"),
        })
    }

    pub fn is_waiting_for_rate(&self) -> bool {
        self.lock()
            .waits
            .values()
            .any(|(_, wait)| matches!(wait, Wait::Rate { .. }))
    }

    fn announce(&self) {
        self.changed.notify_all();
        (self.wake)();
    }

    fn lock(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks what can be checked before anything is sent.
fn plan(spec: &ReadSpec, start: Position) -> Result<ReadPlan, HttpError> {
    spec.first_url()?;
    ReadPlan::new(&spec.pagination, spec.page_size, start)
}

impl<P> State<P> {
    fn is_over(&self) -> bool {
        self.stopped || self.failure.is_some() || self.plan.as_ref().is_none_or(ReadPlan::is_finished)
    }

    fn wants(&self, ask: &Ask) -> bool {
        !self.is_over() && self.plan.as_ref().is_some_and(|plan| plan.wants(ask.number, ask.epoch))
    }

    /// Number of the first page that is known to fail; nothing past it is worth asking for.
    fn first_failed(&self) -> u64 {
        let failed = self.done.values().find(|(_, outcome)| outcome.is_err());
        failed.map_or(u64::MAX, |(ask, _)| ask.number)
    }

    fn give_out(&mut self) {
        let Some(plan) = self.plan.as_mut() else { return };
        while let Some((ask, outcome)) = self.done.remove(&plan.expected()) {
            let epoch = plan.epoch();
            match outcome.map(|fetched| (plan.answered(fetched.answer.clone()), fetched)) {
                Ok((Ok(verdict), fetched)) => self.ready.extend(page(ask, fetched, verdict)),
                Ok((Err(error), fetched)) => {
                    let attempts = fetched.requests;
                    self.failure = Some(Failure {
                        error: error.into(),
                        page: ask.number,
                        attempts,
                    });
                }
                Err(failed) => {
                    self.failure = Some(Failure {
                        error: failed.error,
                        page: ask.number,
                        attempts: failed.requests,
                    });
                }
            }
            if plan.epoch() != epoch {
                self.done.clear();
            }
            if self.failure.is_some() || plan.is_finished() {
                self.done.clear();
                return;
            }
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
        bytes: fetched.bytes,
        etag: fetched.etag,
        requests: fetched.requests,
    })
}
