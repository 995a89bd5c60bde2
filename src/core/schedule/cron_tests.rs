use proptest::prelude::*;

use super::*;

/// Seconds since 2000-01-01 of a moment in UTC.
fn utc(year: i64, month: i64, day: i64, hour: i64, minute: i64) -> i64 {
    day_of(year, month, day) * DAY + hour * 3600 + minute * 60
}

/// Central European time in 2026: summer time from 29 March 01:00 UTC to 25 October 01:00 UTC.
fn berlin(moment: i64) -> i64 {
    let summer = utc(2026, 3, 29, 1, 0)..utc(2026, 10, 25, 1, 0);
    if summer.contains(&moment) { 7200 } else { 3600 }
}

/// An island that left out a whole day, as Samoa did at the end of 2011.
fn samoa(moment: i64) -> i64 {
    if moment < utc(2011, 12, 30, 10, 0) {
        -10 * 3600
    } else {
        14 * 3600
    }
}

fn written(moment: i64) -> String {
    let (year, month, day) = civil(moment.div_euclid(DAY)).expect("a date");
    let second = moment.rem_euclid(DAY);
    format!(
        "{year}-{month:02}-{day:02} {:02}:{:02}",
        second / 3600,
        second / 60 % 60
    )
}

/// The next times in UTC.
fn times(expression: &str, from: i64, zone: Offsets, count: usize) -> Vec<String> {
    let cron = Cron::parse(expression).expect("an expression");
    let mut at = from;
    let next = (0..count).map(|_| {
        at = cron.after(at, zone).expect("a next time");
        written(at)
    });
    next.collect()
}

#[test]
fn five_fields_with_names_lists_ranges_steps_and_the_last_day() {
    let zone = |_| 0;
    let from = utc(2026, 1, 1, 0, 0);
    let table: [(&str, &[&str]); 10] = [
        (
            "*/20 * * * *",
            &["2026-01-01 00:20", "2026-01-01 00:40", "2026-01-01 01:00"],
        ),
        ("5 3 * * *", &["2026-01-01 03:05", "2026-01-02 03:05"]),
        (
            "0 8-10/2,22 * * *",
            &["2026-01-01 08:00", "2026-01-01 10:00", "2026-01-01 22:00"],
        ),
        (
            "0 3 * * mon-fri",
            &["2026-01-01 03:00", "2026-01-02 03:00", "2026-01-05 03:00"],
        ),
        ("0 3 * * 7", &["2026-01-04 03:00", "2026-01-11 03:00"]),
        ("0 0 l * *", &["2026-01-31 00:00", "2026-02-28 00:00"]),
        ("0 0 1 JAN,jul *", &["2026-07-01 00:00", "2027-01-01 00:00"]),
        // As cron has it: a day of the month or a day of the week.
        (
            "0 0 13 * fri",
            &["2026-01-02 00:00", "2026-01-09 00:00", "2026-01-13 00:00"],
        ),
        ("0 9 * * mon#1", &["2026-01-05 09:00", "2026-02-02 09:00"]),
        ("@hourly", &["2026-01-01 01:00", "2026-01-01 02:00"]),
    ];
    for (expression, expected) in table {
        assert_eq!(times(expression, from, &zone, expected.len()), expected, "{expression}");
    }
    assert_eq!(times("0 0 29 2 *", from, &zone, 1), ["2028-02-29 00:00"]);
}

#[test]
fn a_wrong_expression_names_its_field() {
    let field = |text: &str| match Cron::parse(text).unwrap_err() {
        CronFault::Field { name, text, .. } => format!("{name}: {text}"),
        other => other.sentence(),
    };
    for (text, expected) in [
        ("61 * * * *", "minute: 61"),
        ("* 24 * * *", "hour: 24"),
        ("* * 0 * *", "day of the month: 0"),
        ("* * * 13 *", "month: 13"),
        ("* * * foo *", "month: foo"),
        ("* * * * 8", "day of the week: 8"),
        ("* * * * monday", "day of the week: monday"),
        ("*/0 * * * *", "minute: */0"),
        ("5-1 * * * *", "minute: 5-1"),
        ("1,,2 * * * *", "minute: 1,,2"),
        ("0 0 30 2 *", "No day of the calendar meets it."),
        ("@reboot", "\"@reboot\" is no nickname of cron."),
    ] {
        assert_eq!(field(text), expected, "{text}");
    }
    for (text, found) in [("* * * *", 4), ("0 * * * * *", 6)] {
        assert_eq!(Cron::parse(text), Err(CronFault::Fields { found }));
    }
}

