//! The path of a job: a place below its connection's base URL.
//!
//! Users give no complete URLs (S-20), and nothing that a parser could turn into one, or into a place above the base. What
//! looks odd is refused, not repaired. How base and path are joined is `url_policy`'s business.

use std::fmt;

use crate::connection::{ConfigError, Subject};
use crate::job::JobFault;
use crate::url_policy::join::{has_broken_code, holds_hidden_separator};

const LONGEST: usize = 2048;

/// A path as it is stored: empty, or with one leading slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobPath(String);

impl JobPath {
    /// Reads the path; `products` and `/products` are the same, an empty one is the base itself.
    pub fn parse(text: &str) -> Result<JobPath, ConfigError> {
        match fault(text) {
            Some(fault) => Err(JobFault::Path {
                subject: Subject::argument("path"),
                fault,
            }
            .into()),
            None if text.is_empty() || text.starts_with('/') => Ok(JobPath(text.to_owned())),
            None => Ok(JobPath(format!("/{text}"))),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathFault {
    /// `https://…`, `//host`, or anything else that names a host.
    Absolute,
    /// Dot segments, written or encoded.
    Above,
    /// `%2f`, `%5c` and control characters, encoded once or twice, or a `%` without two hexadecimal digits.
    Encoded,
    /// Whitespace, control characters or `\`.
    Characters,
    /// Empty segments: `a//b`.
    EmptySegment,
    Query,
    Fragment,
    TooLong,
}

impl PathFault {
    pub const ALL: [PathFault; 8] = [
        PathFault::Absolute,
        PathFault::Above,
        PathFault::Encoded,
        PathFault::Characters,
        PathFault::EmptySegment,
        PathFault::Query,
        PathFault::Fragment,
        PathFault::TooLong,
    ];

    pub fn detail(self) -> &'static str {
        match self {
            PathFault::Absolute => "A job reads one collection of its connection; the host comes from the connection.",
            PathFault::Above => "A path stays below the base URL of its connection.",
            PathFault::Encoded => "Encoded separators are read differently by different servers.",
            PathFault::Characters => "Spaces, control characters and backslashes change what a URL means.",
            PathFault::EmptySegment => "Servers differ in how they read \"//\".",
            PathFault::Query => "What follows a ? belongs to the settings.",
            PathFault::Fragment => "What follows a # is never sent to a server.",
            PathFault::TooLong => "A path has at most 2048 bytes.",
        }
    }

    pub fn hint(self) -> &'static str {
        match self {
            PathFault::Absolute => "Give the path only, for example '/products'; another host is another connection.",
            PathFault::Above => "Write the path without \"..\" and \".\"; for a place above, change base_url.",
            PathFault::Encoded => "Write the path segment by segment; encode only characters inside a segment.",
            PathFault::Characters => "Encode a space as %20 where the remote needs it; leave the others away.",
            PathFault::EmptySegment => "Write one slash between two segments, for example '/shop/products'.",
            PathFault::Query => "Use settings => '{\"params\": {\"name\": \"value\"}}'.",
            PathFault::Fragment => "Remove the # and what follows it.",
            PathFault::TooLong => "Shorten it; parameters belong to the settings.",
        }
    }
}

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PathFault::Absolute => "must be a path below the connection's base URL, not a complete URL",
            PathFault::Above => "must not lead above the connection's base URL",
            PathFault::Encoded => "contains an encoded separator or a broken percent code",
            PathFault::Characters => "contains a space, a control character or a backslash",
            PathFault::EmptySegment => "contains an empty segment",
            PathFault::Query => "must not contain a query",
            PathFault::Fragment => "must not contain a fragment",
            PathFault::TooLong => "is too long",
        })
    }
}

