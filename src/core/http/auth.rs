//! Credentials on a request.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use url::Url;

use super::redact::{redact, repeats};
use super::{HeaderValue, Request, Secret};
use crate::error::Error;

/// Where an API key is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPlace {
    Header,
    Query,
}

/// How a connection proves who it is. Holds opened secrets; its `Debug` shows none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    None,
    /// RFC 6750: `Authorization: Bearer …`.
    Bearer(Secret),
    /// RFC 7617: `Authorization: Basic …`.
    Basic {
        username: String,
        password: Secret,
    },
    ApiKey {
        name: String,
        place: KeyPlace,
        value: Secret,
    },
}

impl Auth {
    /// Puts the credentials on a request, if and only if it goes to `base`'s origin (scheme, host and port).
    pub fn apply(&self, request: &mut Request, base: &Url) {
        if request.url.origin() != base.origin() {
            return;
        }
        match self {
            Auth::None => {}
            Auth::Bearer(token) => push(request, "authorization", format!("Bearer {}", token.expose())),
            Auth::Basic { username, password } => {
                push(
                    request,
                    "authorization",
                    format!("Basic {}", basic_token(username, password)),
                );
            }
            Auth::ApiKey {
                name,
                place: KeyPlace::Header,
                value,
            } => push(request, name, value.expose().to_owned()),
            Auth::ApiKey {
                name,
                place: KeyPlace::Query,
                value,
            } => {
                self.strip(&mut request.url);
                request.url.query_pairs_mut().append_pair(name, value.expose());
            }
        }
    }

    /// The query parameter that holds a key.
    pub fn query_name(&self) -> Option<&str> {
        match self {
            Auth::ApiKey {
                name,
                place: KeyPlace::Query,
                ..
            } => Some(name),
            _ => None,
        }
    }

    /// Takes a key out of a URL's query. A server may echo the key in its next link, and that link is stored.
    pub fn strip(&self, url: &mut Url) {
        let (Some(name), Some(query)) = (self.query_name(), url.query()) else {
            return;
        };
        let is_key = |pair: &&str| url::form_urlencoded::parse(pair.as_bytes()).any(|(n, _)| n == name);
        // Only the key's own pair is dropped; the others keep their exact text.
        let kept: Vec<&str> = query.split('&').filter(|pair| !is_key(pair)).collect();
        let kept = kept.join("&");
        url.set_query(if kept.is_empty() { None } else { Some(&kept) });
    }

    /// Replaces every occurrence of the credentials in a text that came from the remote.
    pub fn redact(&self, text: &str) -> String {
        redact(text, &self.secrets())
    }

    /// The error of an answer's content, without what the answer repeats of the credentials. What is shown of it may begin
    /// or end within one: then nothing is.
    pub fn redacted(&self, error: Error, body: &[u8]) -> Error {
        let Error::Data(error) = error else { return error };
        // Without the zeros of UTF-16, in which CSV may come.
        let body: Vec<u8> = body.iter().copied().filter(|byte| *byte != 0).collect();
        let is_repeated = repeats(&String::from_utf8_lossy(&body), &self.secrets());
        Error::Data(error.with_excerpt(|excerpt| match is_repeated {
            true => "(not shown: the answer repeats the credentials)".to_owned(),
            false => excerpt.to_owned(),
        }))
    }

    fn secrets(&self) -> Vec<Secret> {
        match self {
            Auth::None => Vec::new(),
            Auth::Bearer(value) | Auth::ApiKey { value, .. } => vec![value.clone()],
            Auth::Basic { username, password } => {
                vec![Secret::new(basic_token(username, password)), password.clone()]
            }
        }
    }
}

fn push(request: &mut Request, name: &str, value: String) {
    request
        .headers
        .push((name.to_owned(), HeaderValue::Hidden(Secret::new(value))));
}

