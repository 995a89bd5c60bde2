//! Waiting for a state, never for a time.

use crate::db::Db;
use std::time::{Duration, Instant};

/// How often a state is looked at.
const POLL: Duration = Duration::from_millis(15);

/// Looks until the condition holds; false where it did not within the limit.
pub fn eventually(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + limit;
    while !holds() {
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(POLL);
    }
    true
}

/// Waits until a condition on the database holds; where it never does, panics with the views and the end of the log.
pub fn wait_until(db: &mut Db, what: &str, limit: Duration, mut holds: impl FnMut(&mut Db) -> bool) {
    if eventually(limit, || holds(db)) {
        return;
    }
    panic!("not within {limit:?}: {what}\n{}", situation(db));
}

/// What the views and the log say: enough to see why a wait was in vain.
fn situation(db: &mut Db) -> String {
    let mut text = String::new();
    for sql in [
        "SELECT * FROM sluice.sync_status",
        "SELECT * FROM sluice.sync_runs ORDER BY id DESC LIMIT 5",
        "SELECT * FROM sluice.sync_progress",
        "SELECT * FROM sluice.sync_retry_queue",
        "SELECT pid, backend_type, state, wait_event, query FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
    ] {
        let answer = db
            .try_rows(sql)
            .map_or_else(|error| error.to_string(), |rows| rows.to_string());
        text += &format!("-- {sql}\n{answer}\n");
    }
    let log = std::fs::read(db.folder.join("log")).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    text + "-- log\n" + &lines[lines.len().saturating_sub(40)..].join("\n")
}