fn fault(text: &str) -> Option<PathFault> {
    if text.len() > LONGEST {
        return Some(PathFault::TooLong);
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
        return Some(PathFault::Characters);
    }
    let first_segment = text.split('/').next().unwrap_or_default();
    if text.starts_with("//") || first_segment.contains([':', '@']) {
        return Some(PathFault::Absolute);
    }
    if text.contains('?') {
        return Some(PathFault::Query);
    }
    if text.contains('#') {
        return Some(PathFault::Fragment);
    }
    if text.contains("//") {
        return Some(PathFault::EmptySegment);
    }
    segment_fault(text)
}

fn segment_fault(text: &str) -> Option<PathFault> {
    let lower = text.to_ascii_lowercase();
    let once = lower.replace("%25", "%");
    if lower.split('/').any(|segment| matches!(segment, "." | "..")) || once.contains("%2e") {
        return Some(PathFault::Above);
    }
    (has_broken_code(text) || holds_hidden_separator(text)).then_some(PathFault::Encoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_is_a_place_below_the_base() {
        for (text, stored) in [
            ("/products", "/products"),
            ("products", "/products"),
            ("", ""),
            ("/", "/"),
            ("/shop/v2/products/", "/shop/v2/products/"),
            ("/odata/Products(1)", "/odata/Products(1)"),
            ("/a/b:c", "/a/b:c"),
            ("/names%20with%20blanks", "/names%20with%20blanks"),
            ("/users/%40me", "/users/%40me"),
            ("/users/@me", "/users/@me"),
            ("/100%25", "/100%25"),
            ("/größe", "/größe"),
            ("/a...b", "/a...b"),
        ] {
            assert_eq!(JobPath::parse(text).unwrap().as_str(), stored);
        }
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        for (text, expected) in [
            ("https://evil.example/products", PathFault::Absolute),
            ("HTTPS:evil.example", PathFault::Absolute),
            ("//evil.example/products", PathFault::Absolute),
            ("evil.example:443/x", PathFault::Absolute),
            ("javascript:alert(1)", PathFault::Absolute),
            ("/a/../../etc", PathFault::Above),
            ("..", PathFault::Above),
            ("/a/./b", PathFault::Above),
            ("/a/%2e%2E/b", PathFault::Above),
            ("/a/.%2e/b", PathFault::Above),
            ("/%2econfig", PathFault::Above),
            ("@evil.example", PathFault::Absolute),
            ("a:b@evil.example/", PathFault::Absolute),
            ("/a%252fb", PathFault::Encoded),
            ("/a/%252e%252e/b", PathFault::Above),
            ("\\\\evil.example", PathFault::Characters),
            ("/a\\b", PathFault::Characters),
            ("/a\tb", PathFault::Characters),
            ("/a\nb", PathFault::Characters),
            ("/a b", PathFault::Characters),
            ("/a\u{a0}b", PathFault::Characters),
            ("/a%2Fb", PathFault::Encoded),
            ("/a%5cb", PathFault::Encoded),
            ("/a%00", PathFault::Encoded),
            ("/a%0d%0aHost:x", PathFault::Encoded),
            ("/a%", PathFault::Encoded),
            ("/a%zz", PathFault::Encoded),
            ("/100%ü", PathFault::Encoded),
            ("/a//b", PathFault::EmptySegment),
            ("/a?b=c", PathFault::Query),
            ("/a#b", PathFault::Fragment),
        ] {
            assert_eq!(fault(text), Some(expected), "{text:?}");
        }
        assert_eq!(fault(&"x".repeat(3000)), Some(PathFault::TooLong));
    }

    proptest! {
        /// The crate `url` is the judge: an accepted path stays on the host and below the base.
        #[test]
        fn an_accepted_path_stays_below_the_base(text in "[a-z0-9/.%@:?#\\\\ 2eEfF]{0,24}") {
            if let Ok(path) = JobPath::parse(&text) {
                let joined = url::Url::parse(&format!("https://api.example.com/v1{path}")).unwrap();
                prop_assert_eq!(joined.host_str(), Some("api.example.com"));
                prop_assert!(joined.path() == "/v1" || joined.path().starts_with("/v1/"), "{}", joined);
                prop_assert_eq!(joined.query(), None);
                prop_assert_eq!(joined.username(), "");
            }
        }
    }
}
