//! One JSON value into one field of COPY BINARY, for every column type: read back by PostgreSQL's rules, it is the value
//! that went in.
//!
//! Input: a type's name, a line's end, the value.

use crate::oracle::{first_line, well_told};
use crate::targets::times;
use serde_json::value::RawValue;
use sluice_core::data::{self, Column, ColumnType, DataError, Mapping, Misfit, SingularQuery, Step};
use std::collections::BTreeMap;

const TYPES: [ColumnType; 16] = [
    ColumnType::Bool,
    ColumnType::Int2,
    ColumnType::Int4,
    ColumnType::Int8,
    ColumnType::Float4,
    ColumnType::Float8,
    ColumnType::Numeric,
    ColumnType::Text,
    ColumnType::Json,
    ColumnType::Jsonb,
    ColumnType::Timestamptz,
    ColumnType::Timestamp,
    ColumnType::Date,
    ColumnType::Uuid,
    ColumnType::Array,
    ColumnType::Other,
];

pub fn check(input: &[u8]) {
    let Some((name, value)) = first_line(input) else { return };
    let Some(ty) = TYPES.into_iter().find(|ty| ty.name() == name) else {
        return;
    };
    let Ok(value) = std::str::from_utf8(value) else { return };
    let Ok(raw) = serde_json::from_str::<&RawValue>(value) else {
        return;
    };
    match field(ty, raw.get()) {
        Ok(field) => check_field(ty, Some(raw.get()).filter(|raw| *raw != "null"), field.as_deref()),
        Err(error) => {
            well_told(&error);
            let DataError::DoesNotFit { reason, .. } = error else {
                panic!("{error:?}")
            };
            assert!(!must_fit(ty, raw.get()), "{raw} into {name}: {reason:?}");
        }
    }
}

/// The field that a value becomes.
pub fn field(ty: ColumnType, raw: &str) -> Result<Option<Vec<u8>>, DataError> {
    let column = Column {
        name: "v".into(),
        query: SingularQuery::member("v"),
        ty,
        default: None,
    };
    let mapping = Mapping::new(SingularQuery::root(), vec![column], vec![], "");
    let page = data::decode(&format!("[{{\"v\":{raw}}}]"), &mapping)?;
    let fields: Vec<Option<&[u8]>> = data::fields(&page.rows).collect();
    assert_eq!(fields.len(), 1);
    Ok(fields[0].map(<[u8]>::to_vec))
}

/// The raw text that a column of a proposed mapping takes from an object; None for null.
pub fn raw_of<'o>(object: &'o BTreeMap<String, Box<RawValue>>, column: &Column) -> Option<&'o str> {
    let [Step::Member(name)] = column.query.steps.as_slice() else {
        panic!("{column:?}")
    };
    object.get(name).map(|raw| raw.get()).filter(|raw| *raw != "null")
}

/// Whether a field is what a value has to become.
pub fn check_field(ty: ColumnType, raw: Option<&str>, field: Option<&[u8]>) {
    let (Some(raw), Some(bytes)) = (raw, field) else {
        assert_eq!((raw, field), (None, None));
        return;
    };
    let text = content(raw);
    let number = || text.trim_ascii().parse::<f64>().expect("a number");
    match ty {
        ColumnType::Bool => {
            let word = text.to_ascii_lowercase();
            assert_eq!(bytes, [u8::from(matches!(word.as_str(), "true" | "t" | "1"))], "{raw}");
        }
        // A whole number and its text are the same double, each rounded once.
        ColumnType::Int2 => assert_eq!(f64::from(i16::from_be_bytes(sized(bytes))), number(), "{raw}"),
        ColumnType::Int4 => assert_eq!(f64::from(i32::from_be_bytes(sized(bytes))), number(), "{raw}"),
        ColumnType::Int8 => assert_eq!(i64::from_be_bytes(sized(bytes)) as f64, number(), "{raw}"),
        ColumnType::Float4 => check_float(f64::from(f32::from_be_bytes(sized(bytes))), number() as f32 as f64, raw),
        ColumnType::Float8 => check_float(f64::from_be_bytes(sized(bytes)), number(), raw),
        ColumnType::Numeric => check_numeric(bytes, number(), raw),
        ColumnType::Text | ColumnType::Other => assert_eq!(bytes, text.as_bytes()),
        ColumnType::Array if raw.starts_with('[') => check_array(raw, bytes),
        ColumnType::Array => assert_eq!(bytes, text.as_bytes()),
        ColumnType::Json => assert_eq!(bytes, raw.as_bytes()),
        ColumnType::Jsonb => assert_eq!((bytes[0], &bytes[1..]), (1, raw.as_bytes())),
        ColumnType::Timestamptz | ColumnType::Timestamp => times::check_micros(&text, i64::from_be_bytes(sized(bytes))),
        ColumnType::Date => times::check_days(&text, i32::from_be_bytes(sized(bytes))),
        ColumnType::Uuid => {
            let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
            let shown: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(digits.to_ascii_lowercase().ends_with(&shown), "{raw}");
        }
    }
}

