//! What a page's request adds to the job's own: another address, or parameters in its query or its body.
//!
//! In a query every value is text. In a body numbers stay numbers, and what a remote named as JSON goes back as it came.

use serde_json::{Map, Value};
use url::Url;

use super::{Ask, Pagination, link_header, next, with_param};
use crate::data::path::{SingularQuery, Step};
use crate::http::HttpError;
use crate::url_policy::join::is_below;

/// Where a page's parameters go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ParamPlace {
    #[default]
    Query,
    /// Members of the body, which is an object. A name that begins with `$` is a path in it.
    Body,
}

/// The job's own request, which carries a page's parameters.
#[derive(Debug)]
pub struct Carrier<'a> {
    /// The job's own URL: base, path and params.
    pub url: &'a Url,
    pub base: &'a Url,
    pub body: Option<&'a Value>,
    pub place: ParamPlace,
    pub page_size: Option<u64>,
}

impl<'a> Carrier<'a> {
    /// A request without a body.
    pub fn of_query(url: &'a Url, base: &'a Url, page_size: Option<u64>) -> Carrier<'a> {
        Carrier {
            url,
            base,
            body: None,
            place: ParamPlace::Query,
            page_size,
        }
    }

    fn with(&self, params: Vec<(String, Value)>, page: u64) -> Result<(Url, Option<Value>), HttpError> {
        let bad = || HttpError::BadToken { page };
        let mut body = self.body.cloned();
        match self.place {
            ParamPlace::Query => {
                let mut set = params.iter().filter(|(_, value)| !value.is_null());
                let url = set.try_fold(self.url.clone(), |url, (name, value)| {
                    Some(with_param(&url, name, &text(value)?))
                });
                let url = url.ok_or_else(bad)?;
                is_below(self.base, &url).then_some((url, body)).ok_or_else(bad)
            }
            ParamPlace::Body => {
                let body = body.get_or_insert_with(|| Value::Object(Map::new()));
                for (name, value) in params {
                    put(body, &name, value).ok_or_else(bad)?;
                }
                Ok((self.url.clone(), Some(std::mem::take(body))))
            }
        }
    }
}

/// Whether a body can take a parameter of that name: each object on its way is one, or is not there yet.
pub fn can_hold(body: &Value, name: &str) -> bool {
    put(&mut body.clone(), name, Value::Null).is_some()
}

/// Whether two parameters of a body stand at one place, or one within the other.
pub fn share_a_member(one: &str, other: &str) -> bool {
    let (one, other) = (path(one), path(other));
    let mut both = one
        .iter()
        .zip(&other)
        .flat_map(|(one, other)| one.steps.iter().zip(&other.steps));
    both.all(|(one, other)| one == other)
}

/// A name that begins with `$` is a path.
fn path(name: &str) -> Option<SingularQuery> {
    match name.starts_with('$') {
        true => SingularQuery::parse(name).ok(),
        false => Some(SingularQuery::member(name)),
    }
}

/// Sets a member, with the objects on the way to it; None where one of them is something else.
fn put(body: &mut Value, name: &str, value: Value) -> Option<()> {
    let path = path(name)?;
    let mut place = body;
    for step in &path.steps {
        let Step::Member(member) = step else { return None };
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        place = place.as_object_mut()?.entry(member.as_str()).or_insert(Value::Null);
    }
    if path.steps.is_empty() {
        return None;
    }
    *place = value;
    Some(())
}

/// A value as a query has it; None for one that a query cannot have.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

impl ParamPlace {
    /// Adds a parameter that is the same for all pages to those of the job, or to its body. None: it cannot go there.
    pub fn add(
        self,
        (name, value): (&str, Value),
        params: &mut Vec<(String, String)>,
        body: &mut Option<Value>,
    ) -> Option<()> {
        match self {
            ParamPlace::Query => params.push((name.to_owned(), text(&value)?)),
            ParamPlace::Body => put(body.get_or_insert_with(|| Value::Object(Map::new())), name, value)?,
        }
        Some(())
    }
}

