//! Dates and times: of columns, of HTTP, and lengths of time.
//!
//! Inputs are one text each; of HTTP two lines, the values of `Retry-After` and of `Date`.

use crate::oracle::{first_line, well_told};
use crate::targets::fields;
use sluice_core::data::ColumnType;
use sluice_core::http::Headers;
use sluice_core::retry::{LONGEST_RETRY_AFTER, retry_after};
use sluice_core::schedule::{format_interval, parse_interval};
use std::time::{Duration, SystemTime};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The three column types agree with each other, and with the calendar where the text is written out in full.
pub fn check_timestamps(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let raw = serde_json::Value::from(text).to_string();
    let [zoned, local, date] = [ColumnType::Timestamptz, ColumnType::Timestamp, ColumnType::Date].map(|ty| {
        let field = fields::field(ty, &raw);
        if let Err(error) = &field {
            well_told(error);
            assert!(fields::is_no_time(error), "{error:?}");
        }
        field.ok().flatten()
    });
    let micros = |bytes: &Vec<u8>| i64::from_be_bytes(bytes.as_slice().try_into().expect("eight bytes"));
    if let Some(local) = &local {
        assert_eq!(zoned.as_ref(), Some(local), "a time without an offset is UTC: {text}");
    }
    if let Some(date) = &date {
        let days = i32::from_be_bytes(date.as_slice().try_into().expect("four bytes"));
        check_days(text, days);
        assert_eq!(
            local.as_ref().map(micros),
            Some(i64::from(days) * MICROS_PER_DAY),
            "{text}"
        );
    }
    match zoned.as_ref().map(micros) {
        Some(micros) => check_micros(text, micros),
        None => assert_eq!(written_out(text), None, "{text}"),
    }
}

/// Microseconds since 2000-01-01 are the text's, and come back when they are written.
pub fn check_micros(text: &str, micros: i64) {
    if let Some(expected) = written_out(text) {
        assert_eq!(micros, expected, "{text}");
    }
    let (day, time) = (micros.div_euclid(MICROS_PER_DAY), micros.rem_euclid(MICROS_PER_DAY));
    let (year, month, day) = civil(day);
    if (1..=9999).contains(&year) {
        let (seconds, fraction) = (time / 1_000_000, time % 1_000_000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let again = format!("\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z\"");
        let field = fields::field(ColumnType::Timestamptz, &again);
        assert_eq!(field, Ok(Some(micros.to_be_bytes().to_vec())), "{text} as {again}");
    }
}

/// Days since 2000-01-01 are the text's.
pub fn check_days(text: &str, days: i32) {
    let (year, month, day) = civil(days.into());
    assert_eq!(format!("{year:04}-{month:02}-{day:02}"), text);
}

/// The microseconds of `YYYY-MM-DDThh:mm:ssZ`, a real day and time; None for any other text.
fn written_out(text: &str) -> Option<i64> {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    if shape != "0000-00-00T00:00:00Z" {
        return None;
    }
    let number = |at: usize, length: usize| text[at..at + length].parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let days = days_from_civil(year, month, day);
    let is_real = year > 0 && civil(days) == (year, month, day) && hour < 24 && minute < 60 && second < 60;
    is_real.then_some(days * MICROS_PER_DAY + ((hour * 60 + minute) * 60 + second) * 1_000_000)
}

/// Days since 2000-01-01 (Hinnant, "chrono-compatible low-level date algorithms"), eras of 400 years.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 730_425
}

/// Undoes [`days_from_civil`].
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 730_425;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// A wait lies within its bounds, seconds are seconds, and a date in any of HTTP's three forms is the same moment.
pub fn check_http_dates(input: &[u8]) {
    let Some((wait, rest)) = first_line(input) else { return };
    let Ok(date) = std::str::from_utf8(rest) else { return };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let headers = |wait: &str| -> Headers { [("Retry-After", wait), ("Date", date)].into_iter().collect() };
    let told = retry_after(&headers(wait), now);
    assert!(told.is_none_or(|told| told <= LONGEST_RETRY_AFTER), "{told:?}");
    if let Ok(seconds) = wait.trim().parse::<u64>()
        && !wait.contains('+')
    {
        assert_eq!(told, Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER)));
    } else if let Ok(until) = httpdate::parse_http_date(wait.trim()) {
        let from = httpdate::parse_http_date(date).unwrap_or(now);
        let length = until.duration_since(from).unwrap_or_default();
        assert_eq!(told, Some(length.min(LONGEST_RETRY_AFTER)));
        assert_eq!(retry_after(&headers(&httpdate::fmt_http_date(until)), now), told);
    }
}

/// What is read can be written and read again, and lengths add up.
pub fn check_intervals(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(length) = parse_interval(text) else { return };
    let written = format_interval(length);
    assert_eq!(parse_interval(&written), Ok(length), "{text} as {written}");
    let second = Duration::from_secs(1);
    if let Ok(longer) = parse_interval(&format!("{text} 1 second")) {
        assert_eq!(longer, length + second, "{text}");
    }
    assert_eq!(parse_interval(&text.to_ascii_uppercase()), Ok(length), "{text}");
}