/// An array stands in braces.
fn check_array(raw: &str, bytes: &[u8]) {
    let (first, last) = (bytes.first().copied(), bytes.last().copied());
    assert_eq!((first, last), (Some(0x7b), Some(0x7d)), "{raw}");
}

/// What may on no account be refused.
fn must_fit(ty: ColumnType, raw: &str) -> bool {
    let is_number = raw.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let is_short = raw.len() < 300 && !raw.contains(['e', 'E']);
    match ty {
        ColumnType::Bool => matches!(raw, "true" | "false"),
        ColumnType::Int2 => raw.parse::<i16>().is_ok(),
        ColumnType::Int4 => raw.parse::<i32>().is_ok(),
        ColumnType::Int8 => raw.parse::<i64>().is_ok(),
        ColumnType::Numeric => is_number && is_short,
        ColumnType::Float8 => is_number && raw.parse::<f64>().is_ok_and(f64::is_normal),
        ColumnType::Float4 => is_number && raw.parse::<f32>().is_ok_and(f32::is_normal),
        ColumnType::Text | ColumnType::Other => !raw.contains("\\u"),
        ColumnType::Json | ColumnType::Jsonb => is_short && !raw.contains(['\\', '[', '{']),
        _ => false,
    }
}

/// A string's content, or another value's own text.
fn content(raw: &str) -> String {
    serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_owned())
}

fn sized<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("as long as its type")
}

fn check_float(stored: f64, given: f64, raw: &str) {
    assert!(
        stored == given || (stored.is_nan() && given.is_nan()),
        "{raw} became {stored}"
    );
}

/// The binary form says the same number, and is the one that its own text has.
fn check_numeric(bytes: &[u8], given: f64, raw: &str) {
    let text = numeric_text(bytes);
    check_float(text.parse().expect("a number"), given, raw);
    let again = field(ColumnType::Numeric, &format!("\"{text}\""));
    assert_eq!(again, Ok(Some(bytes.to_vec())), "{raw} as {text}");
}

/// As PostgreSQL's `numeric_out` writes it: groups of four digits, the first of weight `weight`, `scale` digits shown.
fn numeric_text(bytes: &[u8]) -> String {
    let words: Vec<i16> = bytes
        .chunks_exact(2)
        .map(|pair| i16::from_be_bytes([pair[0], pair[1]]))
        .collect();
    let (weight, sign, scale) = (i64::from(words[1]), words[2] as u16, words[3] as usize);
    match sign {
        0xC000 => return "NaN".into(),
        0xD000 => return "Infinity".into(),
        0xF000 => return "-Infinity".into(),
        _ => {}
    }
    let groups = &words[4..];
    assert_eq!(groups.len(), usize::from(words[0] as u16));
    assert!(groups.iter().all(|group| (0..10_000).contains(group)), "{groups:?}");
    assert!(groups.first() != Some(&0) && groups.last() != Some(&0), "{groups:?}");
    let group = |of_weight: i64| {
        let at = usize::try_from(weight - of_weight).ok();
        at.and_then(|at| groups.get(at)).copied().unwrap_or(0)
    };
    let whole: String = (0..=weight.max(0))
        .rev()
        .map(|at| format!("{:04}", group(at)))
        .collect();
    let fraction: String = (1..=scale.div_ceil(4) as i64)
        .map(|at| format!("{:04}", group(-at)))
        .collect();
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let minus = if sign == 0x4000 { "-" } else { "" };
    let point = if scale == 0 { "" } else { "." };
    format!("{minus}{whole}{point}{}", &fraction[..scale])
}

/// The reasons for which a text is no time.
pub fn is_no_time(error: &DataError) -> bool {
    let DataError::DoesNotFit { reason, .. } = error else {
        return false;
    };
    matches!(
        reason,
        Misfit::TimeSyntax | Misfit::NoSuchTime | Misfit::OffsetRange | Misfit::HasZone | Misfit::Nul
    )
}
