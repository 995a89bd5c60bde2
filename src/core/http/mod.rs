//! Plain requests and responses: what is sent, what came back, and what either of them means.
//!
//! Nothing here does I/O. [`Request`] and [`Response`] are what a transport takes and gives, [`Auth`] puts credentials
//! on a request, [`status`] says what a status code means, and [`HttpError`] is every way in which an exchange fails.
//! Credentials are kept in [`Secret`], which has no `Debug` or `Display` of its value.

mod auth;
mod error;
mod error_text;
mod redact;
pub mod status;

use std::fmt;

use url::Url;
use zeroize::Zeroizing;

/// A JSON document that is sent; its numbers keep their digits.
pub use serde_json::Value as Json;

pub use auth::{Auth, KeyPlace};
pub use error::{Breakage, HttpError, Phase, SizeLimit, TlsProblem};
pub(crate) use redact::redact;

/// A text that must appear nowhere: no `Debug`, no `Display`, overwritten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(value: impl Into<String>) -> Secret {
        Secret(Zeroizing::new(value.into()))
    }

    /// The value itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The methods that a read may use; POST only where the connection declares it for reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
}

impl Method {
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
        }
    }
}

/// A header's value: open, or one that must not be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderValue {
    Plain(String),
    Hidden(Secret),
}

impl HeaderValue {
    /// The text that goes onto the wire.
    pub fn expose(&self) -> &str {
        match self {
            HeaderValue::Plain(value) => value,
            HeaderValue::Hidden(secret) => secret.expose(),
        }
    }
}

/// One request, complete but for what the transport adds itself (Host, User-Agent, Accept-Encoding).
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    /// May hold a credential in its query; see [`Auth::apply`].
    pub url: Url,
    pub headers: Vec<(String, HeaderValue)>,
    pub body: Option<Vec<u8>>,
}

impl Request {
    pub fn get(url: Url) -> Request {
        Request {
            method: Method::Get,
            url,
            headers: Vec::new(),
            body: None,
        }
    }

    /// `host:port` of the URL, for messages.
    pub fn remote(&self) -> String {
        remote(&self.url)
    }
}

/// Shows no query, no header values and no body: each may hold a credential.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("remote", &self.remote())
            .field("path", &self.url.path())
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

/// `host:port` of a URL, for messages; never the query, the path or userinfo.
pub fn remote(url: &Url) -> String {
    let host = url.host_str().unwrap_or("(no host)");
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Header fields in the order in which they came; names are compared without regard to case (RFC 9110 section 5.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    pub fn new() -> Headers {
        Headers::default()
    }

    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// The first field of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// Every field of that name, in order.
    pub fn get_all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.0
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Headers {
        Headers(
            fields
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

/// One response, its body read to the end and decoded (gzip undone).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: Headers,
    /// The decoded bytes.
    pub body: Vec<u8>,
    /// Bytes of the body as they came over the wire, before decoding.
    pub wire_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_shows_neither_query_nor_header_values() {
        let mut request = Request::get(Url::parse("https://h.example/v1/x?api_key=hunter2").unwrap());
        request
            .headers
            .push(("x-key".into(), HeaderValue::Hidden(Secret::new("hunter2"))));
        request
            .headers
            .push(("x-open".into(), HeaderValue::Plain("hunter2".into())));
        let shown = format!("{request:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("h.example:443") && shown.contains("x-key"), "{shown}");
    }

    #[test]
    fn header_names_are_compared_without_case() {
        let headers: Headers = [("Link", "a"), ("X-Total", "7"), ("LINK", "b")].into_iter().collect();
        assert_eq!(headers.get("x-total"), Some("7"));
        assert_eq!(headers.get_all("link").collect::<Vec<_>>(), ["a", "b"]);
    }
}
