//! `Link` headers with `rel="next"` (RFC 8288, RFC 5988 before it).
//!
//! The token is the absolute URL of the next page. A header that cannot be read is an error and not the end: a read
//! that ended too early would look like a smaller collection.

use std::collections::VecDeque;

use url::Url;

use super::{Ask, PageToken};
use crate::http::{Auth, Headers, HttpError, status::web_origin};
use crate::url_policy::join::is_below;

/// The next page's URL as the response to `request_url` names it, without credentials of ours that the remote echoes.
///
/// # Errors
/// `BadLink` where a Link field breaks the grammar, `ForeignLink` where the target is not below `base`.
pub fn next(headers: &Headers, request_url: &Url, base: &Url, page: u64) -> Result<Option<Url>, HttpError> {
    for field in headers.get_all("link") {
        // Lists may have empty elements at their ends (RFC 9110 section 5.6.1), and parameters a final semicolon.
        let field = field.trim_matches([' ', '\t', ',', ';']);
        if field.is_empty() {
            continue;
        }
        let links = match http_link::parse_link_header(&readable(field), request_url) {
            Ok(links) => links,
            // What does not speak of a next page is not ours to judge.
            Err(_) if !field.to_ascii_lowercase().contains("next") => continue,
            Err(_) => return Err(HttpError::BadLink { page }),
        };
        // A link with an anchor speaks of another resource (section 3.2).
        let found = links
            .into_iter()
            .find(|link| link.rel == "next" && link.context == *request_url);
        if let Some(link) = found {
            return checked(link.target, base, page).map(Some);
        }
    }
    Ok(None)
}

/// The field as the parser takes it, which knows neither a last parameter without a value (`<a>; rel=preload; nopush`)
/// nor characters beyond ASCII, in a title for example.
fn readable(field: &str) -> String {
    let mut readable: String = field.chars().fold(String::new(), |mut out, character| {
        match character.is_ascii() {
            true => out.push(character),
            false => out.extend(url::form_urlencoded::byte_serialize(
                character.encode_utf8(&mut [0; 4]).as_bytes(),
            )),
        }
        out
    });
    readable.push(' ');
    readable
}

/// The target without its fragment, where it lies below `base`.
pub(super) fn checked(mut target: Url, base: &Url, page: u64) -> Result<Url, HttpError> {
    target.set_fragment(None);
    match is_below(base, &target) {
        true => Ok(target),
        false => Err(HttpError::ForeignLink {
            page,
            to_origin: web_origin(&target),
        }),
    }
}

/// The URL of a kept token. The base may have changed since it was kept.
///
/// # Errors
/// `BadToken` where it is no URL, `ForeignLink` where it is not below `base`.
pub(super) fn url(ask: &Ask, base: &Url) -> Result<Url, HttpError> {
    let target = Url::parse(&ask.token.0).map_err(|_| HttpError::BadToken { page: ask.number })?;
    checked(target, base, ask.number)
}

/// The token that is kept for a next URL.
pub fn token(mut next: Url, auth: &Auth) -> PageToken {
    auth.strip(&mut next);
    PageToken(next.into())
}

/// Tokens that are known from the expected page on: its own, and those of the pages after it whose predecessors'
/// headers have come although their records are still being decoded.
#[derive(Debug, Clone)]
pub(super) struct Links {
    known: VecDeque<PageToken>,
}

impl Links {
    pub(super) fn new(token: Option<&PageToken>) -> Links {
        Links {
            known: [token.cloned().unwrap_or_else(PageToken::first)].into(),
        }
    }

    pub(super) fn token(&self, ahead: u64) -> Option<PageToken> {
        self.known.get(usize::try_from(ahead).ok()?).cloned()
    }

    /// The page `ahead` after the expected one names `next`.
    pub(super) fn foresee(&mut self, ahead: u64, next: &PageToken) {
        if ahead + 1 == self.known.len() as u64 {
            self.known.push_back(next.clone());
        }
    }

