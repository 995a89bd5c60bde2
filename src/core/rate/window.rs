//! What the remote has left of its own limit, as its headers tell: so many requests until a time.
//!
//! Packed into one cell: 20 bits of requests, 44 bits of milliseconds. Zero: nothing is known.

use super::{LONGEST, Moment, duration};
use std::time::Duration;

const LEFT_BITS: u32 = 20;
const MOST_LEFT: u64 = (1 << LEFT_BITS) - 1;
/// Ends that differ by less are the same window's: they are told in whole seconds.
const SAME_WINDOW_MS: u64 = 1500;

fn pack(left: u64, end_ms: u64) -> u64 {
    end_ms << LEFT_BITS | left.min(MOST_LEFT)
}

fn ms(at: Moment) -> u64 {
    u64::try_from(at / 1000).unwrap_or(0)
}

/// Requests left, and when the window ends; None: it has ended, or nothing is known.
pub(super) fn open(cell: u64, now: Moment) -> Option<(u64, Moment)> {
    let (left, end) = (cell & MOST_LEFT, cell >> LEFT_BITS);
    let furthest = ms(now) + LONGEST.as_millis() as u64 + SAME_WINDOW_MS;
    (end > ms(now) && end <= furthest).then_some((left, (end * 1000) as Moment))
}

/// The cell after a request, or how long that has to wait.
pub(super) fn take(cell: u64, now: Moment) -> Result<u64, Duration> {
    match open(cell, now) {
        None => Ok(0),
        Some((0, end)) => Err(duration(end - now)),
        Some((left, end)) => Ok(pack(left - 1, ms(end))),
    }
}

/// A request that was counted was not sent after all.
pub(super) fn give_back(cell: u64, now: Moment) -> u64 {
    match open(cell, now) {
        None => cell,
        Some((left, end)) => pack(left + 1, ms(end)),
    }
}

/// What an answer told. `others`: requests that are under way beside it, which the remote may not have counted yet. An answer
/// that came late knows less than one of the same window before it: the smaller number holds.
pub(super) fn learn(cell: u64, now: Moment, left: u64, reset: Duration, others: u64) -> u64 {
    if reset.is_zero() {
        return cell;
    }
    let (left, end) = (left.saturating_sub(others), ms(now) + reset.as_millis() as u64);
    match open(cell, now) {
        Some((known, known_end)) if end <= ms(known_end) + SAME_WINDOW_MS => pack(known.min(left), ms(known_end)),
        _ => pack(left, end),
    }
}
