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

mod kept_back;

use std::fmt;
use std::time::Duration;

use crate::settings::{OnEmpty, OnMissing, Settings};

pub use kept_back::KeptBack;

/// From this many live rows on, `max_shrink` is looked at.
pub const FEWEST_FOR_SHRINK: u64 = 10;

/// What kind of answer the read got as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Found {
    /// Pages with or without records.
    #[default]
    Pages,
    /// The remote said that nothing changed (304), to a validator of ours.
    Unchanged,
    /// The path to the records was not in the answer.
    PathMissing,
}

/// What is known of one read of the whole collection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadFacts {
    pub found: Found,
    /// It ended where the pagination says that the collection ends, not at a limit of ours.
    pub complete: bool,
    /// Every page from the first to the last is in the ledger, of one generation.
    pub gapless: bool,
    /// The longest time between two of its pages.
    pub longest_pause: Duration,
    /// The pagination shows what it does not list: `none`, a single page, `keyset`.
    pub proof: bool,
    /// The number of records that the first page declared.
    pub declared_first: Option<u64>,
    /// The number of records that the last page declared.
    pub declared_last: Option<u64>,
    pub distinct_keys: u64,
    /// Records whose key had already come in this read.
    pub duplicate_keys: u64,
    pub records: u64,
    /// Rejected records of which not even the key could be read.
    pub rejects_without_key: u64,
}

/// What the target holds of this job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Live {
    /// Rows of this job before the run: keys of its last published generation that are still there.
    pub rows_before: u64,
    /// Those of them that the read did not list and no rejected record protects.
    pub candidates_gone: u64,
    /// Those of the candidates that the complete read before did not list either.
    pub gone_confirmed: u64,
}

/// Which rows a published run removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removals {
    None,
    /// The candidates that were missing from the complete read before, too.
    Confirmed,
    /// Every candidate.
    All,
}

impl Removals {
    /// How many rows that is. The other candidates stay, and `sync_status.unconfirmed` counts them.
    pub fn count(self, live: &Live) -> u64 {
        match self {
            Removals::None => 0,
            Removals::Confirmed => live.gone_confirmed.min(live.candidates_gone),
            Removals::All => live.candidates_gone,
        }
    }
}

/// Why a read removes what it removes, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Nothing is missing.
    NothingGone,
    /// The pagination is proof.
    Proof,
    /// The declared total was the same on the first and the last page and equals the number of keys.
    DeclaredTotal,
    /// `confirm_deletes` is off: one read is enough.
    OneReadIsEnough,
    /// Absence counts only from the second complete read in a row.
    TwoReads,
    /// A person approved the held run.
    Approved,
    /// `on_missing` is keep.
    KeptBySetting,
    Unchanged,
    Incomplete,
    Gap,
    PausedTooLong,
    DuplicateKeys,
    TotalDiffers,
    RejectsWithoutKey,
}

/// What the read amounts to. Empty is a state, not a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadState {
    Records,
    /// A 304: nothing to do.
    Unchanged,
    /// No record, and only this read says so.
    EmptyUnconfirmed,
    /// No record, by proof, by a declared total of zero, or for the second time in a row.
    EmptyConfirmed,
    /// More would vanish than `max_shrink` allows.
    Shrunk,
    /// The answer has no place where the records should be.
    PathMissing,
}

impl ReadState {
    pub const ALL: [ReadState; 6] = [
        ReadState::Records,
        ReadState::Unchanged,
        ReadState::EmptyUnconfirmed,
        ReadState::EmptyConfirmed,
        ReadState::Shrunk,
        ReadState::PathMissing,
    ];

    /// The word used in tables, views and docs.
    pub fn as_str(self) -> &'static str {
        match self {
            ReadState::Records => "records",
            ReadState::Unchanged => "unchanged",
            ReadState::EmptyUnconfirmed => "empty_unconfirmed",
            ReadState::EmptyConfirmed => "empty_confirmed",
            ReadState::Shrunk => "shrunk",
            ReadState::PathMissing => "path_missing",
        }
    }
}

impl fmt::Display for ReadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

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
        return match proof || total_is_zero || every_row_again || removals == Removals::All {
            true => ReadState::EmptyConfirmed,
            false => ReadState::EmptyUnconfirmed,
        };
    }
    let whole = facts.complete && facts.gapless && facts.longest_pause <= settings.max_pause;
    let rows_can_vanish = settings.on_missing == OnMissing::Delete;
    match whole && rows_can_vanish && shrinks_too_much(live, settings.max_shrink) {
        true => ReadState::Shrunk,
        false => ReadState::Records,
    }
}

#[cfg(test)]
mod tests;
