//! How deep a text is nested. PostgreSQL's own JSON functions recurse, so a bound is checked before it sees a value.

/// Levels of arrays and objects that an answer may have.
pub const MAX_DEPTH: usize = 64;

/// Whether brackets outside of strings ever nest deeper than `limit`. The text need not be valid JSON.
pub(crate) fn is_deeper(text: &str, limit: usize) -> bool {
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
