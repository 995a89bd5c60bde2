//! Five-field cron expressions, in a time zone.
//!
//! The expression is read and matched by `croner`, on wall-clock time without a zone; what the clock of the zone does is
//! decided here: a time that the clock skips is taken at the moment of the change, a time that it shows twice is taken the
//! first time. So each time of the expression comes at most once, whatever the zone does, also where several are skipped
//! together.

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use croner::time::{CivilDate, CivilDateTime, CivilTime, CronDateTime, Resolution, Weekday};

use crate::data::time::{civil, day_of};

/// How far the wall clock of a zone is ahead of UTC at a moment (seconds since 2000-01-01 UTC), in seconds.
pub type Offsets<'a> = &'a dyn Fn(i64) -> i64;

const DAY: i64 = 86_400;
/// How many times the clock may show twice in a row before the next new one: more than two days of minutes.
const MOST_REPEATED: usize = 3000;
/// How far the longest pause between two times is looked for.
const MOST_TIMES: usize = 5000;
const LOOKED_AT: i64 = 400 * DAY;

const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, or L for the last"),
    ("month", "1 to 12, or jan to dec"),
    ("day of the week", "0 to 7, or sun to sat"),
];

/// A cron expression that has a next time.
#[derive(Clone)]
pub struct Cron {
    text: String,
    times: croner::Cron,
}

/// What was wrong with a cron expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CronFault {
    Fields {
        found: usize,
    },
    /// The field is none of its own: which, what it may hold, and what stands there.
    Field {
        name: &'static str,
        range: &'static str,
        text: String,
    },
    Nickname {
        text: String,
    },
    /// As the 30th of February.
    Never,
}

impl CronFault {
    /// A whole sentence for an error's detail.
    pub fn sentence(&self) -> String {
        match self {
            CronFault::Fields { found } => format!(
                "A cron expression has 5 fields (minute, hour, day of the month, month, day of the week), and this has {found}."
            ),
            CronFault::Field { name, range, text } => {
                format!("The {name} is {range}, with lists, ranges and steps; \"{text}\" is not.")
            }
            CronFault::Nickname { text } => format!("\"{text}\" is no nickname of cron."),
            CronFault::Never => "No day of the calendar meets it.".to_owned(),
        }
    }
}

const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Whether a text was meant as a cron expression, right or wrong; no interval looks like one.
pub fn is_cron(text: &str) -> bool {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let nickname = text
        .strip_prefix('@')
        .is_some_and(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()));
    let field = |text: &&str| text.chars().all(|c| c.is_ascii_alphanumeric() || "*/,-#?".contains(c));
    let numbers = || fields.len() == 5 && fields[..2].iter().all(|f| f.starts_with(|c: char| c.is_ascii_digit()));
    nickname || ((2..=7).contains(&fields.len()) && fields.iter().all(field) && (text.contains('*') || numbers()))
}

impl Cron {
    pub fn parse(text: &str) -> Result<Cron, CronFault> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let expression = match text.starts_with('@') {
            true => nickname(&text)?,
            false => &text,
        };
        let fields: Vec<&str> = expression.split(' ').collect();
        if fields.len() != FIELDS.len() {
            return Err(CronFault::Fields { found: fields.len() });
        }
        if let Some(place) = (0..FIELDS.len()).find(|place| !is_accepted(&fields, *place)) {
            return Err(wrong_field(&fields, place));
        }
        let times = read(expression).map_err(|_| wrong_field(&fields, 0))?;
        // A time without a zone: whether there is one at all does not depend on it.
        let cron = Cron { text, times };
        match cron.after_wall(Wall(0)) {
            Some(_) => Ok(cron),
            None => Err(CronFault::Never),
        }
    }

    /// The first time after a moment, both in seconds since 2000-01-01 UTC; None where there is none in our era.
    pub fn after(&self, moment: i64, zone: Offsets) -> Option<i64> {
        let mut wall = Wall(moment.checked_add(zone(moment))?);
        for _ in 0..MOST_REPEATED {
            wall = self.after_wall(wall)?;
            let at = instant(wall, zone);
            if at > moment {
                return Some(at);
            }
        }
        None
    }

    /// The longest pause between two times, as far as a year from `moment` on shows it.
    pub fn longest_pause(&self, moment: i64, zone: Offsets) -> Duration {
        let mut longest = 0;
        let mut last = moment;
        for count in 0..MOST_TIMES {
            let Some(at) = self.after(last, zone) else { break };
            if count > 0 {
                longest = longest.max(at - last);
            }
            last = at;
            if at - moment > LOOKED_AT && count > 1 {
                break;
            }
        }
        Duration::from_secs(u64::try_from(longest).unwrap_or(0).max(60))
    }

    fn after_wall(&self, wall: Wall) -> Option<Wall> {
        self.times.find_next_occurrence(&wall, false).ok()
    }
}

