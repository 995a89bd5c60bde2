//! Requests of a run that failed: counted against its error budget, and kept for the one who writes them down.
//!
//! The fetch threads write nothing: what is repeated is noted here, a bounded number of times, and the run's main thread
//! takes it. Reads that share a value share the budget.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sluice_core::error::Error;
use sluice_core::retry::{ErrorBudget, Spent};

/// Failures that wait to be taken; more are counted only.
const MOST_NOTED: usize = 50;

/// What became of a failed request within its read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequel {
    /// It is sent again after this delay.
    Repeated(Duration),
    /// The answer was taken for a page without records.
    Ignored,
}

/// A request that failed and did not end the read.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedRequest {
    pub page: u64,
    /// Which request for that page it was, from 1 on.
    pub attempt: u32,
    pub error: Error,
    pub sequel: Sequel,
    pub at: Instant,
}

/// What has come since it was looked at last.
#[derive(Debug, Default)]
pub struct Taken {
    pub noted: Vec<FailedRequest>,
    pub spent: Spent,
}

#[derive(Debug, Default)]
struct State {
    budget: ErrorBudget,
    spent: Spent,
    noted: Vec<FailedRequest>,
    is_changed: bool,
}

/// The failed requests of one run.
#[derive(Debug, Clone, Default)]
pub struct Failures(Arc<Mutex<State>>);

impl Failures {
    /// `spent`: by earlier attempts of the run.
    pub fn new(budget: ErrorBudget, spent: Spent) -> Failures {
        Failures(Arc::new(Mutex::new(State {
            budget,
            spent,
            ..State::default()
        })))
    }

    /// Counts a failure; the number of failures with which the budget is spent, and whether they were in a row.
    pub(crate) fn count(&self) -> Option<(u32, bool)> {
        let mut state = self.lock();
        state.spent.fail();
        state.is_changed = true;
        state.budget.exceeded(state.spent)
    }

    /// A request was answered well.
    pub(crate) fn answered(&self) {
        let mut state = self.lock();
        if state.spent.in_row > 0 {
            state.spent.succeed();
            state.is_changed = true;
        }
    }

    pub(crate) fn note(&self, failed: FailedRequest) {
        let mut state = self.lock();
        state.is_changed = true;
        if state.noted.len() < MOST_NOTED {
            state.noted.push(failed);
        }
    }

    /// What has come since; None where nothing has.
    pub fn take(&self) -> Option<Taken> {
        let mut state = self.lock();
        if !std::mem::take(&mut state.is_changed) {
            return None;
        }
        Some(Taken {
            noted: std::mem::take(&mut state.noted),
            spent: state.spent,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
