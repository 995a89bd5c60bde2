//! The fields in which APIs tell their limits, in every form that is in use.
//!
//! - `RateLimit-Limit`, `RateLimit-Remaining`, `RateLimit-Reset` (early drafts of the IETF's httpapi group);
//! - `RateLimit: limit=100, remaining=50, reset=30` (draft 7);
//! - `RateLimit: "default";r=50;t=30` with `RateLimit-Policy: "default";q=100;w=60` (draft 8 and later);
//! - `X-RateLimit-*` and `X-Rate-Limit-*`, whose reset is seconds, or a time as seconds or milliseconds since 1970, or a date.
//!
//! Of several limits the one that leaves least counts. What cannot be read is ignored.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::LONGEST;
use crate::http::Headers;

/// What a response tells of the remote's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// Requests in a window.
    pub limit: Option<u64>,
    /// Requests left in this one.
    pub left: Option<u64>,
    /// Until the next one; zero where that has begun.
    pub reset: Option<Duration>,
    /// How long a window is.
    pub window: Option<Duration>,
}

impl Told {
    pub fn is_empty(&self) -> bool {
        *self == Told::default()
    }
}

/// Reads the fields. A time is taken relative to the response's own `Date` where it has one.
pub fn told(headers: &Headers, now: SystemTime) -> Told {
    let now = headers
        .get("date")
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .unwrap_or(now);
    let fields = Fields { headers, now };
    let told = fields.structured().unwrap_or_else(|| fields.plain());
    Told {
        reset: told.reset.map(|reset| reset.min(LONGEST)),
        ..told
    }
}

struct Fields<'a> {
    headers: &'a Headers,
    now: SystemTime,
}

impl Fields<'_> {
    /// `RateLimit` of draft 7 or later.
    fn structured(&self) -> Option<Told> {
        let items: Vec<Vec<(String, String)>> = self.headers.get_all("ratelimit").flat_map(items).collect();
        let policy = self.policy();
        let dictionary: Vec<(String, String)> = items.iter().filter_map(|item| item.first().cloned()).collect();
        if find(&dictionary, "remaining").is_some() {
            return Some(Told {
                limit: find(&dictionary, "limit").and_then(number).or(policy.limit),
                left: find(&dictionary, "remaining").and_then(number),
                reset: find(&dictionary, "reset").and_then(|reset| self.reset(reset)),
                window: policy.window,
            });
        }
        let limits = items.iter().filter_map(|item| {
            let left = find(item, "r").and_then(number)?;
            let reset = find(item, "t").and_then(|reset| self.reset(reset));
            Some((left, reset))
        });
        let (left, reset) = limits.min_by_key(|(left, _)| *left)?;
        Some(Told {
            left: Some(left),
            reset: reset.or(policy.window),
            ..policy
        })
    }

    /// `RateLimit-Policy`: the first policy's quota and window.
    fn policy(&self) -> Told {
        let item = self.headers.get_all("ratelimit-policy").flat_map(items).next();
        let item = item.unwrap_or_default();
        // Draft 7 has the quota as the item itself, later ones as a parameter.
        let bare = item.first().filter(|(_, value)| value.is_empty());
        Told {
            limit: find(&item, "q")
                .or(bare.map(|(name, _)| name.as_str()))
                .and_then(number),
            window: find(&item, "w").and_then(number).map(Duration::from_secs),
            ..Told::default()
        }
    }

    /// One field for each number.
    fn plain(&self) -> Told {
        let policy = self.policy();
        Told {
            limit: self.field("limit").and_then(number).or(policy.limit),
            left: self.field("remaining").and_then(number),
            reset: self
                .field("reset-after")
                .and_then(seconds)
                .or_else(|| self.field("reset").and_then(|reset| self.reset(reset))),
            window: policy.window,
        }
    }

    fn field(&self, what: &str) -> Option<&str> {
        ["ratelimit-", "x-ratelimit-", "x-rate-limit-"]
            .iter()
            .find_map(|prefix| self.headers.get(&format!("{prefix}{what}")))
    }

    /// Seconds until the reset, or its time. Numbers so large that they would be years are times.
    fn reset(&self, value: &str) -> Option<Duration> {
        const YEARS: f64 = 1e9;
        const MILLISECONDS: f64 = 1e11;
        let value = value.trim();
        let until = |since_1970: Duration| {
            let at = UNIX_EPOCH.checked_add(since_1970)?;
            Some(at.duration_since(self.now).unwrap_or(Duration::ZERO))
        };
        match value.parse::<f64>() {
            Ok(number) if !number.is_finite() || number < 0.0 => Some(Duration::ZERO).filter(|_| number < 0.0),
            Ok(number) if number >= MILLISECONDS => until(capped(number / 1000.0)),
            Ok(number) if number >= YEARS => until(capped(number)),
            Ok(number) => Some(capped(number)),
            Err(_) => {
                let at = httpdate::parse_http_date(value).ok()?;
                Some(at.duration_since(self.now).unwrap_or(Duration::ZERO))
            }
        }
    }
}

fn capped(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, 1e15))
}

fn seconds(value: &str) -> Option<Duration> {
    let seconds = value.trim().parse::<f64>().ok().filter(|seconds| seconds.is_finite())?;
    Some(capped(seconds))
}

/// A whole number; of `100, 100;w=60` the first.
fn number(value: &str) -> Option<u64> {
    let value = value.split([',', ';']).next()?.trim();
    value.parse().ok().or_else(|| {
        // Some write what is left with a fraction.
        let number = value
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite() && *number >= 0.0)?;
        Some(number as u64)
    })
}

fn find<'a>(item: &'a [(String, String)], name: &str) -> Option<&'a str> {
    item.iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

/// The members of a list or dictionary (RFC 9651), each with its parameters as `(name, value)`; the first is the member itself.
/// Quoted names may hold commas and semicolons.
fn items(field: &str) -> Vec<Vec<(String, String)>> {
    split(field, ',')
        .into_iter()
        .map(|member| split(member, ';').into_iter().map(pair).collect())
        .collect()
}

fn pair(part: &str) -> (String, String) {
    let (name, value) = part.split_once('=').unwrap_or((part, ""));
    (
        name.trim().to_ascii_lowercase(),
        value.trim().trim_matches('"').to_owned(),
    )
}

fn split(text: &str, at: char) -> Vec<&str> {
    let mut quoted = false;
    text.split(|c: char| {
        quoted ^= c == '"';
        c == at && !quoted
    })
    .collect()
}
