//! The cursor: how far into the data a job has read, as the remote itself writes it.
//!
//! ```text
//! record ─ value at the path ─► place (comparable) ─► the highest of a page ─► of the read ─► the watermark, if the read proves it
//!                                  │
//!                                  └─ none, or later than now and a day: the record counts, its value does not
//! ```
//!
//! The text is kept as it came, with all its digits: what is asked for next is what the remote said. Several texts may
//! stand for one place (`…:00Z`, `…:00.000Z`); any of them is a bound that leaves nothing out, because bounds include.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;

use crate::counted::{agreed, counted};
use crate::data::path::SingularQuery;
use crate::data::{Decimal, content_of, time};

/// How far ahead of our clock a value may be: clocks differ, and times without a zone are somebody's local ones.
pub const SKEW: Duration = Duration::from_secs(86_400);

/// Microseconds from 1970 to 2000.
const EPOCH_MICROS: i128 = 946_684_800_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// How the remote writes the values of the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CursorFormat {
    /// A date, or a date and time, with or without a zone (then taken as UTC).
    Iso8601,
    /// The three forms of RFC 9110, section 5.6.7.
    HttpDate,
    EpochS,
    EpochMs,
    EpochUs,
    /// Anything else that grows. Whole numbers are compared as numbers, all else byte by byte.
    Text,
}

/// Where a value stands among others of its format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place<'a> {
    /// Microseconds since 2000, as PostgreSQL counts them.
    Time(i128),
    /// A whole number: how many digits, and which.
    Number(usize, &'a str),
    Text(&'a str),
}

impl CursorFormat {
    /// None: the text is nothing of this format.
    pub fn place(self, text: &str) -> Option<Place<'_>> {
        let micros = match self {
            CursorFormat::Iso8601 => i128::from(time::timestamptz(text).ok()?),
            CursorFormat::HttpDate => http_date_micros(text)? - EPOCH_MICROS,
            CursorFormat::EpochS => Decimal::parse(text).ok()?.scaled(6)? - EPOCH_MICROS,
            CursorFormat::EpochMs => Decimal::parse(text).ok()?.scaled(3)? - EPOCH_MICROS,
            CursorFormat::EpochUs => Decimal::parse(text).ok()?.scaled(0)? - EPOCH_MICROS,
            CursorFormat::Text if is_whole(text) => return Some(Place::Number(text.len(), text)),
            CursorFormat::Text => return Some(Place::Text(text)),
        };
        Some(Place::Time(micros))
    }

    /// Of two values the later one; the first where they are equal. What cannot be read is never later.
    pub fn later(self, one: Option<String>, other: Option<String>) -> Option<String> {
        let at = |value: &Option<String>| value.as_deref().and_then(|text| self.place(text).map(owned));
        if at(&other) > at(&one) { other } else { one }
    }

    /// The text of a time that lies so much before, in the form that the given one has.
    fn before(self, text: &str, by: Duration) -> Option<String> {
        let seconds = i64::try_from(by.as_secs()).ok()?;
        match self {
            CursorFormat::Iso8601 => iso_before(text, seconds),
            CursorFormat::HttpDate => {
                let time = httpdate::parse_http_date(text).ok()?.checked_sub(by)?;
                (time >= std::time::UNIX_EPOCH).then(|| httpdate::fmt_http_date(time))
            }
            CursorFormat::EpochS => number_before(text, seconds.into()),
            CursorFormat::EpochMs => number_before(text, i128::from(seconds) * 1_000),
            CursorFormat::EpochUs => number_before(text, i128::from(seconds) * 1_000_000),
            CursorFormat::Text => None,
        }
    }
}

/// A place that outlives its text, in the same order.
fn owned(place: Place<'_>) -> (u8, i128, String) {
    match place {
        Place::Time(micros) => (0, micros, String::new()),
        Place::Number(digits, text) => (1, digits as i128, text.to_owned()),
        Place::Text(text) => (2, 0, text.to_owned()),
    }
}

fn is_whole(text: &str) -> bool {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text.len() == 1 || !text.starts_with('0'))
}

fn http_date_micros(text: &str) -> Option<i128> {
    let since = httpdate::parse_http_date(text)
        .ok()?
        .duration_since(std::time::UNIX_EPOCH);
    i128::try_from(since.ok()?.as_micros()).ok()
}

/// Fraction and zone stay as they are: whole seconds are taken off the local time. Where the text ends before the
/// seconds the result is rounded down, which leaves nothing out.
fn iso_before(text: &str, seconds: i64) -> Option<String> {
    let end = match text.as_bytes() {
        [_, _, _, _, _, _, _, _, _, _] => 10,
        bytes if bytes.get(16) == Some(&b':') => 19,
        _ => 16,
    };
    let (head, tail) = (text.get(..end)?, text.get(end..)?);
    let at = time::timestamp(head).ok()?.div_euclid(1_000_000) - seconds;
    let (year, month, day) = time::civil(at.div_euclid(SECONDS_PER_DAY))?;
    let second = at.rem_euclid(SECONDS_PER_DAY);
    let date = format!("{year:04}-{month:02}-{day:02}");
    let (hour, minute) = (second / 3600, second / 60 % 60);
    let separator = head.get(10..11).unwrap_or_default();
    Some(match end {
        10 => date,
        16 => format!("{date}{separator}{hour:02}:{minute:02}{tail}"),
        _ => format!("{date}{separator}{hour:02}:{minute:02}:{:02}{tail}", second % 60),
    })
}

/// A fraction is dropped, which rounds down.
fn number_before(text: &str, by: i128) -> Option<String> {
    Some((Decimal::parse(text).ok()?.scaled(0)? - by).to_string())
}

