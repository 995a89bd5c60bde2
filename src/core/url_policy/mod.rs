//! Which addresses and URLs a request may go to.
//!
//! Here: the base URL of a connection and its origin. A base URL is
//! refused rather than repaired: what the WHATWG parser would silently mend (tabs, backslashes, dot segments) is how a
//! URL comes to mean something else than it shows. No error repeats a URL's text, since it may hold a credential.

pub mod address;
mod fault;
pub mod join;
pub mod lists;
mod pattern;

use url::Url;

use crate::connection::{ConfigError, Subject};

pub use fault::UrlFault;
pub use pattern::OriginPattern;

/// The longest base URL that is accepted, in bytes.
const LONGEST: usize = 2048;

/// Reads the base URL of a connection: https or http, a host, a path; no userinfo, query or fragment. Pure: no DNS.
///
/// The host is in lower case and IDNs are in ASCII form. The path is as it was given; `/` where there was none.
pub fn parse_base(text: &str) -> Result<Url, ConfigError> {
    read(text).map_err(|fault| ConfigError::Url {
        subject: Subject::option("base_url"),
        fault,
    })
}

/// Reads an address of an authorization server. That at which a person consents may have parameters of its own.
pub fn parse_endpoint(option: &str, text: &str) -> Result<Url, ConfigError> {
    let refuse = |fault| ConfigError::Url {
        subject: Subject::option(option),
        fault,
    };
    let (address, query) = match text.split_once('?') {
        Some((address, query)) if option == "authorization_url" => (address, Some(query)),
        _ => (text, None),
    };
    let mut url = read(address).map_err(refuse)?;
    if let Some(query) = query {
        check_characters(query).map_err(refuse)?;
        if query.contains('#') {
            return Err(refuse(UrlFault::Fragment));
        }
        url.set_query(Some(query));
        // Every role of the cluster can read it.
        if url
            .query_pairs()
            .any(|(name, _)| crate::connection::names_a_credential(&name))
        {
            return Err(refuse(UrlFault::Query));
        }
    }
    Ok(url)
}

/// Reads an origin as a person writes it for `set_secret` (`https://api.example.com`), in its canonical form.
pub fn parse_origin(text: &str) -> Result<String, ConfigError> {
    let refuse = |fault| ConfigError::Url {
        subject: Subject::argument("origin"),
        fault,
    };
    let url = read(text).map_err(refuse)?;
    match url.path() {
        "/" => Ok(origin(&url)),
        _ => Err(refuse(UrlFault::Path)),
    }
}

/// Scheme, host and port (RFC 6454), the default port left out: `https://api.example.com:8443`.
pub fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn read(text: &str) -> Result<Url, UrlFault> {
    check_characters(text)?;
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if !matches!(scheme.as_deref(), Some("http" | "https")) {
        return Err(UrlFault::Scheme);
    }
    let url = Url::parse(text).map_err(|_| UrlFault::Unreadable)?;
    if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
        return Err(UrlFault::Userinfo);
    }
    if url.query().is_some() {
        return Err(UrlFault::Query);
    }
    if url.fragment().is_some() {
        return Err(UrlFault::Fragment);
    }
    if url
        .host_str()
        .is_none_or(|host| host.is_empty() || host.ends_with(".."))
        || url.port() == Some(0)
    {
        return Err(UrlFault::Unreadable);
    }
    check_path(text)?;
    Ok(url)
}

fn check_characters(text: &str) -> Result<(), UrlFault> {
    if text.is_empty() {
        return Err(UrlFault::Scheme);
    }
    if text.len() > LONGEST {
        return Err(UrlFault::TooLong);
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err(UrlFault::Characters);
    }
    Ok(())
}

/// What stands between `//` and the path, as written. Empty for `https:///host`, which the parser would mend.
fn authority(text: &str) -> &str {
    let after = text.split_once("://").map_or("", |(_, rest)| rest);
    after.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Dot segments, empty segments and encoded separators change where a joined path ends up.
fn check_path(text: &str) -> Result<(), UrlFault> {
    if authority(text).is_empty() {
        return Err(UrlFault::Unreadable);
    }
    let after = text.split_once("://").map_or("", |(_, rest)| rest);
    let path = after.find('/').map_or("", |start| &after[start..]);
    // What no path below it could pass would make a base that nothing is below.
    let hidden = join::holds_hidden_separator(path) || join::has_broken_code(path);
    let dots = path.split('/').any(|segment| matches!(segment, "." | ".."));
    if hidden || dots || path.contains("//") {
        return Err(UrlFault::Ambiguous);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
