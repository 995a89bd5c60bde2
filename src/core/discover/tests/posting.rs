//! Collections that are asked for by POST: parameters are members of the body, unless only the query has an effect.

use super::*;

/// What a request carries: the query's parameters, and the body.
struct Posted {
    query: Query,
    body: Value,
}

impl Posted {
    fn number(&self, pointer: &str) -> Option<usize> {
        Some(self.body.pointer(pointer)?.as_u64()? as usize)
    }
}

fn look(api: &dyn Fn(&Posted) -> Response, document: &str) -> Discovered {
    let settings = Settings::parse(document).unwrap();
    let url = Url::parse("https://api.example/v1/items").unwrap();
    let subject = Subject {
        remote: Remote {
            first: url.clone(),
            base: Url::parse("https://api.example/v1").unwrap(),
            auth: Auth::None,
            body: settings.body.clone(),
            place: ParamPlace::Body,
        },
        connection: "shop",
        path: "/items",
        below: None,
        name: "items",
        settings: &settings,
        document,
    };
    let mut requests = 1;
    let ask = |url: &Url, body: Option<&Value>| {
        let query = Query::of(url);
        let body = body.cloned().unwrap_or_default();
        api(&Posted { query, body })
    };
    let first = ask(&url, settings.body.as_ref());
    let found = discover(&subject, &first, &mut |url, body| {
        requests += 1;
        Ok(ask(url, body))
    });
    assert!(requests <= prober::MOST_REQUESTS, "{requests} requests");
    Discovered {
        found: found.unwrap(),
        requests,
    }
}

#[test]
fn pages_are_asked_for_in_the_body() {
    let api = |posted: &Posted| {
        assert!(posted.query.0.is_empty(), "nothing goes into the query");
        let size = posted.number("/limit").unwrap_or(20).min(500);
        let page = posted.number("/page").unwrap_or(1);
        ok(&json!({"data": items((page - 1) * size, size, 730), "total": 730}))
    };
    let seen = look(&api, r#"{"method": "POST"}"#);
    assert_eq!(seen.proposal("pagination"), json!({"type": "page", "param": "page"}));
    assert_eq!(
        seen.settings(),
        json!({"method": "POST", "body": {}, "records": "$.data", "page_size": 500,
            "pagination": {"type": "page", "param": "page", "size_param": "limit", "total": "$.total"}})
    );
}

#[test]
fn the_members_that_the_body_has_are_tried_first() {
    let api = |posted: &Posted| {
        assert_eq!(
            posted.body.pointer("/query/name"),
            Some(&json!("a")),
            "the body is kept"
        );
        let size = posted.number("/paging/pageSize").unwrap().min(200);
        let from = posted.number("/paging/from").unwrap();
        ok(&json!({"hits": items(from, size, 500)}))
    };
    let given = r#"{"method": "POST", "body": {"query": {"name": "a"}, "paging": {"from": 0, "pageSize": 25}}}"#;
    let seen = look(&api, given);
    assert_eq!(
        seen.settings()["pagination"],
        json!({"type": "offset", "param": "$.paging.from", "limit_param": "$.paging.pageSize"})
    );
    assert_eq!(seen.settings()["page_size"], 1000);
}

#[test]
fn a_token_goes_back_as_it_came_to_the_member_that_waits_for_it() {
    let api = |posted: &Posted| {
        let after = posted.body.pointer("/variables/after").unwrap();
        assert!(after.is_null() || after.is_string(), "{after}");
        let first = posted.number("/variables/first").unwrap_or(10);
        let from = after
            .as_str()
            .map_or(0, |text| text.trim_start_matches('c').parse().unwrap());
        let end = from + first;
        let next = if end < 95 {
            json!(format!("c{end}"))
        } else {
            Value::Null
        };
        ok(&json!({"data": {"nodes": items(from, first, 95), "pageInfo": {"endCursor": next}}}))
    };
    let given = r#"{"method": "POST", "body": {"query": "{…}", "variables": {"first": 10, "after": null}}}"#;
    let seen = look(&api, given);
    let settings = seen.settings();
    assert_eq!(
        settings["pagination"],
        json!({"type": "cursor", "param": "$.variables.after", "next": "$.data.pageInfo.endCursor"})
    );
    assert_eq!(settings["body"]["variables"]["first"], 1000, "{settings}");
    assert_eq!(settings["body"]["query"], "{…}");
}

#[test]
fn where_the_body_has_no_effect_the_query_is_tried() {
    let api = |posted: &Posted| {
        let page = posted.query.number("page").unwrap_or(1);
        ok(&json!(items((page - 1) * 10, 10, 95)))
    };
    let seen = look(&api, r#"{"method": "POST", "body": {"status": "active"}}"#);
    assert_eq!(
        seen.proposal("pagination"),
        json!({"type": "page", "param": "page", "param_in": "query"})
    );
    let settings = seen.settings();
    assert_eq!(settings["body"], json!({"status": "active"}));
    let document = settings.to_string();
    assert_eq!(Settings::parse(&document).unwrap().param_place, ParamPlace::Query);
}
