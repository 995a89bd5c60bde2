//! Dates and times as PostgreSQL keeps them: days and microseconds since 2000-01-01, in the proleptic Gregorian calendar.
//!
//! Read are RFC 3339 and its usual relatives: a blank for the `T`, small letters, no seconds, offsets as `+hh`, `+hhmm`
//! and `+hh:mm`. Years are 0001 to 9999. As in PostgreSQL second 60 is the next minute, 24:00:00 the next day.

use super::misfit::Misfit;

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// 2000-01-01 counted from 0000-03-01, where [`days`] begins.
const EPOCH_DAYS: i64 = 730_425;

/// PostgreSQL's MAX_TZDISP_HOUR.
const MAX_OFFSET_HOURS: i64 = 15;

/// Microseconds since 2000-01-01 00:00 UTC. Without an offset the time is taken as UTC, without a time as midnight.
pub(crate) fn timestamptz(text: &str) -> Result<i64, Misfit> {
    let (local, offset) = date_time(text)?;
    Ok(local - offset.unwrap_or(0))
}

/// Microseconds since 2000-01-01 00:00, of a time without an offset.
pub(crate) fn timestamp(text: &str) -> Result<i64, Misfit> {
    match date_time(text)? {
        (local, None) => Ok(local),
        (_, Some(_)) => Err(Misfit::HasZone),
    }
}

/// Days since 2000-01-01.
pub(crate) fn date(text: &str) -> Result<i32, Misfit> {
    let mut rest = text.as_bytes();
    let days = take_date(&mut rest)?;
    if !rest.is_empty() {
        return Err(Misfit::TimeSyntax);
    }
    i32::try_from(days).map_err(|_| Misfit::NoSuchTime)
}

/// Whether a text is a date and time with an offset, as RFC 3339 writes it.
pub(crate) fn is_instant(text: &str) -> bool {
    matches!(date_time(text), Ok((_, Some(_))))
}

/// Local microseconds, and the offset from UTC in microseconds where one is given.
fn date_time(text: &str) -> Result<(i64, Option<i64>), Misfit> {
    let mut rest = text.as_bytes();
    let midnight = take_date(&mut rest)? * MICROS_PER_DAY;
    if rest.is_empty() {
        return Ok((midnight, None));
    }
    take_one_of(&mut rest, b"Tt ").ok_or(Misfit::TimeSyntax)?;
    let local = midnight + take_time(&mut rest)?;
    let offset = take_offset(&mut rest)?;
    if rest.is_empty() {
        Ok((local, offset))
    } else {
        Err(Misfit::TimeSyntax)
    }
}

/// `YYYY-MM-DD` to days since 2000-01-01.
fn take_date(rest: &mut &[u8]) -> Result<i64, Misfit> {
    let year = take_number::<4>(rest)?;
    take_one_of(rest, b"-").ok_or(Misfit::TimeSyntax)?;
    let month = take_number::<2>(rest)?;
    take_one_of(rest, b"-").ok_or(Misfit::TimeSyntax)?;
    let day = take_number::<2>(rest)?;
    if year == 0 || !(1..=12).contains(&month) || day == 0 || day > days_in(year, month) {
        return Err(Misfit::NoSuchTime);
    }
    Ok(days(year, month, day) - EPOCH_DAYS)
}

