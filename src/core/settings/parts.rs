//! The settings that are objects of numbers and lengths of time: commit_every, retry, timeouts, limits, undo.

use std::time::Duration;

use super::keys;
use super::object::Object;
use super::{DAY, HOUR};
use crate::connection::ConfigError;
use crate::retry::ErrorBudget;
use crate::retry_queue::QueuePolicy;

const MEGABYTE: u64 = 1024 * 1024;

/// A batch is committed when one of these is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitEvery {
    /// Default 8 MB of records.
    pub bytes: u64,
    /// `seconds` in the document; default 2 s.
    pub time: Duration,
    pub pages: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySettings {
    /// How a failed run is repeated by the retry queue.
    pub queue: QueuePolicy,
    /// Attempts at one request within a run; default 12.
    pub request_attempts: u32,
    /// The longest delay between two of them; default 5 s.
    pub request_cap: Duration,
    /// How many requests may fail in one run; default 35 in a row and 50 in all.
    pub budget: ErrorBudget,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutSettings {
    /// Default 10 s.
    pub connect: Duration,
    /// One request with its whole answer; default 45 s.
    pub request: Duration,
    /// Of `discover`, `preview` and `test_connection`; default 15 s.
    pub probe: Duration,
    pub run: Option<Duration>,
    /// Of the function that is called when a read becomes visible; default 60 s.
    pub after_publish: Duration,
}

/// Limits of one run; none where not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitSettings {
    pub pages: Option<u64>,
    pub rows: Option<u64>,
    pub bytes: Option<u64>,
}

/// How long undo sets are kept: whichever is least. That of the newest published run stays whatever its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UndoSettings {
    /// Default 10; 0 keeps none.
    pub keep_runs: u32,
    /// Default 7.
    pub keep_days: u32,
    /// Of undo sets, as they are stored; default no limit.
    pub keep_bytes: Option<u64>,
}

pub(super) fn commit_every(given: &Object<'_>) -> Result<CommitEvery, ConfigError> {
    let part = given.object("commit_every", &keys::COMMIT_EVERY)?;
    Ok(CommitEvery {
        bytes: part
            .get("bytes")
            .map_or(Ok(8 * MEGABYTE), |field| field.size(64 * 1024..=1024 * MEGABYTE))?,
        time: part
            .get("seconds")
            .map_or(Ok(Duration::from_secs(2)), |field| field.seconds(0.05, 3600.0))?,
        pages: part.get("pages").map(|field| field.whole(1..=1_000_000)).transpose()?,
    })
}

pub(super) fn retry(given: &Object<'_>) -> Result<RetrySettings, ConfigError> {
    let part = given.object("retry", &keys::RETRY)?;
    let cap = part.interval("request_cap", Duration::from_millis(1)..=HOUR)?;
    let (usual, usual_budget) = (QueuePolicy::default(), ErrorBudget::default());
    let delays = part
        .get("delays")
        .map(|field| field.intervals(Duration::from_secs(1)..=7 * DAY))
        .transpose()?;
    Ok(RetrySettings {
        queue: QueuePolicy {
            attempts: part.count("attempts", 0..=1000)?.unwrap_or(usual.attempts),
            delays: delays.unwrap_or(usual.delays),
        },
        request_attempts: part.count("request_attempts", 1..=1000)?.unwrap_or(12),
        request_cap: cap.unwrap_or(Duration::from_secs(5)),
        budget: ErrorBudget {
            in_row: part
                .count("failed_in_row", 1..=1_000_000)?
                .unwrap_or(usual_budget.in_row),
            in_all: part
                .count("failed_requests", 1..=1_000_000)?
                .unwrap_or(usual_budget.in_all),
        },
    })
}

pub(super) fn timeouts(given: &Object<'_>) -> Result<TimeoutSettings, ConfigError> {
    let part = given.object("timeouts", &keys::TIMEOUTS)?;
    let shortest = Duration::from_millis(100);
    let connect = part.interval("connect", shortest..=HOUR)?;
    let request = part.interval("request", shortest..=24 * HOUR)?;
    let probe = part.interval("probe", shortest..=HOUR)?;
    let after_publish = part.interval("after_publish", shortest..=HOUR)?;
    Ok(TimeoutSettings {
        connect: connect.unwrap_or(Duration::from_secs(10)),
        request: request.unwrap_or(Duration::from_secs(45)),
        probe: probe.unwrap_or(Duration::from_secs(15)),
        run: part.interval("run", Duration::from_secs(1)..=30 * DAY)?,
        after_publish: after_publish.unwrap_or(Duration::from_secs(60)),
    })
}

pub(super) fn limits(given: &Object<'_>) -> Result<LimitSettings, ConfigError> {
    let part = given.object("limits", &keys::LIMITS)?;
    let most = 1..=i64::MAX as u64;
    Ok(LimitSettings {
        pages: part.get("pages").map(|field| field.whole(most.clone())).transpose()?,
        rows: part.get("rows").map(|field| field.whole(most.clone())).transpose()?,
        bytes: part.get("bytes").map(|field| field.size(most)).transpose()?,
    })
}

pub(super) fn undo(given: &Object<'_>) -> Result<UndoSettings, ConfigError> {
    let part = given.object("undo", &keys::UNDO)?;
    Ok(UndoSettings {
        keep_runs: part.count("keep_runs", 0..=10_000)?.unwrap_or(10),
        keep_days: part.count("keep_days", 0..=3_660)?.unwrap_or(7),
        keep_bytes: part
            .get("keep_bytes")
            .map(|field| field.size(0..=i64::MAX as u64))
            .transpose()?,
    })
}
