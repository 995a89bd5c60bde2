//! The escapes of JSON strings, where PostgreSQL and JSON do not allow the same: U+0000 and lone surrogates.

use super::misfit::Misfit;
use std::borrow::Cow;

/// A string's content, borrowed when it has no escapes. `raw` is a valid JSON string with its quotes.
#[inline]
pub(crate) fn content_of(raw: &str) -> Result<Cow<'_, str>, Misfit> {
    let inner = raw
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .ok_or(Misfit::Syntax)?;
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    check_escapes(raw)?;
    serde_json::from_str(raw).map(Cow::Owned).map_err(|_| Misfit::Syntax)
}

/// Refuses what a text cannot hold. `raw` is any valid JSON: backslashes then occur in strings only.
#[inline]
pub(crate) fn check_escapes(raw: &str) -> Result<(), Misfit> {
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        rest = after_escape(&rest[at..])?;
    }
    Ok(())
}

fn after_escape(escape: &str) -> Result<&str, Misfit> {
    let Some((unit, rest)) = code_unit(escape) else {
        return Ok(escape.get(2..).unwrap_or_default());
    };
    match unit {
        0 => Err(Misfit::Nul),
        0xD800..=0xDBFF => match code_unit(rest) {
            Some((0xDC00..=0xDFFF, rest)) => Ok(rest),
            _ => Err(Misfit::LoneSurrogate),
        },
        0xDC00..=0xDFFF => Err(Misfit::LoneSurrogate),
        _ => Ok(rest),
    }
}

/// The UTF-16 code unit of an escape (`\u` and four digits), and what follows it.
fn code_unit(escape: &str) -> Option<(u16, &str)> {
    let (digits, rest) = escape.strip_prefix("\\u")?.split_at_checked(4)?;
    Some((u16::from_str_radix(digits, 16).ok()?, rest))
}
