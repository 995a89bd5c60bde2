//! Turns at the processors: how many threads of a read decode at a time.
//!
//! Decoding is nothing but computing. Threads that all decode at once would take the processors from the one that takes
//! the pages, and that everything waits for.

use std::num::NonZero;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

pub(crate) struct Turns {
    free: Mutex<usize>,
    freed: Condvar,
}

/// The right to compute, until it is dropped.
pub(crate) struct Turn<'a>(&'a Turns);

impl Turns {
    /// One for each processor, less what is left to the caller; at least one.
    pub fn leaving(to_caller: usize) -> Turns {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        Turns::of(processors.saturating_sub(to_caller).max(1))
    }

    fn of(count: usize) -> Turns {
        Turns {
            free: Mutex::new(count),
            freed: Condvar::new(),
        }
    }

    /// Waits for a turn.
    pub fn take(&self) -> Turn<'_> {
        let mut free = self.lock();
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Turn(self)
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.lock() += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::Turns;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    #[test]
    fn no_more_compute_than_there_are_turns_and_a_panic_gives_its_turn_back() {
        let (turns, now, most) = (Turns::of(2), AtomicUsize::new(0), AtomicUsize::new(0));
        let compute = |n: usize| {
            let _turn = turns.take();
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
            assert!(n > 3, "the first four panic");
        };
        thread::scope(|scope| {
            for n in 0..16 {
                let compute = &compute;
                scope.spawn(move || catch_unwind(AssertUnwindSafe(|| compute(n))));
            }
        });
        assert!(most.into_inner() <= 2);
        assert_eq!(*turns.lock(), 2);
    }
}
