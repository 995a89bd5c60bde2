//! How deep a text is nested. PostgreSQL's own JSON functions recurse, so a bound is checked before it sees a value.

/// Levels of arrays and objects that an answer may have.
pub const MAX_DEPTH: usize = 64;

/// Whether the brackets outside of strings ever nest deeper than `limit`. Of a text that is not valid JSON the answer may
/// be either.
pub(crate) fn is_deeper(text: &str, limit: usize) -> bool {
    // Each level takes two brackets, so most single values need no look.
    text.len() > 2 * limit && reaches_below(text, limit)
}

fn reaches_below(text: &str, limit: usize) -> bool {
    let mut depth = 0usize;
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => rest = after_string(rest),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth > limit {
            return true;
        }
    }
    false
}

/// What follows the string's closing quote. Most of a page is strings, so they are not looked at byte by byte.
#[inline]
fn after_string(mut rest: &[u8]) -> &[u8] {
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        let after = &rest[at + 1..];
        if rest[at] == b'"' {
            return after;
        }
        rest = after.get(1..).unwrap_or_default();
    }
    &[]
}
