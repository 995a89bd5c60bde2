//! Waiting with other threads: the server's stop signal, and the gate that holds requests for a page until they are
//! released, so that a test can put something exactly between two pages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A lock that a panicking thread held stays usable: a failing test must not take the server's other threads along.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until `done`, at most that long; tells whether it is done.
pub(crate) fn wait_until<T>(
    mutex: &Mutex<T>,
    changed: &Condvar,
    timeout: Duration,
    mut done: impl FnMut(&T) -> bool,
) -> bool {
    let deadline = Instant::now() + timeout;
    let mut guard = lock(mutex);
    while !done(&guard) {
        let Some(left) = deadline.checked_duration_since(Instant::now()) else {
            return false;
        };
        guard = changed
            .wait_timeout(guard, left)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
    }
    true
}

/// Set once, when the server stops.
#[derive(Default)]
pub(crate) struct Stop {
    stopping: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    pub(crate) fn set(&self) {
        *lock(&self.stopping) = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_set(&self) -> bool {
        *lock(&self.stopping)
    }

    /// Pauses for that long, less when the server stops; tells whether it does.
    pub(crate) fn wait(&self, pause: Duration) -> bool {
        wait_until(&self.stopping, &self.changed, pause, |stopping| *stopping)
    }
}

#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<Held>,
    changed: Condvar,
}

#[derive(Default)]
struct Held {
    pages: BTreeSet<u64>,
    /// Requests that wait now, by page.
    waiting: BTreeMap<u64, u64>,
    /// Grows with each release, so that who waited goes even if the page is held again at once.
    releases: u64,
    open_for_good: bool,
}

impl Held {
    /// Who waited goes, and is no longer counted from now on, whenever it wakes.
    fn let_go(&mut self) {
        self.releases += 1;
        self.waiting.clear();
    }
}

impl Gate {
    pub(crate) fn hold(&self, page: u64) {
        lock(&self.state).pages.insert(page);
    }

    /// Lets all held requests go and holds no page any more.
    pub(crate) fn release(&self) {
        lock(&self.state).pages.clear();
        self.release_waiting();
    }

    /// Lets the requests go that wait now.
    pub(crate) fn release_waiting(&self) {
        lock(&self.state).let_go();
        self.changed.notify_all();
    }

    /// Lets all held requests go and holds this page alone, at once: nothing slips through in between.
    pub(crate) fn hold_only(&self, page: u64) {
        let mut state = lock(&self.state);
        state.pages = BTreeSet::from([page]);
        state.let_go();
        self.changed.notify_all();
    }

    pub(crate) fn open_for_good(&self) {
        lock(&self.state).open_for_good = true;
        self.release();
    }

    pub(crate) fn wait_until_held(&self, page: u64, timeout: Duration) -> bool {
        wait_until(&self.state, &self.changed, timeout, |state| {
            state.waiting.contains_key(&page)
        })
    }

    /// Requests that wait now.
    pub(crate) fn waiting(&self) -> u64 {
        lock(&self.state).waiting.values().sum()
    }

    /// Returns when the page is not held.
    pub(crate) fn pass(&self, page: u64) {
        let mut state = lock(&self.state);
        if state.open_for_good || !state.pages.contains(&page) {
            return;
        }
        *state.waiting.entry(page).or_insert(0) += 1;
        self.changed.notify_all();
        let before = state.releases;
        let held = |state: &mut Held| state.releases == before;
        let woken = self.changed.wait_while(state, held);
        drop(woken.unwrap_or_else(PoisonError::into_inner));
    }
}
