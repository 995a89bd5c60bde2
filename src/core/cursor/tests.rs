use proptest::prelude::*;

use super::*;

fn cursor(format: CursorFormat, lookback: u64) -> Cursor {
    Cursor {
        query: SingularQuery::member("at"),
        param: "since".into(),
        template: None,
        format,
        lookback: Duration::from_secs(lookback),
    }
}

#[test]
fn a_bound_without_lookback_is_the_remotes_own_text() {
    let texts = [
        (CursorFormat::Iso8601, "2024-01-01T00:00:37.123456789+05:30"),
        (CursorFormat::Iso8601, "2024-01-01 00:00"),
        (CursorFormat::HttpDate, "Sunday, 06-Nov-94 08:49:37 GMT"),
        (CursorFormat::EpochS, "1704067237.250"),
        (CursorFormat::EpochS, "0"),
        (CursorFormat::EpochUs, "1704067237250001"),
        (CursorFormat::Text, ""),
        (CursorFormat::Text, "00042"),
    ];
    for (format, text) in texts {
        assert_eq!(cursor(format, 0).bound(text).as_deref(), Some(text), "{format:?}");
    }
}

#[test]
fn a_lookback_keeps_the_form_of_the_text() {
    let cases = [
        (
            CursorFormat::Iso8601,
            "2024-01-01T00:00:37.5Z",
            60,
            "2023-12-31T23:59:37.5Z",
        ),
        (
            CursorFormat::Iso8601,
            "2024-03-01T00:00:00+02:00",
            3600,
            "2024-02-29T23:00:00+02:00",
        ),
        (CursorFormat::Iso8601, "2024-01-01 00:00:37", 38, "2023-12-31 23:59:59"),
        (CursorFormat::Iso8601, "2024-01-01t12:00z", 30, "2024-01-01t11:59z"),
        (CursorFormat::Iso8601, "2024-01-01", 1, "2023-12-31"),
        (
            CursorFormat::HttpDate,
            "Sun Nov  6 08:49:37 1994",
            37,
            "Sun, 06 Nov 1994 08:49:00 GMT",
        ),
        (CursorFormat::EpochS, "1704067237.9", 7, "1704067230"),
        (CursorFormat::EpochMs, "1704067237250", 7, "1704067230250"),
        (CursorFormat::EpochUs, "1704067237250001", 7, "1704067230250001"),
    ];
    for (format, text, lookback, expected) in cases {
        assert_eq!(
            cursor(format, lookback).bound(text).as_deref(),
            Some(expected),
            "{text}"
        );
    }
}

#[test]
fn a_template_surrounds_the_bound() {
    let with = Cursor {
        template: Some("changed ge '{cursor}' or created ge '{cursor}'".into()),
        ..cursor(CursorFormat::Iso8601, 0)
    };
    assert_eq!(
        with.bound("2024-01-01").as_deref(),
        Some("changed ge '2024-01-01' or created ge '2024-01-01'")
    );
}

/// A watermark that cannot be read, because the format was another one then, asks for everything.
#[test]
fn in_a_body_counted_time_is_a_number_with_its_digits() {
    let sent = |cursor: Cursor, bound: &str| cursor.in_body(bound).to_string();
    assert_eq!(
        sent(cursor(CursorFormat::EpochS, 0), "1704067237.250"),
        "1704067237.250"
    );
    assert_eq!(
        sent(cursor(CursorFormat::EpochUs, 0), "1704067237000001"),
        "1704067237000001"
    );
    assert_eq!(sent(cursor(CursorFormat::Text, 0), "17"), "\"17\"");
    assert_eq!(sent(cursor(CursorFormat::Iso8601, 0), "2024-01-01"), "\"2024-01-01\"");
    let template = Some("{cursor}".to_owned());
    let expression = Cursor {
        template,
        ..cursor(CursorFormat::EpochS, 0)
    };
    assert_eq!(sent(expression, "17"), "\"17\"");
}

#[test]
fn what_is_not_of_the_format_is_no_bound() {
    for (format, text) in [
        (CursorFormat::Iso8601, "yesterday"),
        (CursorFormat::HttpDate, "2024-01-01"),
        (CursorFormat::EpochS, "1e99"),
        (CursorFormat::EpochMs, ""),
    ] {
        assert_eq!(cursor(format, 0).bound(text), None, "{text}");
    }
    assert_eq!(cursor(CursorFormat::Iso8601, 86_400).bound("0001-01-01"), None);
}