    pub(super) fn advance(&mut self, next: Option<&PageToken>) {
        self.known.pop_front();
        if self.known.front() != next {
            self.known = next.cloned().into_iter().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "https://api.example/v1/items?page=1";

    fn next_of(fields: &[&str]) -> Result<Option<String>, HttpError> {
        let headers: Headers = fields.iter().map(|field| ("Link", *field)).collect();
        let (request, base) = (
            Url::parse(REQUEST).unwrap(),
            Url::parse("https://api.example/v1").unwrap(),
        );
        next(&headers, &request, &base, 1).map(|url| url.map(String::from))
    }

    #[test]
    fn the_next_link_is_found_however_it_is_written() {
        let next = "https://api.example/v1/items?page=2";
        let table: &[&[&str]] = &[
            &[r#"<https://api.example/v1/items?page=2>; rel="next""#],
            &["<https://api.example/v1/items?page=2>; rel=next"],
            &["<https://api.example/v1/items?page=2>;rel=NEXT"],
            &["<?page=2>; rel=next"],
            &["</v1/items?page=2>; rel=next"],
            &["<//api.example/v1/items?page=2>; rel=next"],
            &["<items?page=2#top>; rel=next"],
            &[r#"<?page=9>; rel="last", <?page=2>; rel="next""#],
            &[r#"<?page=2>; rel="next last""#],
            &[r#"<?page=2>; rel="prefetch next"; title="a, b; rel=prev <x>""#],
            &[r#"<?page=1>; rel="first prev",<?page=2>; title="\"quoted\""; rel="next""#],
            &["<?page=9>; rel=last", "<?page=2>; rel=next"],
            &["", "<?page=2>; rel=next"],
            &[r#"<?page=2>; rel="next"; rel="prev""#],
            &[r#"<?page=7>; rel="next"; anchor="/v1/other", <?page=2>; rel=next"#],
            &["  <?page=2>  ;  rel = next  "],
            &["<?page=2>; rel=next;"],
            &["<?page=2>; rel=next, "],
            &["<?page=2>; rel=next; title*=UTF-8''n%C3%A4chste"],
            &["</a.css>; rel=preload; nopush", "<?page=2>; rel=next"],
            &["<?page=2>; rel=next, </a.css>; rel=preload; nopush"],
            &[r#"</g>; rel=chapter; title="Größe", <?page=2>; rel=next; title="nächste""#],
            &["a field that is none, </x", "<?page=2>; rel=next"],
        ];
        for fields in table {
            assert_eq!(
                next_of(fields).as_ref().map(Option::as_deref),
                Ok(Some(next)),
                "{fields:?}"
            );
        }
    }

    #[test]
    fn without_a_next_link_the_read_ends() {
        for fields in [
            &[][..],
            &["<?page=1>; rel=prev"],
            &["<?page=2>; rel=\"nextish\""],
            &["<?page=2>; title=next"],
        ] {
            assert_eq!(next_of(fields), Ok(None), "{fields:?}");
        }
    }

    #[test]
    fn a_link_header_that_cannot_be_read_is_an_error_and_not_the_end() {
        for field in [
            "?page=2; rel=next",
            "<?page=2; rel=next",
            "<?page=2>; rel=\"next",
            "<http://[>; rel=next",
        ] {
            assert_eq!(next_of(&[field]), Err(HttpError::BadLink { page: 1 }), "{field}");
        }
    }

    #[test]
    fn a_next_link_out_of_the_base_is_refused() {
        let table = [
            ("https://evil.example/v1/items?page=2", Some("https://evil.example")),
            ("http://api.example/v1/items?page=2", Some("http://api.example")),
            ("//169.254.169.254/v1/", Some("https://169.254.169.254")),
            ("https://api.example:444/v1/x", Some("https://api.example:444")),
            ("https://u:p@api.example/v1/x", Some("https://api.example")),
            ("/v2/items?page=2", Some("https://api.example")),
            ("../../admin", Some("https://api.example")),
            ("file:///etc/passwd", None),
        ];
        for (target, origin) in table {
            let refused = HttpError::ForeignLink {
                page: 1,
                to_origin: origin.map(str::to_owned),
            };
            assert_eq!(next_of(&[&format!("<{target}>; rel=next")]), Err(refused), "{target}");
        }
    }
}
