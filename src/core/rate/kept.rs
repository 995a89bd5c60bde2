//! What of a budget survives a crash, and what people see of it.

use super::{Breaker, Moment};

/// What has happened to a budget last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Note {
    Nothing,
    Refused,
    Asked,
    Opened,
    Closed,
    Eased,
}

impl Note {
    pub const ALL: [Note; 6] = [
        Note::Nothing,
        Note::Refused,
        Note::Asked,
        Note::Opened,
        Note::Closed,
        Note::Eased,
    ];

    pub fn as_str(self) -> Option<&'static str> {
        Some(match self {
            Note::Nothing => return None,
            Note::Refused => "the remote refused a request (status 429)",
            Note::Asked => "the remote asked to wait (Retry-After)",
            Note::Opened => "requests failed too often in a row",
            Note::Closed => "the remote answers again",
            Note::Eased => "the remote had too much to do",
        })
    }
}

/// What has to survive a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    pub not_before: Option<Moment>,
    pub breaker: Breaker,
    pub failures: u64,
}

impl Kept {
    /// Whether it holds something up.
    pub fn is_troubled(&self) -> bool {
        self.not_before.is_some() || self.breaker != Breaker::Closed
    }
}

/// What people see.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    pub kept: Kept,
    /// By the rate or by the remote's window, whichever is less.
    pub left: Option<u64>,
    pub per_second: Option<f64>,
    /// The remote's limit, and how long its window is in seconds.
    pub declared: Option<(u64, u64)>,
    pub under_way: u32,
    pub waiting: u32,
    pub concurrency: u32,
    pub changed_at: Option<Moment>,
    pub reason: Option<&'static str>,
}
