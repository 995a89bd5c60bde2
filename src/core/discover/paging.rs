//! How a collection is paged: what its first answer suggests, tried on the remote.
//!
//! ```text
//! the answer names a next page ─► follow it        says it is whole ─► ask for a smaller page, then as below
//! names none ─► ask for page 2, for an offset, behind the last key; a parameter counts when other records come
//! found ─► its size, its total
//! ```

use super::answer::{Beside, Page};
use super::hints::{self, NameKind, NextNamed, Total};
use super::place::{by_place, by_place_in_query};
use super::prober::{Outcome, Prober};
use super::size::{Size, larger_pages, shrink, size_of};
use super::trial::{Kind, Trial, Tried, obeyed};
use crate::counted::counted;
use crate::data::SingularQuery;
use crate::http::{Auth, HttpError};
use crate::pagination::{Ask, Carrier, PageToken, Pagination, ParamPlace, Totals, link_header, next};
use serde_json::{Value, json};
use url::Url;

/// What a discovery knows of the remote before it asks.
pub struct Remote {
    /// The job's own URL: base, path and params.
    pub first: Url,
    pub base: Url,
    pub auth: Auth,
    /// The job's own body, and where parameters are tried first.
    pub body: Option<Value>,
    pub place: ParamPlace,
}

/// How the collection is paged.
pub(super) struct Paging {
    /// The setting `pagination`, without sizes and total; None: it could not be told.
    pub scheme: Option<Value>,
    pub evidence: String,
    pub doubt: Option<String>,
    pub size: Option<Size>,
    pub size_doubt: Option<String>,
    pub total: Option<Total>,
    pub total_doubt: Option<String>,
    pub first: Page,
    /// A page without any record of the first.
    pub second: Option<Page>,
    /// A larger page that begins as the first.
    pub larger: Option<Page>,
    /// Where the parameters go.
    pub place: ParamPlace,
}

/// A scheme that was found, and the page that proved it.
pub(super) struct Found {
    pub scheme: Value,
    pub evidence: String,
    pub doubt: Option<String>,
    pub second: Option<Page>,
    /// The address of the next page, where the remote names it: its parameters tell more.
    pub next_url: Option<Url>,
}

/// The key by which records can be asked for: its column, and the last record's value.
pub(super) struct LastKey {
    pub column: String,
    pub query: SingularQuery,
}

pub(super) fn find(prober: &mut Prober, whole: Page, remote: &Remote, key: Option<&LastKey>) -> Paging {
    let mut tried = Tried::default();
    let shrunk = shrink(prober, &whole, &mut tried);
    let (first, shrunk_by) = match shrunk {
        Some((page, trial)) => (page, Some(trial)),
        None => (whole.clone(), None),
    };
    let is_whole = hints::says_it_is_whole(&whole) && shrunk_by.is_none();
    let found = match is_whole {
        true => Some(everything(&whole)),
        false => by_name(prober, &first, remote, &mut tried)
            .or_else(|| by_place(prober, &first, key, &mut tried))
            .or_else(|| by_place_in_query(prober, &first, key, &mut tried)),
    };
    let declared = declared_total(&first, found.as_ref().and_then(|found| found.second.as_ref()));
    let found = found.unwrap_or_else(|| untold(prober, &whole, declared.as_ref(), &tried, shrunk_by.as_ref()));
    // A smaller page's successor holds records of the whole one.
    let second = found.second.clone().filter(|_| shrunk_by.is_none());
    let is_paged = found.scheme["type"] != "none" && !found.scheme.is_null();
    let (size, larger, size_doubt) = match (is_paged, shrunk_by) {
        (false, _) => (None, None, None),
        (true, Some(trial)) => (Some(size_of(&trial, &first, whole.count)), None, None),
        (true, None) => larger_pages(
            prober,
            &first,
            &found.scheme,
            found.next_url.as_ref(),
            declared.as_ref(),
        ),
    };
    let total_doubt = match (&declared, is_paged) {
        (None, true) => {
            Some("No total is declared: a row that vanishes is removed when two reads in a row lack it.".into())
        }
        _ => None,
    };
    Paging {
        scheme: Some(found.scheme).filter(|scheme| !scheme.is_null()),
        evidence: found.evidence,
        doubt: found.doubt.or_else(|| prober.stopped.clone()),
        size,
        size_doubt,
        total: declared,
        total_doubt,
        first: whole,
        second,
        larger,
        place: prober.place,
    }
}

