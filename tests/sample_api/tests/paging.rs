//! Every way to page through the products reads all of them, once, in order.

use sample_api::{LastPage, PastEnd, SampleApi};
use serde_json::Value;

use crate::client::{Client, Reply, get, ids};
use crate::serve;

fn all(count: u64) -> Vec<u64> {
    (1..=count).collect()
}

/// Follows `next` from page to page until it gives nothing; returns all ids and the number of pages.
fn follow(api: &SampleApi, first: &str, next: impl Fn(&Reply) -> Option<String>) -> (Vec<u64>, usize) {
    let mut client = Client::connect(api.address());
    let (mut found, mut pages) = (Vec::new(), 0);
    let mut target = Some(first.to_owned());
    while let Some(asked) = target {
        let reply = client.get(&asked);
        assert_eq!(reply.status, 200, "{asked}");
        let body = reply.json();
        found.extend(ids(if body.is_array() { &body } else { &body["data"] }));
        pages += 1;
        target = next(&reply);
    }
    (found, pages)
}

fn next_in_body(reply: &Reply) -> Option<String> {
    reply.json()["meta"]["next"].as_str().map(str::to_owned)
}

#[test]
fn without_paging_all_products_come_at_once() {
    let reply = get(&serve(2_500), "/none/products");
    assert_eq!(reply.ids(), all(2_500));
    assert_eq!(reply.json()["meta"]["total"], 2_500);
}

#[test]
fn pages_are_numbered_from_one_and_an_empty_page_ends_them() {
    let api = serve(25);
    let page = |number: u64| get(&api, &format!("/page/products?page={number}&per_page=10"));
    let read: Vec<u64> = (1..=3).flat_map(|number| page(number).ids()).collect();
    assert_eq!(read, all(25));
    assert_eq!(page(4).ids(), [0_u64; 0]);
    assert_eq!(
        page(3).json()["meta"],
        serde_json::json!({"page": 3, "size": 10, "total": 25, "total_pages": 3})
    );
    assert_eq!(get(&api, "/page/products?page=0").status, 400);
    assert_eq!(get(&api, "/page/products?page=x").status, 400);
}

#[test]
fn offsets_need_not_be_multiples_of_the_limit() {
    let api = serve(25);
    assert_eq!(get(&api, "/offset/products?offset=7&limit=3").ids(), [8, 9, 10]);
    assert_eq!(get(&api, "/offset/products?offset=99&limit=3").ids(), [0_u64; 0]);
}

#[test]
fn a_cursor_is_named_in_the_body_and_in_a_header() {
    let api = serve(25);
    let with = |token: String| format!("/cursor/products?limit=10&cursor={token}");
    let first = "/cursor/products?limit=10";
    assert_eq!(follow(&api, first, |reply| next_in_body(reply).map(with)), (all(25), 3));
    assert_eq!(
        follow(&api, first, |reply| reply.header("X-Next").map(str::to_owned).map(with)),
        (all(25), 3)
    );
    assert_eq!(get(&api, &with("19-3".to_owned())).json()["meta"]["next"], Value::Null);
}

#[test]
fn a_cursor_can_be_a_number_or_an_object_of_parameters() {
    let api = serve(25);
    assert_eq!(
        get(&api, "/cursor/products?limit=10&next=number").json()["meta"]["next"],
        10
    );
    assert_eq!(
        get(&api, "/cursor/products?limit=10&cursor=10").ids(),
        (11..=20).collect::<Vec<_>>()
    );
    let object = get(&api, "/cursor/products?limit=10&next=object").json()["meta"]["next"].clone();
    assert_eq!(object, serde_json::json!({"cursor": "a-2", "limit": 10}));
}

#[test]
fn a_next_url_is_absolute_or_relative_and_keeps_the_other_parameters() {
    let api = serve(25);
    let path_of = |url: String| url.trim_start_matches("http://sample.test").to_owned();
    let absolute = get(&api, "/next_url/products?limit=10&x=a%20b").json()["meta"]["next"].clone();
    assert_eq!(
        absolute,
        "http://sample.test/next_url/products?limit=10&x=a%20b&cursor=a-2"
    );
    let first = "/next_url/products?limit=10";
    assert_eq!(
        follow(&api, first, |reply| next_in_body(reply).map(path_of)),
        (all(25), 3)
    );
    assert_eq!(
        follow(&api, &format!("{first}&next=relative"), next_in_body),
        (all(25), 3)
    );
}

