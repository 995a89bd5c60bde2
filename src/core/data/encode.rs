//! One JSON value's raw text to the bytes of one field: a length (i32, big endian) and what the type's receive function
//! reads. A value is never changed to make it fit: what cannot be told exactly is a [`Misfit`].
//!
//! A string that holds a number, a boolean or a uuid is taken as such. Any value goes into text: strings as their
//! content, others as their raw text.

use super::array::array_text;
use super::column::ColumnType;
use super::decimal::Decimal;
use super::depth::{MAX_DEPTH, is_deeper};
use super::escape::{check_escapes, content_of};
use super::kind::JsonKind;
use super::misfit::Misfit;
use super::{numeric, time};
use std::borrow::Cow;

/// PostgreSQL's MaxAllocSize: no field can be larger.
const MAX_FIELD: usize = 0x3fff_ffff;

/// The version byte that jsonb's receive function expects.
const JSONB_VERSION: u8 = 1;

/// Appends length and bytes of a value that is not null. After an error `out` may hold half a field.
pub(crate) fn encode(ty: ColumnType, raw: &str, out: &mut Vec<u8>) -> Result<(), Misfit> {
    match ty {
        ColumnType::Bool => put(out, &[u8::from(boolean(raw)?)]),
        ColumnType::Int2 => put(out, &i16::try_from(integer(raw)?).map_err(out_of_range)?.to_be_bytes()),
        ColumnType::Int4 => put(out, &i32::try_from(integer(raw)?).map_err(out_of_range)?.to_be_bytes()),
        ColumnType::Int8 => put(out, &integer(raw)?.to_be_bytes()),
        ColumnType::Float4 => put(out, &float4(&number_text(raw)?)?.to_be_bytes()),
        ColumnType::Float8 => put(out, &float8(&number_text(raw)?)?.to_be_bytes()),
        ColumnType::Numeric => sized(out, |out| numeric::write(&number_text(raw)?, out)),
        ColumnType::Text | ColumnType::Other => put(out, text(raw)?.as_bytes()),
        ColumnType::Array => put(out, array_text(raw)?.as_bytes()),
        ColumnType::Json => json(raw, out),
        ColumnType::Jsonb => jsonb(raw, out),
        ColumnType::Timestamptz => put(out, &time::timestamptz(&time_text(raw)?)?.to_be_bytes()),
        ColumnType::Timestamp => put(out, &time::timestamp(&time_text(raw)?)?.to_be_bytes()),
        ColumnType::Date => put(out, &time::date(&time_text(raw)?)?.to_be_bytes()),
        ColumnType::Uuid => put(out, uuid(raw)?.as_bytes()),
    }
}

/// Gives a field that [`encode`] made the form that all spellings of its value share, so that keys can be compared by
/// their bytes.
#[inline]
pub(crate) fn make_key(ty: ColumnType, field: &mut [u8]) {
    if ty == ColumnType::Numeric && field.len() > 4 {
        numeric::shorten(&mut field[4..]);
    }
}

#[inline]
fn put(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Misfit> {
    out.extend_from_slice(&length(bytes.len())?);
    out.extend_from_slice(bytes);
    Ok(())
}

/// Writes a field whose length is known only afterwards.
fn sized(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<(), Misfit>) -> Result<(), Misfit> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out)?;
    let written = length(out.len() - start - 4)?;
    out[start..start + 4].copy_from_slice(&written);
    Ok(())
}

#[inline]
fn length(bytes: usize) -> Result<[u8; 4], Misfit> {
    if bytes > MAX_FIELD {
        return Err(Misfit::TooLarge);
    }
    Ok((bytes as i32).to_be_bytes())
}

fn out_of_range(_: std::num::TryFromIntError) -> Misfit {
    Misfit::OutOfRange
}

