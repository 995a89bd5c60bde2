//! Faults that change what is answered.

use std::io::Read;

use sample_api::{Fault, Rule, Total};

use crate::client::{Ending, get};
use crate::serve;

#[test]
fn a_status_with_its_headers_comes_as_often_as_the_rule_says() {
    let api = serve(1_000);
    api.misbehave(
        Rule::new(Fault::status(503, &[("Retry-After", "2")]))
            .path("/page/")
            .page(3)
            .times(2),
    );
    let statuses: Vec<u16> = (0..3).map(|_| get(&api, "/page/products?page=3").status).collect();
    assert_eq!(statuses, [503, 503, 200]);

    api.misbehave(Fault::status(429, &[("Retry-After", "1"), ("Retry-After", "x")]));
    let reply = get(&api, "/offset/products");
    assert_eq!(reply.status, 429);
    let waits: Vec<_> = reply.headers.iter().filter(|(name, _)| name == "Retry-After").collect();
    assert_eq!(waits.len(), 2);
    api.clear_faults();
    assert_eq!(get(&api, "/offset/products").status, 200);
}

#[test]
fn the_body_can_be_anything() {
    let api = serve(10);
    let long = "[".repeat(1_000_000);
    for body in [
        "[]",
        "{}",
        "null",
        "",
        "{\"error\":\"x\"}",
        "{\"data\":null}",
        "not JSON",
        long.as_str(),
    ] {
        api.misbehave(Rule::new(Fault::body(body)).times(1));
        let reply = get(&api, "/page/products");
        assert_eq!(
            (reply.status, reply.body.as_slice(), reply.ending),
            (200, body.as_bytes(), Ending::Whole)
        );
    }
    api.misbehave(Rule::new(Fault::html()).times(1));
    assert_eq!(get(&api, "/page/products").header("content-type"), Some("text/html"));
    api.misbehave(Rule::new(Fault::no_content()).times(1));
    let empty = get(&api, "/page/products");
    assert_eq!((empty.status, empty.header("content-length")), (204, None));
}

#[test]
fn redirects_name_the_location_as_given() {
    let api = serve(10);
    for location in [
        "http://169.254.169.254/latest",
        "//other.test/",
        "file:///etc/passwd",
        "?page=1",
    ] {
        api.misbehave(Rule::new(Fault::redirect(307, location)).times(1));
        let reply = get(&api, "/page/products");
        assert_eq!((reply.status, reply.header("location")), (307, Some(location)));
    }
}

#[test]
fn headers_can_be_replaced_and_added_while_the_page_stays() {
    let api = serve(10);
    api.misbehave(Rule::new(Fault::content_type("text/plain")).times(1));
    api.misbehave(Rule::new(Fault::Headers(vec![("Set-Cookie".into(), "a=b".into())])).times(1));
    let reply = get(&api, "/page/products");
    assert_eq!(
        (reply.header("content-type"), reply.header("set-cookie")),
        (Some("text/plain"), Some("a=b"))
    );
    assert_eq!(reply.ids().len(), 10);
}

#[test]
fn half_of_the_products_go_missing_with_and_without_a_matching_total() {
    let api = serve(40);
    api.misbehave(Rule::new(Fault::HalfRows { total: Total::Matching }).times(1));
    let reply = get(&api, "/page/products?per_page=30");
    assert_eq!((reply.ids().len(), &reply.json()["meta"]["total"]), (20, &20.into()));

    api.misbehave(Rule::new(Fault::HalfRows { total: Total::Real }).times(2));
    assert_eq!(get(&api, "/page/products?per_page=30").json()["meta"]["total"], 40);
    assert_eq!(get(&api, "/page/products?per_page=20&page=2").ids(), [0_u64; 0]);

    api.misbehave(Rule::new(Fault::HalfPage).page(2).times(1));
    assert_eq!(get(&api, "/page/products?per_page=10&page=1").ids().len(), 10);
    assert_eq!(
        get(&api, "/page/products?per_page=10&page=2").ids(),
        [11, 12, 13, 14, 15]
    );
}

#[test]
fn the_same_page_can_repeat_for_ever() {
    let api = serve(40);
    api.misbehave(Fault::RepeatPage(1));
    let tokens: Vec<_> = ["", "a-2", "14-3"]
        .map(|cursor| get(&api, &format!("/cursor/products?limit=10&cursor={cursor}")))
        .map(|reply| (reply.ids()[0], reply.header("X-Next").unwrap().to_owned()))
        .to_vec();
    assert_eq!(tokens, vec![(1, "a-2".to_owned()); 3]);
    assert_eq!(get(&api, "/page/products?page=9").ids()[0], 1);
}

#[test]
fn one_record_can_have_a_member_replaced_or_left_out() {
    let api = serve(10);
    let alter = |member: &str, value: Option<&str>| {
        let (member, value) = (member.to_owned(), value.map(str::to_owned));
        api.misbehave(Rule::new(Fault::AlterRecord { id: 2, member, value }).times(1));
        get(&api, "/page/products").json()["data"].clone()
    };
    let untouched = api.record(2).unwrap();
    let too_large = alter("stock", Some("99999999999999999999"));
    assert!(too_large[1]["stock"].as_f64().unwrap() > 9e19);
    assert!(too_large[0]["stock"].as_u64().unwrap() < 500);
    assert!(alter("id", Some("null"))[1]["id"].is_null());
    let without = alter("id", None);
    assert!(without[1].get("id").is_none());
    assert_eq!(without[1].as_object().unwrap().len(), 9);
    assert_eq!(alter("new_member", Some("{\"a\":1}"))[1]["new_member"]["a"], 1);
    assert_eq!(api.record(2).unwrap(), untouched);
}

#[test]
fn a_compressed_page_unpacks_to_the_same_and_a_bomb_to_much() {
    let api = serve(10);
    let plain = get(&api, "/page/products").body;
    let unpack = |body: &[u8]| {
        let mut out = Vec::new();
        flate2::read::GzDecoder::new(body).read_to_end(&mut out).unwrap();
        out
    };
    api.misbehave(Rule::new(Fault::Gzip).times(1));
    let reply = get(&api, "/page/products");
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
    assert_eq!(unpack(&reply.body), plain);

    api.misbehave(Rule::new(Fault::GzipBomb { bytes: 4 << 20 }).times(1));
    let bomb = get(&api, "/page/products").body;
    assert!(bomb.len() < 100_000);
    assert_eq!(unpack(&bomb).len(), (4 << 20) + 2);
}

#[test]
fn a_known_validator_gives_304_until_something_changes() {
    let api = serve(10);
    let validator = get(&api, "/page/products").header("etag").unwrap().to_owned();
    let ask = || {
        let mut client = crate::client::Client::connect(api.address());
        client.send(&format!(
            "GET /page/products HTTP/1.1\r\nIf-None-Match: {validator}\r\n\r\n"
        ));
        client.read(true)
    };
    let unchanged = ask();
    assert_eq!((unchanged.status, unchanged.header("content-length")), (304, None));
    api.change(10.0, 1);
    assert_eq!(ask().ids().len(), 10);
}