fn everything(page: &Page) -> Found {
    let total = hints::totals(page).into_iter().find(|total| total.value == page.count);
    let evidence = match total {
        Some(total) => format!(
            "The {} that {} declares came at once.",
            counted(page.count, "record"),
            total.place
        ),
        None => format!(
            "{} came, and the answer names no next page.",
            counted(page.count, "record")
        ),
    };
    Found {
        scheme: json!({"type": "none"}),
        evidence,
        doubt: Some("How a larger collection would be paged cannot be told from this one.".into()),
        second: None,
        next_url: None,
    }
}

/// By what the answer itself names as the next page.
fn by_name(prober: &mut Prober, first: &Page, remote: &Remote, tried: &mut Tried) -> Option<Found> {
    let mut foreign = None;
    if first.headers.get("link").is_some() {
        match link_header::next(&first.headers, &prober.first, &remote.base, 1) {
            Ok(Some(url)) => {
                let scheme = json!({"type": "link_header"});
                let what = "The Link header names the next page";
                let asked = (url, prober.body.clone());
                return followed(prober, first, &asked, scheme, what);
            }
            Ok(None) => {}
            Err(error) => foreign = Some(error),
        }
    }
    for named in hints::next_named(first) {
        match named.kind() {
            NameKind::Address | NameKind::Parameters => match follow(prober, first, remote, &named) {
                Ok(Some(found)) => return Some(found),
                Ok(None) => {}
                Err(error) => foreign = Some(error),
            },
            NameKind::Token => {
                if let Some(found) = by_token(prober, first, &named, tried) {
                    return Some(found);
                }
            }
            NameKind::PageNumber | NameKind::Nothing => {}
        }
    }
    foreign.map(|error| Found {
        scheme: Value::Null,
        evidence: String::new(),
        doubt: Some(format!(
            "{error}: give the connection the base URL that these links have."
        )),
        second: None,
        next_url: None,
    })
}

/// Follows an address, or parameters in an object.
fn follow(prober: &mut Prober, first: &Page, remote: &Remote, named: &NextNamed) -> Result<Option<Found>, HttpError> {
    let is_address = named.kind() == NameKind::Address;
    let pagination = match is_address {
        true => Pagination::NextUrl {
            next: named.source.clone(),
            param: None,
            totals: Totals::default(),
        },
        false => Pagination::Cursor {
            param: "cursor".into(),
            next: named.source.clone(),
            totals: Totals::default(),
        },
    };
    let context = next::Context {
        request: &prober.first,
        first: &prober.first,
        base: &remote.base,
        auth: &remote.auth,
        place: prober.place,
        page: 1,
    };
    let Some(token) = next::token(&pagination, Some(&named.raw), &context)? else {
        return Ok(None);
    };
    let asked = carried(&pagination, token, prober, remote)?;
    let kind = if is_address { "next_url" } else { "cursor" };
    let mut scheme = json!({"type": kind, "next": named.place});
    if !is_address {
        scheme = prober.placed(scheme);
    }
    let what = format!("{} names the next page", named.place);
    Ok(followed(prober, first, &asked, scheme, &what))
}

/// URL and body of a request.
type Asked = (Url, Option<Value>);

fn carried(pagination: &Pagination, token: PageToken, prober: &Prober, remote: &Remote) -> Result<Asked, HttpError> {
    let ask = Ask {
        number: 2,
        token,
        epoch: 0,
    };
    let carrier = Carrier {
        url: &prober.first,
        base: &remote.base,
        body: prober.body.as_ref(),
        place: prober.place,
        page_size: None,
    };
    pagination.carried(&ask, &carrier)
}

