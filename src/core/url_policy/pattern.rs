//! Patterns of origins, as an admin allows them to a role: `https://api.example.com`, `https://*.example.com:8443`.
//!
//! A pattern is compared part by part with a parsed URL, never as text: the scheme and the port are equal, and the host
//! is the pattern's or, after `*.`, ends in its labels with at least one more before them. So `https://*.example.com`
//! holds neither `https://example.com` nor `https://evilexample.com`, `https://a.example.com.evil.org`,
//! `https://a.example.com:8443`, `http://a.example.com` or `https://a.example.com.` (which is another name to TLS).

use std::fmt;

use url::{Host, Url};

use super::{UrlFault, origin, read};
use crate::connection::{ConfigError, Subject};

/// The origins that a role may connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPattern {
    /// The URL of the pattern's host, without what stands for the labels before it.
    url: Url,
    /// Every name below the host, and not the host itself.
    below: bool,
}

impl OriginPattern {
    /// Reads a pattern as a person writes it. What requests would spell otherwise is refused, not mended: an IDN that
    /// looks like another name shows in its ASCII form only.
    ///
    /// # Errors
    /// What is wrong with it, without its text.
    pub fn parse(text: &str) -> Result<OriginPattern, ConfigError> {
        read_pattern(text).map_err(|fault| ConfigError::Url {
            subject: Subject::argument("pattern"),
            fault,
        })
    }

    /// Whether the origin of `url` is one of those.
    pub fn holds(&self, url: &Url) -> bool {
        let alike =
            url.scheme() == self.url.scheme() && url.port_or_known_default() == self.url.port_or_known_default();
        alike
            && match (url.host(), self.url.host()) {
                (Some(Host::Domain(host)), Some(Host::Domain(parent))) if self.below => is_below(host, parent),
                (host, own) => !self.below && host == own,
            }
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = origin(&self.url);
        match self.below {
            true => f.write_str(&origin.replacen("://", "://*.", 1)),
            false => f.write_str(&origin),
        }
    }
}

/// Whether `host` is a name with at least one label, and no empty one, before those of `parent`.
fn is_below(host: &str, parent: &str) -> bool {
    let head = host.strip_suffix(parent).and_then(|head| head.strip_suffix('.'));
    head.is_some_and(|head| head.split('.').all(|label| !label.is_empty()))
}

fn read_pattern(text: &str) -> Result<OriginPattern, UrlFault> {
    let below = text.contains("://*.");
    let plain = text.replacen("://*.", "://", 1);
    if plain.contains('*') {
        return Err(UrlFault::Pattern);
    }
    let url = read(&plain)?;
    if url.path() != "/" {
        return Err(UrlFault::Path);
    }
    let written = host_as_written(&plain);
    if url.host_str() != Some(written.as_str()) || written.ends_with('.') {
        return Err(UrlFault::HostSpelling);
    }
    // A pattern for a whole top-level domain, or for addresses, is a slip of the pen.
    let is_name = matches!(url.host(), Some(Host::Domain(name)) if name.contains('.'));
    match below && !is_name {
        true => Err(UrlFault::Pattern),
        false => Ok(OriginPattern { url, below }),
    }
}

