//! PostgreSQL's binary form of numeric, as `numeric_recv` reads it.
//!
//! ```text
//! count of digits (u16) · weight of the first digit (i16) · sign (u16) · display scale (u16) · digits (i16 each)
//! ```
//!
//! Digits are to the base 10000; a digit of weight w counts 10000^w. Neither the first nor the last digit is zero.

use super::decimal::Decimal;
use super::misfit::Misfit;

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const POSITIVE_INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// NUMERIC_DSCALE_MAX: digits after the point.
const MAX_SCALE: i64 = 0x3FFF;

/// Decimal digits that one digit of the binary form stands for.
const DIGITS_PER_GROUP: i64 = 4;

/// Appends the number that `text` is: decimal digits, or one of the words NaN and Infinity in any case.
pub(crate) fn write(text: &str, out: &mut Vec<u8>) -> Result<(), Misfit> {
    match Decimal::parse(text) {
        Ok(decimal) => write_decimal(&decimal, out),
        Err(misfit) => {
            let sign = special(text).ok_or(misfit)?;
            write_head(out, [0, 0, sign, 0]);
            Ok(())
        }
    }
}

fn special(text: &str) -> Option<u16> {
    match text.to_ascii_lowercase().as_str() {
        "nan" => Some(NAN),
        "infinity" | "+infinity" | "inf" | "+inf" => Some(POSITIVE_INFINITY),
        "-infinity" | "-inf" => Some(NEGATIVE_INFINITY),
        _ => None,
    }
}

fn write_head(out: &mut Vec<u8>, head: [u16; 4]) {
    head.iter().for_each(|part| out.extend_from_slice(&part.to_be_bytes()));
}

fn write_decimal(decimal: &Decimal, out: &mut Vec<u8>) -> Result<(), Misfit> {
    if decimal.scale > MAX_SCALE {
        return Err(Misfit::OutOfRange);
    }
    let scale = decimal.scale as u16;
    if decimal.is_zero() {
        write_head(out, [0, 0, POSITIVE, scale]);
        return Ok(());
    }
    // The first group holds the 1 to 4 digits that bring the decimal point to a multiple of 4.
    let first = (decimal.point - 1).rem_euclid(DIGITS_PER_GROUP) + 1;
    let weight = (decimal.point - first) / DIGITS_PER_GROUP;
    let weight = i16::try_from(weight).map_err(|_| Misfit::OutOfRange)?;
    let sign = if decimal.negative { NEGATIVE } else { POSITIVE };
    let head = out.len();
    write_head(out, [0, weight as u16, sign, scale]);
    let groups = write_groups(decimal, first as usize, out);
    let groups = u16::try_from(groups).map_err(|_| Misfit::OutOfRange)?;
    out[head..head + 2].copy_from_slice(&groups.to_be_bytes());
    Ok(())
}

/// Writes the same number with no more digits after the point than it needs: `1.0` and `1` are one key.
pub(crate) fn shorten(number: &mut [u8]) {
    let word = |at: usize| i16::from_be_bytes([number[at], number[at + 1]]);
    let (count, weight) = (i64::from(word(0) as u16), i64::from(word(2)));
    let scale = match number.len() {
        8 => 0,
        length => {
            let last = word(length - 2);
            let zeros = (1..4).take_while(|power| last % 10i16.pow(*power) == 0).count() as i64;
            ((count - weight - 1) * DIGITS_PER_GROUP - zeros).max(0)
        }
    };
    number[6..8].copy_from_slice(&(scale as u16).to_be_bytes());
}

/// Appends the digits in groups of four, the first one of `first` digits and the last one filled up with zeros.
fn write_groups(decimal: &Decimal, first: usize, out: &mut Vec<u8>) -> usize {
    let mut groups = 0;
    let mut group = 0i16;
    let mut missing = first;
    for digit in decimal.digits() {
        group = group * 10 + i16::from(digit);
        missing -= 1;
        if missing == 0 {
            out.extend_from_slice(&group.to_be_bytes());
            groups += 1;
            group = 0;
            missing = DIGITS_PER_GROUP as usize;
        }
    }
    if group != 0 {
        (0..missing).for_each(|_| group *= 10);
        out.extend_from_slice(&group.to_be_bytes());
        groups += 1;
    }
    groups
}
