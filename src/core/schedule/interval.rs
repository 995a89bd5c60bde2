//! Lengths of time as PostgreSQL writes intervals.
//!
//! Read are the verbose and the `HH:MM:SS` forms of PostgreSQL's input, in any mixture: `10 s`, `2 minutes`,
//! `1 hour 30 minutes`, `1.5 hours`, `5min`, `@ 1 day`, `1 day 02:30:00`, `00:05:00`, with the units and abbreviations
//! of weeks to microseconds. Refused are bare numbers (their unit would be a guess), months and longer (they have no
//! fixed length), negative lengths and the ISO 8601 form.

use std::time::Duration;

/// What was wrong with an interval, as the end of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntervalFault {
    Empty,
    /// A number without a unit.
    NoUnit,
    /// A unit that PostgreSQL does not know either.
    Unreadable,
    /// Months, years and longer.
    NoFixedLength,
    Negative,
    TooLong,
}

impl IntervalFault {
    /// A whole sentence for an error's detail.
    pub fn sentence(self) -> &'static str {
        match self {
            IntervalFault::Empty => "It is empty.",
            IntervalFault::NoUnit => "A number alone does not say its unit.",
            IntervalFault::Unreadable => "It is not an interval in PostgreSQL's form.",
            IntervalFault::NoFixedLength => "Months and years have no fixed length.",
            IntervalFault::Negative => "It is negative.",
            IntervalFault::TooLong => "It is longer than 100 years.",
        }
    }
}

const MICROS_PER_SECOND: u64 = 1_000_000;
const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);

/// Reads an interval; exact to the microsecond.
pub fn parse_interval(text: &str) -> Result<Duration, IntervalFault> {
    let text = text.trim();
    let text = text.strip_prefix('@').unwrap_or(text).trim();
    if text.is_empty() {
        return Err(IntervalFault::Empty);
    }
    if text.starts_with('-') || text.to_ascii_lowercase().ends_with("ago") {
        return Err(IntervalFault::Negative);
    }
    let mut words = words(text)?.into_iter().peekable();
    let mut micros: u64 = 0;
    while let Some(word) = words.next() {
        let part = match word {
            Word::Clock(text) => clock(text)?,
            Word::Number(number) => match words.next() {
                Some(Word::Unit(unit)) => amount(number, unit_micros(unit)?)?,
                Some(_) => return Err(IntervalFault::Unreadable),
                None => return Err(IntervalFault::NoUnit),
            },
            Word::Unit(_) => return Err(IntervalFault::Unreadable),
        };
        micros = micros.checked_add(part).ok_or(IntervalFault::TooLong)?;
    }
    let length = Duration::from_micros(micros);
    if length > LONGEST {
        Err(IntervalFault::TooLong)
    } else {
        Ok(length)
    }
}

/// Writes an interval so that [`parse_interval`] reads it back: `1 hour 30 minutes`, `250 milliseconds`.
pub fn format_interval(length: Duration) -> String {
    const UNITS: [(&str, u128); 6] = [
        ("day", 86_400_000_000),
        ("hour", 3_600_000_000),
        ("minute", 60_000_000),
        ("second", 1_000_000),
        ("millisecond", 1_000),
        ("microsecond", 1),
    ];
    let mut left = length.as_micros();
    let mut parts = Vec::new();
    for (unit, micros) in UNITS {
        let count = left / micros;
        left %= micros;
        match count {
            0 => {}
            1 => parts.push(format!("1 {unit}")),
            _ => parts.push(format!("{count} {unit}s")),
        }
    }
    if parts.is_empty() {
        "0 seconds".to_owned()
    } else {
        parts.join(" ")
    }
}

enum Word<'a> {
    Number(&'a str),
    Unit(&'a str),
    /// `HH:MM`, `HH:MM:SS` or `HH:MM:SS.ffffff`.
    Clock(&'a str),
}

fn words(text: &str) -> Result<Vec<Word<'_>>, IntervalFault> {
    let mut words = Vec::new();
    for chunk in text.split_whitespace() {
        if chunk.contains(':') {
            words.push(Word::Clock(chunk));
            continue;
        }
        let mut rest = chunk;
        while !rest.is_empty() {
            let numeric = |c: char| c.is_ascii_digit() || c == '.';
            let of_number = rest.starts_with(numeric);
            let end = rest.find(|c: char| numeric(c) != of_number).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            match of_number {
                true => words.push(Word::Number(word)),
                false if word.chars().all(|c| c.is_ascii_alphabetic()) => words.push(Word::Unit(word)),
                false if word.starts_with('-') => return Err(IntervalFault::Negative),
                false => return Err(IntervalFault::Unreadable),
            }
            rest = after;
        }
    }
    Ok(words)
}

/// The microseconds of one unit.
fn unit_micros(unit: &str) -> Result<u64, IntervalFault> {
    let seconds = match unit.to_ascii_lowercase().as_str() {
        "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecond" | "microseconds" => return Ok(1),
        "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecond" | "milliseconds" => return Ok(1_000),
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600,
        "d" | "day" | "days" => 86_400,
        "w" | "week" | "weeks" => 604_800,
        "mon" | "mons" | "month" | "months" | "y" | "yr" | "yrs" | "year" | "years" | "decade" | "decades"
        | "century" | "centuries" => return Err(IntervalFault::NoFixedLength),
        _ => return Err(IntervalFault::Unreadable),
    };
    Ok(seconds * MICROS_PER_SECOND)
}

/// `number` units, a fraction of at most six digits included; digits beyond the microsecond are dropped.
fn amount(number: &str, unit: u64) -> Result<u64, IntervalFault> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(IntervalFault::Unreadable);
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().map_err(|_| IntervalFault::TooLong)?
    };
    let whole = whole.checked_mul(unit).ok_or(IntervalFault::TooLong)?;
    let digits: String = fraction.chars().take(6).collect();
    if digits.is_empty() {
        return Ok(whole);
    }
    let numerator: u64 = digits.parse().map_err(|_| IntervalFault::Unreadable)?;
    let part = u128::from(numerator) * u128::from(unit) / 10u128.pow(digits.len() as u32);
    whole.checked_add(part as u64).ok_or(IntervalFault::TooLong)
}