/// The host in lower case, without the port; an address of IPv6 with its brackets.
fn host_as_written(text: &str) -> String {
    let after = text.split_once("://").map_or("", |(_, rest)| rest);
    let authority = after.split('/').next().unwrap_or_default();
    let host = match authority.rfind(']') {
        Some(end) => &authority[..=end],
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url_policy::parse_base;

    fn holds(pattern: &str, base: &str) -> bool {
        let pattern = OriginPattern::parse(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
        pattern.holds(&parse_base(base).unwrap_or_else(|e| panic!("{base}: {e}")))
    }

    #[test]
    fn a_pattern_holds_its_origin_whatever_the_path() {
        for (pattern, base) in [
            ("https://api.example.com", "https://api.example.com/v1"),
            ("https://api.example.com/", "https://API.example.com:443"),
            ("HTTPS://Api.Example.com:443", "https://api.example.com"),
            ("https://api.example.com:8443", "https://api.example.com:8443/a"),
            ("http://127.0.0.1:8080", "http://127.1:8080"),
            ("http://[::1]:80", "http://[0:0::1]/x"),
            ("https://localhost", "https://localhost"),
            ("https://xn--gre-6ka8i.example", "https://größe.example"),
            ("https://*.example.com", "https://shop.example.com/admin/api"),
            ("https://*.example.com", "https://a.b.example.com"),
            ("https://*.example.com:8443", "https://a.example.com:8443"),
        ] {
            assert!(holds(pattern, base), "{pattern} {base}");
        }
    }

    #[test]
    fn nothing_that_only_looks_alike_is_held() {
        for (pattern, base) in [
            ("https://api.example.com", "http://api.example.com"),
            ("https://api.example.com", "https://api.example.com:8443"),
            ("https://api.example.com:8443", "https://api.example.com"),
            ("https://api.example.com", "https://api.example.com."),
            ("https://api.example.com", "https://api.example.com.evil.org"),
            ("https://api.example.com", "https://xapi.example.com"),
            ("https://api.example.com", "https://a.api.example.com"),
            ("https://example.com", "https://exаmple.com"),
            ("https://*.example.com", "https://example.com"),
            ("https://*.example.com", "https://evilexample.com"),
            ("https://*.example.com", "https://a.example.com.evil.org"),
            ("https://*.example.com", "https://a.example.com."),
            ("https://*.example.com", "https://a.example.com:8443"),
            ("https://*.example.com", "http://a.example.com"),
            ("https://*.example.com", "https://a.example.co"),
            ("https://*.example.com", "https://example.com.a"),
            ("http://127.0.0.1:80", "http://127.0.0.2:80"),
        ] {
            assert!(!holds(pattern, base), "{pattern} {base}");
        }
        assert!(!is_below("a..example.com", "example.com") && !is_below(".example.com", "example.com"));
    }

    #[test]
    fn a_pattern_that_could_be_misread_is_refused() {
        let fault = |pattern: &str| match OriginPattern::parse(pattern) {
            Err(ConfigError::Url { fault, .. }) => fault,
            other => panic!("{pattern}: {other:?}"),
        };
        for (pattern, expected) in [
            ("", UrlFault::Scheme),
            ("*", UrlFault::Pattern),
            ("*.example.com", UrlFault::Pattern),
            ("api.example.com", UrlFault::Scheme),
            ("ftp://api.example.com", UrlFault::Scheme),
            ("//api.example.com", UrlFault::Scheme),
            ("https://*", UrlFault::Pattern),
            ("https://*.com", UrlFault::Pattern),
            ("https://*.127.0.0.1", UrlFault::Pattern),
            ("https://api.*.example.com", UrlFault::Pattern),
            ("https://*.*.example.com", UrlFault::Pattern),
            ("https://*api.example.com", UrlFault::Pattern),
            ("https://*.example.com:*", UrlFault::Pattern),
            ("https://user@api.example.com", UrlFault::Userinfo),
            ("https://api.example.com@evil.org", UrlFault::Userinfo),
            ("https://api.example.com/v1", UrlFault::Path),
            ("https://api.example.com?x", UrlFault::Query),
            ("https://api.example.com#x", UrlFault::Fragment),
            ("https://api.example.com\\evil", UrlFault::Characters),
            ("https://api.example.com https://b", UrlFault::Characters),
            ("https://api.example.com.", UrlFault::HostSpelling),
            ("https://größe.example", UrlFault::HostSpelling),
            ("https://api%2eexample.com", UrlFault::HostSpelling),
            ("https://127.1", UrlFault::HostSpelling),
            ("https://2130706433", UrlFault::HostSpelling),
            ("https://[0:0::1]", UrlFault::HostSpelling),
            ("https://:443", UrlFault::Unreadable),
        ] {
            assert_eq!(fault(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn a_pattern_is_kept_in_one_form() {
        for (given, kept) in [
            ("HTTPS://Api.Example.com:443/", "https://api.example.com"),
            ("https://*.Example.com:8443", "https://*.example.com:8443"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            let pattern = OriginPattern::parse(given).unwrap();
            assert_eq!(pattern.to_string(), kept);
            assert_eq!(OriginPattern::parse(kept).unwrap(), pattern);
        }
    }
}
