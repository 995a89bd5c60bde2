//! A decimal number as written: digits and a power of ten, no floating point anywhere.

use super::misfit::Misfit;

/// `(-1)^negative * 0.d1d2d3… * 10^point`, with the digits borrowed from the text.
///
/// The digits are those before and after the point together, without leading and trailing zeros; zero has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal<'a> {
    pub(crate) negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    /// Digits before the decimal point; negative when zeros follow the point.
    pub(crate) point: i64,
    /// Digits after the point as written, trailing zeros included: PostgreSQL's display scale.
    pub(crate) scale: i64,
}

/// Far beyond any numeric, and far from overflowing an i64.
const MAX_EXPONENT: i64 = 1_000_000_000;

impl<'a> Decimal<'a> {
    /// Digits with an optional sign, point and exponent; at least one digit: `-12.50`, `.5`, `1e3`.
    pub(crate) fn parse(text: &'a str) -> Result<Decimal<'a>, Misfit> {
        let (negative, rest) = sign(text.as_bytes());
        let (whole, rest) = digits(rest);
        let (fraction, rest) = rest.strip_prefix(b".").map_or((&[][..], rest), digits);
        if whole.is_empty() && fraction.is_empty() {
            return Err(Misfit::Syntax);
        }
        let exponent = exponent(rest)?;
        let scale = (fraction.len() as i64 - exponent).max(0);
        let point = whole.len() as i64 + exponent;
        Ok(Decimal {
            negative,
            whole,
            fraction,
            point,
            scale,
        }
        .stripped())
    }

    fn stripped(mut self) -> Self {
        let leading = leading_zeros(self.whole);
        self.whole = &self.whole[leading..];
        self.point -= leading as i64;
        if self.whole.is_empty() {
            let leading = leading_zeros(self.fraction);
            self.fraction = &self.fraction[leading..];
            self.point -= leading as i64;
        }
        self.fraction = without_trailing_zeros(self.fraction);
        if self.fraction.is_empty() {
            self.whole = without_trailing_zeros(self.whole);
        }
        self
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.len() == 0
    }

    /// How many significant digits there are.
    pub(crate) fn len(&self) -> usize {
        self.whole.len() + self.fraction.len()
    }

    /// The digits as numbers from 0 to 9.
    pub(crate) fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.iter().chain(self.fraction).map(|digit| digit - b'0')
    }

    /// The number times a power of ten, without what then is behind the point (rounded down); None where it is absurd.
    pub(crate) fn scaled(self, power: i64) -> Option<i128> {
        let places = usize::try_from((self.point + power).max(0))
            .ok()
            .filter(|places| *places <= 30)?;
        let padded = self.digits().chain(std::iter::repeat(0)).take(places);
        let magnitude = padded.fold(0i128, |sum, digit| sum * 10 + i128::from(digit));
        let cut = self.len() > places;
        Some(match self.negative {
            true if cut => -magnitude - 1,
            true => -magnitude,
            false => magnitude,
        })
    }

    /// The number as a bigint, when it is whole and in range.
    pub(crate) fn to_integer(self) -> Result<i64, Misfit> {
        if self.is_zero() {
            return Ok(0);
        }
        if self.point < self.len() as i64 {
            return Err(Misfit::Fraction);
        }
        if self.point > 19 {
            return Err(Misfit::OutOfRange);
        }
        let padding = std::iter::repeat_n(0, self.point as usize - self.len());
        let magnitude = self
            .digits()
            .chain(padding)
            .fold(0i128, |sum, digit| sum * 10 + i128::from(digit));
        let value = if self.negative { -magnitude } else { magnitude };
        i64::try_from(value).map_err(|_| Misfit::OutOfRange)
    }
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// The exponent that the rest of the text is, or 0 when nothing is left.
fn exponent(rest: &[u8]) -> Result<i64, Misfit> {
    let [b'e' | b'E', rest @ ..] = rest else {
        return if rest.is_empty() { Ok(0) } else { Err(Misfit::Syntax) };
    };
    let (negative, rest) = sign(rest);
    let (digits, rest) = digits(rest);
    if digits.is_empty() || !rest.is_empty() {
        return Err(Misfit::Syntax);
    }
    let size = digits
        .iter()
        .fold(0, |sum, digit| (sum * 10 + i64::from(digit - b'0')).min(MAX_EXPONENT));
    Ok(if negative { -size } else { size })
}

fn leading_zeros(digits: &[u8]) -> usize {
    digits.iter().take_while(|&&digit| digit == b'0').count()
}

fn without_trailing_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().rev().take_while(|&&digit| digit == b'0').count();
    &digits[..digits.len() - zeros]
}