#[test]
fn a_link_header_leads_through_bare_arrays() {
    let api = serve(25);
    let next = |reply: &Reply| {
        let link = reply
            .header("Link")?
            .split(", ")
            .find(|link| link.ends_with("; rel=\"next\""))?
            .to_owned();
        Some(
            link.split(['<', '>'])
                .nth(1)?
                .trim_start_matches("http://sample.test")
                .to_owned(),
        )
    };
    assert_eq!(follow(&api, "/link/products?per_page=10&bare=1", next), (all(25), 3));
}

#[test]
fn keysets_go_on_after_an_id_even_when_it_is_gone() {
    let api = serve(25);
    api.remove_ids(&[10]);
    assert_eq!(get(&api, "/keyset/products?after_id=10&limit=3").ids(), [11, 12, 13]);
    assert_eq!(get(&api, "/keyset/products?after_id=25&limit=3").ids(), [0_u64; 0]);
}

#[test]
fn the_total_can_be_left_out() {
    let api = serve(25);
    assert_eq!(get(&api, "/page/products").header("X-Total-Count"), Some("25"));
    let reply = get(&api, "/page/products?total=0");
    assert_eq!(reply.header("X-Total-Count"), None);
    assert_eq!(reply.json()["meta"], serde_json::json!({"page": 1, "size": 100}));
}

#[test]
fn a_larger_page_than_allowed_is_cut_without_a_word() {
    let api = serve(3_000);
    assert_eq!(get(&api, "/offset/products?limit=5000").ids().len(), 1_000);
    api.set(|settings| settings.max_page_size = 7);
    assert_eq!(get(&api, "/offset/products?limit=5000").ids().len(), 7);
    assert_eq!(get(&api, "/offset/products").ids().len(), 7);
}

#[test]
fn pages_can_be_numbered_from_zero_and_end_with_404() {
    let api = serve(25);
    api.set(|settings| (settings.first_page, settings.past_end) = (0, PastEnd::NotFound));
    assert_eq!(get(&api, "/page/products?page=0&per_page=10").ids(), all(10));
    assert_eq!(get(&api, "/page/products?page=3&per_page=10").status, 404);
    api.reset();
    api.remove(100.0, 1);
    assert_eq!(get(&api, "/page/products?page=0").status, 200);
}

#[test]
fn the_last_page_can_name_an_empty_one_that_names_itself() {
    let api = serve(20);
    api.set(|settings| settings.last_page = LastPage::NamesAnEmptyPage);
    let page = |cursor: &str| get(&api, &format!("/cursor/products?limit=10&cursor={cursor}"));
    assert_eq!(next_in_body(&page("a-2")).as_deref(), Some("14-3"));
    assert_eq!(page("14-3").ids(), [0_u64; 0]);
    assert_eq!(next_in_body(&page("14-3")).as_deref(), Some("14-3"));
}

#[test]
fn only_what_changed_since_an_instant_can_be_asked_for() {
    let api = serve(1_000);
    let changed = api.change(2.0, 7);
    assert_eq!(
        get(&api, "/page/products?updated_since=2025-01-01T00:00:00Z").ids(),
        changed
    );
    let later = api.add(3);
    let instant = get(&api, "/keyset/products?after_id=1000").json()["data"][0]["updated_at"].clone();
    let since = format!("/offset/products?updated_since={}", instant.as_str().unwrap());
    assert_eq!(get(&api, &since).ids(), later);
    assert_eq!(get(&api, "/page/products?updated_since=soon").status, 400);
}

#[test]
fn unknown_paths_are_404() {
    let api = serve(1);
    assert_eq!(get(&api, "/").status, 404);
    assert_eq!(get(&api, "/page/orders").status, 404);
    assert_eq!(get(&api, "/_control/nothing").status, 404);
}

#[test]
fn removed_products_come_as_tombstones_where_they_are_asked_for() {
    let api = serve(5);
    api.remove_ids(&[2]);
    api.change_ids(&[4]);
    assert_eq!(get(&api, "/page/products").ids(), [1, 3, 4, 5]);
    let with = get(&api, "/page/products?tombstones=1");
    assert_eq!(with.ids(), all(5));
    assert_eq!(with.json()["data"][1]["deleted"], true);
    assert_eq!(with.json()["data"][1]["price"], Value::Null);
    assert_eq!(with.json()["meta"]["total"], 5);
    let changes = "/offset/products?tombstones=1&updated_since=2025-01-01T00:00:00Z&order=updated_at";
    assert_eq!(get(&api, changes).ids(), [2, 4]);
}
