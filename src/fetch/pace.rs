//! The pace of requests: how a read, or a probe, keeps to the budget of its host and credential.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sluice_core::http::{HttpError, Request, Response};
use sluice_core::rate::{Asker, Asks, Budget, Granted, Hold, Moment, Place, Table, Terms, outcome};

use crate::transport::Transport;

/// A longer wait is not waited out: whoever waits gives its worker back, and comes again.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks of a thread that waits alone.
const LOOK: Duration = Duration::from_millis(20);

/// A way to the budget, on the terms of one connection and one job. Clones share it.
#[derive(Clone)]
pub struct Pace {
    place: Arc<dyn Place>,
    /// Of host and credential; not zero.
    identity: u64,
    near: Arc<AtomicUsize>,
    /// The process that holds what is granted.
    pid: u32,
    pub terms: Terms,
    pub(crate) asks: Asks,
    /// The longest wait that is waited out.
    pub patience: Duration,
}

impl Pace {
    pub fn new(place: Arc<dyn Place>, identity: u64, pid: u32, terms: Terms) -> Pace {
        Pace {
            place,
            identity,
            near: Arc::default(),
            pid,
            terms,
            asks: Asks::Ordinary,
            patience: PATIENCE,
        }
    }

    /// A budget that nobody else has: where there is no shared memory, and in tests.
    pub fn alone(terms: Terms) -> Pace {
        Pace::new(Arc::new(Alone::default()), 1, 1, terms)
    }

    /// The same, for another kind of asker.
    pub fn asking(self, asks: Asks) -> Pace {
        Pace { asks, ..self }
    }

    /// Whether a request may be sent now.
    pub(crate) fn ask(&self, asks: Asks) -> Result<Permit<'_>, Hold> {
        let asker = Asker {
            pid: self.pid,
            terms: &self.terms,
            asks,
        };
        let is_alive = |pid| self.place.is_alive(pid);
        let identity = (self.identity, &*self.near);
        let (budget, granted) = self.place.table().ask(identity, &asker, self.place.now(), &is_alive)?;
        Ok(Permit {
            place: &*self.place,
            budget,
            granted,
            is_over: false,
        })
    }

    /// Waits on this thread until a request may be sent.
    ///
    /// # Errors
    /// `RateWait` where that is longer than `patience`.
    pub(crate) fn wait(&self, remote: &str) -> Result<Permit<'_>, HttpError> {
        let until = Instant::now() + self.patience;
        let mut waiting = None;
        loop {
            let hold = match self.ask(self.asks) {
                Ok(permit) => return Ok(permit),
                Err(hold) => hold,
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !hold.why.is_momentary() && hold.wait > left {
                return Err(HttpError::rate_wait(remote, hold));
            }
            waiting.get_or_insert_with(|| self.begin_to_wait());
            std::thread::sleep(hold.wait.min(LOOK));
        }
    }

    /// Sends one request when the budget lets it, and has the budget learn from the answer.
    ///
    /// # Errors
    /// `RateWait` where that would be later than `patience`; else what the exchange met.
    pub fn send(&self, request: &Request, transport: &dyn Transport) -> Result<Response, HttpError> {
        let permit = self.wait(&request.remote())?;
        let exchange = transport.send(request);
        permit.answered(&exchange);
        exchange
    }

    /// Nobody who shares the budget sends for so long.
    pub(crate) fn hold(&self, wait: Duration) {
        if let Some(budget) = self.place.table().find(self.identity, &self.near) {
            budget.hold(wait, self.place.now());
        }
    }

    /// Counted among those that wait until it is dropped.
    pub(crate) fn begin_to_wait(&self) -> Waiting<'_> {
        let budget = self.place.table().find(self.identity, &self.near);
        let place = budget.and_then(|budget| Some((budget, budget.begin_to_wait(self.pid)?)));
        Waiting(place)
    }

    /// How many requests may be under way by what was learned.
    pub fn concurrency(&self) -> u32 {
        let budget = self.place.table().find(self.identity, &self.near);
        budget.map_or(0, |budget| budget.concurrency().min(self.terms.most))
    }
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pace")
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}

/// The right to send one request, until it is answered or dropped.
pub(crate) struct Permit<'a> {
    place: &'a dyn Place,
    budget: &'a Budget,
    granted: Granted,
    is_over: bool,
}

impl Permit<'_> {
    /// The exchange is over: the budget learns from it.
    pub fn answered(mut self, exchange: &Result<Response, HttpError>) {
        self.is_over = true;
        let answered = outcome(exchange, SystemTime::now());
        self.budget.answered(self.granted, &answered, self.place.now());
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.budget.give_back(self.granted);
        }
    }
}

/// One that waits.
pub(crate) struct Waiting<'a>(Option<(&'a Budget, usize)>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some((budget, place)) = self.0 {
            budget.end_to_wait(place);
        }
    }
}

#[derive(Default)]
struct Alone {
    maker: AtomicU64,
    budgets: [Budget; 1],
}

impl Place for Alone {
    fn table(&self) -> Table<'_> {
        Table {
            maker: &self.maker,
            budgets: &self.budgets,
        }
    }

    fn now(&self) -> Moment {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment::try_from(since.as_micros()).unwrap_or(Moment::MAX)
    }

    fn is_alive(&self, _: u32) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_core::rate::Why;

    #[test]
    fn who_shares_a_budget_keeps_to_one_pace() {
        let hour = Duration::from_secs(3600);
        let pace = Pace::alone(Terms::new(None, 1, hour, 8));
        let other = pace.clone();
        drop(pace.ask(Asks::Ordinary).expect("the first request waits for nothing"));
        let hold = other.ask(Asks::Ordinary).err().expect("the second one waits");
        assert!(hold.why == Why::Pace && hold.wait > hour / 2, "{hold:?}");
        let refused = other.wait("h:443").err().expect("an hour is too long");
        assert!(matches!(refused, HttpError::RateWait { .. }), "{refused:?}");
    }

    #[test]
    fn what_nobody_answered_is_given_back() {
        let pace = Pace::alone(Terms::new(None, 1, Duration::ZERO, 1));
        for _ in 0..3 {
            let permit = pace.ask(Asks::Ordinary).expect("it was given back");
            assert_eq!(
                pace.ask(Asks::Ordinary).err().map(|hold| hold.why),
                Some(Why::Concurrency)
            );
            drop(permit);
        }
    }
}
