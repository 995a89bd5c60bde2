//! How a collection is paged: which request may be sent now, and what an answer means. Nothing here does I/O.
//!
//! [`Pagination`] is a job's setting. [`ReadPlan`] drives one read with it: it gives out [`Ask`]s, takes [`Answer`]s in
//! page order and says what each page is. One file per scheme knows where the next page is: `single`, `page`,
//! `offset`, `link_header`, and `next` for those in which the remote names it by a value.
//!
//! ```text
//!                 next_ask ─► Ask ─► (request, response, records) ─► answered ─► Verdict
//! ReadPlan:  first page alone ─► ahead up to the window while pages are full ─► one at a time after a short page
//!                                        ▲                                                  │
//!                                        └────────────── full page again ◄──────────────────┘
//! ```
//!
//! Terms: a page's *number* is its ordinal within the generation, from 1 on; its *token* is where it is (a page
//! number, an offset, a URL) and is what the checkpoint keeps.

mod ask;
mod carry;
pub mod link_header;
pub mod next;
mod offset;
mod page;
mod places;
mod plan;
#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod simulation;
mod single;

use url::Url;

use crate::data::path::SingularQuery;
use crate::http::Headers;

pub use ask::{Answer, Ask, KnownPage, Position, Seen, Verdict};
pub use carry::{Carrier, ParamPlace, can_hold, share_a_member};
pub use plan::ReadPlan;

/// How a job's collection is paged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pagination {
    /// One request gives everything.
    None,
    /// Pages are numbered: `?page=1`, `?page=2` …
    Page {
        param: String,
        start: u64,
        size_param: Option<String>,
        totals: Totals,
        stop: Stop,
    },
    /// Pages begin at an offset counted in records: `?offset=0`, `?offset=100` …
    Offset {
        param: String,
        limit_param: Option<String>,
        totals: Totals,
        stop: Stop,
    },
    /// Each response names the next in a `Link` header with `rel="next"` (RFC 8288).
    LinkHeader,
    /// Each response gives what the next request sends as `param`; an object gives parameters with their names.
    Cursor {
        param: String,
        next: Source,
        totals: Totals,
    },
    /// Each response gives the address of the next page; with `param` also a bare value of that parameter.
    NextUrl {
        next: Source,
        param: Option<String>,
        totals: Totals,
    },
    /// Records come in the order of a key, and each page begins behind the last key of the one before.
    Keyset {
        param: String,
        column: String,
        last: Source,
    },
}

/// Where a response holds a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Body(SingularQuery),
    Header(String),
}

impl Source {
    /// The path into the body; None for a header.
    pub fn in_body(&self) -> Option<&SingularQuery> {
        match self {
            Source::Body(query) => Some(query),
            Source::Header(_) => None,
        }
    }
}

/// Where a response declares how much there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    pub records: Option<Source>,
    pub pages: Option<Source>,
}

/// What ends a numbered or offset read. A declared total that was reached ends every read, and an empty page ends
/// every read but one that stops by total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stop {
    /// A page without records.
    #[default]
    Empty,
    /// A page with fewer records than the pages before it.
    Short,
    /// A status past the first page that says there is no such page: 404, 410, or 400, 416 or 422 as some APIs say it.
    NotFound,
    /// The declared total (of records or of pages) was reached; empty pages before it do not end the read.
    Total,
}

/// Where a page is: its number, its offset, its absolute URL, or JSON that the remote gave. Empty: the job's own path and parameters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageToken(pub String);

impl PageToken {
    /// The first page of a scheme whose tokens the remote gives.
    pub fn first() -> PageToken {
        PageToken(String::new())
    }
}

impl std::fmt::Display for PageToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Pagination {
    pub fn stop(&self) -> Option<Stop> {
        match self {
            Pagination::Page { stop, .. } | Pagination::Offset { stop, .. } => Some(*stop),
            _ => None,
        }
    }

    /// Where a response names the next page, for the schemes in which a value does.
    pub fn next(&self) -> Option<&Source> {
        match self {
            Pagination::Cursor { next, .. } | Pagination::NextUrl { next, .. } => Some(next),
            Pagination::Keyset { last, .. } => Some(last),
            _ => None,
        }
    }

    /// Whether the remote gives tokens, or addresses that may hold some, that need not live for ever.
    pub fn has_mortal_tokens(&self) -> bool {
        matches!(
            self,
            Pagination::Cursor { .. } | Pagination::NextUrl { .. } | Pagination::LinkHeader
        )
    }

    /// Whether a header says where the read ends. What validates a page's body says nothing of that.
    pub fn ends_by_header(&self) -> bool {
        let sources = [self.next(), self.total(), self.total_pages()];
        let in_header = sources.into_iter().flatten().any(|source| source.in_body().is_none());
        in_header || matches!(self, Pagination::LinkHeader)
    }

