//! Payloads that are sent to a job: how many may wait, and when one is tried again that could not be written.

use std::time::Duration;

/// The text of one payload, in bytes.
pub const MOST_PAYLOAD_BYTES: i64 = 16 * 1024 * 1024;
/// Payloads of one job that may wait, those that were set aside included.
pub const MOST_PAYLOADS: i64 = 10_000;
/// And their bytes.
pub const MOST_QUEUED_BYTES: i64 = 1024 * 1024 * 1024;

/// Payloads that are written in one transaction, and their bytes.
pub const BATCH_PAYLOADS: i64 = 1000;
pub const BATCH_BYTES: i64 = 8 * 1024 * 1024;

const FIRST_DELAY: Duration = Duration::from_secs(10);
const LONGEST_DELAY: Duration = Duration::from_secs(600);

/// How long the payloads of a job wait after so many runs in a row that failed for a reason outside of them.
pub fn delay_after(failures: u32) -> Duration {
    let doubled = FIRST_DELAY.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_from_ten_seconds_to_ten_minutes() {
        let seconds = |failures| delay_after(failures).as_secs();
        assert_eq!([seconds(0), seconds(1), seconds(2), seconds(3)], [10, 10, 20, 40]);
        assert_eq!([seconds(7), seconds(u32::MAX)], [600, 600]);
    }
}
