//! How many requests may be under way at a time, learned from the answers: additive increase, multiplicative decrease.
//!
//! A budget begins at [`START`]. Until the remote first shows that it is too much, each good answer widens by one; from then
//! on, as many good answers as are under way do. A refusal (429), a 503 or a time-out halves, once for all requests that
//! were sent before. Only answers of a width that is used say that more would be good too.
//!
//! One cell: the width in 1/1024, and above it whether the remote has ever shown its limit. Zero: [`START`].

use super::slots::PLACES;

/// The width of a budget that nothing is known of.
pub(super) const START: u32 = 8;
const ONE: u64 = 1024;
const KNOWN: u64 = 1 << 32;

fn parts(cell: u64) -> (u64, u64) {
    match cell & (KNOWN - 1) {
        0 => (u64::from(START) * ONE, cell & KNOWN),
        width => (width, cell & KNOWN),
    }
}

/// Whole requests, at least one.
pub(super) fn width(cell: u64) -> u32 {
    u32::try_from(parts(cell).0 / ONE).unwrap_or(1).max(1)
}

/// After a good answer, when so many requests were under way with it.
pub(super) fn widened(cell: u64, under_way: u32) -> u64 {
    let (width, known) = parts(cell);
    if u64::from(under_way) * 2 * ONE < width {
        return cell;
    }
    let step = if known == 0 { ONE } else { ONE * ONE / width };
    known | (width + step.max(1)).min(PLACES as u64 * ONE)
}

/// After a sign that it is too much.
pub(super) fn eased(cell: u64) -> u64 {
    KNOWN | (parts(cell).0 / 2).max(ONE)
}
