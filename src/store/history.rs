//! What is forgotten with time: runs by count and age, failures and the audit log by age. Small statements, each a transaction's worth.

use super::execute;
use crate::pg::clock::Timestamp;
use crate::pg::settings;
use pgrx::datum::TimestampWithTimeZone;
use sluice_core::Result;
use std::time::Duration;

/// As long as retries that ended.
const CALLS_KEPT: Duration = Duration::from_secs(7 * 86_400);
/// Rows that one statement forgets at most.
pub const AT_ONCE: i64 = 10_000;

/// Forgets old runs of a job; how many. The last success and the last failure stay, and what waits or can be undone.
pub fn prune_runs(job: i64, now: Timestamp) -> Result<u64> {
    let since = TimestampWithTimeZone::from(now.minus(settings::keep_history()));
    let args = [job.into(), settings::keep_runs().into(), since.into()];
    execute(include_str!("../../sql/query/prune_runs.sql"), &args)
}

/// Forgets calls of event rules that ended more than seven days ago; how many.
pub fn prune_calls(now: Timestamp) -> Result<u64> {
    let before = TimestampWithTimeZone::from(now.minus(CALLS_KEPT));
    let sql = "DELETE FROM sluice._alert_call WHERE status IN ('completed', 'dead') AND updated_at < $1";
    execute(sql, &[before.into()])
}

/// Forgets the oldest failures, by age alone; how many.
pub fn prune_failures(now: Timestamp) -> Result<u64> {
    let sql = "DELETE FROM sluice._failure WHERE id IN (SELECT f.id FROM sluice._failure AS f \
               WHERE f.failed_at < $1 ORDER BY f.failed_at LIMIT $2)";
    let since = TimestampWithTimeZone::from(now.minus(settings::keep_history()));
    execute(sql, &[since.into(), AT_ONCE.into()])
}

/// Forgets the oldest rows of the audit log; how many. Their table lets them go by the server's own clock.
pub fn prune_audit() -> Result<u64> {
    let sql = "DELETE FROM sluice._audit WHERE id IN (SELECT a.id FROM sluice._audit AS a \
               WHERE a.happened_at < clock_timestamp() - make_interval(secs => $1) ORDER BY a.happened_at LIMIT $2)";
    execute(sql, &[settings::keep_audit().as_secs_f64().into(), AT_ONCE.into()])
}