#[test]
fn what_was_meant_as_cron_is_known() {
    for text in [
        "*/5 * * * *",
        "0 3 * * mon-fri",
        "61 24 1 1 1",
        "@hourly",
        "@reboot",
        "* * *",
        "0 0 * * * *",
    ] {
        assert!(is_cron(text), "{text}");
    }
    for text in [
        "1 day 2 hours",
        "30 minutes",
        "@ 1 day",
        "every day",
        "manual",
        "1 h 2 m 3 s",
        "",
        "30",
    ] {
        assert!(!is_cron(text), "{text}");
    }
}

/// F-K3: table of what the clocks of zones do.
#[test]
fn a_time_that_the_clock_skips_comes_once_and_one_that_it_shows_twice_comes_once() {
    let spring = utc(2026, 3, 28, 12, 0);
    // 02:00 to 03:00 does not exist on 29 March: the clock jumps at 01:00 UTC.
    assert_eq!(
        times("30 2 * * *", spring, &berlin, 2),
        ["2026-03-29 01:00", "2026-03-30 00:30"]
    );
    // Both are skipped, and what follows the jump is the time of the third: one run.
    assert_eq!(
        times("0,30 2,3 * * *", spring, &berlin, 4),
        [
            "2026-03-29 01:00",
            "2026-03-29 01:30",
            "2026-03-30 00:00",
            "2026-03-30 00:30"
        ]
    );
    assert_eq!(
        times("0 * * * *", utc(2026, 3, 28, 23, 30), &berlin, 3),
        ["2026-03-29 00:00", "2026-03-29 01:00", "2026-03-29 02:00"]
    );
    let autumn = utc(2026, 10, 24, 12, 0);
    // 02:30 comes at 00:30 and 01:30 UTC on 25 October.
    assert_eq!(
        times("30 2 * * *", autumn, &berlin, 2),
        ["2026-10-25 00:30", "2026-10-26 01:30"]
    );
    assert_eq!(
        times("*/30 2-3 * * *", autumn, &berlin, 5),
        [
            "2026-10-25 00:00",
            "2026-10-25 00:30",
            "2026-10-25 02:00",
            "2026-10-25 02:30",
            "2026-10-26 01:00"
        ]
    );
    // Asked from within the second of the two hours.
    assert_eq!(
        times("*/10 * * * *", utc(2026, 10, 25, 1, 15), &berlin, 1),
        ["2026-10-25 02:00"]
    );
    // A day that was left out: its noon comes when the clock jumps.
    assert_eq!(
        times("0 12 * * *", utc(2011, 12, 29, 23, 0), &samoa, 2),
        ["2011-12-30 10:00", "2011-12-30 22:00"]
    );
}

/// F-K3: the rules of a zone change between two looks.
#[test]
fn a_new_time_zone_database_moves_the_next_time_and_repeats_none() {
    let cron = Cron::parse("30 2 * * *").expect("an expression");
    let abolished = |_| 7200;
    let last = cron.after(utc(2026, 10, 24, 12, 0), &berlin).expect("a time");
    assert_eq!(written(last), "2026-10-25 00:30");
    assert_eq!(
        cron.after(last, &abolished).map(written).as_deref(),
        Some("2026-10-26 00:30")
    );
}

#[test]
fn the_longest_pause_is_over_the_weekend() {
    let cron = Cron::parse("*/15 8-17 * * mon-fri").expect("an expression");
    let pause = cron.longest_pause(utc(2026, 1, 1, 0, 0), &|_| 0);
    assert_eq!(pause, Duration::from_secs((2 * 24 + 14) * 3600 + 15 * 60));
    let leap = Cron::parse("0 0 29 2 *").expect("an expression");
    assert!(leap.longest_pause(utc(2026, 1, 1, 0, 0), &|_| 0) > Duration::from_secs(4 * 365 * 86_400));
}

proptest! {
    #[test]
    fn each_time_is_later_than_the_one_before_and_is_on_the_wall(
        minute in 0i64..60, hour in 0i64..24, from in 0i64..(30 * 366 * DAY), zone in 0usize..3
    ) {
        let zones: [Offsets; 3] = [&berlin, &samoa, &|_| -12_600];
        let (zone, cron) = (zones[zone], Cron::parse(&format!("{minute} {hour} * * *")).expect("an expression"));
        let (first, second) = (cron.after(from, zone).expect("a time"), ());
        let () = second;
        let next = cron.after(first, zone).expect("a time");
        prop_assert!(from < first && first < next);
        prop_assert!(first - from <= 2 * DAY + 3600);
        // Where the clock does not change nearby, it shows the time.
        if zone(first - 2 * DAY) == zone(first + 2 * DAY) {
            prop_assert_eq!((first + zone(first)).rem_euclid(DAY), hour * 3600 + minute * 60);
        }
    }

    #[test]
    fn any_text_is_an_expression_or_a_fault(text in "[ -~]{0,20}") {
        let _ = Cron::parse(&text);
    }
}