/// `hh:mm[:ss[.fraction]]` to microseconds since midnight.
fn take_time(rest: &mut &[u8]) -> Result<i64, Misfit> {
    let hour = take_number::<2>(rest)?;
    take_one_of(rest, b":").ok_or(Misfit::TimeSyntax)?;
    let minute = take_number::<2>(rest)?;
    let mut second = 0;
    let mut micros = 0;
    if take_one_of(rest, b":").is_some() {
        second = take_number::<2>(rest)?;
        micros = take_fraction(rest)?;
    }
    let time = ((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND + micros;
    if hour > 24 || minute > 59 || second > 60 || time > MICROS_PER_DAY {
        return Err(Misfit::NoSuchTime);
    }
    Ok(time)
}

/// `.d…` to microseconds, 0 to 1,000,000.
fn take_fraction(rest: &mut &[u8]) -> Result<i64, Misfit> {
    if take_one_of(rest, b".").is_none() {
        return Ok(0);
    }
    let end = rest
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(rest.len());
    let (digits, after) = rest.split_at(end);
    *rest = after;
    match digits.len() {
        0 => Err(Misfit::TimeSyntax),
        1..=6 => Ok(digits
            .iter()
            .chain(b"00000")
            .take(6)
            .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'))),
        _ => rounded_micros(digits),
    }
}

/// Rounds in the very way of PostgreSQL (`ParseFractionalSecond`): through a double, halves to even.
fn rounded_micros(digits: &[u8]) -> Result<i64, Misfit> {
    let digits = std::str::from_utf8(digits).map_err(|_| Misfit::TimeSyntax)?;
    let fraction: f64 = format!("0.{digits}").parse().map_err(|_| Misfit::TimeSyntax)?;
    Ok((fraction * MICROS_PER_SECOND as f64).round_ties_even() as i64)
}

/// `Z`, `+hh`, `+hhmm` or `+hh:mm`, perhaps after a blank, to microseconds east of UTC.
fn take_offset(rest: &mut &[u8]) -> Result<Option<i64>, Misfit> {
    if rest.is_empty() {
        return Ok(None);
    }
    take_one_of(rest, b" ");
    let sign = match take_one_of(rest, b"Zz+-").ok_or(Misfit::TimeSyntax)? {
        b'+' => 1,
        b'-' => -1,
        _ => return Ok(Some(0)),
    };
    let hours = take_number::<2>(rest)?;
    let has_colon = take_one_of(rest, b":").is_some();
    let minutes = if has_colon || !rest.is_empty() {
        take_number::<2>(rest)?
    } else {
        0
    };
    if hours > MAX_OFFSET_HOURS || minutes > 59 {
        return Err(Misfit::OffsetRange);
    }
    Ok(Some(sign * (hours * 60 + minutes) * 60 * MICROS_PER_SECOND))
}

fn take_one_of(rest: &mut &[u8], choices: &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first()?;
    choices.contains(first).then(|| {
        *rest = after;
        *first
    })
}

/// Exactly `N` digits.
fn take_number<const N: usize>(rest: &mut &[u8]) -> Result<i64, Misfit> {
    let (digits, after) = rest.split_first_chunk::<N>().ok_or(Misfit::TimeSyntax)?;
    *rest = after;
    digits.iter().try_fold(0, |sum, digit| match digit {
        b'0'..=b'9' => Ok(sum * 10 + i64::from(digit - b'0')),
        _ => Err(Misfit::TimeSyntax),
    })
}

/// The form of RFC 3339 in UTC, without zeros at the end of a fraction; None outside of the years 1 to 9999.
pub(crate) fn utc_text(micros: i64) -> Option<String> {
    let (day, time) = (micros.div_euclid(MICROS_PER_DAY), micros.rem_euclid(MICROS_PER_DAY));
    let (year, month, day) = civil(day)?;
    let (seconds, fraction) = (time / MICROS_PER_SECOND, time % MICROS_PER_SECOND);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = match fraction {
        0 => String::new(),
        _ => format!(".{fraction:06}").trim_end_matches('0').to_owned(),
    };
    Some(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"
    ))
}

/// Days since 0000-03-01: a year that begins in March has its leap day at the end.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let months_since_march = (month + 9) % 12;
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (153 * months_since_march + 2) / 5 + day - 1
}

/// The day of a date, counted from 2000-01-01.
pub(crate) fn day_of(year: i64, month: i64, day: i64) -> i64 {
    days(year, month, day) - EPOCH_DAYS
}

/// Year, month and day of a day since 2000-01-01, as [`days`] counts them; None outside of the years 1 to 9999.
pub(crate) fn civil(day: i64) -> Option<(i64, i64, i64)> {
    let day = day + EPOCH_DAYS;
    let mut year = day.div_euclid(146_097) * 400 + day.rem_euclid(146_097) * 400 / 146_097;
    if days(year, 3, 1) > day {
        year -= 1;
    } else if days(year + 1, 3, 1) <= day {
        year += 1;
    }
    let month = (3..=14).rev().find(|&month| days_to(year, month) <= day)?;
    let (civil_year, civil_month) = if month > 12 {
        (year + 1, month - 12)
    } else {
        (year, month)
    };
    (1..=9999)
        .contains(&civil_year)
        .then(|| (civil_year, civil_month, day - days_to(year, month) + 1))
}

/// The first day of a month of a year that begins in March; 13 and 14 are the next January and February.
fn days_to(year: i64, month: i64) -> i64 {
    match month {
        13 | 14 => days(year + 1, month - 12, 1),
        _ => days(year, month, 1),
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
