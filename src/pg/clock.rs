//! The one place for time and randomness.
//!
//! Times are PostgreSQL's own timestamps (microseconds since 2000-01-01 UTC). Builds with the feature `failpoints`
//! add `sluice.debug_clock_offset`, so that tests move time instead of waiting for it.

use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Microseconds since 2000-01-01 00:00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// What "never" is: later than any time that is compared with it.
    pub const NEVER: Timestamp = Timestamp(i64::MAX);

    pub fn plus(self, duration: Duration) -> Timestamp {
        Timestamp(
            self.0
                .saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    pub fn minus(self, duration: Duration) -> Timestamp {
        Timestamp(
            self.0
                .saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// How long until this time; zero when it has passed.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Seconds since 1970-01-01, as HTTP dates need them.
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000) + 946_684_800
    }
}

impl From<Timestamp> for TimestampWithTimeZone {
    fn from(time: Timestamp) -> Self {
        TimestampWithTimeZone::try_from(time.0).expect("a timestamp of PostgreSQL is in PostgreSQL's range")
    }
}

/// How far the clock is moved, for threads, which may not look at settings: as it was when the time was last asked for.
static OFFSET: AtomicI64 = AtomicI64::new(0);

/// How far the clock was moved when this process last asked for the time, in microseconds.
pub fn known_offset() -> i64 {
    OFFSET.load(Ordering::Relaxed)
}

/// The time now.
pub fn now() -> Timestamp {
    // SAFETY: reads the system's clock; no state of the server is touched.
    let real = unsafe { pg_sys::GetCurrentTimestamp() };
    let offset = crate::pg::settings::debug_clock_offset();
    OFFSET.store(offset, Ordering::Relaxed);
    Timestamp(real.saturating_add(offset))
}

/// `N` strong random bytes.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0u8; N];
    // SAFETY: writes N bytes into a buffer of N bytes.
    let ok = unsafe { pg_sys::pg_strong_random(bytes.as_mut_ptr().cast(), N) };
    assert!(ok, "the system has no source of randomness");
    bytes
}

/// A seed for jitter.
pub fn random_seed() -> u64 {
    u64::from_le_bytes(random_bytes())
}
