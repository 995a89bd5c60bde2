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
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
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

#[inline]
fn skip_string(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}
