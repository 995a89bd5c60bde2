//! The token bucket: requests per second with a burst, as one time.
//!
//! The generic cell rate algorithm: a cell holds when the next request would be due if all came evenly. A request may come
//! so much earlier as the burst allows, and moves the cell on by its own interval. Connections of one budget that allow
//! themselves different rates share its time: each request costs the interval of whoever sends it.

use super::{LONGEST, Moment, Terms, believed, duration, micros};
use std::time::Duration;

/// The cell after a request, or how long that has to wait.
pub(super) fn take(due: Moment, now: Moment, terms: &Terms) -> Result<Moment, Duration> {
    let (cost, tolerance) = (micros(terms.interval), tolerance(terms));
    let due = believed(due, now, LONGEST + duration(tolerance));
    let wait = due - now - tolerance;
    if wait > 0 {
        return Err(duration(wait));
    }
    Ok(due.max(now) + cost)
}

/// Whole requests that could be sent at once now.
pub(super) fn left(due: Moment, now: Moment, terms: &Terms) -> Option<u64> {
    let cost = micros(terms.interval);
    if cost == 0 {
        return None;
    }
    let free = tolerance(terms) + cost - (due - now).max(0);
    Some(u64::try_from(free / cost).unwrap_or(0))
}

fn tolerance(terms: &Terms) -> Moment {
    micros(terms.interval).saturating_mul(Moment::from(terms.burst.saturating_sub(1)))
}

/// The same for the least time between two starts, which knows no burst.
pub(super) fn space(opens: Moment, now: Moment, min_delay: Duration) -> Result<Moment, Duration> {
    let opens = believed(opens, now, LONGEST);
    if opens > now {
        return Err(duration(opens - now));
    }
    Ok(now + micros(min_delay))
}
