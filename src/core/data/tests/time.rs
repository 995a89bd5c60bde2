use crate::data::Misfit;
use crate::data::time::{date, is_instant, timestamp, timestamptz};
use proptest::prelude::*;

/// Year, month and day of a count of days since 2000-01-01, by walking through the years and months.
fn civil(days: i64) -> (i64, i64, i64) {
    let is_leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let mut left = days + 730_119; // since 0001-01-01
    let mut year = 1;
    while left >= 365 + i64::from(is_leap(year)) {
        left -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + i64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, left + 1)
}

fn written(micros: i64) -> String {
    let (days, rest) = (micros.div_euclid(86_400_000_000), micros.rem_euclid(86_400_000_000));
    let (year, month, day) = civil(days);
    let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}")
}

const FIRST: i64 = -730_119 * 86_400_000_000;
const LAST: i64 = 2_921_940 * 86_400_000_000 - 1;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_time_is_what_was_written(micros in FIRST..=LAST) {
        let text = written(micros);
        prop_assert_eq!(timestamp(&text), Ok(micros));
        prop_assert_eq!(timestamptz(&format!("{text}Z")), Ok(micros));
    }

    #[test]
    fn an_offset_is_taken_off(micros in FIRST..=LAST, sign in prop::sample::select(vec!['+', '-']), hours in 0i64..15, minutes in 0i64..60) {
        let offset = (hours * 60 + minutes) * 60_000_000 * if sign == '+' { 1 } else { -1 };
        let text = format!("{}{sign}{hours:02}:{minutes:02}", written(micros));
        prop_assert_eq!(timestamptz(&text), Ok(micros - offset));
        prop_assert_eq!(timestamp(&text), Err(Misfit::HasZone));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[0-9TZtz:.+ -]{0,30}", any in any::<String>()) {
        let _ = (timestamptz(&text), timestamptz(&format!("2026-01-01T{text}")), date(&any));
    }
}

#[test]
fn a_time_without_an_offset_is_utc() {
    assert_eq!(timestamptz("2026-01-31T12:34:56"), timestamptz("2026-01-31T12:34:56Z"));
}

#[test]
fn other_forms_are_not_guessed_at() {
    let odd = [
        "31.01.2026",
        "2026-1-31",
        "20260131",
        "2026-W05-6",
        "2026-031",
        "1769862896",
        "12:34:56",
        "2026-01-31T12",
        "2026-01-31T1:2:3Z",
        "2026-01-31T12:34:56 UTC",
        "2026-01-31T12:34:56+2",
        "2026-01-31T12:34:56Z ",
        " 2026-01-31",
        "2026-01-31T",
        "2026-01-31T12:34:56.Z",
        "2026-01-31T12:34:56,5Z",
        "+12026-01-31",
        "-001-01-31",
        "31 Jan 2026",
        "2026-01-31T12:34:56+02:",
        "infinity",
        "２026-01-31",
    ];
    for text in odd {
        assert_eq!(timestamptz(text), Err(Misfit::TimeSyntax), "{text}");
    }
    assert_eq!(date("2026-01-31T00:00:00Z"), Err(Misfit::TimeSyntax));
}

#[test]
fn only_a_time_with_an_offset_is_an_instant() {
    assert!(is_instant("2026-01-31T12:34:56Z"));
    assert!(!is_instant("2026-01-31T12:34:56"));
    assert!(!is_instant("2026-01-31"));
}
