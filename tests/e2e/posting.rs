//! Reads by POST with a JSON body, and the redirects that a read may meet.

use crate::incremental::create;
use crate::shop::Shop;
use sample_api::{Fault, Rule};

const BY_PAGE: &str = r#"{"method": "POST", "body": {"filter": {"min": 1.50, "big": 12345678901234567890123}, "page": 7},
    "records": "$.data", "page_size": 100, "commit_every": {"pages": 1}, "retry": {"request_cap": "1 ms"},
    "pagination": {"type": "page", "size_param": "$.paging.per_page", "total": "$.meta.total"}}"#;

fn posting(products: u64, path: &str, settings: &str) -> Shop {
    let mut shop = Shop::open(products);
    shop.db.exec("ALTER SERVER shop OPTIONS (ADD methods 'GET, POST')");
    shop.create_job("products", path, settings);
    shop
}

fn bodies(shop: &Shop) -> Vec<String> {
    let text = |line: sample_api::RequestLine| {
        assert_eq!(line.method, "POST");
        assert_eq!(line.header("content-type"), Some("application/json"));
        String::from_utf8(line.body).expect("a body is text")
    };
    shop.api.requests().into_iter().map(text).collect()
}

#[test]
fn a_posted_read_follows_the_source_and_sends_its_body_with_every_digit() {
    let mut shop = posting(330, "/page/products", BY_PAGE);
    shop.sync();
    shop.assert_equal();
    let filter = r#""filter":{"big":12345678901234567890123,"min":1.50}"#;
    assert_eq!(
        bodies(&shop)[0],
        format!(r#"{{{filter},"page":1,"paging":{{"per_page":100}}}}"#)
    );
    assert!(shop.api.requests().iter().all(|line| line.target == "/page/products"));
    shop.api.change(10.0, 5);
    shop.api.remove(2.0, 6);
    shop.sync();
    shop.assert_equal();
}

#[test]
fn a_token_goes_into_the_body_as_the_remote_gave_it() {
    for (named, param) in [
        ("string", "cursor"),
        ("number", "cursor"),
        ("object", "cursor"),
        ("string", "$.after.cursor"),
    ] {
        let settings = format!(
            r#"{{"method": "POST", "body": {{"limit": 100, "next": "{named}"}}, "records": "$.data",
                "pagination": {{"type": "cursor", "param": "{param}", "next": "$.meta.next"}}}}"#
        );
        let mut shop = posting(250, "/cursor/products", &settings);
        shop.sync();
        shop.assert_equal();
        let second = &bodies(&shop)[1];
        let sent = match (named, param) {
            ("number", _) => r#"{"cursor":100,"limit":100,"next":"number"}"#,
            (_, "cursor") => &format!(r#"{{"cursor":"64-2","limit":100,"next":"{named}"}}"#),
            _ => r#"{"after":{"cursor":"64-2"},"limit":100,"next":"string"}"#,
        };
        assert_eq!(second, sent);
    }
}

