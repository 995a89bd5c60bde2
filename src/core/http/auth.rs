//! Credentials on a request.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use url::Url;

use super::{HeaderValue, Request, Secret};

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
        let mut hidden: Vec<Secret> = Vec::new();
        match self {
            Auth::None => {}
            Auth::Bearer(value) | Auth::ApiKey { value, .. } => hidden.push(value.clone()),
            Auth::Basic { username, password } => {
                hidden.push(Secret::new(basic_token(username, password)));
                hidden.push(password.clone());
            }
        }
        let mut text = text.to_owned();
        for secret in hidden.iter().filter(|s| !s.expose().is_empty()) {
            text = text.replace(secret.expose(), "***");
            let encoded: String = url::form_urlencoded::byte_serialize(secret.expose().as_bytes()).collect();
            text = text.replace(&encoded, "***");
        }
        text
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
}
