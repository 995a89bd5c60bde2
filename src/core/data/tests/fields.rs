//! One value into one field, where JSON and the column's type do not say the same.

use crate::data::ColumnType::{self, *};
use crate::data::encode::encode;
use crate::data::{MAX_DEPTH, Misfit};

fn field(ty: ColumnType, raw: &str) -> Result<Vec<u8>, Misfit> {
    let mut out = Vec::new();
    encode(ty, raw, &mut out)?;
    let (length, bytes) = out.split_first_chunk::<4>().unwrap();
    assert_eq!(i32::from_be_bytes(*length) as usize, bytes.len());
    Ok(bytes.to_vec())
}

fn text(raw: &str) -> Result<String, Misfit> {
    field(Text, raw).map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn any_value_goes_into_text() {
    assert_eq!(text(r#""plain""#).unwrap(), "plain");
    assert_eq!(text(r#""""#).unwrap(), "");
    assert_eq!(text(r#"" blanks kept ""#).unwrap(), " blanks kept ");
    assert_eq!(text(r#""a\n\"\\\u00e9\ud83d\ude00""#).unwrap(), "a\n\"\\é😀");
    assert_eq!(text("1.50").unwrap(), "1.50");
    assert_eq!(text("true").unwrap(), "true");
    assert_eq!(text(r#"{"a": [1, "\u0000"]}"#).unwrap(), r#"{"a": [1, "\u0000"]}"#);
}

#[test]
fn another_type_gets_the_text_for_its_input_function() {
    assert_eq!(field(Other, r#""10.0.0.1/8""#).unwrap(), b"10.0.0.1/8");
    assert_eq!(field(Other, "[1,2]").unwrap(), b"[1,2]");
}

#[test]
fn json_keeps_the_text_as_it_was_sent() {
    let raw = r#"{"b": 1.0,  "a": "\u0000\ud800", "b": 2}"#;
    assert_eq!(field(Json, raw).unwrap(), raw.as_bytes());
    assert_eq!(field(Json, r#""a string""#).unwrap(), br#""a string""#);
}

#[test]
fn jsonb_has_its_version_before_the_text() {
    assert_eq!(field(Jsonb, r#"{"a": 1e5}"#).unwrap(), b"\x01{\"a\": 1e5}");
    assert_eq!(field(Jsonb, r#""\\u0000""#).unwrap(), b"\x01\"\\\\u0000\"");
}

#[test]
fn characters_that_postgresql_cannot_store_are_refused() {
    for ty in [Text, Jsonb, Other, Numeric, Timestamptz, Uuid] {
        assert_eq!(field(ty, r#""a\u0000b""#), Err(Misfit::Nul), "{ty:?}");
        for half in [
            r#""\ud83d""#,
            r#""\ude00""#,
            r#""\ud83d\ud83d""#,
            r#""\ud83d\n""#,
            r#""\ud83dx""#,
            r#""\uDE00\uD83D""#,
        ] {
            assert_eq!(field(ty, half), Err(Misfit::LoneSurrogate), "{ty:?} {half}");
        }
    }
    assert_eq!(field(Jsonb, r#"{"\u0000": 1}"#), Err(Misfit::Nul));
    assert_eq!(Misfit::Nul.sqlstate(), "22P05");
    assert_eq!(Misfit::LoneSurrogate.sqlstate(), "22P02");
}

#[test]
fn booleans_are_read_from_words_and_from_zero_and_one() {
    for raw in ["true", r#""true""#, r#""T""#, "1", r#""1""#] {
        assert_eq!(field(Bool, raw).unwrap(), [1], "{raw}");
    }
    for raw in ["false", r#""False""#, r#""f""#, "0"] {
        assert_eq!(field(Bool, raw).unwrap(), [0], "{raw}");
    }
    for raw in ["2", "1.0", r#""yes""#, r#""""#, "[]", r#"{"t":1}"#] {
        assert_eq!(field(Bool, raw), Err(Misfit::Syntax), "{raw}");
    }
}

#[test]
fn whole_numbers_are_read_in_every_spelling() {
    for raw in [
        "1200",
        r#""1200""#,
        r#"" 1200 ""#,
        "1200.0",
        "1.2e3",
        "12e+2",
        "120000e-2",
        r#""+1200""#,
    ] {
        assert_eq!(field(Int4, raw).unwrap(), 1200i32.to_be_bytes(), "{raw}");
    }
    assert_eq!(field(Int8, "-9.223372036854775808e18").unwrap(), i64::MIN.to_be_bytes());
    assert_eq!(field(Int8, "0.0e99").unwrap(), [0; 8]);
}

#[test]
fn a_whole_number_is_neither_rounded_nor_wrapped() {
    assert_eq!(field(Int4, "1.5"), Err(Misfit::Fraction));
    assert_eq!(field(Int8, "1e-1"), Err(Misfit::Fraction));
    assert_eq!(field(Int2, "32768"), Err(Misfit::OutOfRange));
    assert_eq!(field(Int8, "9223372036854775808"), Err(Misfit::OutOfRange));
    assert_eq!(field(Int8, "1e400"), Err(Misfit::OutOfRange));
    assert_eq!(field(Int8, "1e99999999999999999999"), Err(Misfit::OutOfRange));
}

#[test]
fn a_value_of_another_kind_is_refused() {
    for ty in [Int8, Numeric, Float8, Uuid] {
        for raw in ["true", "[1]", r#"{"a":1}"#, r#""x""#, r#""""#] {
            assert_eq!(field(ty, raw), Err(Misfit::Syntax), "{ty:?} {raw}");
        }
    }
    for ty in [Timestamptz, Timestamp, Date] {
        for raw in ["1769862896", "true", "{}", r#""""#] {
            assert_eq!(field(ty, raw), Err(Misfit::TimeSyntax), "{ty:?} {raw}");
        }
    }
    assert_eq!(field(Uuid, "12345678123456781234567812345678"), Err(Misfit::Syntax));
}

#[test]
fn json_values_may_not_nest_without_bound() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    for ty in [Json, Jsonb] {
        assert!(field(ty, &nested(MAX_DEPTH)).is_ok());
        assert_eq!(field(ty, &nested(MAX_DEPTH + 1)), Err(Misfit::TooDeep));
    }
}

#[test]
fn types_are_known_by_their_oids() {
    let known = [
        (16, Bool),
        (20, Int8),
        (21, Int2),
        (23, Int4),
        (25, Text),
        (1042, Char),
        (1043, Text),
        (114, Json),
        (3802, Jsonb),
        (700, Float4),
        (701, Float8),
        (1700, Numeric),
        (1184, Timestamptz),
        (1114, Timestamp),
        (1082, Date),
        (2950, Uuid),
        (19, Other),
        (869, Other),
        (0, Other),
    ];
    for (oid, ty) in known {
        assert_eq!(ColumnType::from_type_oid(oid), ty, "{oid}");
    }
}
