//! Discoveries of APIs that are a function here: what is proposed, and with how many requests.

#![allow(clippy::result_large_err)] // what is sent answers as the I/O around it does

use super::*;
use crate::error::Error;
use crate::http::{Auth, Headers, HttpError};
use crate::pagination::ParamPlace;
use serde_json::{Value, json};
use url::Url;

/// An API: the query's parameters to an answer.
type Api<'a> = dyn Fn(&Query) -> Response + 'a;

struct Query(Vec<(String, String)>);

impl Query {
    fn of(url: &Url) -> Query {
        Query(
            url.query_pairs()
                .map(|(n, v)| (n.into_owned(), v.into_owned()))
                .collect(),
        )
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.text(name).and_then(|text| text.parse().ok())
    }
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    Response {
        status,
        headers: headers.iter().copied().collect::<Headers>(),
        body: body.as_bytes().to_vec(),
        wire_bytes: body.len() as u64,
    }
}

fn ok(body: &Value) -> Response {
    answer(200, &[("content-type", "application/json")], &body.to_string())
}

fn item(id: usize) -> Value {
    json!({"id": id, "name": format!("n{id}"), "price": id as f64 / 4.0, "updated_at": format!("2024-01-01T00:{:02}:00Z", id % 60)})
}

fn items(from: usize, size: usize, all: usize) -> Vec<Value> {
    (from..(from + size).min(all).max(from))
        .map(|at| item(at + 1))
        .collect()
}

struct Discovered {
    found: Vec<Finding>,
    requests: u32,
}

impl Discovered {
    fn proposal(&self, aspect: &str) -> Value {
        let row = self
            .found
            .iter()
            .find(|row| row.aspect == aspect)
            .expect("a row of that aspect");
        row.proposal
            .as_deref()
            .map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
    }

    fn doubt(&self, aspect: &str) -> String {
        let row = self
            .found
            .iter()
            .find(|row| row.aspect == aspect)
            .expect("a row of that aspect");
        row.doubt.clone().unwrap_or_default().replace('\n', " ")
    }

    fn evidence(&self, aspect: &str) -> String {
        let row = self
            .found
            .iter()
            .find(|row| row.aspect == aspect)
            .expect("a row of that aspect");
        row.evidence.clone().unwrap_or_default()
    }

    /// The settings of the statement, which must be ones that a job takes.
    fn settings(&self) -> Value {
        let statement = self.evidence("create_job");
        let (_, document) = statement
            .split_once("settings => '")
            .expect("the statement has settings");
        let document = document.trim_end_matches("');").replace("''", "'");
        Settings::parse(&document).expect("settings that create_job takes");
        serde_json::from_str(&document).unwrap()
    }
}

fn look(api: &Api<'_>) -> Discovered {
    look_with(api, "{}")
}

fn look_with(api: &Api<'_>, document: &str) -> Discovered {
    try_look(&|query| Ok(api(query)), document).unwrap()
}

