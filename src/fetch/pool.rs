//! What the threads of one read share: the order of its pages, and its waits.
//!
//! Memory is bounded by the window: at most `concurrency + 2` pages are asked for, decoded or ready at a time, and at
//! most `concurrency` of them are bodies. Ready pages count only from `limits.ahead` bytes on. How much a page is, is its
//! decoder's business: `sluice_core::data` bounds it. The lock is never held while sending, decoding or waking the caller.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sluice_core::http::{HttpError, Response};
use sluice_core::pagination::{Ask, PageToken};
use sluice_core::rate::{Asks, Hold, Why};
use sluice_core::retry::SplitMix64;

use crate::figures::Latencies;
use crate::order::{Failed, Fetched, Order};
use crate::pace::Permit;
use crate::pages::Poll;
use crate::spec::ReadSpec;
use crate::turns::Turns;

pub(crate) struct Shared<P> {
    pub spec: ReadSpec,
    pub requests: AtomicU64,
    pub retries: AtomicU64,
    pub latencies: Latencies,
    /// Threads that wait for a place on the budget.
    held_up: AtomicU64,
    pub turns: Turns,
    state: Mutex<State<P>>,
    changed: Condvar,
    wake: Arc<dyn Fn() + Send + Sync>,
}

/// What a page waits for.
#[derive(Debug, Clone)]
pub(crate) enum Wait {
    /// The `attempt`-th request of `attempts`.
    Retry {
        attempt: u32,
        attempts: u32,
        reason: String,
    },
    /// The remote has told us to slow down.
    Rate { reason: String },
}

/// Whether a request may be sent.
pub(crate) enum Admission<'a> {
    Go(Permit<'a>),
    /// Its page is not wanted any more.
    Unwanted,
    /// Not for a while.
    Later(Hold),
}

struct State<P> {
    order: Order<P>,
    stopped: bool,
    /// Waits by page number, and their ends.
    waits: BTreeMap<u64, (Instant, Wait)>,
    random: SplitMix64,
}

impl<P> State<P> {
    fn wants(&self, ask: &Ask) -> bool {
        !self.stopped && self.order.wants(ask)
    }
}

impl<P: Send + 'static> Shared<P> {
    pub fn new(spec: ReadSpec, wake: Arc<dyn Fn() + Send + Sync>) -> Shared<P> {
        let turns = Turns::leaving(usize::from(spec.caller_computes));
        let state = State {
            order: Order::new(&spec),
            stopped: false,
            waits: BTreeMap::new(),
            random: SplitMix64::new(spec.seed),
        };
        Shared {
            spec,
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            latencies: Latencies::default(),
            held_up: AtomicU64::new(0),
            turns,
            state: Mutex::new(state),
            changed: Condvar::new(),
            wake,
        }
    }

    /// The next page to fetch; waits for one. None: the thread is not needed any more.
    pub fn take_ask(&self) -> Option<Ask> {
        let mut state = self.lock();
        while !state.stopped && !state.order.is_over() {
            if let Some(ask) = state.order.next_ask() {
                return Some(ask);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    /// The headers of a page name the next one.
    pub fn foresee(&self, ask: &Ask, next: Option<&PageToken>) {
        self.lock().order.foresee(ask, next);
        self.changed.notify_all();
    }

    /// Takes what became of an ask, and gives out every page whose turn has come.
    pub fn deliver(&self, ask: Ask, outcome: Result<Fetched<P>, Failed>) {
        let mut state = self.lock();
        if !state.stopped {
            state.order.insert(ask, outcome);
        }
        drop(state);
        self.announce();
    }

    /// Ends the read for a reason outside of any page.
    pub fn fail(&self, error: HttpError) {
        self.lock().order.fail(error);
        self.announce();
    }

    /// Waits until a request for `ask` may be sent. `reason`: why an earlier one was refused. A wait that is not over soon is
    /// not waited out when it is longer than `patience`. `asks`: an open breaker lets nobody insist twice.
    pub fn admit(&self, ask: &Ask, patience: Duration, reason: Option<&str>, asks: Asks) -> Admission<'_> {
        let pace = &self.spec.pace;
        let mut waiting = None;
        let mut state = self.lock();
        while state.wants(ask) {
            let hold = match pace.ask(asks) {
                Ok(permit) => {
                    state.waits.remove(&ask.number);
                    self.requests.fetch_add(1, Ordering::Relaxed);
                    return Admission::Go(permit);
                }
                Err(hold) => hold,
            };
            if !hold.why.is_momentary() {
                if hold.wait > patience {
                    state.waits.remove(&ask.number);
                    return Admission::Later(hold);
                }
                if hold.why != Why::Pace {
                    let reason = reason.unwrap_or(hold.why.as_str()).to_owned();
                    let until = Instant::now() + hold.wait;
                    state.waits.insert(ask.number, (until, Wait::Rate { reason }));
                }
            }
            waiting.get_or_insert_with(|| pace.begin_to_wait());
            self.held_up.fetch_add(1, Ordering::Relaxed);
            state = self.wait(state, hold.wait);
            self.held_up.fetch_sub(1, Ordering::Relaxed);
        }
        state.waits.remove(&ask.number);
        Admission::Unwanted
    }

    /// A request is over: its place may be somebody's of this read.
    pub fn leave(&self, permit: Permit<'_>, exchange: &Result<Response, HttpError>) {
        permit.answered(exchange);
        if self.held_up.load(Ordering::Relaxed) > 0 {
            self.changed.notify_all();
        }
    }

    /// Waits before a request is repeated. False: it is not wanted any more.
    pub fn pause(&self, ask: &Ask, delay: Duration, wait: Wait) -> bool {
        let until = Instant::now() + delay;
        let mut state = self.lock();
        state.waits.insert(ask.number, (until, wait));
        let mut left = delay;
        while state.wants(ask) && !left.is_zero() {
            state = self.wait(state, left);
            left = until.saturating_duration_since(Instant::now());
        }
        state.waits.remove(&ask.number);
        let is_wanted = state.wants(ask);
        self.retries.fetch_add(u64::from(is_wanted), Ordering::Relaxed);
        is_wanted
    }

    /// Evenly spread in [0, 1).
    pub fn random(&self) -> f64 {
        self.lock().random.next_f64()
    }

    /// Whether a status such as 404 for this page ends the read.
    pub fn is_end_when_absent(&self, number: u64, status: u16) -> bool {
        self.lock().order.is_end_when_absent(number, status)
    }

    pub fn poll(&self) -> Poll<P> {
        let polled = self.lock().order.poll();
        if matches!(polled, Poll::Page(_)) {
            self.changed.notify_all();
        }
        polled
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

    fn wait<'a>(&self, state: MutexGuard<'a, State<P>>, left: Duration) -> MutexGuard<'a, State<P>> {
        self.changed
            .wait_timeout(state, left)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }
}
