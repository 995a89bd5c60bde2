//! What a finished read may do to the target: publish, and which rows it may remove; or be held, or rolled back.
//!
//! Pure decisions of DESIGN.md section 6, taken before anything is visible.
//!
//! ```text
//! the read ──► unchanged (304) ───────────────────────────────────► publish nothing
//!          ├─► path_missing ──────────────────────────────────────► roll back
//!          ├─► empty_unconfirmed, empty_confirmed ── on_empty ────► roll back | hold | publish
//!          ├─► shrunk: candidates ≥ max_shrink of the live rows ──► hold
//!          └─► records ───────────────────────────────────────────► publish
//! ```
//!
//! A row is removed only by a read that is complete, gapless and without a long pause, in which no key came twice, no
//! declared total differed and no record lost its key; and only if the pagination is proof, or the absence is
//! confirmed. [`removals`] is that rule and nothing else; [`decide`] puts the guards before it.

mod facts;
mod kept_back;
mod removals;

use crate::settings::{OnEmpty, OnMissing, Settings};

pub use facts::{Found, Live, ReadFacts, ReadState};
pub use kept_back::KeptBack;
pub use removals::{Reason, Removals};

/// From this many live rows on, `max_shrink` is looked at.
pub const FEWEST_FOR_SHRINK: u64 = 10;

/// What becomes of the run.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    Publish {
        state: ReadState,
        removals: Removals,
        reason: Reason,
    },
    /// The run waits for `approve` or `discard`; nothing of it is visible.
    Hold(KeptBack),
    /// Nothing of the run is kept.
    RollBack(KeptBack),
}

impl Decision {
    /// What the read amounts to.
    pub fn state(&self) -> ReadState {
        match self {
            Decision::Publish { state, .. } => *state,
            Decision::Hold(kept) | Decision::RollBack(kept) => kept.state,
        }
    }
}

/// Decides what becomes of a read that replaces the collection. An answer to an incremental request never comes here.
pub fn decide(facts: &ReadFacts, live: &Live, settings: &Settings) -> Decision {
    let (removals, reason) = removals(facts, live, settings);
    let state = state(facts, live, settings, removals);
    let kept_back = KeptBack {
        state,
        live: *live,
        max_shrink: settings.max_shrink,
    };
    match state {
        ReadState::PathMissing => Decision::RollBack(kept_back),
        ReadState::Shrunk => Decision::Hold(kept_back),
        ReadState::EmptyUnconfirmed | ReadState::EmptyConfirmed if live.rows_before > 0 => match settings.on_empty {
            OnEmpty::RollBack => Decision::RollBack(kept_back),
            OnEmpty::Hold => Decision::Hold(kept_back),
            OnEmpty::Accept => Decision::Publish {
                state,
                removals,
                reason,
            },
        },
        ReadState::Records | ReadState::Unchanged | ReadState::EmptyUnconfirmed | ReadState::EmptyConfirmed => {
            Decision::Publish {
                state,
                removals,
                reason,
            }
        }
    }
}

/// Whether the tombstones of an incremental read are too many to be believed. They are proof themselves, so that there is
/// nothing else to decide.
pub fn decide_tombstones(live: &Live, settings: &Settings) -> Option<KeptBack> {
    shrinks_too_much(live, settings.max_shrink).then_some(KeptBack {
        state: ReadState::Shrunk,
        live: *live,
        max_shrink: settings.max_shrink,
    })
}

/// What a held run removes once a person has approved it: the approval stands for the guards and for confirmation, and
/// for nothing else; what makes the read itself doubtful still suppresses every removal.
pub fn decide_approved(facts: &ReadFacts, live: &Live, settings: &Settings) -> (Removals, Reason) {
    match doubt(facts, settings).or_else(|| nothing_to_remove(live, settings)) {
        Some(reason) => (Removals::None, reason),
        None => (Removals::All, Reason::Approved),
    }
}