fn nickname(text: &str) -> Result<&'static str, CronFault> {
    let known = NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    known
        .map(|(_, expression)| *expression)
        .ok_or_else(|| CronFault::Nickname { text: text.to_owned() })
}

fn read(expression: &str) -> Result<croner::Cron, CronError> {
    CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build()
        .parse(expression)
}

/// Whether a field is accepted alone. The crate reads an empty member of a list as nothing.
fn is_accepted(fields: &[&str], place: usize) -> bool {
    let alone = (0..FIELDS.len()).map(|at| if at == place { fields[at] } else { "*" });
    !fields[place].split(',').any(str::is_empty) && read(&alone.collect::<Vec<_>>().join(" ")).is_ok()
}

fn wrong_field(fields: &[&str], place: usize) -> CronFault {
    let (name, range) = FIELDS[place];
    CronFault::Field {
        name,
        range,
        text: fields[place].to_owned(),
    }
}

/// The moment at which a zone's clock shows a time: the first of two; where it skips the time, that of the change.
fn instant(wall: Wall, zone: Offsets) -> i64 {
    let (before, after) = (wall.0 - DAY, wall.0 + DAY);
    let (earlier, later) = (zone(before), zone(after));
    // With the offset from before a change comes the first of two moments; which is right if it holds there.
    for offset in [earlier, later] {
        let moment = wall.0 - offset;
        if zone(moment) == offset {
            return moment;
        }
    }
    let (mut low, mut high) = (before, after);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match zone(middle) == earlier {
            true => low = middle,
            false => high = middle,
        }
    }
    high
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cron({})", self.text)
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Cron) -> bool {
        self.text == other.text
    }
}

impl Eq for Cron {}

/// A time on the wall, in seconds since 2000-01-01 00:00 there.
#[derive(Debug, Clone, Copy)]
struct Wall(i64);

impl CronDateTime for Wall {
    fn to_civil(&self) -> CivilDateTime {
        let (day, second) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        let known = civil(day).and_then(|(year, month, day)| {
            let (year, month, day) = (
                i32::try_from(year).ok()?,
                u32::try_from(month).ok()?,
                u32::try_from(day).ok()?,
            );
            CivilDate::from_ymd_opt(year, month, day)
        });
        let second = u32::try_from(second).unwrap_or(0);
        let time = CivilTime::from_hms_opt(second / 3600, second / 60 % 60, second % 60);
        let midnight = || CivilTime::from_hms_opt(0, 0, 0).expect("midnight is a time");
        let first = || CivilDate::from_ymd_opt(2000, 1, 1).expect("the epoch is a date");
        CivilDateTime::new(known.unwrap_or_else(first), time.unwrap_or_else(midnight))
    }

    fn civil_weekday(&self) -> Weekday {
        // 2000-01-01 was a Saturday.
        Weekday::Saturday.shift(i32::try_from(self.0.div_euclid(DAY).rem_euclid(7)).unwrap_or(0))
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Wall>, CronError> {
        let days = day_of(civil.year().into(), civil.month().into(), civil.day().into());
        let of_day = i64::from(civil.hour() * 3600 + civil.minute() * 60 + civil.second());
        Ok(Resolution::Single(Wall(days * DAY + of_day)))
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Wall> {
        self.0.checked_add(seconds).map(Wall)
    }

    fn cmp_instant(&self, other: &Wall) -> Ordering {
        self.0.cmp(&other.0)
    }
}

#[cfg(test)]
#[path = "cron_tests.rs"]
mod tests;