fn clock(text: &str) -> Result<u64, IntervalFault> {
    let mut parts = text.split(':');
    let hours = parts.next().unwrap_or_default();
    let minutes = parts.next().unwrap_or_default();
    let seconds = parts.next().unwrap_or("0");
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (whole_seconds, _) = seconds.split_once('.').unwrap_or((seconds, ""));
    let two_digit = |text: &str| digits(text) && text.len() <= 2 && text.parse::<u8>().is_ok_and(|n| n < 60);
    let seconds_fit = seconds.bytes().all(|b| b.is_ascii_digit() || b == b'.') && two_digit(whole_seconds);
    if parts.next().is_some() || !digits(hours) || !two_digit(minutes) || !seconds_fit {
        return Err(IntervalFault::Unreadable);
    }
    let parts = [
        amount(hours, 3_600 * MICROS_PER_SECOND)?,
        amount(minutes, 60 * MICROS_PER_SECOND)?,
        amount(seconds, MICROS_PER_SECOND)?,
    ];
    parts
        .into_iter()
        .try_fold(0u64, u64::checked_add)
        .ok_or(IntervalFault::TooLong)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_forms_of_postgresql_are_read() {
        for (text, seconds) in [
            ("10 s", 10.0),
            ("2 minutes", 120.0),
            ("1 hour 30 minutes", 5_400.0),
            ("1 HOUR 30 Min", 5_400.0),
            ("00:05:00", 300.0),
            ("00:05", 300.0),
            ("48:00:00", 172_800.0),
            ("1 day 02:30:00.5", 95_400.5),
            ("5min", 300.0),
            ("1h30m", 5_400.0),
            ("1.5 hours", 5_400.0),
            (".5 s", 0.5),
            ("250 ms", 0.25),
            ("@ 1 week", 604_800.0),
            ("1 d 1 us", 86_400.000_001),
            ("0 s", 0.0),
            ("  3   hrs ", 10_800.0),
        ] {
            let read = parse_interval(text);
            assert_eq!(read.map(|length| length.as_secs_f64()), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn what_has_no_certain_length_is_refused() {
        for (text, fault) in [
            ("", IntervalFault::Empty),
            ("@", IntervalFault::Empty),
            ("30", IntervalFault::NoUnit),
            ("1 hour 30", IntervalFault::NoUnit),
            ("1.5", IntervalFault::NoUnit),
            ("1 month", IntervalFault::NoFixedLength),
            ("1 year 2 days", IntervalFault::NoFixedLength),
            ("-5 minutes", IntervalFault::Negative),
            ("1 day -5 minutes", IntervalFault::Negative),
            ("5 minutes ago", IntervalFault::Negative),
            ("soon", IntervalFault::Unreadable),
            ("hour", IntervalFault::Unreadable),
            ("5 lightyears", IntervalFault::Unreadable),
            ("PT5M", IntervalFault::Unreadable),
            ("1:2:3:4", IntervalFault::Unreadable),
            ("00:60:00", IntervalFault::Unreadable),
            ("00:00:61", IntervalFault::Unreadable),
            (":05", IntervalFault::Unreadable),
            ("1..5 s", IntervalFault::Unreadable),
            (". s", IntervalFault::Unreadable),
            ("99999999999999999999 s", IntervalFault::TooLong),
            ("200000 weeks", IntervalFault::TooLong),
        ] {
            assert_eq!(parse_interval(text), Err(fault), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(micros in 0u64..3_000_000_000_000_000) {
            let length = Duration::from_micros(micros);
            prop_assert_eq!(parse_interval(&format_interval(length)), Ok(length));
        }

        #[test]
        fn no_text_panics(text in "[0-9a-z:. @-]{0,30}") {
            let _ = parse_interval(&text);
        }

        #[test]
        fn no_unicode_text_panics(text in any::<String>()) {
            let _ = parse_interval(&text);
        }
    }
}