    /// Whether a complete read shows by itself what is gone: nothing can slip from a page to one that was read before.
    pub fn is_proof(&self) -> bool {
        matches!(self, Pagination::None | Pagination::Keyset { .. })
    }

    fn totals(&self) -> Option<&Totals> {
        match self {
            Pagination::Page { totals, .. }
            | Pagination::Offset { totals, .. }
            | Pagination::Cursor { totals, .. }
            | Pagination::NextUrl { totals, .. } => Some(totals),
            Pagination::None | Pagination::LinkHeader | Pagination::Keyset { .. } => None,
        }
    }

    /// Where the declared number of records is, if the job names that.
    pub fn total(&self) -> Option<&Source> {
        self.totals()?.records.as_ref()
    }

    /// Where the declared number of pages is, if the job names that.
    pub fn total_pages(&self) -> Option<&Source> {
        self.totals()?.pages.as_ref()
    }
}

/// A declared total in a response's headers, where it is declared there.
pub fn declared_in(headers: &Headers, source: Option<&Source>) -> Option<u64> {
    let Some(Source::Header(name)) = source else {
        return None;
    };
    let value = headers.get(name)?.trim();
    if value.bytes().all(|b| b.is_ascii_digit()) {
        value.parse().ok()
    } else {
        None
    }
}

/// `url` with `name=value` in its query, in place of a pair of that name. Spaces are sent as `%20`.
pub fn with_param(url: &Url, name: &str, value: &str) -> Url {
    let mut url = url.clone();
    let is_same = |pair: &&str| url::form_urlencoded::parse(pair.as_bytes()).any(|(n, _)| n == name);
    let kept = url
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty() && !is_same(pair));
    let mut pairs: Vec<String> = kept.map(str::to_owned).collect();
    pairs.push(format!("{}={}", encode(name), encode(value)));
    url.set_query(Some(&pairs.join("&")));
    url
}

/// Percent-encoding of a query's part. The form encoder writes a space as `+`, which not every server reads back.
fn encode(text: &str) -> String {
    let form: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    form.replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HttpError;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn ask(token: &str) -> Ask {
        Ask {
            number: 3,
            token: PageToken(token.into()),
            epoch: 0,
        }
    }

    #[test]
    fn the_pages_parameters_take_the_place_of_the_jobs_own() {
        let page = Pagination::Page {
            param: "page".into(),
            start: 1,
            size_param: Some("per page".into()),
            totals: Totals::default(),
            stop: Stop::Empty,
        };
        let first = url("https://h.example/v1/x?q=a%20b&page=9&r=1");
        let base = url("https://h.example/v1");
        let carrier = Carrier::of_query(&first, &base, Some(50));
        let asked = page.carried(&ask("3"), &carrier).unwrap().0;
        assert_eq!(
            asked.as_str(),
            "https://h.example/v1/x?q=a%20b&r=1&page=3&per%20page=50"
        );
        assert!(page.carried(&ask("three"), &carrier).is_err());
    }

    #[test]
    fn parameters_are_encoded_with_spaces_as_percent_20() {
        let sent = with_param(&url("https://h.example/x"), "filter", "a b+c&d=é");
        assert_eq!(sent.as_str(), "https://h.example/x?filter=a%20b%2Bc%26d%3D%C3%A9");
    }

    #[test]
    fn a_stored_link_must_still_lie_below_the_base() {
        let base = url("https://h.example/v1");
        let first = url("https://h.example/v1/x?per_page=5");
        let carrier = Carrier::of_query(&first, &base, Some(7));
        let of = |token: &str| {
            Pagination::LinkHeader
                .carried(&ask(token), &carrier)
                .map(|(url, _)| url)
        };
        assert_eq!(of("").unwrap(), first);
        assert_eq!(
            of("https://h.example/v1/x?p=2").unwrap().as_str(),
            "https://h.example/v1/x?p=2"
        );
        assert!(matches!(
            of("https://evil.example/v1/x"),
            Err(HttpError::ForeignLink { page: 3, .. })
        ));
        assert!(matches!(of("/v1/x"), Err(HttpError::BadToken { page: 3 })));
    }

    #[test]
    fn a_total_in_a_header_is_a_plain_number() {
        let source = Source::Header("X-Total".into());
        let total = |value: &str| declared_in(&[("x-total", value)].into_iter().collect(), Some(&source));
        assert_eq!(total(" 120 "), Some(120));
        assert_eq!((total("-1"), total("many"), total("")), (None, None, None));
    }
}
