//! When a failed request is sent again, within one run.
//!
//! Network, timeout and server failures are repeated after a delay that doubles up to a cap, with full jitter (a delay
//! is drawn evenly between nothing and its bound, so that many clients spread out). A rate limit is waited out as the
//! remote says and never counts as an attempt. What the run cannot mend goes to the durable retry queue.

use std::time::{Duration, SystemTime};

use crate::class::Class;
use crate::http::Headers;

/// Longest wait that a remote can ask for; a longer one, or one in the year 9999, counts as this.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// Wait after a 429 that does not say how long.
pub const DEFAULT_RATE_WAIT: Duration = Duration::from_secs(4);
/// Shortest wait after a 429, whatever it says: a reset in the past must not become a busy loop.
pub const SHORTEST_RATE_WAIT: Duration = Duration::from_secs(1);

/// How often and how fast one request is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Requests in all, the first one included; 0 counts as 1.
    pub attempts: u32,
    /// The same where the remote fails or is slow: what it is asked for may be too much.
    pub attempts_at_size: u32,
    /// Bound of a single delay.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            attempts: 12,
            attempts_at_size: u32::MAX,
            cap: Duration::from_secs(5),
        }
    }
}

/// How many requests of one run may fail before it stops and is queued: a remote that answers now and then would keep it
/// for hours. A rate limit is no failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorBudget {
    /// That follow each other without an answer between them.
    pub in_row: u32,
    pub in_all: u32,
}

impl Default for ErrorBudget {
    fn default() -> ErrorBudget {
        ErrorBudget { in_row: 35, in_all: 50 }
    }
}

/// What is spent of it, over all attempts of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    pub in_row: u32,
    pub in_all: u32,
}

impl Spent {
    pub fn fail(&mut self) {
        self.in_row = self.in_row.saturating_add(1);
        self.in_all = self.in_all.saturating_add(1);
    }

    /// A request was answered well.
    pub fn succeed(&mut self) {
        self.in_row = 0;
    }
}

impl ErrorBudget {
    /// The failures with which it is spent, and whether they were in a row; None while some is left.
    pub fn exceeded(&self, spent: Spent) -> Option<(u32, bool)> {
        if spent.in_row >= self.in_row {
            Some((spent.in_row, true))
        } else {
            (spent.in_all >= self.in_all).then_some((spent.in_all, false))
        }
    }
}

/// The class whose delays a failure has that is repeated: its own, or that of a failing server where a rule has a failure
/// repeated whose class is not by itself.
pub fn repeated_as(class: Class) -> Class {
    match class {
        Class::RateLimit => class,
        _ if first_delay(class).is_some() => class,
        _ => Class::Server,
    }
}

impl RetryPolicy {
    /// Requests in all that fail with this class.
    pub fn attempts_of(&self, class: Class) -> u32 {
        match class {
            Class::Server | Class::Timeout => self.attempts.min(self.attempts_at_size),
            _ => self.attempts,
        }
    }

    /// The delay after the `attempt`-th failed request (from 1 on), or None where it is not repeated: the attempts are
    /// used up, or the class does not pass by itself. `random` is in [0, 1). For a rate limit this is the wait when
    /// the remote does not say one; see [`rate_wait`].
    pub fn delay(&self, class: Class, attempt: u32, random: f64) -> Option<Duration> {
        if class == Class::RateLimit {
            return Some(DEFAULT_RATE_WAIT);
        }
        let first = first_delay(class)?;
        if attempt >= self.attempts_of(class) {
            return None;
        }
        let doublings = attempt.saturating_sub(1).min(16);
        let bound = first.saturating_mul(1 << doublings).min(self.cap);
        Some(bound.mul_f64(random.clamp(0.0, 1.0)))
    }
}

fn first_delay(class: Class) -> Option<Duration> {
    match class {
        Class::Network => Some(Duration::from_millis(1500)),
        Class::Timeout => Some(Duration::from_secs(2)),
        Class::Server => Some(Duration::from_secs(4)),
        Class::Database | Class::Resource => Some(Duration::from_millis(250)),
        _ => None,
    }
}

/// How long to wait after a 429: as the remote says, else [`DEFAULT_RATE_WAIT`].
pub fn rate_wait(retry_after: Option<Duration>) -> Duration {
    retry_after.map_or(DEFAULT_RATE_WAIT, |wait| wait.max(SHORTEST_RATE_WAIT))
}

/// `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date in one of the three forms of section 5.6.7. A date is
/// taken relative to the response's own `Date` where it has one, so that the clocks' difference does not matter. What
/// cannot be read is ignored; of several fields the longest wait holds; the result lies between 0 and
/// [`LONGEST_RETRY_AFTER`].
pub fn retry_after(headers: &Headers, now: SystemTime) -> Option<Duration> {
    let sent_at = headers
        .get("date")
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .unwrap_or(now);
    headers
        .get_all("retry-after")
        .filter_map(|value| read_retry_after(value.trim(), sent_at))
        .max()
}