impl Pagination {
    /// URL and body of the request for the page that `ask` wants.
    ///
    /// # Errors
    /// `BadToken` where the token is of another scheme, `ForeignLink` where an address is not below the base.
    pub fn carried(&self, ask: &Ask, carrier: &Carrier<'_>) -> Result<(Url, Option<Value>), HttpError> {
        let own = || Ok((carrier.url.clone(), carrier.body.cloned()));
        match self {
            Pagination::None => own(),
            Pagination::Page {
                param,
                size_param: size,
                ..
            }
            | Pagination::Offset {
                param,
                limit_param: size,
                ..
            } => {
                let place: Result<u64, _> = ask.token.0.parse();
                let place = place.map_err(|_| HttpError::BadToken { page: ask.number })?;
                let size = size.iter().zip(carrier.page_size);
                let params = [(param.clone(), place.into())].into_iter();
                let params = params.chain(size.map(|(name, size)| (name.clone(), size.into())));
                carrier.with(params.collect(), ask.number)
            }
            _ if ask.token.0.is_empty() => own(),
            Pagination::LinkHeader | Pagination::NextUrl { .. } => {
                Ok((link_header::url(ask, carrier.base)?, carrier.body.cloned()))
            }
            Pagination::Cursor { param, .. } | Pagination::Keyset { param, .. } => {
                carrier.with(next::params(ask, param)?, ask.number)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{PageToken, Source, Stop, Totals};
    use super::*;

    /// The body that is sent for a token.
    fn body(pagination: &Pagination, given: &str, token: &str) -> Result<String, HttpError> {
        let url = Url::parse("https://h.example/v1/search?q=1").unwrap();
        let (base, given) = (
            Url::parse("https://h.example/v1").unwrap(),
            serde_json::from_str(given).unwrap(),
        );
        let carrier = Carrier {
            url: &url,
            base: &base,
            body: Some(&given),
            place: ParamPlace::Body,
            page_size: Some(50),
        };
        let ask = Ask {
            number: 2,
            token: PageToken(token.into()),
            epoch: 0,
        };
        let (asked, body) = pagination.carried(&ask, &carrier)?;
        assert_eq!(asked, url, "nothing of it goes to the query");
        Ok(body.unwrap().to_string())
    }

    fn cursor(param: &str) -> Pagination {
        Pagination::Cursor {
            param: param.into(),
            next: Source::Body(SingularQuery::member("next")),
            totals: Totals::default(),
        }
    }

    #[test]
    fn numbers_are_numbers_in_a_body_and_the_rest_of_it_keeps_its_digits() {
        let page = Pagination::Page {
            param: "page".into(),
            start: 1,
            size_param: Some("$.paging.size".into()),
            totals: Totals::default(),
            stop: Stop::Empty,
        };
        let given = r#"{"min":12345678901234567890.10,"page":9,"paging":{"a":1}}"#;
        assert_eq!(
            body(&page, given, "3").unwrap(),
            r#"{"min":12345678901234567890.10,"page":3,"paging":{"a":1,"size":50}}"#
        );
        assert_eq!(body(&page, "{}", "x"), Err(HttpError::BadToken { page: 2 }));
    }

    #[test]
    fn what_the_remote_named_goes_back_as_it_came() {
        for (token, sent) in [
            (r#""12""#, r#"{"after":"12"}"#),
            ("12.50", r#"{"after":12.50}"#),
            (r#"[1,"b"]"#, r#"{"after":[1,"b"]}"#),
            (r#"{"from":{"a":[1]},"off":null}"#, r#"{"from":{"a":[1]},"off":null}"#),
        ] {
            assert_eq!(body(&cursor("after"), "{}", token).unwrap(), sent);
        }
        let graph = r#"{"query":"{…}","variables":{"first":10,"after":null}}"#;
        assert_eq!(
            body(&cursor("$.variables.after"), graph, r#""t""#).unwrap(),
            r#"{"query":"{…}","variables":{"after":"t","first":10}}"#
        );
        assert_eq!(
            body(&cursor("after"), graph, "").unwrap(),
            Value::to_string(&serde_json::from_str(graph).unwrap())
        );
    }

    #[test]
    fn what_is_the_same_for_all_pages_is_added_to_the_params_or_the_body() {
        let (mut params, mut body) = (vec![("a".to_owned(), "1".to_owned())], Some(Value::Object(Map::new())));
        let add = |place: ParamPlace, name, value, (params, body): (&mut Vec<_>, &mut Option<Value>)| {
            place.add((name, value), params, body)
        };
        assert!(add(ParamPlace::Query, "since", "x".into(), (&mut params, &mut body)).is_some());
        assert!(add(ParamPlace::Query, "from", 5.into(), (&mut params, &mut body)).is_some());
        assert!(add(ParamPlace::Body, "$.range.gte", 5.into(), (&mut params, &mut body)).is_some());
        assert!(add(ParamPlace::Body, "$.range.gte.x", 5.into(), (&mut params, &mut body)).is_none());
        let names: Vec<&str> = params.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((names, params[2].1.as_str()), (vec!["a", "since", "from"], "5"));
        assert_eq!(body.unwrap().to_string(), r#"{"range":{"gte":5}}"#);
    }

    #[test]
    fn two_parameters_of_a_body_may_stand_beside_each_other_and_not_within() {
        for (one, other) in [("a", "a"), ("a", "$.a"), ("$.a.b", "a"), ("$.a", "$['a'].b")] {
            assert!(
                share_a_member(one, other) && share_a_member(other, one),
                "{one} {other}"
            );
        }
        for (one, other) in [("a", "b"), ("$.a.b", "$.a.c"), ("a.b", "$.a.b")] {
            assert!(!share_a_member(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_body_holds_a_parameter_where_objects_lead_to_it() {
        let body: Value = serde_json::from_str(r#"{"a":{"b":1},"n":null}"#).unwrap();
        for name in ["x", "$.a.c", "$.n.x", "$['odd name'].x"] {
            assert!(can_hold(&body, name), "{name}");
        }
        for name in ["$", "$.a.b.c", "$.a[0]", "$.."] {
            assert!(!can_hold(&body, name), "{name}");
        }
        assert!(!can_hold(&Value::from(1), "x"));
    }
}
