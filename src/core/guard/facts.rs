//! What a guard looks at: the read, the rows that it would touch, and the state that the two add up to.

use std::fmt;
use std::time::Duration;

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
    /// How many complete reads directly before this one had no record either.
    pub empty_reads_before: u32,
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
