//! The one rate budget of a host and a credential, shared by everybody who asks that host with it.
//!
//! ```text
//! ask ─► told to wait? ─► breaker ─► slot (concurrency) ─► window (what the remote has left) ─► pace ─► send
//!                                      ▲                                                          │
//!                                      └── answered: learn from headers, widen or ease, breaker ◄──┘
//! ```
//!
//! A budget lies in memory that several processes share, and threads without PostgreSQL use it. It is made of cells of 64
//! bits: each changes by one compare-and-swap of a pure function of its file (`pace`, `window`, `width`, `breaker`), so
//! that a thread which dies at any instruction leaves a budget that is whole. All zeroes is a budget that nobody has
//! used. What a process holds bears its process id and is taken back when that process is gone.
//!
//! Times are microseconds of one clock of all processes, given as arguments.

mod breaker;
mod budget;
mod headers;
mod kept;
mod outcome;
mod pace;
mod slots;
mod table;
mod width;
mod window;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use breaker::{Asks, Breaker, PROBE_EVERY};
pub use budget::{Asker, Budget, Granted};
pub use headers::{Told, told};
pub use kept::{Kept, Shown};
pub use outcome::{Answered, Outcome, outcome};
pub use table::{Place, Table};

/// Microseconds.
pub type Moment = i64;

/// The longest wait that any part of a budget can ask for. What lies further ahead was left by a clock that has jumped,
/// and counts as over.
pub const LONGEST: Duration = crate::retry::LONGEST_RETRY_AFTER;

/// What one connection and one job allow themselves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    /// Between two requests on average; zero: no limit.
    pub interval: Duration,
    /// Requests that may be sent at once after a pause.
    pub burst: u32,
    /// Least time between the starts of two requests.
    pub min_delay: Duration,
    /// Requests under way at a time.
    pub most: u32,
}

impl Terms {
    /// The terms of `requests_per_second`.
    pub fn new(per_second: Option<f64>, burst: u32, min_delay: Duration, most: u32) -> Terms {
        let interval = per_second.filter(|rate| *rate > 0.0).map(|rate| 1.0 / rate);
        Terms {
            interval: interval.map_or(Duration::ZERO, |seconds| {
                Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64()))
            }),
            burst: burst.max(1),
            min_delay: min_delay.min(LONGEST),
            most: most.clamp(1, slots::PLACES as u32),
        }
    }
}

/// Why a request has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Every budget of the cluster is in use.
    NoBudget,
    /// As many requests are under way as may be.
    Concurrency,
    /// `requests_per_second` or `min_delay`.
    Pace,
    /// The remote has asked for it.
    Remote,
    /// What the remote grants in its window is used up.
    Window,
    /// The host has failed too often in a row.
    Breaker,
}

impl Why {
    /// As a clause for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Why::NoBudget => "every rate budget of the server is in use",
            Why::Concurrency => "as many requests are under way as may be",
            Why::Pace => "requests_per_second or min_delay asks for it",
            Why::Remote => "the remote asked for it",
            Why::Window => "the remote's limit is used up",
            Why::Breaker => "the remote failed too often in a row",
        }
    }

    /// Whether it passes as soon as others are done: nobody knows when, and it is soon.
    pub fn is_momentary(self) -> bool {
        matches!(self, Why::NoBudget | Why::Concurrency)
    }
}

/// A request has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Before it is worth asking again.
    pub wait: Duration,
    pub why: Why,
}

fn micros(duration: Duration) -> Moment {
    Moment::try_from(duration.as_micros()).unwrap_or(Moment::MAX)
}

fn duration(micros: Moment) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// A time in the future that is no further ahead than anything asks for; else now.
fn believed(at: Moment, now: Moment, furthest: Duration) -> Moment {
    match at - now <= micros(furthest) {
        true => at,
        false => now,
    }
}