fn basic_token(username: &str, password: &Secret) -> String {
    BASE64_STANDARD.encode(format!("{username}:{}", password.expose()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::DataError;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn key_in_query() -> Auth {
        Auth::ApiKey {
            name: "api_key".into(),
            place: KeyPlace::Query,
            value: Secret::new("s3cr&t"),
        }
    }

    #[test]
    fn credentials_go_to_the_connections_origin_only() {
        let base = url("https://api.example/v1");
        for elsewhere in [
            "http://api.example/v1/x",
            "https://api.example:8443/v1/x",
            "https://evil.example/v1/x",
        ] {
            for auth in [Auth::Bearer(Secret::new("t")), key_in_query()] {
                let mut request = Request::get(url(elsewhere));
                auth.apply(&mut request, &base);
                assert_eq!(request, Request::get(url(elsewhere)));
            }
        }
    }

    #[test]
    fn each_scheme_is_put_where_it_belongs() {
        let base = url("https://api.example/v1");
        let sent = |auth: &Auth| {
            let mut request = Request::get(url("https://api.example/v1/x?a=1"));
            auth.apply(&mut request, &base);
            let header = request.headers.first().map(|(n, v)| format!("{n}: {}", v.expose()));
            (
                header.unwrap_or_default(),
                request.url.query().unwrap_or_default().to_owned(),
            )
        };
        assert_eq!(sent(&Auth::Bearer(Secret::new("tok"))).0, "authorization: Bearer tok");
        let basic = Auth::Basic {
            username: "Aladdin".into(),
            password: Secret::new("open sesame"),
        };
        assert_eq!(sent(&basic).0, "authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let key = Auth::ApiKey {
            name: "x-api-key".into(),
            place: KeyPlace::Header,
            value: Secret::new("k"),
        };
        assert_eq!(sent(&key), ("x-api-key: k".into(), "a=1".into()));
        assert_eq!(sent(&key_in_query()), (String::new(), "a=1&api_key=s3cr%26t".into()));
    }

    #[test]
    fn a_key_echoed_in_a_link_is_taken_out_and_sent_once() {
        let auth = key_in_query();
        let mut link = url("https://api.example/v1/x?page=2&api_key=s3cr%26t&q=a%20b");
        auth.strip(&mut link);
        assert_eq!(link.as_str(), "https://api.example/v1/x?page=2&q=a%20b");
        let mut only = url("https://api.example/v1/x?api_key=1");
        auth.strip(&mut only);
        assert_eq!(only.as_str(), "https://api.example/v1/x");
        let mut request = Request::get(url("https://api.example/v1/x?api_key=old"));
        auth.apply(&mut request, &url("https://api.example/v1"));
        assert_eq!(request.url.query(), Some("api_key=s3cr%26t"));
    }

    #[test]
    fn an_echoed_credential_is_redacted() {
        let basic = Auth::Basic {
            username: "Aladdin".into(),
            password: Secret::new("open sesame"),
        };
        let echoed = "bad: QWxhZGRpbjpvcGVuIHNlc2FtZQ== or open sesame or open+sesame";
        assert_eq!(basic.redact(echoed), "bad: *** or *** or ***");
        assert_eq!(key_in_query().redact("key s3cr&t, s3cr%26t"), "key ***, ***");
    }

    #[test]
    fn what_an_error_shows_of_an_answer_is_never_a_part_of_a_credential() {
        let auth = Auth::Bearer(Secret::new("trust/me"));
        let hides = |body: &[u8], excerpt: &str| {
            let error = DataError::NotJson {
                at: 1,
                excerpt: excerpt.to_owned(),
            };
            let told = auth.redacted(error.into(), body).detail().unwrap();
            told == "At byte 1: (not shown: the answer repeats the credentials)"
        };
        assert!(hides(b"trust/me", "rust/me"));
        assert!(hides(br"token trust\/me", "token tru…"));
        assert!(hides(b"t\0r\0u\0s\0t\0/\0m\0e\0", "t"));
        assert!(!hides(b"trust no one", "trust no one"));
    }
}
