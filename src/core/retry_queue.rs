//! What becomes of a run that failed for a reason that may pass: the durable retry queue.
//!
//! ```text
//! a run fails ─► pending ─(its time has come, retry_now, start_sync)─► processing ─► completed
//!                   ▲                                                      │ fails again
//!                   └────── attempts left ◄────────────────────────────────┴──────► dead (redrive puts it back)
//! ```
//!
//! One entry a job is open (pending or processing) at a time, and while it is, the schedule waits with it. Delays grow
//! from attempt to attempt and are spread by a tenth either way, so that jobs which failed together do not come back
//! together. A run that brought pages starts the count anew: it is a remote that works, slowly.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::class::Class;

/// How far a delay is moved, up or down.
const JITTER: f64 = 0.1;

/// How often and after how long a failed run is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePolicy {
    /// Default 3; 0: the queue is not used.
    pub attempts: u32,
    /// Never empty; the last one holds for the attempts after it. Default 5, 10, 20 and 40 minutes.
    pub delays: Vec<Duration>,
}

impl Default for QueuePolicy {
    fn default() -> QueuePolicy {
        QueuePolicy {
            attempts: 3,
            delays: [5, 10, 20, 40].map(|minutes| Duration::from_secs(minutes * 60)).into(),
        }
    }
}

/// A run that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed {
    pub class: Class,
    /// Whether the queue takes it: by its class, or as a rule says.
    pub recoverable: bool,
    /// Retries that were made before, since the last that brought a page.
    pub retries: u32,
    /// Whether this run committed a page.
    pub progressed: bool,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Again after this delay, with so many retries counted.
    Wait { delay: Duration, retries: u32 },
    /// The attempts are used up, or the error is none that passes: a person looks at it, and the slow schedule.
    Dead,
    /// The job does not use the queue, or the error is none for it.
    NotQueued,
}

impl QueuePolicy {
    /// What follows from a failure. `queued`: the run was a retry, or took one's place. `random` is in [0, 1).
    pub fn next(&self, failed: Failed, queued: bool, random: f64) -> Next {
        if !failed.recoverable || self.attempts == 0 {
            return if queued { Next::Dead } else { Next::NotQueued };
        }
        let retries = if failed.progressed { 0 } else { failed.retries };
        // A remote that asks for patience gets it: what it asked for counts for nothing.
        if retries >= self.attempts && failed.class != Class::RateLimit {
            return Next::Dead;
        }
        Next::Wait {
            delay: self.delay(retries, random),
            retries,
        }
    }

    fn delay(&self, retries: u32, random: f64) -> Duration {
        let place = usize::try_from(retries)
            .unwrap_or(usize::MAX)
            .min(self.delays.len() - 1);
        self.delays[place].mul_f64(1.0 - JITTER + 2.0 * JITTER * random.clamp(0.0, 1.0))
    }
}

/// Where an entry of the queue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryStatus {
    /// Waits for its time. In: worker or scheduler; out: scheduler, `process_sync_retries`, `retry_now`, any other run.
    Pending,
    /// A run was asked for. Out: worker, when that run has ended.
    Processing,
    /// A run ended well, or without an error that is to be retried.
    Completed,
    /// A dead letter: given up; `redrive` puts it back.
    Dead,
}