fn try_look(api: &dyn Fn(&Query) -> Result<Response, Error>, document: &str) -> Result<Discovered, Error> {
    let settings = Settings::parse(document).unwrap();
    let base = Url::parse("https://api.example/v1").unwrap();
    let first = settings.params.iter().fold(
        Url::parse("https://api.example/v1/items").unwrap(),
        |url, (name, value)| crate::pagination::with_param(&url, name, value),
    );
    let below = settings.foreach.as_ref().map(|_| r#"{"id": 17}"#);
    let subject = Subject {
        remote: Remote {
            first: first.clone(),
            base,
            auth: Auth::None,
            body: None,
            place: ParamPlace::Query,
        },
        connection: "shop",
        path: "/items",
        below,
        name: "items",
        settings: &settings,
        document,
    };
    let mut requests = 1;
    let first = api(&Query::of(&first))?;
    let found = discover(&subject, &first, &mut |url, _| {
        requests += 1;
        api(&Query::of(url))
    })?;
    assert!(requests <= prober::MOST_REQUESTS, "{requests} requests");
    Ok(Discovered { found, requests })
}

fn status(status: u16) -> Error {
    HttpError::Status {
        remote: "api.example:443".into(),
        path: "/v1/items".into(),
        status,
        excerpt: None,
        retry_after: None,
    }
    .into()
}

#[test]
fn numbered_pages_are_found_with_their_size_and_total() {
    let api = |query: &Query| {
        let size = query.number("per_page").unwrap_or(20).min(500);
        let page = query.number("page").unwrap_or(1);
        ok(&json!({"data": items((page - 1) * size, size, 730), "meta": {"page": page, "total": 730}}))
    };
    let seen = look(&api);
    assert_eq!(seen.proposal("records"), json!("$.data"));
    assert_eq!(seen.proposal("pagination"), json!({"type": "page", "param": "page"}));
    assert_eq!(seen.proposal("page_size"), json!({"per_page": 500}));
    assert!(
        seen.doubt("page_size").contains("cuts pages to 500"),
        "{}",
        seen.doubt("page_size")
    );
    assert_eq!(seen.proposal("total"), json!("$.meta.total"));
    assert_eq!(seen.proposal("key"), json!(["id"]));
    assert!(seen.evidence("key").contains("500 of 500 distinct"));
    assert_eq!(
        seen.settings(),
        json!({"records": "$.data", "page_size": 500, "pagination": {
            "type": "page", "param": "page", "size_param": "per_page", "total": "$.meta.total"}})
    );
    assert_eq!(seen.requests, 6);
}

#[test]
fn pages_may_be_counted_from_zero() {
    let api = |query: &Query| ok(&json!(items(query.number("page").unwrap_or(0) * 10, 10, 95)));
    let seen = look(&api);
    assert_eq!(
        seen.proposal("pagination"),
        json!({"type": "page", "param": "page", "start": 0})
    );
    assert_eq!(seen.proposal("page_size"), Value::Null);
    assert!(seen.doubt("total").contains("two reads in a row"));
}

#[test]
fn an_offset_is_found_where_a_page_number_has_no_effect() {
    let api = |query: &Query| {
        let size = query.number("limit").unwrap_or(50);
        ok(&json!({"items": items(query.number("offset").unwrap_or(0), size, 220), "total_count": 220}))
    };
    let seen = look(&api);
    assert_eq!(
        seen.proposal("pagination"),
        json!({"type": "offset", "param": "offset"})
    );
    assert_eq!(seen.settings()["pagination"]["limit_param"], "limit");
    assert_eq!(seen.settings()["pagination"]["total"], "$.total_count");
}

#[test]
fn a_key_behind_which_the_next_page_begins_is_found() {
    for param in ["after_id", "since_id", "starting_after"] {
        let api = |query: &Query| ok(&json!(items(query.number(param).unwrap_or(0), 30, 200)));
        let seen = look(&api);
        assert_eq!(
            seen.proposal("pagination"),
            json!({"type": "keyset", "param": param, "column": "id"}),
            "{param}"
        );
    }
}

#[test]
fn an_address_of_the_next_page_is_followed_wherever_it_stands() {
    let next = |at: usize| (at + 25 < 110).then(|| format!("https://api.example/v1/items?start={}&limit=25", at + 25));
    let body = |place: &str| {
        let place = place.to_owned();
        move |query: &Query| {
            let at = query.number("start").unwrap_or(0);
            let rows = items(at, query.number("limit").unwrap_or(25), 110);
            ok(&match place.as_str() {
                "next" => json!({"results": rows, "next": next(at)}),
                "links" => json!({"data": rows, "links": {"self": "x", "next": next(at)}}),
                "hal" => json!({"_embedded": {"items": rows}, "_links": {"next": {"href": next(at)}}}),
                _ => json!({"value": rows, "@odata.nextLink": next(at)}),
            })
        }
    };
    for (place, path) in [
        ("next", "$.next"),
        ("links", "$.links.next"),
        ("hal", "$._links.next.href"),
        ("odata", "$['@odata.nextLink']"),
    ] {
        let seen = look(&body(place));
        assert_eq!(
            seen.proposal("pagination"),
            json!({"type": "next_url", "next": path}),
            "{place}"
        );
        assert_eq!(seen.settings()["params"], json!({"limit": "1000"}), "{place}");
        assert_eq!(seen.requests, 5, "{place}");
    }
}

#[test]
fn a_link_header_is_followed() {
    let api = |query: &Query| {
        let page = query.number("page").unwrap_or(1);
        let size = query.number("per_page").unwrap_or(30);
        let rows = json!(items((page - 1) * size, size, 90)).to_string();
        let link = format!("</v1/items?page={}&per_page={size}>; rel=\"next\"", page + 1);
        let headers = [("content-type", "application/json"), ("link", link.as_str())];
        answer(200, if page * size < 90 { &headers } else { &headers[..1] }, &rows)
    };
    let seen = look(&api);
    assert_eq!(seen.proposal("pagination"), json!({"type": "link_header"}));
    assert_eq!(seen.proposal("page_size"), json!({"per_page": 1000}));
}

#[test]
fn a_token_is_sent_as_the_parameter_that_brings_other_records() {
    for (member, param) in [
        ("next_cursor", "cursor"),
        ("nextPageToken", "pageToken"),
        ("next_page_token", "page_token"),
        ("continuationToken", "continuationToken"),
        ("next", "cursor"),
    ] {
        let api = |query: &Query| {
            let at = query
                .text(param)
                .and_then(|token| token.strip_prefix("t")?.parse().ok())
                .unwrap_or(0);
            let next = (at + 10 < 60).then(|| format!("t{}", at + 10));
            ok(&json!({"items": items(at, 10, 60), "meta": {member: next}}))
        };
        let seen = look(&api);
        let mut expected = json!({"type": "cursor", "next": format!("$.meta.{member}")});
        if param != "cursor" {
            expected["param"] = json!(param);
        }
        assert_eq!(seen.proposal("pagination"), expected, "{member}");
        seen.settings();
    }
}

#[test]
fn a_collection_on_one_page_is_asked_for_a_smaller_one() {
    let api = |query: &Query| {
        let size = query.number("limit").unwrap_or(100);
        let at = query.number("offset").unwrap_or(0);
        ok(&json!({"data": items(at, size, 12), "total": 12}))
    };
    let seen = look(&api);
    assert_eq!(
        seen.proposal("pagination"),
        json!({"type": "offset", "param": "offset"})
    );
    assert_eq!(seen.proposal("page_size"), json!({"limit": 100}));
    assert!(seen.doubt("key").contains("Only 12 records"));
}

#[test]
fn an_api_without_pages_is_told_by_its_total_or_by_what_has_no_effect() {
    let seen = look(&|_: &Query| ok(&json!({"data": items(0, 40, 40), "total": 40})));
    assert_eq!(seen.proposal("pagination"), json!({"type": "none"}));
    assert_eq!(seen.requests, 4);
    let seen = look(&|_: &Query| ok(&json!(items(0, 40, 40))));
    assert_eq!(seen.proposal("pagination"), json!({"type": "none"}));
    assert!(seen.doubt("pagination").contains("more than 40 records"));
}

#[test]
fn unknown_parameters_that_filter_are_not_taken_for_pages() {
    let api = |query: &Query| {
        ok(&json!(if query.0.is_empty() {
            items(0, 40, 40)
        } else {
            Vec::new()
        }))
    };
    assert_eq!(look(&api).proposal("pagination"), json!({"type": "none"}));
}

#[test]
fn a_total_that_says_there_is_more_forbids_a_statement() {
    let seen = look(&|_: &Query| ok(&json!({"data": items(0, 40, 40), "total": 900})));
    assert_eq!(seen.proposal("pagination"), Value::Null);
    assert!(seen.doubt("pagination").contains("declares 900"));
    assert_eq!(seen.proposal("create_job"), Value::Null);
}

#[test]
fn records_that_change_with_each_answer_are_told_apart_by_their_key() {
    let clock = std::cell::Cell::new(0);
    let api = |_: &Query| {
        clock.set(clock.get() + 1);
        let rows: Vec<Value> = (1..=30).map(|id| json!({"id": id, "served": clock.get()})).collect();
        ok(&json!(rows))
    };
    assert_eq!(look(&api).proposal("pagination"), json!({"type": "none"}));
}

#[test]
fn a_refusing_or_failing_remote_leaves_a_doubt_and_not_an_error() {
    let strict = |query: &Query| match query.0.as_slice() {
        [] => Ok(ok(&json!({"data": items(0, 10, 10), "has_more": true}))),
        _ => Err(status(400)),
    };
    let seen = try_look(&strict, "{}").unwrap();
    assert!(seen.evidence("pagination").replace('\n', " ").contains("Refused: page"));
    for code in [429, 500, 503] {
        let failing = |query: &Query| match query.0.as_slice() {
            [] => Ok(ok(&json!({"data": items(0, 10, 10), "next_page": 2}))),
            _ => Err(status(code)),
        };
        let seen = try_look(&failing, "{}").unwrap();
        assert_eq!(seen.requests, 2);
        assert!(
            seen.doubt("pagination").contains(&code.to_string()),
            "{}",
            seen.doubt("pagination")
        );
        assert_eq!(seen.proposal("create_job"), Value::Null);
    }
    assert_eq!(try_look(&|_| Err(status(503)), "{}").err(), Some(status(503)));
}

#[test]
fn wrapped_records_become_columns_with_paths() {
    let api = |_: &Query| {
        let row = |id: usize| json!({"type": "article", "id": id.to_string(), "attributes": {"title": "t", "type": "news", "words": id}});
        ok(&json!({"data": (1..=30).map(row).collect::<Vec<_>>()}))
    };
    let columns = look(&api).settings()["columns"].clone();
    assert_eq!(columns["title"], json!({"path": "$.attributes.title", "type": "text"}));
    assert_eq!(columns["attributes_type"]["path"], "$.attributes.type");
    assert_eq!(columns["words"]["type"], "bigint");
}

#[test]
fn types_are_widened_over_the_pages_and_then_declared() {
    let api = |query: &Query| {
        let page = query.number("page").unwrap_or(1);
        let row = |id: usize| json!({"id": id, "amount": if id > 20 { json!(1.5) } else { json!(2) }});
        ok(&json!(((page - 1) * 20 + 1..=page * 20).map(row).collect::<Vec<_>>()))
    };
    let seen = look(&api);
    assert_eq!(seen.settings()["columns"]["amount"]["type"], "numeric");
}

#[test]
fn a_key_is_not_a_price_nor_a_time() {
    let row = |id: usize| json!({"price": id as f64 + 0.5, "at": format!("2024-01-01T00:00:{id:02}Z")});
    let seen = look(&|_: &Query| ok(&json!((1..=30).map(row).collect::<Vec<_>>())));
    assert_eq!(seen.proposal("key"), Value::Null);
    assert_eq!(seen.proposal("create_job"), Value::Null);
}

#[test]
fn lines_and_csv_are_recognised_by_what_they_are() {
    let lines = "{\"id\": 1}\n{\"id\": 2}\n";
    let seen = look(&|_: &Query| answer(200, &[("content-type", "text/plain")], lines));
    assert_eq!(
        (seen.proposal("format"), seen.proposal("records")),
        (json!("ndjson"), Value::Null)
    );
    let csv = "id;name\n1;a\n2;b\n";
    let seen = look(&|_: &Query| answer(200, &[("content-type", "application/octet-stream")], csv));
    assert_eq!(seen.proposal("format"), json!("csv"));
    assert_eq!(seen.settings()["csv"], json!({"delimiter": ";"}));
}

#[test]
fn what_was_given_is_kept() {
    let api = |query: &Query| {
        assert_eq!(query.text("status"), Some("active"));
        let size = query.number("limit").unwrap_or(5);
        let at = query.text("cursor").map_or(0, |token| token.parse().unwrap());
        ok(&json!({"rows": items(at, size, 40), "next_cursor": (at + size < 40).then(|| (at + size).to_string())}))
    };
    let seen = look_with(&api, r#"{"params": {"status": "active"}, "concurrency": 2}"#);
    let settings = seen.settings();
    assert_eq!(settings["params"], json!({"status": "active", "limit": "1000"}));
    assert_eq!(settings["concurrency"], 2);
    let given = r#"{"records": "$.rows", "params": {"status": "active"}, "pagination": {"type": "none"}}"#;
    let seen = look_with(&api, given);
    // Only a parameter that filters by the time of change was looked for.
    assert_eq!(seen.requests, 3);
    assert_eq!(seen.settings()["pagination"], json!({"type": "none"}));
}

#[test]
fn what_holds_no_records_says_what_to_give() {
    for (body, doubt) in [
        (json!({"id": 1, "name": "one"}), "one object"),
        (json!([1, 2, 3]), "no objects"),
        (json!(7), "one value"),
    ] {
        let seen = look(&|_: &Query| ok(&body));
        assert!(seen.doubt("records").contains(doubt), "{body}");
        assert_eq!(seen.proposal("create_job"), Value::Null);
    }
    let seen = look(&|_: &Query| ok(&json!({"data": []})));
    assert_eq!(seen.proposal("records"), json!("$.data"));
    assert!(seen.doubt("create_job").contains("no records yet"));
}

#[test]
fn a_next_page_elsewhere_is_a_doubt() {
    let seen =
        look(&|_: &Query| ok(&json!({"data": items(0, 10, 10), "next": "https://other.example/v1/items?page=2"})));
    assert_eq!(seen.proposal("pagination"), Value::Null);
    assert!(
        seen.doubt("pagination").contains("base URL"),
        "{}",
        seen.doubt("pagination")
    );
}

#[test]
fn a_change_time_is_proposed_with_its_format() {
    for (value, format) in [
        (json!(1_700_000_000), "epoch_s"),
        (json!(1_700_000_000_000_u64), "epoch_ms"),
    ] {
        let row = |id: usize| json!({"id": id, "modifiedAt": value});
        let seen = look(&|_: &Query| ok(&json!((1..=30).map(row).collect::<Vec<_>>())));
        assert_eq!(
            seen.proposal("cursor"),
            json!({"column": "modifiedAt", "format": format})
        );
    }
}

#[test]
fn a_parameter_that_leaves_out_what_is_older_is_proven() {
    for param in ["updated_since", "modified_since"] {
        let api = |query: &Query| {
            let size = query.number("limit").unwrap_or(30);
            let since = query.text(param).unwrap_or("").to_owned();
            let changed = items(0, 200, 200)
                .into_iter()
                .filter(|row| row["updated_at"].as_str() >= Some(since.as_str()));
            ok(
                &json!({"data": changed.skip(query.number("offset").unwrap_or(0)).take(size).collect::<Vec<_>>(), "total": 200}),
            )
        };
        let seen = look(&api);
        let expected = json!({"column": "updated_at", "param": param});
        assert_eq!(seen.proposal("cursor"), expected, "{}", seen.doubt("cursor"));
        assert!(Settings::parse(&json!({"cursor": expected}).to_string()).is_ok());
    }
}

#[test]
fn rows_fit_a_terminal() {
    let api = |query: &Query| {
        let page = query.number("page").unwrap_or(1);
        ok(
            &json!({"data": items((page - 1) * 20, query.number("per_page").unwrap_or(20), 730), "meta": {"page": page, "total": 730}}),
        )
    };
    let seen = look(&api);
    let longest = |texts: Vec<String>| {
        texts
            .iter()
            .flat_map(|text| text.lines().map(|l| l.chars().count()).collect::<Vec<_>>())
            .max()
    };
    let of = |pick: fn(&Finding) -> Option<&String>| {
        longest(seen.found.iter().filter_map(pick).cloned().collect()).unwrap_or(0)
    };
    let width = 10 + of(|row| row.proposal.as_ref()) + of(|row| row.evidence.as_ref()) + of(|row| row.doubt.as_ref());
    assert!(width + 11 <= 120, "{width}");
}

#[test]
fn a_name_for_the_job_comes_from_the_path() {
    for (path, name) in [
        ("/products", "products"),
        ("/v1/Order-Lines/", "order_lines"),
        ("/users/42/posts.json", "posts"),
        ("/v2", "shop"),
        ("", "shop"),
        ("/orders/{id}/items", "items"),
        ("/items/{id}", "items"),
    ] {
        assert_eq!(job_name(path, "shop"), name);
    }
}

#[test]
fn below_a_parent_it_is_said_of_whom_everything_was_seen() {
    let api = |_: &Query| ok(&json!({"data": (1..=30).map(|id| json!({"id": id})).collect::<Vec<_>>()}));
    let found = look_with(&api, r#"{"foreach": {"query": "SELECT 17 AS id"}}"#);
    assert_eq!(found.proposal("foreach"), json!({"id": 17}));
    assert!(
        found.doubt("key").contains("below one parent only"),
        "{}",
        found.doubt("key")
    );
    assert_eq!(found.settings()["foreach"], json!({"query": "SELECT 17 AS id"}));
    assert!(!look(&api).found.iter().any(|row| row.aspect == "foreach"));
}

#[test]
fn an_empty_collection_says_nothing_about_a_key() {
    let found = look(&|_| ok(&json!({"data": []})));
    assert_eq!(
        (found.proposal("key"), found.doubt("key").as_str()),
        (Value::Null, "It needs records.")
    );
}

#[test]
fn what_was_given_is_what_is_proposed_and_the_key_is_one_of_its_columns() {
    let api = |_: &Query| ok(&json!(items(0, 30, 30)));
    let given = |columns: &str| format!(r#"{{"pagination": {{"type": "none"}}, "columns": {columns}}}"#);
    let found = look_with(&api, &given(r#"{"number": "$.id", "name": "$.name"}"#));
    assert_eq!(found.proposal("pagination"), json!({"type": "none"}));
    assert_eq!(found.proposal("key"), json!(["number"]));
    assert!(found.evidence("create_job").contains("key => ARRAY['number']"));
    let found = look_with(&api, &given(r#"{"price": "$.price"}"#));
    assert_eq!(
        (found.proposal("key"), found.proposal("create_job")),
        (Value::Null, Value::Null)
    );
    assert_eq!(found.doubt("key"), "The columns that were given leave it out.");
}

mod posting;
mod shapes;
