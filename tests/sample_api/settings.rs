//! How the server behaves when it behaves: sizes, ends, who may ask.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::request::Request;

/// What the server does as long as no fault is scripted. All of it can be changed while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Records of a page where the request does not say. 100.
    pub page_size: u64,
    /// Larger pages are cut to this without a word, as many servers do. 1000.
    pub max_page_size: u64,
    /// The number of the first page in `/page/` and `/link/`. 1.
    pub first_page: u64,
    /// What is answered to a page past the end.
    pub past_end: PastEnd,
    /// What a page with the last records says is next.
    pub last_page: LastPage,
    pub auth: Auth,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            page_size: 100,
            max_page_size: 1_000,
            first_page: 1,
            past_end: PastEnd::Empty,
            last_page: LastPage::NamesNothing,
            auth: Auth::None,
        }
    }
}

/// The answer to a page past the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PastEnd {
    /// 200 with no records.
    Empty,
    /// 404.
    NotFound,
    /// 400.
    BadRequest,
}

/// What the page with the last records names as next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastPage {
    /// Nothing: the client knows that it is the last.
    NamesNothing,
    /// One page more, which is empty and names itself: a token that repeats.
    NamesAnEmptyPage,
}

/// What a request for products has to show; control paths are open to all.
#[derive(Clone, PartialEq, Eq)]
pub enum Auth {
    None,
    Bearer(String),
    Basic {
        username: String,
        password: String,
    },
    HeaderKey {
        name: String,
        value: String,
    },
    QueryKey {
        name: String,
        value: String,
    },
    /// A token of the server's own authorization server.
    Issued,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.name())
    }
}

impl Auth {
    /// The word for it in the control paths.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Auth::None => "none",
            Auth::Bearer(_) => "bearer",
            Auth::Basic { .. } => "basic",
            Auth::HeaderKey { .. } => "header_key",
            Auth::QueryKey { .. } => "query_key",
            Auth::Issued => "issued",
        }
    }

    pub(crate) fn admits(&self, request: &Request) -> bool {
        match self {
            Auth::None => true,
            Auth::Bearer(token) => request.header("authorization") == Some(&format!("Bearer {token}")),
            Auth::Basic { username, password } => {
                let expected = STANDARD.encode(format!("{username}:{password}"));
                request.header("authorization") == Some(&format!("Basic {expected}"))
            }
            Auth::HeaderKey { name, value } => request.header(name) == Some(value),
            Auth::QueryKey { name, value } => request.query.get(name) == Some(value),
            Auth::Issued => false,
        }
    }

    /// The value of `WWW-Authenticate` (RFC 9110 11.6.1) in a refusal.
    pub(crate) fn challenge(&self) -> &'static str {
        match self {
            Auth::Bearer(_) | Auth::Issued => "Bearer realm=\"sample\"",
            Auth::Basic { .. } => "Basic realm=\"sample\"",
            _ => "ApiKey realm=\"sample\"",
        }
    }

    /// The request's path and query without the key that it may hold.
    pub(crate) fn redact(&self, target: &str) -> String {
        let Auth::QueryKey { name, .. } = self else {
            return target.to_owned();
        };
        let Some((path, query)) = target.split_once('?') else {
            return target.to_owned();
        };
        let hidden = query.split('&').map(|pair| match pair.split_once('=') {
            Some((known, _)) if known == name => format!("{known}=***"),
            _ => pair.to_owned(),
        });
        format!("{path}?{}", hidden.collect::<Vec<_>>().join("&"))
    }
}