impl RetryStatus {
    pub const ALL: [RetryStatus; 4] = [
        RetryStatus::Pending,
        RetryStatus::Processing,
        RetryStatus::Completed,
        RetryStatus::Dead,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            RetryStatus::Pending => "pending",
            RetryStatus::Processing => "processing",
            RetryStatus::Completed => "completed",
            RetryStatus::Dead => "dead",
        }
    }

    /// The status of this word, as it stands in `sluice._retry`.
    pub fn parse(word: &str) -> Option<RetryStatus> {
        RetryStatus::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// Whether an error of which only the text is known may pass by itself: for callers that have nothing else. The one
/// place where a text decides, and no decision of pg_sluice's own is made by it. Any case; words may be apart.
pub fn is_recoverable_text(text: &str) -> bool {
    let text = text.to_lowercase();
    let lasting = [
        ("empty", "data"),
        ("invalid", "credentials"),
        ("schema", "error"),
        ("unauthorized", ""),
        ("malformed", "data"),
    ];
    if lasting.iter().any(|(first, then)| has_in_order(&text, first, then)) {
        return false;
    }
    let passing = [
        "network",
        "timeout",
        "rate limit",
        "connection",
        "dns",
        "ssl",
        "gateway timeout",
    ];
    passing.iter().any(|word| text.contains(word)) || has_server_status(&text)
}

fn has_in_order(text: &str, first: &str, then: &str) -> bool {
    text.find(first)
        .is_some_and(|at| text[at + first.len()..].contains(then))
}

/// `5xx` itself, or a number from 500 to 599.
fn has_server_status(text: &str) -> bool {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    text.contains("5xx") || numbers.any(|number| number.len() == 3 && number.starts_with('5'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn failed(class: Class, retries: u32) -> Failed {
        Failed {
            class,
            recoverable: class.is_recoverable(),
            retries,
            progressed: false,
        }
    }

    fn waits(policy: &QueuePolicy, failed: Failed, random: f64) -> Option<(Duration, u32)> {
        match policy.next(failed, true, random) {
            Next::Wait { delay, retries } => Some((delay, retries)),
            _ => None,
        }
    }

    #[test]
    fn delays_are_5_10_20_minutes_and_the_fourth_failure_is_the_last() {
        let usual = QueuePolicy::default();
        for (retries, minutes) in [(0, 5), (1, 10), (2, 20)] {
            let wait = waits(&usual, failed(Class::Network, retries), 0.5);
            assert_eq!(wait, Some((minutes * MINUTE, retries)));
        }
        assert_eq!(usual.next(failed(Class::Network, 3), true, 0.5), Next::Dead);
    }

    #[test]
    fn a_fourth_attempt_waits_40_minutes_and_so_do_those_after_it() {
        let patient = QueuePolicy {
            attempts: 10,
            ..QueuePolicy::default()
        };
        for retries in [3, 4, 9] {
            let wait = waits(&patient, failed(Class::Timeout, retries), 0.5);
            assert_eq!(wait, Some((40 * MINUTE, retries)));
        }
    }

    #[test]
    fn delays_are_spread_by_a_tenth_either_way() {
        let usual = QueuePolicy::default();
        let seconds = |random| waits(&usual, failed(Class::Server, 0), random).unwrap().0.as_secs_f64();
        assert!((seconds(0.0) - 270.0).abs() < 1e-6 && (seconds(1.0) - 330.0).abs() < 1e-6);
    }

    #[test]
    fn a_page_that_came_starts_the_count_anew() {
        let slow = Failed {
            progressed: true,
            ..failed(Class::Network, 3)
        };
        assert_eq!(waits(&QueuePolicy::default(), slow, 0.5), Some((5 * MINUTE, 0)));
    }

    #[test]
    fn a_rate_limit_is_waited_out_however_often() {
        let wait = waits(&QueuePolicy::default(), failed(Class::RateLimit, 99), 0.5);
        assert_eq!(wait, Some((40 * MINUTE, 99)));
    }

    #[test]
    fn what_does_not_pass_is_not_queued_and_ends_a_retry() {
        let usual = QueuePolicy::default();
        for class in [
            Class::Auth,
            Class::Config,
            Class::Schema,
            Class::Data,
            Class::PaginationLoop,
        ] {
            assert_eq!(usual.next(failed(class, 0), false, 0.5), Next::NotQueued);
            assert_eq!(usual.next(failed(class, 0), true, 0.5), Next::Dead);
        }
    }

    #[test]
    fn without_attempts_the_queue_is_not_used() {
        let off = QueuePolicy {
            attempts: 0,
            ..QueuePolicy::default()
        };
        assert_eq!(off.next(failed(Class::Network, 0), false, 0.5), Next::NotQueued);
    }

    #[test]
    fn a_text_is_told_by_the_words_of_the_rule() {
        let passing = [
            "Network unreachable",
            "request TIMEOUT after 30s",
            "Rate Limit exceeded",
            "HTTP 503",
            "status=500",
            "http502: bad gateway",
            "a 5xx answer",
            "connection reset",
            "DNS lookup failed",
            "SSL handshake",
            "504 Gateway Timeout",
        ];
        for text in passing {
            assert!(is_recoverable_text(text), "{text}");
        }
        let lasting = [
            "",
            "something else",
            "empty data",
            "Empty response data received over the network",
            "invalid API credentials: connection refused",
            "schema validation error (500)",
            "401 Unauthorized, network",
            "malformed JSON data",
            "HTTP 404",
            "5000 rows",
            "code 50",
        ];
        for text in lasting {
            assert!(!is_recoverable_text(text), "{text}");
        }
    }

    #[test]
    fn each_status_has_one_word() {
        for status in RetryStatus::ALL {
            assert_eq!(RetryStatus::parse(status.as_str()), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }
}