fn read_retry_after(value: &str, sent_at: SystemTime) -> Option<Duration> {
    if value.is_empty() {
        return None;
    }
    let wait = if value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit are a very long wait.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let until = httpdate::parse_http_date(value).ok()?;
        until.duration_since(sent_at).unwrap_or(Duration::ZERO)
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

/// SplitMix64 (Steele, Lea, Flood 2014). Jitter needs evenly spread numbers and a seed that tests can set, and no
/// secrecy, so that a generator of five lines is enough and core stays free of a source of randomness.
#[derive(Debug, Clone)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    pub fn new(seed: u64) -> SplitMix64 {
        SplitMix64(seed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Evenly spread in [0, 1).
    pub fn next_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// 2026-11-20 10:00:00 UTC.
    fn now() -> SystemTime {
        httpdate::parse_http_date("Fri, 20 Nov 2026 10:00:00 GMT").unwrap()
    }

    /// F-N9.
    #[test]
    fn retry_after_is_read_in_every_form_and_clamped() {
        let table: &[(&str, Option<Duration>)] = &[
            ("0", Some(secs(0))),
            ("120", Some(secs(120))),
            (" 7 ", Some(secs(7))),
            ("007", Some(secs(7))),
            ("3601", Some(secs(3600))),
            ("99999999999999999999999999", Some(secs(3600))),
            ("Fri, 20 Nov 2026 10:00:30 GMT", Some(secs(30))),
            ("Friday, 20-Nov-26 10:00:30 GMT", Some(secs(30))),
            ("Fri Nov 20 10:00:30 2026", Some(secs(30))),
            ("Fri, 20 Nov 2026 09:00:00 GMT", Some(secs(0))),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(secs(3600))),
            ("-1", None),
            ("²", None),
            ("1.5", None),
            ("+5", None),
            ("", None),
            ("soon", None),
            ("Fri, 31 Feb 2026 10:00:00 GMT", None),
        ];
        for (value, expected) in table {
            let headers: Headers = [("Retry-After", *value)].into_iter().collect();
            assert_eq!(retry_after(&headers, now()), *expected, "{value:?}");
        }
        assert_eq!(retry_after(&Headers::new(), now()), None);
    }

    /// F-N9.
    #[test]
    fn a_retry_date_is_relative_to_the_responses_own_date() {
        let headers: Headers = [
            ("Date", "Fri, 20 Nov 2020 10:00:00 GMT"),
            ("Retry-After", "Fri, 20 Nov 2020 10:00:09 GMT"),
        ]
        .into_iter()
        .collect();
        assert_eq!(retry_after(&headers, now()), Some(secs(9)));
    }

    #[test]
    fn of_two_retry_after_fields_the_longer_readable_one_holds() {
        let both =
            |a: &str, b: &str| retry_after(&[("Retry-After", a), ("retry-after", b)].into_iter().collect(), now());
        assert_eq!(both("5", "60"), Some(secs(60)));
        assert_eq!(both("soon", "3"), Some(secs(3)));
    }

    #[test]
    fn delays_double_up_to_the_cap_and_end_with_the_attempts() {
        let policy = RetryPolicy::default();
        let longest = |class, attempt| policy.delay(class, attempt, 1.0);
        assert_eq!(longest(Class::Network, 1), Some(Duration::from_millis(1500)));
        assert_eq!(longest(Class::Network, 2), Some(secs(3)));
        assert_eq!(longest(Class::Network, 3), Some(secs(5)));
        assert_eq!(longest(Class::Timeout, 1), Some(secs(2)));
        assert_eq!(longest(Class::Server, 1), Some(secs(4)));
        assert_eq!(longest(Class::Database, 1), Some(Duration::from_millis(250)));
        assert_eq!(longest(Class::Server, 11), Some(secs(5)));
        assert_eq!(longest(Class::Server, 12), None);
        assert_eq!(policy.delay(Class::Server, 1, 0.25), Some(secs(1)));
    }

    #[test]
    fn what_a_person_must_mend_is_not_repeated() {
        for class in [
            Class::Auth,
            Class::Config,
            Class::Data,
            Class::Schema,
            Class::PaginationLoop,
            Class::Internal,
        ] {
            assert_eq!(RetryPolicy::default().delay(class, 1, 0.5), None, "{class}");
        }
    }

    /// F-N18.
    #[test]
    fn a_rate_limit_never_uses_up_the_attempts_and_is_never_a_busy_loop() {
        assert_eq!(RetryPolicy::default().delay(Class::RateLimit, 500, 0.0), Some(secs(4)));
        assert_eq!(rate_wait(None), secs(4));
        assert_eq!(rate_wait(Some(secs(0))), secs(1));
        assert_eq!(rate_wait(Some(secs(90))), secs(90));
    }

    #[test]
    fn random_numbers_are_spread_evenly_and_repeat_with_their_seed() {
        let (mut a, mut b) = (SplitMix64::new(7), SplitMix64::new(7));
        let draws: Vec<f64> = (0..4000).map(|_| a.next_f64()).collect();
        assert!(draws.iter().all(|x| (0.0..1.0).contains(x) && *x == b.next_f64()));
        let mean = draws.iter().sum::<f64>() / 4000.0;
        assert!((0.47..0.53).contains(&mean), "{mean}");
    }
}