fn followed(prober: &mut Prober, first: &Page, asked: &Asked, scheme: Value, what: &str) -> Option<Found> {
    let (url, body) = asked;
    let found = |evidence, doubt: Option<&str>, second| Found {
        scheme: scheme.clone(),
        evidence,
        doubt: doubt.map(str::to_owned),
        second,
        next_url: Some(url.clone()),
    };
    match prober.at(url, body.as_ref()) {
        Outcome::Page(second) => match second.beside(first) {
            Beside::Others => Some(found(
                format!(
                    "{what}; following it brought {}.",
                    counted(second.count, "other record")
                ),
                None,
                Some(*second),
            )),
            Beside::Empty => Some(found(format!("{what}; that page is empty."), None, None)),
            Beside::Some => Some(found(
                format!("{what}; following it brought other records."),
                Some("Some records came twice: the collection moved meanwhile, or has no fixed order."),
                None,
            )),
            Beside::Same => None,
        },
        Outcome::Refused => None,
        Outcome::Untold => Some(found(format!("{what}."), Some("It was not followed."), None)),
    }
}

const TOKEN_WORDS: [&str; 8] = [
    "cursor",
    "after",
    "pagetoken",
    "nexttoken",
    "startingafter",
    "token",
    "continuation",
    "continuationtoken",
];

/// By a token: which parameter takes it has to be tried.
fn by_token(prober: &mut Prober, first: &Page, named: &NextNamed, tried: &mut Tried) -> Option<Found> {
    let value: Value = serde_json::from_str(&named.raw).ok()?;
    let mut params = prober.own_params(&TOKEN_WORDS);
    params.extend(
        named
            .params()
            .into_iter()
            .filter(|param| !prober.own_params(&TOKEN_WORDS).contains(param)),
    );
    if named.raw.trim_matches('"') == "2" {
        params.insert(0, "page".into());
    }
    let trials: Vec<Trial> = params
        .iter()
        .map(|param| Trial::new(Kind::Token, param, value.clone()))
        .collect();
    let takes = |page: &Page| page.beside(first) == Beside::Others;
    let (trial, second) = obeyed(prober, &trials, 2, &takes, tried)?;
    Some(Found {
        scheme: prober.placed(match trial.param.as_str() {
            "cursor" => json!({"type": "cursor", "next": named.place}),
            param => json!({"type": "cursor", "param": param, "next": named.place}),
        }),
        evidence: format!(
            "{} holds a token; sent as {} it brought {}.",
            named.place,
            trial.param,
            counted(second.count, "other record")
        ),
        doubt: None,
        second: Some(second),
        next_url: None,
    })
}

/// What is left to say where no way to a second page was found.
fn untold(prober: &Prober, whole: &Page, total: Option<&Total>, tried: &Tried, shrunk_by: Option<&Trial>) -> Found {
    let more = total.filter(|total| total.value > whole.count);
    let says_more = hints::next_named(whole)
        .iter()
        .any(|named| named.kind() != NameKind::Nothing);
    let because = prober.stopped.clone().unwrap_or_default();
    let (scheme, doubt) = match (more, shrunk_by) {
        (Some(total), _) => (
            Value::Null,
            format!(
                "{because} {} declares {}: look up how the next page is asked for.",
                total.place, total.value
            ),
        ),
        (None, _) if says_more || prober.stopped.is_some() => (
            Value::Null,
            format!("{because} Look up how the next page is asked for, and give \"pagination\".")
                .trim()
                .to_owned(),
        ),
        (None, Some(trial)) => (
            Value::Null,
            format!("{} is obeyed: look up how the next page is asked for.", trial.param),
        ),
        (None, None) => (
            json!({"type": "none"}),
            format!(
                "If there are more than {}, look up how the next page is asked for.",
                counted(whole.count, "record")
            ),
        ),
    };
    Found {
        scheme,
        evidence: format!("{} came. {}", counted(whole.count, "record"), tried.shown())
            .trim_end()
            .to_owned(),
        doubt: Some(doubt),
        second: None,
        next_url: None,
    }
}

/// The total that the pages agree on.
fn declared_total(first: &Page, second: Option<&Page>) -> Option<Total> {
    hints::totals(first).into_iter().find(|total| {
        let agrees = second.is_none_or(|page| page.count == 0 || hints::same_total(total, page) == Some(total.value));
        let is_large = total.value >= first.count && (!total.is_ambiguous || total.value > first.count);
        agrees && is_large
    })
}
