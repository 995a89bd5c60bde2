//! The circuit breaker of a budget.
//!
//! ```text
//! closed ── so many failures in a row ──► open ── its time, or somebody insists ──► half open
//!    ▲                                     ▲                                          │
//!    └──────────── any answer ─────────────┴──────────── the probe fails ─────────────┘
//! ```
//!
//! Failures are those of the network, time-outs and the remote's own (5xx); any other answer shows a remote that works. While
//! it is open nobody sends but one probe after five seconds and then one a minute, or a person who asks. Packed into one cell: 2 bits of state, 14 of
//! failures, 48 of milliseconds (since when it is in that state). Zero: never used.

use super::{Moment, duration};
use std::time::Duration;

/// Failures in a row, over all who share the budget, that open it: as many as one request may have in a run, so that a run
/// alone with a dead host opens it too.
pub(super) const FAILURES: u64 = 12;
/// Before the first probe: many outages are over by then.
const FIRST_PROBE: Duration = Duration::from_secs(5);
/// Between two probes of an open one.
pub const PROBE_EVERY: Duration = Duration::from_secs(60);

const CLOSED: u64 = 1;
const OPEN: u64 = 2;
const HALF_OPEN: u64 = 3;
const STATE_BITS: u32 = 2;
const FAILURE_BITS: u32 = 14;
const MOST_FAILURES: u64 = (1 << FAILURE_BITS) - 1;

/// How a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Breaker {
    #[default]
    Closed,
    /// The last probe; before the first one a time that makes it due when it is.
    Open { since: Moment },
    /// A probe is under way.
    HalfOpen { since: Moment },
}

impl Breaker {
    pub fn as_str(self) -> &'static str {
        match self {
            Breaker::Closed => "closed",
            Breaker::Open { .. } => "open",
            Breaker::HalfOpen { .. } => "half_open",
        }
    }

    /// When the next probe is due; None where none is.
    pub fn probe_at(self) -> Option<Moment> {
        match self {
            Breaker::Open { since } | Breaker::HalfOpen { since } => Some(since + super::micros(PROBE_EVERY)),
            Breaker::Closed => None,
        }
    }
}

fn pack(state: u64, failures: u64, at: Moment) -> u64 {
    let ms = u64::try_from(at / 1000).unwrap_or(0);
    ms << (STATE_BITS + FAILURE_BITS) | failures.min(MOST_FAILURES) << STATE_BITS | state
}

fn since(cell: u64) -> Moment {
    ((cell >> (STATE_BITS + FAILURE_BITS)) * 1000) as Moment
}

pub(super) fn failures(cell: u64) -> u64 {
    cell >> STATE_BITS & MOST_FAILURES
}

pub(super) fn state(cell: u64) -> Breaker {
    match cell & 3 {
        OPEN => Breaker::Open { since: since(cell) },
        HALF_OPEN => Breaker::HalfOpen { since: since(cell) },
        _ => Breaker::Closed,
    }
}

/// As it was kept, for a budget that was never used.
pub(super) fn kept_open(since: Moment, failures: u64) -> u64 {
    pack(OPEN, failures, since)
}

/// What an asker gets.
pub(super) enum Way {
    Clear,
    /// It may send one request; the cell after that.
    Probe(u64),
    Shut(Duration),
}

/// Whether a request may be sent. `alone`: nobody else has one under way, so that a probe which is said to be was its
/// process's last.
pub(super) fn ask(cell: u64, now: Moment, asks: Asks, alone: bool) -> Way {
    let probe = || Way::Probe(pack(HALF_OPEN, failures(cell), now));
    match state(cell) {
        Breaker::Closed => Way::Clear,
        Breaker::Open { since } => {
            let left = duration(since + super::micros(PROBE_EVERY) - now).min(PROBE_EVERY);
            match asks {
                Asks::Insisting => probe(),
                // A little later than the probe, which is not theirs.
                Asks::Ordinary => Way::Shut(left + PROBE_EVERY / 12),
            }
        }
        Breaker::HalfOpen { .. } if alone && asks != Asks::Ordinary => probe(),
        Breaker::HalfOpen { .. } => Way::Shut(PROBE_EVERY / 12),
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// A run: while the breaker is open it waits.
    Ordinary,
    /// The probe of an open breaker, or a person who wants to know now.
    Insisting,
}

/// A probe is due, and whoever calls this makes it: the cell after that. None: it is not due.
pub(super) fn begin_probe(cell: u64, now: Moment) -> Option<u64> {
    let due = match state(cell) {
        // A probe that said nothing for so long is none any more.
        Breaker::Open { since } | Breaker::HalfOpen { since } => {
            since + super::micros(PROBE_EVERY) <= now || since > now
        }
        Breaker::Closed => false,
    };
    due.then(|| pack(OPEN, failures(cell), now))
}

pub(super) fn worked(cell: u64, now: Moment) -> u64 {
    match state(cell) {
        // What is as it was needs no write.
        Breaker::Closed if failures(cell) == 0 && cell != 0 => cell,
        _ => pack(CLOSED, 0, now),
    }
}

/// After a failure; `probe`: it was the one request of a half-open breaker.
pub(super) fn failed(cell: u64, now: Moment, probe: bool) -> u64 {
    let count = failures(cell) + 1;
    match state(cell) {
        Breaker::Closed if count < FAILURES => pack(CLOSED, count, now),
        Breaker::Closed => pack(OPEN, count, now - super::micros(PROBE_EVERY - FIRST_PROBE)),
        Breaker::HalfOpen { .. } if probe => pack(OPEN, count, now),
        // Requests that were under way when it opened.
        Breaker::Open { .. } | Breaker::HalfOpen { .. } => cell,
    }
}
