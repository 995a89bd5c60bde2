//! The next page as a response names it: a token, parameters, a key, or an address.
//!
//! A missing member, `null`, `false`, an empty text and an object without anything in it name none: the end, but for a
//! `keyset`, whose end is an empty page and nothing else. What is kept is either the next page's absolute URL
//! (`next_url`) or the JSON text of a string, a number or an object (`cursor`, `keyset`), so that a token that looks like a
//! number stays a text.

use serde_json::{Map, Value};
use url::Url;

use super::{Ask, PageToken, Pagination, ParamPlace, link_header, with_param};
use crate::http::{Auth, HttpError};

/// Longest text that is followed: an address that servers refuse anyway.
const LONGEST: usize = 8 * 1024;

/// What a next page is found from.
#[derive(Debug)]
pub struct Context<'a> {
    /// The URL of the page that names it: addresses may be relative to it.
    pub request: &'a Url,
    /// The job's own URL: base, path and params.
    pub first: &'a Url,
    pub base: &'a Url,
    pub auth: &'a Auth,
    /// Where what is named will be sent: a query has no arrays and objects.
    pub place: ParamPlace,
    pub page: u64,
}

/// The next page that `named` (JSON text) stands for; None: it names none.
///
/// # Errors
/// `BadNext` where it cannot be followed, `ForeignLink` where an address is not below the base.
pub fn token(
    pagination: &Pagination,
    named: Option<&str>,
    context: &Context<'_>,
) -> Result<Option<PageToken>, HttpError> {
    let bad = || HttpError::BadNext { page: context.page };
    let Some(named) = named else { return Ok(None) };
    if named.len() > LONGEST {
        return Err(bad());
    }
    let value = match serde_json::from_str(named).map_err(|_| bad())? {
        Value::Null | Value::Bool(false) => return Ok(None),
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::Object(members) if members.values().all(Value::is_null) => return Ok(None),
        value => value,
    };
    match (pagination, value) {
        (Pagination::NextUrl { param: None, .. }, Value::String(text)) => address(&text, context).map(Some),
        (Pagination::NextUrl { param: Some(param), .. }, value) => address_or_value(param, value, context).map(Some),
        (Pagination::Cursor { .. } | Pagination::Keyset { .. }, Value::String(_) | Value::Number(_)) => {
            Ok(Some(PageToken(named.trim().to_owned())))
        }
        (Pagination::Cursor { .. }, Value::Array(_)) if context.place == ParamPlace::Body => {
            Ok(Some(PageToken(named.trim().to_owned())))
        }
        (Pagination::Cursor { .. }, Value::Object(members)) => parameters(members, context).map(Some),
        _ => Err(bad()),
    }
}

/// A header's value as [`token`] takes it.
pub fn json_of_header(value: &str) -> String {
    Value::from(value.trim()).to_string()
}

fn address_or_value(param: &str, value: Value, context: &Context<'_>) -> Result<PageToken, HttpError> {
    match value {
        Value::String(text) if looks_like_address(&text) => address(&text, context),
        Value::String(text) => Ok(kept(with_param(context.first, param, &text), context)),
        Value::Number(number) => Ok(kept(with_param(context.first, param, &number.to_string()), context)),
        _ => Err(HttpError::BadNext { page: context.page }),
    }
}

/// Whether a text is an address where it might as well be a parameter's value.
fn looks_like_address(text: &str) -> bool {
    let text = text.trim();
    text.contains("://") || ["/", "?", "./", "../"].iter().any(|start| text.starts_with(start))
}

fn address(text: &str, context: &Context<'_>) -> Result<PageToken, HttpError> {
    let target = context
        .request
        .join(text.trim())
        .map_err(|_| HttpError::BadNext { page: context.page })?;
    Ok(kept(link_header::checked(target, context.base, context.page)?, context))
}

fn kept(url: Url, context: &Context<'_>) -> PageToken {
    link_header::token(url, context.auth)
}

/// An object's members are parameters; a credential that the remote echoes is not kept.
fn parameters(mut members: Map<String, Value>, context: &Context<'_>) -> Result<PageToken, HttpError> {
    if let Some(name) = context.auth.query_name() {
        members.remove(name);
    }
    let is_nested = |value: &Value| value.is_array() || value.is_object();
    if context.place == ParamPlace::Query && members.values().any(is_nested) {
        return Err(HttpError::BadNext { page: context.page });
    }
    Ok(PageToken(Value::Object(members).to_string()))
}

