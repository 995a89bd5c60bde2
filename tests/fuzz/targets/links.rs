//! Where the next page is: `Link` headers (RFC 8288), and values that responses name.

use crate::oracle::{first_line, well_told};
use crate::targets::urls;
use serde_json::Value;
use sluice_core::data::SingularQuery;
use sluice_core::http::{Auth, Headers, HttpError, KeyPlace, Secret};
use sluice_core::pagination::next::{self, Context};
use sluice_core::pagination::{Ask, Carrier, PageToken, Pagination, ParamPlace, Source, Totals, link_header};
use url::Url;

const BASE: &str = "https://api.example/v1";
const REQUEST: &str = "https://api.example/v1/items?page=1";

/// Any header at all: an error, the end, or an address below the base that can be asked for later.
///
/// Input: one `Link` field a line.
pub fn check_header(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let fields: Vec<&str> = text.split('\n').collect();
    match next_of(&fields) {
        Ok(Some(next)) => {
            check_below(&next);
            let token = link_header::token(next.clone(), &Auth::None);
            assert_eq!(ask(&Pagination::LinkHeader, token), Ok(next));
        }
        Ok(None) => {}
        Err(error) => well_told(&error),
    }
}

/// Links that were written by the grammar are read: the first one with the relation `next` is the one.
///
/// Input: one link a line, its target, relations and title with tabs between them.
pub fn check_written(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Some(links) = text.split('\n').map(Written::read).collect::<Option<Vec<_>>>() else {
        return;
    };
    let request = url(REQUEST);
    let field = links.iter().map(Written::serialised).collect::<Vec<_>>().join(", ");
    let next = links
        .iter()
        .find(|link| link.relations.iter().any(|name| name.eq_ignore_ascii_case("next")));
    let expected = next.map(|link| {
        let mut target = request.join(link.target).expect("checked before");
        target.set_fragment(None);
        target
    });
    match (next_of(&[&field]), expected) {
        (Ok(found), expected) => assert_eq!(found, expected, "{field}"),
        (Err(HttpError::ForeignLink { .. }), Some(target)) => {
            assert!(!is_in_tree(&target) || target.path().contains('%'), "{field}")
        }
        (Err(error), _) => panic!("{error:?}: {field}"),
    }
}

struct Written<'a> {
    target: &'a str,
    relations: Vec<&'a str>,
    title: &'a str,
}

impl Written<'_> {
    fn read(line: &str) -> Option<Written<'_>> {
        let mut parts = line.splitn(3, '\t');
        let (target, relations, title) = (parts.next()?, parts.next()?, parts.next()?);
        let relations: Vec<&str> = relations.split(' ').collect();
        let in_url = |c: char| c.is_ascii_graphic() && !"<>\"\\^`{}|".contains(c);
        let is_name = |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-');
        let printable = |c: char| c == ' ' || c.is_ascii_graphic();
        let is_written = target.chars().all(in_url)
            && relations.iter().all(is_name)
            && title.chars().all(printable)
            && url(REQUEST).join(target).is_ok();
        is_written.then_some(Written {
            target,
            relations,
            title,
        })
    }

    fn serialised(&self) -> String {
        let title = self.title.replace('\\', "\\\\").replace('"', "\\\"");
        format!(
            "<{}>; rel=\"{}\"; title=\"{title}\"",
            self.target,
            self.relations.join(" ")
        )
    }
}

/// A value that a response names: what is kept of it can be asked for, below the base, and is the value.
///
/// Input: `cursor`, `next_url`, `next_url_or_value` or `keyset`, a line's end, the value as JSON.
pub fn check_next(input: &[u8]) {
    let Some((kind, rest)) = first_line(input) else { return };
    let Some(pagination) = pagination(kind) else { return };
    let Ok(named) = std::str::from_utf8(rest) else { return };
    let auth = Auth::ApiKey {
        name: "key".into(),
        place: KeyPlace::Query,
        value: Secret::new("hunter2"),
    };
    let context = Context {
        request: &url(REQUEST),
        first: &url(REQUEST),
        base: &url(BASE),
        auth: &auth,
        place: ParamPlace::Query,
        page: 1,
    };
    match next::token(&pagination, Some(named), &context) {
        Ok(Some(token)) => {
            let next = ask(&pagination, token).expect("what is kept can be asked for");
            check_below(&next);
            assert!(next.query_pairs().all(|(name, _)| name != "key"), "{next}");
            check_value(&pagination, named, &next);
        }
        Ok(None) => {}
        Err(error) => well_told(&error),
    }
}

fn pagination(kind: &str) -> Option<Pagination> {
    let next = Source::Body(SingularQuery::member("next"));
    let (totals, param) = (Totals::default(), "after".to_owned());
    Some(match kind {
        "cursor" => Pagination::Cursor { param, next, totals },
        "keyset" => Pagination::Keyset {
            param,
            column: "id".into(),
            last: next,
        },
        "next_url" => Pagination::NextUrl {
            next,
            param: None,
            totals,
        },
        "next_url_or_value" => Pagination::NextUrl {
            next,
            param: Some(param),
            totals,
        },
        _ => return None,
    })
}

/// A cursor comes back out of the address as it was named.
fn check_value(pagination: &Pagination, named: &str, next: &Url) {
    let sent = || {
        next.query_pairs()
            .filter(|(name, _)| name == "after")
            .map(|(_, value)| value)
            .collect::<Vec<_>>()
    };
    if let Pagination::Cursor { .. } | Pagination::Keyset { .. } = pagination {
        match serde_json::from_str(named).expect("it was read before") {
            Value::String(text) => assert_eq!(sent(), [text]),
            Value::Number(number) => assert_eq!(sent(), [number.to_string()]),
            _ => {}
        }
    }
}

fn next_of(fields: &[&str]) -> Result<Option<Url>, HttpError> {
    let headers: Headers = fields.iter().map(|field| ("Link", *field)).collect();
    link_header::next(&headers, &url(REQUEST), &url(BASE), 1)
}

fn ask(pagination: &Pagination, token: PageToken) -> Result<Url, HttpError> {
    let ask = Ask {
        number: 2,
        token,
        epoch: 0,
    };
    let (own, base) = (url(REQUEST), url(BASE));
    let (asked, _) = pagination.carried(&ask, &Carrier::of_query(&own, &base, None))?;
    Ok(asked)
}

fn check_below(target: &Url) {
    assert!(is_in_tree(target), "{target}");
    urls::check_link(&url(BASE), target);
    assert_eq!(target.fragment(), None);
}

/// The base's origin and a path in its tree, by the text alone.
fn is_in_tree(target: &Url) -> bool {
    let rest = target.as_str().strip_prefix(BASE);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("a constant")
}
