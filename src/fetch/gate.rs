//! The pace of requests: one gate for all threads of a read, and for all reads that share it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lets one request through at a time, each a while after the one before.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Mutex<Instant>>);

impl Default for Gate {
    fn default() -> Gate {
        Gate(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Gate {
    /// None: a request may be sent now, and the next one after `spacing`. Otherwise how long to wait before asking again.
    pub(crate) fn pass(&self, spacing: Duration) -> Option<Duration> {
        let mut opens = self.lock();
        let now = Instant::now();
        if now < *opens {
            return Some(*opens - now);
        }
        *opens = now + spacing;
        None
    }

    pub(crate) fn close_until(&self, until: Instant) {
        let mut opens = self.lock();
        *opens = (*opens).max(until);
    }

    fn lock(&self) -> MutexGuard<'_, Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_shares_a_gate_keeps_to_one_pace() {
        let gate = Gate::default();
        let other = gate.clone();
        let hour = Duration::from_secs(3600);
        assert_eq!(gate.pass(hour), None);
        assert!(other.pass(Duration::ZERO).is_some_and(|left| left > hour / 2));
        let closed = Gate::default();
        closed.close_until(Instant::now() + hour);
        assert!(closed.pass(Duration::ZERO).is_some());
    }
}
