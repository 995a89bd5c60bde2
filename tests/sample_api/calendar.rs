//! Dates as text, for the years 1970 to 9999: RFC 3339 for records, IMF-fixdate (RFC 9110 5.6.7) for headers.
//! Seconds are counted since 1970-01-01T00:00:00Z, without leap seconds.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Year, month (1 to 12) and day (1 to 31) of a day counted since 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468; // days since 0000-03-01, so that the leap day is the last of its year
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The inverse of [`civil`]; `None` before 1970.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let shifted_year = if month <= 2 { year.checked_sub(1)? } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day.checked_sub(1)?;
    let year_of_era = shifted_year % 400;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (shifted_year / 400 * 146_097 + day_of_era).checked_sub(719_468)
}

/// Appends `2025-01-01T00:00:00Z`.
pub(crate) fn push_rfc3339(out: &mut Vec<u8>, seconds: u64) {
    let (year, month, day) = civil(seconds / DAY);
    let time = seconds % DAY;
    let mut text = *b"0000-00-00T00:00:00Z";
    text[0..2].copy_from_slice(&two_digits(year / 100));
    text[2..4].copy_from_slice(&two_digits(year % 100));
    text[5..7].copy_from_slice(&two_digits(month));
    text[8..10].copy_from_slice(&two_digits(day));
    text[11..13].copy_from_slice(&two_digits(time / 3_600));
    text[14..16].copy_from_slice(&two_digits(time / 60 % 60));
    text[17..19].copy_from_slice(&two_digits(time % 60));
    out.extend_from_slice(&text);
}

fn two_digits(value: u64) -> [u8; 2] {
    [b'0' + (value / 10 % 10) as u8, b'0' + (value % 10) as u8]
}

/// `Wed, 01 Jan 2025 00:00:00 GMT`.
pub(crate) fn http_date(seconds: u64) -> String {
    let days = seconds / DAY;
    let (year, month, day) = civil(days);
    let (weekday, name) = (WEEKDAYS[(days % 7) as usize], MONTHS[(month - 1) as usize]);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{weekday}, {day:02} {name} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// The present second; 0 when the clock is before 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Reads an instant as a client may send it: RFC 3339 (a fraction is cut off, no zone means UTC), or digits since
/// 1970, which are seconds, milliseconds from 12 digits on, microseconds from 15 on.
pub(crate) fn parse_instant(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: u64 = text.parse().ok()?;
        return Some(match text.len() {
            0..=11 => number,
            12..=14 => number / 1_000,
            _ => number / 1_000_000,
        });
    }
    let field = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let days = days_since_1970(field(0, 4)?, field(5, 7)?, field(8, 10)?)?;
    let local = days * DAY + field(11, 13)? * 3_600 + field(14, 16)? * 60 + field(17, 19)?;
    let zone = text
        .get(19..)?
        .trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    local.checked_add_signed(-offset_seconds(zone)?)
}

/// `Z`, nothing, or `+hh:mm`; a blank stands for the plus sign that a client forgot to encode.
fn offset_seconds(zone: &str) -> Option<i64> {
    if matches!(zone, "" | "Z" | "z") {
        return Some(0);
    }
    let sign = match zone.get(0..1)? {
        "+" | " " => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes): (i64, i64) = (zone.get(1..3)?.parse().ok()?, zone.get(4..6)?.parse().ok()?);
    Some(sign * (hours * 3_600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rfc3339(seconds: u64) -> String {
        let mut out = Vec::new();
        push_rfc3339(&mut out, seconds);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_are_written_as_the_standards_say() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn every_day_of_four_centuries_is_read_back() {
        for day in 0..146_097 {
            assert_eq!(parse_instant(&rfc3339(day * DAY + 3_723)), Some(day * DAY + 3_723));
        }
    }

    #[test]
    fn instants_are_read_with_offsets_fractions_and_as_numbers() {
        assert_eq!(parse_instant("1970-01-02T01:00:00.25+01:00"), Some(DAY));
        assert_eq!(parse_instant("1735689600"), Some(1_735_689_600));
        assert_eq!(parse_instant("1735689600000"), Some(1_735_689_600));
        assert_eq!(parse_instant("1735689600000000"), Some(1_735_689_600));
        assert_eq!(parse_instant("yesterday"), None);
    }
}