/// The setting `cursor`.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    /// Where its value is in a record.
    pub query: SingularQuery,
    /// The parameter that carries the bound.
    pub param: String,
    /// An expression around `{cursor}`.
    pub template: Option<String>,
    pub format: CursorFormat,
    /// How far before the watermark a read begins.
    pub lookback: Duration,
}

/// What stands for the bound in a template.
pub const PLACEHOLDER: &str = "{cursor}";

impl Cursor {
    /// What a request for everything from the watermark on carries. None: there is no such request, and all is read.
    pub fn bound(&self, watermark: &str) -> Option<String> {
        self.format.place(watermark)?;
        let from = match self.lookback.is_zero() {
            true => watermark.to_owned(),
            false => self.format.before(watermark, self.lookback)?,
        };
        Some(match &self.template {
            Some(template) => template.replace(PLACEHOLDER, &from),
            None => from,
        })
    }
}

impl Cursor {
    /// A bound as a body has it: counted time is a number, all else is text.
    pub fn in_body(&self, bound: &str) -> Value {
        let is_counted = matches!(
            self.format,
            CursorFormat::EpochS | CursorFormat::EpochMs | CursorFormat::EpochUs
        );
        let number = serde_json::from_str(bound).ok().filter(Value::is_number);
        number
            .filter(|_| is_counted && self.template.is_none())
            .unwrap_or_else(|| bound.into())
    }
}

/// What watches the cursor's values in the records of a read.
#[derive(Debug, Clone)]
pub struct Watch {
    pub query: SingularQuery,
    pub format: CursorFormat,
    /// Microseconds since 2000 from which on a time is not believed.
    pub ceiling: i128,
}

impl Watch {
    /// `now`: microseconds since 2000.
    pub fn new(cursor: &Cursor, now: i64) -> Watch {
        Watch {
            query: cursor.query.clone(),
            format: cursor.format,
            ceiling: i128::from(now) + SKEW.as_micros() as i128,
        }
    }
}

/// How far the records of a page, or of several, reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// As the remote wrote it.
    pub highest: Option<String>,
    /// Records whose value is missing, or nothing of the format.
    pub unreadable: u64,
    /// Records whose value lies too far ahead to be believed.
    pub ahead: u64,
}

impl Reach {
    pub fn add(&mut self, more: &Reach, format: CursorFormat) {
        self.highest = format.later(self.highest.take(), more.highest.clone());
        self.unreadable += more.unreadable;
        self.ahead += more.ahead;
    }
}

/// Takes the values of one page, without a copy of any but the last.
pub(crate) struct Watcher<'w, 'a> {
    watch: &'w Watch,
    highest: Option<Cow<'a, str>>,
    reach: Reach,
}

impl<'w, 'a> Watcher<'w, 'a> {
    pub(crate) fn new(watch: &'w Watch) -> Self {
        Watcher {
            watch,
            highest: None,
            reach: Reach::default(),
        }
    }

    /// `raw`: the value's JSON; None where the record has none.
    pub(crate) fn see(&mut self, raw: Option<&'a str>) {
        let Some(text) = raw.and_then(content) else {
            self.reach.unreadable += 1;
            return;
        };
        let format = self.watch.format;
        match format.place(&text) {
            None => self.reach.unreadable += 1,
            Some(Place::Time(at)) if at > self.watch.ceiling => self.reach.ahead += 1,
            place if place > self.highest.as_deref().and_then(|text| format.place(text)) => self.highest = Some(text),
            Some(_) => {}
        }
    }

    pub(crate) fn finish(self) -> Reach {
        Reach {
            highest: self.highest.map(Cow::into_owned),
            ..self.reach
        }
    }
}

/// A text's content, or a number as it is written.
fn content(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes().first()? {
        b'"' => content_of(raw).ok(),
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(raw)),
        _ => None,
    }
}

/// What a finished read says of its own completeness, besides its pages.
#[derive(Debug, Clone, Copy, Default)]
pub struct Evidence {
    /// No record can have moved past the read: keyset pagination, or a single page.
    pub proof: bool,
    pub duplicate_keys: u64,
    pub records: u64,
    pub declared_first: Option<u64>,
    pub declared_last: Option<u64>,
}

/// Why a read does not prove that everything up to its highest value was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// A rule took an answer of the read for the end of the collection.
    Ignored,
    KeysCameTwice(u64),
    TotalFell {
        first: u64,
        last: u64,
    },
    FewerThanDeclared {
        records: u64,
        declared: u64,
    },
}

/// Whether records may have moved from pages to come into pages already read. None: the watermark may advance.
pub fn moved(evidence: &Evidence) -> Option<Moved> {
    let distinct = evidence.records.saturating_sub(evidence.duplicate_keys);
    match (evidence.declared_first, evidence.declared_last) {
        _ if evidence.proof => None,
        _ if evidence.duplicate_keys > 0 => Some(Moved::KeysCameTwice(evidence.duplicate_keys)),
        (Some(first), Some(last)) if last < first => Some(Moved::TotalFell { first, last }),
        (_, Some(declared)) if distinct < declared => Some(Moved::FewerThanDeclared {
            records: distinct,
            declared,
        }),
        _ => None,
    }
}

impl std::fmt::Display for Moved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Moved::Ignored => f.write_str("an answer was ignored, as an error rule says"),
            Moved::KeysCameTwice(keys) => write!(f, "{} came twice in the read", counted(*keys, "key")),
            Moved::TotalFell { first, last } => {
                write!(f, "the declared total fell from {first} to {last} during the read")
            }
            Moved::FewerThanDeclared { records, declared } => {
                let (all, were) = (counted(*declared, "record"), agreed(declared, "was", "were"));
                write!(f, "{all} {were} declared and {records} came")
            }
        }
    }
}

#[cfg(test)]
mod tests;