#[test]
fn the_parameters_of_a_posted_read_go_to_the_query_where_the_job_says_so() {
    let settings = BY_PAGE.replace(r#""type": "page","#, r#""type": "page", "param_in": "query","#);
    let mut shop = posting(
        130,
        "/offset/products",
        &settings
            .replace("$.paging.per_page", "limit")
            .replace(r#""type": "page""#, r#""type": "offset""#)
            .replace("size_param", "limit_param")
            .replace(r#", "page": 7"#, ""),
    );
    shop.sync();
    shop.assert_equal();
    assert_eq!(shop.api.requests()[1].target, "/offset/products?offset=100&limit=100");
}

#[test]
fn a_posted_read_asks_for_what_changed_in_its_body_or_in_the_query() {
    for (param, place) in [
        ("updated_since", "body"),
        ("$.filter.updated_since", "body"),
        ("updated_since", "query"),
    ] {
        let settings = format!(
            r#"{{"method": "POST", "body": {{"per_page": 100}}, "records": "$.data",
                "cursor": {{"column": "updated_at", "param": "{param}"}},
                "pagination": {{"type": "page", "param_in": "{place}", "total": "$.meta.total"}}}}"#
        );
        let mut shop = Shop::open(230);
        shop.db.exec("ALTER SERVER shop OPTIONS (ADD methods 'GET, POST')");
        create(&mut shop, &settings);
        shop.sync();
        let watermark = shop.db.text("SELECT cursor FROM sluice.sync_metadata");
        shop.api.change(4.0, 1);
        shop.api.clear_log();
        shop.sync();
        shop.assert_equal();
        let body = &bodies(&shop)[0];
        let target = &shop.api.requests()[0].target;
        let sent = format!(r#""updated_since":"{watermark}""#);
        assert_eq!(body.contains(&sent), place == "body", "{body}");
        assert_eq!(target.contains("updated_since="), place == "query", "{target}");
        assert!(
            shop.run("records").parse::<u64>().expect("a number") < 230,
            "{param} {place}"
        );
    }
}

#[test]
fn a_posted_read_is_repeated_like_any_other_and_goes_on_at_its_next_page() {
    let mut shop = posting(500, "/page/products", BY_PAGE);
    shop.api.misbehave(Rule::new(Fault::status(503, &[])).page(2).times(2));
    let committed = shop.start_and_hold_at(4);
    shop.app.exec("SELECT sluice.stop_sync('products')");
    shop.wait_for_run("stopped");
    shop.api.release();
    shop.api.clear_log();
    shop.sync();
    shop.assert_none_asked_again(&committed);
    shop.assert_equal();
}

#[test]
fn another_body_is_another_read() {
    let mut shop = posting(500, "/page/products", BY_PAGE);
    shop.start_and_hold_at(4);
    shop.app.exec("SELECT sluice.stop_sync('products')");
    shop.wait_for_run("stopped");
    shop.api.release();
    shop.api.clear_log();
    shop.app
        .exec(r#"SELECT sluice.alter_job('products', settings => '{"body": {"filter": 2}}')"#);
    shop.sync();
    assert_eq!(shop.api.pages_asked()[0], 1);
    shop.assert_equal();
}

/// S-21.
#[test]
fn a_run_is_refused_when_its_connection_no_longer_allows_the_method() {
    let mut shop = posting(130, "/page/products", BY_PAGE);
    shop.sync();
    shop.db.exec("ALTER SERVER shop OPTIONS (SET methods 'GET')");
    shop.api.clear_log();
    let error = shop.failing_sync();
    assert_eq!(shop.run("sqlstate"), "42501", "{error}");
    assert_eq!(shop.run("error_class"), "config");
    assert_eq!(
        shop.run("error_message"),
        "connection \"shop\" does not allow POST for reading"
    );
    assert_eq!(shop.api.requests().len(), 0);
    let probe = format!("SELECT * FROM sluice.test_connection('shop', '/page/products', settings => '{BY_PAGE}')");
    assert_eq!(shop.app.error(&probe).sqlstate, "42501");
}

/// F-N10.
#[test]
fn a_redirect_below_the_base_is_followed_with_the_method_and_the_body() {
    for (settings, status) in [
        (BY_PAGE, 307),
        (BY_PAGE, 308),
        (crate::shop::PAGES, 301),
        (crate::shop::PAGES, 302),
    ] {
        let mut shop = posting(330, "/page/products", settings);
        let here = Fault::redirect(status, "/page/products?page=2&per_page=100");
        shop.api.misbehave(Rule::new(here).page(2).times(3));
        shop.sync();
        shop.assert_equal();
        let posts = shop.api.requests().iter().filter(|line| line.method == "POST").count();
        assert_eq!((posts == 7, posts == 0), (status > 303, status < 303), "{posts}");
    }
}

/// F-N10.
#[test]
fn a_post_is_never_turned_into_a_get_and_a_redirect_loop_ends() {
    for (status, requests) in [(301, 1), (302, 1), (303, 1), (307, 4)] {
        let mut shop = posting(330, "/page/products", BY_PAGE);
        shop.api.misbehave(Fault::redirect(status, "/page/products"));
        let error = shop.failing_sync();
        assert_eq!(shop.run("error_class"), "config", "{error}");
        assert!(
            shop.run("error_message")
                .ends_with(&format!("redirects elsewhere (status {status})"))
        );
        assert_eq!(bodies(&shop).len(), requests, "{status}");
    }
}
