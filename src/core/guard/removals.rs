//! Which rows a run removes, and why not more.

use super::Live;

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

impl Reason {
    /// The word that is stored with a run.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::NothingGone => "nothing_gone",
            Reason::Proof => "proof",
            Reason::DeclaredTotal => "declared_total",
            Reason::OneReadIsEnough => "one_read_is_enough",
            Reason::TwoReads => "two_reads",
            Reason::Approved => "approved",
            Reason::KeptBySetting => "kept_by_setting",
            Reason::Unchanged => "unchanged",
            Reason::Incomplete => "incomplete",
            Reason::Gap => "gap",
            Reason::PausedTooLong => "paused_too_long",
            Reason::DuplicateKeys => "duplicate_keys",
            Reason::TotalDiffers => "total_differs",
            Reason::RejectsWithoutKey => "rejects_without_key",
        }
    }
}