/// The parameters of a kept token of `cursor` or `keyset`.
///
/// # Errors
/// `BadToken` where it is of another kind.
pub(super) fn params(ask: &Ask, param: &str) -> Result<Vec<(String, Value)>, HttpError> {
    let bad = || HttpError::BadToken { page: ask.number };
    match serde_json::from_str(&ask.token.0).map_err(|_| bad())? {
        Value::Object(members) => Ok(members.into_iter().collect()),
        Value::Null | Value::Bool(_) => Err(bad()),
        value => Ok(vec![(param.to_owned(), value)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::path::SingularQuery;
    use crate::http::{KeyPlace, Secret};
    use crate::pagination::{Carrier, Source, Totals};

    fn source() -> Source {
        Source::Body(SingularQuery::member("next"))
    }

    fn next_url(param: Option<&str>) -> Pagination {
        Pagination::NextUrl {
            next: source(),
            param: param.map(str::to_owned),
            totals: Totals::default(),
        }
    }

    fn cursor() -> Pagination {
        Pagination::Cursor {
            param: "cursor".into(),
            next: source(),
            totals: Totals::default(),
        }
    }

    fn keyset() -> Pagination {
        Pagination::Keyset {
            param: "after".into(),
            column: "id".into(),
            last: source(),
        }
    }

    /// What is kept for a value named on page 3, and the URL that is asked with it.
    fn follow(pagination: &Pagination, named: Option<&str>) -> Result<Option<(String, String)>, HttpError> {
        let parse = |text: &str| Url::parse(text).unwrap();
        let auth = Auth::ApiKey {
            name: "key".into(),
            place: KeyPlace::Query,
            value: Secret::new("s3cret".to_owned()),
        };
        let (base, first) = (
            parse("https://h.example/v1"),
            parse("https://h.example/v1/items?size=5"),
        );
        let context = Context {
            request: &parse("https://h.example/v1/items?size=5&cursor=b"),
            first: &first,
            base: &base,
            auth: &auth,
            place: ParamPlace::Query,
            page: 3,
        };
        let Some(token) = token(pagination, named, &context)? else {
            return Ok(None);
        };
        let ask = Ask {
            number: 4,
            token: token.clone(),
            epoch: 0,
        };
        let (url, _) = pagination.carried(&ask, &Carrier::of_query(&first, &base, None))?;
        Ok(Some((token.0, url.into())))
    }

    fn asked(pagination: &Pagination, named: &str) -> Result<String, HttpError> {
        follow(pagination, Some(named)).map(|found| found.expect("a next page").1)
    }

    #[test]
    fn nothing_null_false_and_empty_texts_name_no_next_page() {
        for pagination in [next_url(None), next_url(Some("page")), cursor(), keyset()] {
            for named in [
                None,
                Some("null"),
                Some("false"),
                Some("\"\""),
                Some("\" \""),
                Some("{}"),
                Some(r#"{"after": null, "before": null}"#),
            ] {
                assert_eq!(follow(&pagination, named), Ok(None), "{pagination:?} {named:?}");
            }
        }
    }

    #[test]
    fn a_token_is_the_parameters_value() {
        let table = [
            (r#""abc""#, "cursor=abc"),
            (r#""12""#, "cursor=12"),
            ("12", "cursor=12"),
            (r#""a b+/=""#, "cursor=a%20b%2B%2F%3D"),
            (
                r#"{"cursor": "x", "page": 2, "deep": true, "off": null}"#,
                "cursor=x&deep=true&page=2",
            ),
        ];
        for (named, query) in table {
            assert_eq!(
                asked(&cursor(), named),
                Ok(format!("https://h.example/v1/items?size=5&{query}")),
                "{named}"
            );
        }
        assert_eq!(
            asked(&keyset(), "9007199254740993"),
            Ok("https://h.example/v1/items?size=5&after=9007199254740993".into())
        );
    }

    #[test]
    fn an_address_may_be_absolute_or_relative_and_a_bare_value_needs_its_parameter() {
        let second = "https://h.example/v1/items?page=2";
        for named in [
            second,
            "?page=2",
            "/v1/items?page=2",
            "items?page=2#top",
            "//h.example/v1/items?page=2",
        ] {
            assert_eq!(
                asked(&next_url(None), &format!("\"{named}\"")),
                Ok(second.into()),
                "{named}"
            );
        }
        let given = next_url(Some("page"));
        let beside = "https://h.example/v1/items?size=5&page=2";
        assert_eq!(asked(&given, "2"), Ok(beside.into()));
        assert_eq!(asked(&given, "\"2\""), Ok(beside.into()));
        assert_eq!(asked(&given, "\"?page=2\""), Ok(second.into()));
    }

    #[test]
    fn a_credential_that_the_remote_echoes_is_not_kept() {
        let object = follow(&cursor(), Some(r#"{"cursor": "x", "key": "s3cret"}"#))
            .unwrap()
            .unwrap();
        let link = follow(&next_url(None), Some(r#""?cursor=x&key=s3cret""#))
            .unwrap()
            .unwrap();
        assert!(
            !object.0.contains("s3cret") && !link.0.contains("s3cret"),
            "{object:?} {link:?}"
        );
    }

    #[test]
    fn what_cannot_be_followed_is_an_error_and_not_the_end() {
        let long = format!("\"{}\"", "a".repeat(LONGEST));
        let bad = Err(HttpError::BadNext { page: 3 });
        for named in [
            "true",
            "[1]",
            "[]",
            long.as_str(),
            r#"{"a": [1]}"#,
            r#"{"a": {"b": 1}}"#,
        ] {
            assert_eq!(follow(&cursor(), Some(named)), bad, "{named}");
            assert_eq!(follow(&keyset(), Some(named)), bad, "{named}");
        }
        assert_eq!(follow(&keyset(), Some(r#"{"a": 1}"#)), bad);
        assert_eq!(follow(&next_url(None), Some("2")), bad);
        assert_eq!(follow(&next_url(None), Some("\"http://[\"")), bad);
        for named in [
            "https://evil.example/v1/x",
            "//169.254.169.254/",
            "/v2/items",
            "../../x",
            "file:///etc/passwd",
        ] {
            for pagination in [next_url(None), next_url(Some("page"))] {
                let met = follow(&pagination, Some(&format!("\"{named}\"")));
                assert!(
                    matches!(met, Err(HttpError::ForeignLink { page: 3, .. })),
                    "{named} {met:?}"
                );
            }
        }
    }
}
