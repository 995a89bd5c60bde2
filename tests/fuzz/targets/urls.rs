//! Where requests may go: base URLs, paths below them, and links.
//!
//! Input: a base URL, a path and a link, one a line.

use crate::oracle::well_told;
use sluice_core::job::JobPath;
use sluice_core::url_policy::join::{is_below, join};
use sluice_core::url_policy::{origin, parse_base, parse_origin};
use url::Url;

pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.split('\n');
    let (base, path, link) = (lines.next(), lines.next(), lines.next());
    let base = match parse_base(base.unwrap_or_default()) {
        Ok(base) => base,
        Err(error) => return well_told(&error),
    };
    check_base(&base);
    check_path(&base, path.unwrap_or_default());
    if let Ok(link) = base.join(link.unwrap_or_default()) {
        check_link(&base, &link);
    }
}

/// A base means itself, and its origin is one that a secret can be bound to.
fn check_base(base: &Url) {
    assert_eq!(parse_base(base.as_str()).as_ref(), Ok(base));
    assert!(matches!(base.scheme(), "http" | "https") && base.host().is_some());
    assert!(base.username().is_empty() && base.password().is_none());
    assert!(base.query().is_none() && base.fragment().is_none());
    assert_eq!(parse_origin(&origin(base)), Ok(origin(base)));
    assert!(is_below(base, base));
}

/// A path that a job may have can be joined, and no join leads out of the base.
fn check_path(base: &Url, path: &str) {
    let joined = join(base, path);
    match JobPath::parse(path) {
        Ok(path) => assert!(
            join(base, path.as_str()).is_ok(),
            "{path} is accepted and cannot be asked for"
        ),
        Err(error) => well_told(&error),
    }
    if let Ok(url) = joined {
        assert!(url.query().is_none() && url.fragment().is_none());
        check_link(base, &url);
        assert!(is_below(base, &url));
    }
}

/// Below the base is below it for a server too that decodes the path before it looks for dot segments.
pub fn check_link(base: &Url, link: &Url) {
    if !is_below(base, link) {
        return;
    }
    assert_eq!(origin(link), origin(base));
    assert!(link.username().is_empty() && link.password().is_none());
    let decoded = decoded(&decoded(link.path()));
    assert!(
        !decoded.contains('\\') && !decoded.contains(|c: char| c.is_ascii_control()),
        "{link}"
    );
    assert!(
        decoded.split('/').all(|segment| !matches!(segment, "." | "..")),
        "{link}"
    );
    let root = base.path().trim_end_matches('/');
    let rest = link.path().strip_prefix(root).expect("the base's path comes first");
    assert!(rest.is_empty() || rest.starts_with('/'), "{link}");
}

/// Percent-decoded once.
fn decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let code = digits.and_then(|code| std::str::from_utf8(code).ok());
        match code
            .filter(|_| *first == b'%')
            .and_then(|code| u8::from_str_radix(code, 16).ok())
        {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
