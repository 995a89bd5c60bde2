//! Paths and links below a connection's base URL.
//!
//! A job gives only a path, and an API gives only links, that stay below the base: same origin, and a path that begins
//! with the base's path at a segment's boundary. What could be read in two ways (an encoded slash or dot, a backslash,
//! an empty segment, control characters) is refused instead of being interpreted.

use percent_encoding::percent_decode_str;
use url::Url;

/// Why a path is not usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("It is a complete URL or names a host; only a path below the base URL is accepted")]
    Absolute,
    #[error("It holds an empty segment, \".\" or \"..\"")]
    DotSegment,
    #[error("It holds a backslash")]
    Backslash,
    #[error("It holds an encoded slash, backslash, dot or control character")]
    Encoded,
    #[error("It holds a control character")]
    Control,
    #[error("It holds a query or a fragment")]
    Query,
    #[error("The address holds a character that cannot be sent, or is too long")]
    Unsendable,
}

/// The URL of `path` below `base`. An empty path is the base itself; a leading slash makes no difference; a trailing
/// one is kept.
pub fn join(base: &Url, path: &str) -> Result<Url, PathError> {
    check_text(path)?;
    let below = path.strip_prefix('/').unwrap_or(path);
    let whole = below.strip_suffix('/').unwrap_or(below);
    if !whole.is_empty() && whole.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(PathError::DotSegment);
    }
    let mut url = base.clone();
    if !path.is_empty() {
        url.set_path(&format!("{}/{below}", base.path().trim_end_matches('/')));
    }
    match is_below(base, &url) {
        true => Ok(url),
        false => Err(PathError::DotSegment),
    }
}

fn check_text(path: &str) -> Result<(), PathError> {
    if path.chars().any(char::is_control) {
        return Err(PathError::Control);
    }
    if path.contains('\\') {
        return Err(PathError::Backslash);
    }
    if path.contains(['?', '#']) {
        return Err(PathError::Query);
    }
    // Before the first slash, `:` would make a scheme or a port and `@` userinfo in a reader that only concatenates.
    let first = path.split('/').next().unwrap_or_default();
    if path.starts_with("//") || path.contains("://") || first.contains([':', '@']) {
        return Err(PathError::Absolute);
    }
    if holds_hidden_separator(path) {
        Err(PathError::Encoded)
    } else {
        Ok(())
    }
}

/// Whether a percent-encoding stands for `/`, `\`, `.` or a control character, once or twice encoded.
pub(crate) fn holds_hidden_separator(path: &str) -> bool {
    let hides = |text: &str| {
        let separates = |code: u8| code < 0x20 || matches!(code, b'/' | b'\\' | b'.' | 0x7f);
        codes(text).flatten().any(separates)
    };
    // A second decoding may see a code that the first has put together, as of `%0%35`.
    hides(path) || hides(&percent_decode_str(path).decode_utf8_lossy())
}

/// Whether a `%` comes without two hexadecimal digits.
pub(crate) fn has_broken_code(path: &str) -> bool {
    codes(path).any(|code| code.is_none())
}

/// What each percent-encoding means; None where it is broken.
fn codes(path: &str) -> impl Iterator<Item = Option<u8>> {
    path.split('%').skip(1).map(|code| {
        let digits = code.get(..2)?;
        let are_digits = digits.bytes().all(|b| b.is_ascii_hexdigit());
        are_digits.then(|| u8::from_str_radix(digits, 16).ok())?
    })
}

/// Whether `url` has `base`'s origin, no userinfo, and a path at or below `base`'s.
pub fn is_below(base: &Url, url: &Url) -> bool {
    let root = base.path().trim_end_matches('/');
    let below = url
        .path()
        .strip_prefix(root)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let clean = url.username().is_empty() && url.password().is_none();
    url.origin() == base.origin() && clean && below && !holds_hidden_separator(url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Url {
        Url::parse("https://api.example:8443/v1").unwrap()
    }

    #[test]
    fn paths_go_below_the_base() {
        let table = [
            ("", "https://api.example:8443/v1"),
            ("/", "https://api.example:8443/v1/"),
            ("/products", "https://api.example:8443/v1/products"),
            ("products", "https://api.example:8443/v1/products"),
            ("/products/", "https://api.example:8443/v1/products/"),
            ("/a/b.json", "https://api.example:8443/v1/a/b.json"),
            ("/users/@me", "https://api.example:8443/v1/users/@me"),
            ("/items:batch", "https://api.example:8443/v1/items:batch"),
            ("/a b/é", "https://api.example:8443/v1/a%20b/%C3%A9"),
            ("/100%25", "https://api.example:8443/v1/100%25"),
            ("/100%250%25", "https://api.example:8443/v1/100%250%25"),
            ("/...", "https://api.example:8443/v1/..."),
        ];
        for (path, url) in table {
            assert_eq!(join(&base(), path).map(String::from).as_deref(), Ok(url), "{path:?}");
        }
        let root = Url::parse("https://api.example").unwrap();
        assert_eq!(join(&root, "/x").unwrap().as_str(), "https://api.example/x");
    }

    #[test]
    fn what_leaves_the_base_or_hides_its_meaning_is_refused() {
        use PathError::*;
        let table = [
            ("https://evil.example/", Absolute),
            ("HTTPS://evil.example", Absolute),
            ("//evil.example/x", Absolute),
            ("/x/https://evil.example", Absolute),
            ("javascript:alert(1)", Absolute),
            ("user@evil.example/x", Absolute),
            ("@evil.example", Absolute),
            ("evil:80/x", Absolute),
            ("..", DotSegment),
            ("/../admin", DotSegment),
            ("/a/../../admin", DotSegment),
            ("/a/./b", DotSegment),
            ("/a//b", DotSegment),
            ("///evil.example", Absolute),
            ("/a/..", DotSegment),
            ("\\\\evil.example", Backslash),
            ("/a\\..\\b", Backslash),
            ("/%2e%2e/admin", Encoded),
            ("/a%2Fb", Encoded),
            ("/a%5cb", Encoded),
            ("/a%00", Encoded),
            ("/a%0d%0aHost:x", Encoded),
            ("/%252e%252e/admin", Encoded),
            ("/%0%35", Encoded),
            ("/%2%65%2%65/admin", Encoded),
            ("/a\tb", Control),
            ("/a\nb", Control),
            ("/a\u{7f}", Control),
            ("/a\u{85}", Control),
            ("/a?b=1", Query),
            ("/a#b", Query),
        ];
        for (path, error) in table {
            assert_eq!(join(&base(), path), Err(error), "{path:?}");
        }
    }

    #[test]
    fn links_are_below_the_base_only_at_a_segments_boundary() {
        let table = [
            ("https://api.example:8443/v1/x?page=2", true),
            ("https://api.example:8443/v1", true),
            ("https://API.example:8443/v1/x", true),
            ("https://api.example:8443/v10/x", false),
            ("https://api.example:8443/v1/../admin", false),
            ("https://api.example:8443/v1/%2e%2e/admin", false),
            ("https://api.example:8443/v1/a%2f..%2fadmin", false),
            ("https://api.example/v1/x", false),
            ("http://api.example:8443/v1/x", false),
            ("https://u:p@api.example:8443/v1/x", false),
            ("https://evil.example:8443/v1/x", false),
        ];
        for (link, below) in table {
            assert_eq!(is_below(&base(), &Url::parse(link).unwrap()), below, "{link}");
        }
    }
}