fn boolean(raw: &str) -> Result<bool, Misfit> {
    if let JsonKind::Array | JsonKind::Object = JsonKind::of(raw) {
        return Err(Misfit::Syntax);
    }
    let value = text(raw)?;
    let is_one_of = |words: [&str; 3]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
    match () {
        () if is_one_of(["true", "t", "1"]) => Ok(true),
        () if is_one_of(["false", "f", "0"]) => Ok(false),
        () => Err(Misfit::Syntax),
    }
}

/// A whole number in any spelling: `12`, `"12"`, `12.0`, `1.2e1`.
#[inline]
fn integer(raw: &str) -> Result<i64, Misfit> {
    match raw.parse() {
        Ok(value) => Ok(value),
        Err(_) => Decimal::parse(&number_text(raw)?)?.to_integer(),
    }
}

/// A number's raw text, or the content of a string without the blanks around it.
fn number_text(raw: &str) -> Result<Cow<'_, str>, Misfit> {
    match JsonKind::of(raw) {
        JsonKind::Number => Ok(Cow::Borrowed(raw)),
        JsonKind::String => Ok(match content_of(raw)? {
            Cow::Borrowed(content) => Cow::Borrowed(content.trim_ascii()),
            Cow::Owned(content) => Cow::Owned(content.trim_ascii().to_owned()),
        }),
        _ => Err(Misfit::Syntax),
    }
}

fn time_text(raw: &str) -> Result<Cow<'_, str>, Misfit> {
    if JsonKind::of(raw) != JsonKind::String {
        return Err(Misfit::TimeSyntax);
    }
    content_of(raw)
}

/// The nearest value of the type; PostgreSQL's own rule for what lies outside of it (F-R12).
fn float8(text: &str) -> Result<f64, Misfit> {
    let value: f64 = text.parse().map_err(|_| Misfit::Syntax)?;
    check_float(text, value.is_infinite(), value == 0.0)?;
    Ok(value)
}

fn float4(text: &str) -> Result<f32, Misfit> {
    let value: f32 = text.parse().map_err(|_| Misfit::Syntax)?;
    check_float(text, value.is_infinite(), value == 0.0)?;
    Ok(value)
}

/// A number that became infinite or zero in parsing is out of range, unless the text says infinity or zero.
fn check_float(text: &str, is_infinite: bool, is_zero: bool) -> Result<(), Misfit> {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let overflowed = is_infinite && text.contains(|c: char| c.is_ascii_digit());
    let underflowed = is_zero && mantissa.contains(|c: char| matches!(c, '1'..='9'));
    if overflowed || underflowed {
        Err(Misfit::OutOfRange)
    } else {
        Ok(())
    }
}

#[inline]
fn text(raw: &str) -> Result<Cow<'_, str>, Misfit> {
    match JsonKind::of(raw) {
        JsonKind::String => content_of(raw),
        _ => Ok(Cow::Borrowed(raw)),
    }
}

/// As it was sent: like PostgreSQL, json keeps escapes that no text could hold.
fn json(raw: &str, out: &mut Vec<u8>) -> Result<(), Misfit> {
    check_depth(raw)?;
    put(out, raw.as_bytes())
}

fn jsonb(raw: &str, out: &mut Vec<u8>) -> Result<(), Misfit> {
    check_depth(raw)?;
    check_escapes(raw)?;
    out.extend_from_slice(&length(raw.len() + 1)?);
    out.push(JSONB_VERSION);
    out.extend_from_slice(raw.as_bytes());
    Ok(())
}

fn check_depth(raw: &str) -> Result<(), Misfit> {
    if is_deeper(raw, MAX_DEPTH) {
        Err(Misfit::TooDeep)
    } else {
        Ok(())
    }
}

/// With or without hyphens and braces.
fn uuid(raw: &str) -> Result<uuid::Uuid, Misfit> {
    if JsonKind::of(raw) != JsonKind::String {
        return Err(Misfit::Syntax);
    }
    uuid::Uuid::try_parse(&content_of(raw)?).map_err(|_| Misfit::Syntax)
}
