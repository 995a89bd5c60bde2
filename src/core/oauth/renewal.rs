//! When a token is renewed, and what becomes of a renewal that fails.

use std::time::Duration;

/// Refresh tokens that are not used lapse at many servers: none is left unused for longer than about this.
const KEEP_ALIVE: Duration = Duration::from_secs(86_400);
/// Failures in a row after which a person is told.
const MOST_FAILURES: u32 = 3;

/// How long a token serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// From then on it is renewed by whoever needs it first.
    pub renew_after: Duration,
    pub ends_after: Duration,
}

impl Lifetime {
    /// Early enough that nobody is left with an expired one, and with jitter so that connections made together do not
    /// renew together. `random` is in [0, 1).
    pub fn of(lifetime: Duration, random: f64) -> Lifetime {
        Lifetime {
            renew_after: lifetime.mul_f64(0.75 + 0.1 * random),
            ends_after: lifetime,
        }
    }
}

/// When a grant is renewed although nobody needs a token, so that it does not lapse.
pub fn keep_alive(refresh_lifetime: Option<Duration>, random: f64) -> Duration {
    let limit = refresh_lifetime.map_or(KEEP_ALIVE, |life| life.mul_f64(0.8).min(KEEP_ALIVE));
    limit.mul_f64(0.8 + 0.2 * random)
}

/// Whether a person has to be told after that many failures in a row.
pub fn failures_are_too_many(failures: u32) -> bool {
    failures >= MOST_FAILURES
}

/// When a renewal that failed is tried again, after that many failures in a row. Also afterwards: what failed for a
/// reason of the remote's may pass, and the grant is not lost.
pub fn delay_after_failure(failures: u32, random: f64) -> Duration {
    let seconds = match failures {
        0 | 1 => 10,
        2 => 60,
        more => 120 << (more - MOST_FAILURES).min(5),
    };
    Duration::from_secs(seconds.min(3600)).mul_f64(0.9 + 0.2 * random)
}

/// The scopes that a grant had and has no more. A remote that names none has changed none (RFC 6749, 5.1).
pub fn lost_scopes(before: Option<&str>, now: Option<&str>) -> Vec<String> {
    let (Some(before), Some(now)) = (before, now) else {
        return Vec::new();
    };
    let words = |text: &str| {
        text.split([' ', ','])
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let now = words(now);
    words(before).into_iter().filter(|scope| !now.contains(scope)).collect()
}