/// RELIABILITY F-R13, F-N9: three forms of HTTP dates; zones; seconds, milliseconds, microseconds.
#[test]
fn all_forms_of_a_moment_are_one_place() {
    let at = |format: CursorFormat, text: &str| format!("{:?}", format.place(text));
    let place = at(CursorFormat::Iso8601, "1994-11-06T08:49:37Z");
    for (format, text) in [
        (CursorFormat::Iso8601, "1994-11-06 10:49:37+02"),
        (CursorFormat::Iso8601, "1994-11-06T08:49:37.000"),
        (CursorFormat::HttpDate, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (CursorFormat::HttpDate, "Sunday, 06-Nov-94 08:49:37 GMT"),
        (CursorFormat::HttpDate, "Sun Nov  6 08:49:37 1994"),
        (CursorFormat::EpochS, "784111777"),
        (CursorFormat::EpochS, "7.84111777e8"),
        (CursorFormat::EpochMs, "784111777000"),
        (CursorFormat::EpochUs, "784111777000000.0"),
    ] {
        assert_eq!(at(format, text), place, "{text}");
    }
}

#[test]
fn whole_numbers_of_format_text_grow_as_numbers() {
    let order = ["", "00042", "9", "10", "100000000000000000000000", "a", "b"];
    let mut places: Vec<_> = order.iter().filter_map(|text| CursorFormat::Text.place(text)).collect();
    places.sort();
    assert_eq!(format!("{:?}", places[0]), "Number(1, \"9\")");
    assert!(CursorFormat::Text.place("10") > CursorFormat::Text.place("9"));
    assert_eq!(
        CursorFormat::Text.later(Some("9".into()), Some("10".into())).as_deref(),
        Some("10")
    );
}

#[test]
fn an_empty_text_and_a_zero_are_values() {
    let later =
        |format: CursorFormat, one: Option<&str>, other: &str| format.later(one.map(Into::into), Some(other.into()));
    assert_eq!(later(CursorFormat::EpochS, None, "0").as_deref(), Some("0"));
    assert_eq!(later(CursorFormat::Text, None, "").as_deref(), Some(""));
}

fn watch(format: CursorFormat) -> Watch {
    // 2024-01-01.
    Watch::new(&cursor(format, 0), 8766 * 86_400_000_000)
}

fn reach(format: CursorFormat, values: &[Option<&str>]) -> Reach {
    let watch = watch(format);
    let mut watcher = Watcher::new(&watch);
    values.iter().for_each(|value| watcher.see(*value));
    watcher.finish()
}

/// RELIABILITY F-R18: the year 9999 moves nothing.
#[test]
fn what_is_unreadable_or_far_ahead_moves_nothing() {
    let values = [
        Some("\"2023-05-01T00:00:00.000001Z\""),
        Some("\"9999-12-31T23:59:59Z\""),
        Some("\"2024-01-03T00:00:00Z\""),
        Some("null"),
        None,
        Some("\"soon\""),
        Some("{}"),
        Some("\"2023-05-01\""),
    ];
    let found = reach(CursorFormat::Iso8601, &values);
    assert_eq!(found.highest.as_deref(), Some("2023-05-01T00:00:00.000001Z"));
    assert_eq!((found.unreadable, found.ahead), (4, 2));
}

#[test]
fn a_watermark_never_goes_back() {
    let format = CursorFormat::Iso8601;
    let (old, new) = (
        Some("2024-01-01".to_string()),
        Some("2023-12-31T23:59:59.9Z".to_string()),
    );
    assert_eq!(format.later(old.clone(), new), old);
    assert_eq!(format.later(old.clone(), None), old);
    assert_eq!(format.later(old.clone(), Some("2024-01-01T00:00:00Z".into())), old);
}

#[test]
fn a_read_that_moved_proves_nothing() {
    let read = Evidence {
        records: 10,
        declared_first: Some(10),
        declared_last: Some(10),
        ..Evidence::default()
    };
    assert_eq!(moved(&read), None);
    assert_eq!(
        moved(&Evidence {
            declared_first: Some(9),
            ..read
        }),
        None
    );
    let twice = Evidence {
        duplicate_keys: 1,
        ..read
    };
    assert_eq!(moved(&twice), Some(Moved::KeysCameTwice(1)));
    assert_eq!(moved(&Evidence { proof: true, ..twice }), None);
    let fell = Evidence {
        declared_first: Some(11),
        ..read
    };
    assert_eq!(moved(&fell), Some(Moved::TotalFell { first: 11, last: 10 }));
    let cut = Evidence { records: 9, ..read };
    assert_eq!(
        moved(&cut),
        Some(Moved::FewerThanDeclared {
            records: 9,
            declared: 10
        })
    );
}

proptest! {
    /// Every bound lies at or before the watermark, and not further than the lookback and what the form cannot say.
    #[test]
    fn a_bound_lies_a_lookback_before(seconds in 0i64..3_000_000_000, micros in 0i64..1_000_000, lookback in 0u64..10_000_000) {
        let (year, month, day) = time::civil((seconds - 946_684_800).div_euclid(86_400)).expect("a date");
        let rest = seconds.rem_euclid(86_400);
        let iso = format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{micros:06}-03:00", rest / 3600, rest / 60 % 60, rest % 60);
        let at = |text: &str| match CursorFormat::Iso8601.place(text) { Some(Place::Time(at)) => at, other => panic!("{other:?}") };
        let bound = cursor(CursorFormat::Iso8601, lookback).bound(&iso).expect("after the year 1");
        prop_assert_eq!(at(&iso) - at(&bound), i128::from(lookback) * 1_000_000);
        prop_assert_eq!(at(&iso), (i128::from(seconds) + 10_800 - 946_684_800) * 1_000_000 + i128::from(micros));
    }

    /// The highest value does not depend on how the records lie on pages.
    #[test]
    fn pages_together_reach_as_far_as_their_records(values in prop::collection::vec(0u32..50, 0..40), cut in 0usize..40) {
        let raw: Vec<String> = values.iter().map(ToString::to_string).collect();
        let all: Vec<Option<&str>> = raw.iter().map(|v| Some(v.as_str())).collect();
        let (one, other) = all.split_at(cut.min(all.len()));
        let mut joined = reach(CursorFormat::EpochS, one);
        joined.add(&reach(CursorFormat::EpochS, other), CursorFormat::EpochS);
        prop_assert_eq!(joined.highest, values.iter().max().map(ToString::to_string));
    }
}