/// Which rows the read may remove, guards aside.
pub fn removals(facts: &ReadFacts, live: &Live, settings: &Settings) -> (Removals, Reason) {
    if let Some(reason) = doubt(facts, settings).or_else(|| nothing_to_remove(live, settings)) {
        return (Removals::None, reason);
    }
    if facts.proof {
        return (Removals::All, Reason::Proof);
    }
    if !settings.confirm_deletes {
        return (Removals::All, Reason::OneReadIsEnough);
    }
    // Two complete reads in a row without a record: every key is missing from both.
    if facts.records == 0 && facts.empty_reads_before > 0 {
        return (Removals::All, Reason::TwoReads);
    }
    // A total that differs is a doubt, so two that are declared are both equal to the number of keys here.
    if facts.declared_first.is_some() && facts.declared_last.is_some() {
        return (Removals::All, Reason::DeclaredTotal);
    }
    (Removals::Confirmed, Reason::TwoReads)
}

/// Whether `max_shrink` is met or exceeded; counted again inside the publishing transaction.
pub fn shrinks_too_much(live: &Live, max_shrink: f64) -> bool {
    let share = live.candidates_gone as f64 / live.rows_before as f64;
    live.rows_before >= FEWEST_FOR_SHRINK && live.candidates_gone > 0 && share >= max_shrink
}

/// What makes the read itself doubtful, so that nothing is removed because of it.
fn doubt(facts: &ReadFacts, settings: &Settings) -> Option<Reason> {
    let total_differs = |declared: Option<u64>| declared.is_some_and(|total| total != facts.distinct_keys);
    if facts.found == Found::Unchanged {
        Some(Reason::Unchanged)
    } else if !facts.complete || facts.found == Found::PathMissing {
        Some(Reason::Incomplete)
    } else if !facts.gapless {
        Some(Reason::Gap)
    } else if facts.longest_pause > settings.max_pause {
        Some(Reason::PausedTooLong)
    } else if facts.rejects_without_key > 0 {
        Some(Reason::RejectsWithoutKey)
    } else if facts.duplicate_keys > 0 {
        Some(Reason::DuplicateKeys)
    } else if total_differs(facts.declared_first) || total_differs(facts.declared_last) {
        Some(Reason::TotalDiffers)
    } else {
        None
    }
}

fn nothing_to_remove(live: &Live, settings: &Settings) -> Option<Reason> {
    if settings.on_missing == OnMissing::Keep {
        Some(Reason::KeptBySetting)
    } else if live.candidates_gone == 0 {
        Some(Reason::NothingGone)
    } else {
        None
    }
}

/// The shrink guard counts candidates also while they are unconfirmed or their removal is suppressed; only a read that
/// does not claim to be the whole collection (a limit, a gap, a long pause) says nothing of what is missing.
fn state(facts: &ReadFacts, live: &Live, settings: &Settings, removals: Removals) -> ReadState {
    match facts.found {
        Found::Unchanged => return ReadState::Unchanged,
        Found::PathMissing => return ReadState::PathMissing,
        Found::Pages => {}
    }
    if facts.records == 0 {
        let total_is_zero = facts.complete && facts.declared_first == Some(0) && facts.declared_last == Some(0);
        let every_row_again = facts.complete && facts.gapless && live.gone_confirmed >= live.rows_before;
        let proof = facts.complete && facts.gapless && facts.proof;
        let twice = facts.complete && facts.gapless && facts.empty_reads_before > 0;
        return match proof || total_is_zero || twice || every_row_again || removals == Removals::All {
            true => ReadState::EmptyConfirmed,
            false => ReadState::EmptyUnconfirmed,
        };
    }
    let whole = facts.complete && facts.gapless && facts.longest_pause <= settings.max_pause;
    let rows_can_vanish = settings.on_missing != OnMissing::Keep;
    match whole && rows_can_vanish && shrinks_too_much(live, settings.max_shrink) {
        true => ReadState::Shrunk,
        false => ReadState::Records,
    }
}

#[cfg(test)]
mod tests;
