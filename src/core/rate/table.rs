//! Budgets by identity, of a number that is fixed.
//!
//! Finding one is a look; making one is done by one process at a time. Where all are taken, an idle one makes room; where none
//! is idle, who asks waits: there is never a request without a budget.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use super::budget::{Asker, Budget, Granted};
use super::{Hold, Moment, Why};

/// An identity that no budget has: one is being made.
const BEING_MADE: u64 = u64::MAX;
/// Between two looks for a budget where all are taken.
const FULL: Duration = Duration::from_secs(1);

/// Where budgets are: memory that processes share, or one of a single process.
pub trait Place: Send + Sync {
    fn table(&self) -> Table<'_>;
    /// The time, by the clock of all who share it.
    fn now(&self) -> Moment;
    /// Whether a process is there.
    fn is_alive(&self, pid: u32) -> bool;
}

/// The budgets, and who is making one (a process id, or zero).
#[derive(Clone, Copy)]
pub struct Table<'a> {
    pub maker: &'a AtomicU64,
    pub budgets: &'a [Budget],
}

impl<'a> Table<'a> {
    /// The budget of this identity, which is not zero. `near`: where it was.
    pub fn find(&self, identity: u64, near: &AtomicUsize) -> Option<&'a Budget> {
        let is = |at: usize| {
            self.budgets
                .get(at)
                .is_some_and(|b| b.identity.load(SeqCst) == identity)
        };
        let known = near.load(SeqCst);
        if is(known) {
            return self.budgets.get(known);
        }
        let found = self
            .way(identity)
            .take_while(|at| self.budgets[*at].identity.load(SeqCst) != 0)
            .find(|at| is(*at))?;
        near.store(found, SeqCst);
        self.budgets.get(found)
    }

    /// The places at which a budget may be, in the order in which they are looked at.
    fn way(&self, identity: u64) -> impl Iterator<Item = usize> + use<> {
        let count = self.budgets.len();
        let home = (identity % count.max(1) as u64) as usize;
        (0..count).map(move |step| (home + step) % count)
    }

    /// The budget of this identity, made where there is none.
    ///
    /// # Errors
    /// All are in use, or somebody is just making one.
    pub fn claim(
        &self,
        (identity, near): (u64, &AtomicUsize),
        pid: u32,
        now: Moment,
        is_alive: &dyn Fn(u32) -> bool,
    ) -> Result<&'a Budget, Hold> {
        if let Some(found) = self.find(identity, near) {
            return Ok(found);
        }
        let busy = self.maker.load(SeqCst);
        let is_free = busy == 0 || !is_alive(busy as u32);
        let mine = is_free
            && self
                .maker
                .compare_exchange(busy, u64::from(pid), SeqCst, SeqCst)
                .is_ok();
        if !mine {
            return Err(Hold {
                wait: Duration::from_millis(1),
                why: Why::NoBudget,
            });
        }
        let made = self.find(identity, near).or_else(|| self.make(identity, now, is_alive));
        self.maker.store(0, SeqCst);
        made.ok_or(Hold {
            wait: FULL,
            why: Why::NoBudget,
        })
    }

    fn make(&self, identity: u64, now: Moment, is_alive: &dyn Fn(u32) -> bool) -> Option<&'a Budget> {
        let free = self
            .way(identity)
            .find(|at| self.budgets[*at].identity.load(SeqCst) == 0);
        if let Some(at) = free {
            let budget = &self.budgets[at];
            budget.used_at.store(now as u64, SeqCst);
            budget.identity.store(identity, SeqCst);
            return Some(budget);
        }
        for budget in self.budgets {
            budget.under_way.free_where(|pid| !is_alive(pid));
            budget.waiting.free_where(|pid| !is_alive(pid));
        }
        let idle = self.budgets.iter().filter(|budget| budget.is_idle(now));
        let oldest = idle.min_by_key(|budget| budget.used_at.load(SeqCst))?;
        let former = oldest.identity.swap(BEING_MADE, SeqCst);
        // Who has found it before that has taken a place before it looks at the identity again.
        if oldest.under_way.taken() > 0 {
            oldest.identity.store(former, SeqCst);
            return None;
        }
        oldest.clear();
        oldest.used_at.store(now as u64, SeqCst);
        oldest.identity.store(identity, SeqCst);
        Some(oldest)
    }

    /// Whether a request may be sent on the budget of this identity.
    ///
    /// # Errors
    /// How long to wait, and for what.
    pub fn ask(
        &self,
        (identity, near): (u64, &AtomicUsize),
        asker: &Asker,
        now: Moment,
        is_alive: &dyn Fn(u32) -> bool,
    ) -> Result<(&'a Budget, Granted), Hold> {
        let budget = self.claim((identity, near), asker.pid, now, is_alive)?;
        let granted = budget.ask(asker, now, is_alive)?;
        if budget.identity.load(SeqCst) == identity {
            return Ok((budget, granted));
        }
        budget.give_back(granted);
        Err(Hold {
            wait: Duration::from_millis(1),
            why: Why::NoBudget,
        })
    }

    /// Every budget that somebody has, with its identity.
    pub fn all(&self) -> impl Iterator<Item = (u64, &'a Budget)> + use<'a> {
        let with = |budget: &'a Budget| (budget.identity.load(SeqCst), budget);
        self.budgets
            .iter()
            .map(with)
            .filter(|(identity, _)| !matches!(*identity, 0 | BEING_MADE))
    }

    /// A process ends: what it holds is free.
    pub fn leave(&self, pid: u32) {
        for budget in self.budgets {
            budget.under_way.free_where(|owner| owner == pid);
            budget.waiting.free_where(|owner| owner == pid);
        }
        // Not its own: somebody else's.
        let _ = self.maker.compare_exchange(u64::from(pid), 0, SeqCst, SeqCst);
    }
}
