//! The ways to page but page numbers, and what servers do at the last page.

use crate::shop::{PAGES, Shop};
use sample_api::{Fault, LastPage, PastEnd, Rule};

/// Every scheme but page numbers: the path and its settings.
const OFFSET: (&str, &str) = (
    "/offset/products",
    r#"{"records": "$.data", "page_size": 100, "commit_every": {"pages": 1},
        "pagination": {"type": "offset", "limit_param": "limit", "total": "$.meta.total"}}"#,
);
const LINK: (&str, &str) = (
    "/link/products",
    r#"{"records": "$.data", "params": {"per_page": "100"}, "commit_every": {"pages": 1}, "pagination": {"type": "link_header"}}"#,
);
const NONE: (&str, &str) = (
    "/none/products",
    r#"{"records": "$.data", "pagination": {"type": "none"}}"#,
);

const CURSOR: (&str, &str) = (
    "/cursor/products",
    r#"{"records": "$.data", "params": {"limit": "100"}, "commit_every": {"pages": 1},
        "pagination": {"type": "cursor", "next": "$.meta.next", "total": "$.meta.total", "total_pages": "$.meta.total_pages"}}"#,
);
const NEXT_URL: (&str, &str) = (
    "/next_url/products",
    r#"{"records": "$.data", "params": {"limit": "100"}, "commit_every": {"pages": 1},
        "pagination": {"type": "next_url", "next": "$.meta.next"}}"#,
);
const KEYSET: (&str, &str) = (
    "/keyset/products",
    r#"{"records": "$.data", "params": {"limit": "100"}, "commit_every": {"pages": 1},
        "pagination": {"type": "keyset", "param": "after_id", "column": "id"}}"#,
);

/// Loads, refreshes and removes by one scheme.
fn follows(scheme: (&str, &str)) -> Shop {
    let mut shop = Shop::open(730);
    shop.create_job("products", scheme.0, scheme.1);
    shop.sync();
    shop.assert_equal();
    shop.api.change(10.0, 5);
    shop.api.remove(2.0, 6);
    shop.api.add(9);
    // Without a total a missing row goes with the second read.
    shop.sync();
    shop.sync();
    shop.assert_equal();
    shop
}

#[test]
fn offset_pagination_follows_the_source() {
    follows(OFFSET);
}

#[test]
fn link_header_pagination_follows_the_source() {
    follows(LINK);
}

#[test]
fn cursor_pagination_follows_the_source_whatever_the_token_is() {
    follows(CURSOR);
    for named in ["number", "object"] {
        follows((
            CURSOR.0,
            &CURSOR
                .1
                .replace("\"params\": {", &format!("\"params\": {{\"next\": \"{named}\", ")),
        ));
    }
    follows((CURSOR.0, &CURSOR.1.replace("$.meta.next", "header:X-Next")));
}

#[test]
fn next_url_pagination_follows_the_source_whatever_the_address_is() {
    follows(NEXT_URL);
    follows((
        NEXT_URL.0,
        &NEXT_URL
            .1
            .replace("\"params\": {", "\"params\": {\"next\": \"relative\", "),
    ));
    follows((NEXT_URL.0, &NEXT_URL.1.replace("$.meta.next", "header:X-Next")));
    // A bare token where an address is expected is the parameter's value.
    let bare = NEXT_URL
        .1
        .replace("\"$.meta.next\"", "\"$.meta.next\", \"param\": \"cursor\"");
    follows(("/cursor/products", &bare));
}

#[test]
fn keyset_pagination_follows_the_source_and_proves_what_is_gone() {
    follows(KEYSET);
    let mut shop = Shop::open(500);
    shop.create_job("products", KEYSET.0, KEYSET.1);
    shop.sync();
    shop.api.remove_ids(&[1, 250, 500]);
    shop.sync();
    shop.assert_equal();
    assert_eq!(shop.run("deleted"), "3");
}

#[test]
fn a_read_by_token_address_or_key_goes_on_at_its_next_page_after_a_crash() {
    for scheme in [CURSOR, NEXT_URL, KEYSET] {
        let mut shop = Shop::open(1_000);
        shop.create_job("products", scheme.0, scheme.1);
        let committed = shop.start_and_hold_at(5);
        shop.api.clear_log();
        let worker = shop.worker();
        sluice_e2e::kill9(worker);
        shop.recover();
        shop.api.release();
        shop.wait_for_run("succeeded");
        shop.assert_none_asked_again(&committed);
        assert_eq!(shop.api.pages_asked()[0], 5, "{}", scheme.0);
        shop.assert_equal();
    }
}

#[test]
fn a_next_page_that_cannot_be_followed_loses_nothing() {
    let mut shop = Shop::open(500);
    shop.create_job(
        "products",
        CURSOR.0,
        &CURSOR.1.replace("$.meta.next", "$.data[0].attributes"),
    );
    shop.failing_sync();
    assert_eq!(shop.run("error_class"), "data");
    assert_eq!(
        shop.run("error_message"),
        "page 1 names its next page in a way that cannot be followed"
    );
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 0);
}

/// F-R14.
#[test]
fn a_token_that_comes_again_is_a_loop() {
    let mut shop = Shop::open(500);
    // The page's size names the next page: it is the same on each.
    shop.create_job("products", CURSOR.0, &CURSOR.1.replace("$.meta.next", "$.meta.size"));
    shop.failing_sync();
    assert_eq!(shop.run("error_class"), "pagination_loop");
}

#[test]
fn an_answer_in_one_piece_follows_the_source() {
    follows(NONE);
}

#[test]
fn a_server_that_clamps_the_page_size_loses_no_row() {
    let mut shop = Shop::open(730);
    shop.api.set(|settings| settings.max_page_size = 40);
    shop.create_job("products", OFFSET.0, OFFSET.1);
    shop.sync();
    shop.assert_equal();
    assert_eq!(
        shop.db.number("SELECT count(*) FROM sluice._page WHERE records > 0"),
        19
    );
    // The clamp changes in the middle of the next read.
    shop.api.hold_page(5);
    shop.start();
    assert!(shop.api.wait_until_held(5, crate::shop::SOON));
    shop.api.set(|settings| settings.max_page_size = 30);
    shop.api.release();
    shop.wait_for_run("succeeded");
    shop.assert_equal();
}

#[test]
fn a_last_link_that_names_an_empty_page_ends_the_read() {
    let mut shop = Shop::open(500);
    shop.api.set(|settings| settings.last_page = LastPage::NamesAnEmptyPage);
    shop.create_job("products", LINK.0, LINK.1);
    shop.sync();
    shop.assert_equal();
}

#[test]
fn a_404_past_the_end_ends_the_read_where_the_job_says_so() {
    let mut shop = Shop::open(500);
    shop.api.set(|settings| settings.past_end = PastEnd::NotFound);
    let settings = r#"{"records": "$.data", "page_size": 100, "pagination": {"type": "page", "size_param": "per_page", "stop": "not_found"}}"#;
    shop.create_job("products", "/page/products", settings);
    shop.sync();
    shop.assert_equal();
    shop.sync();
    shop.assert_equal();
}

#[test]
fn an_api_that_answers_400_past_the_end_ends_the_read_where_the_job_says_so() {
    let settings =
        r#"{"records": "$.data", "page_size": 100, "pagination": {"type": "page", "size_param": "per_page"}}"#;
    let stopping = settings.replace("\"size_param\"", "\"stop\": \"not_found\", \"size_param\"");
    for (settings, ends) in [(settings, false), (stopping.as_str(), true)] {
        let mut shop = Shop::open(500);
        shop.api.set(|settings| settings.past_end = PastEnd::BadRequest);
        shop.create_job("products", "/page/products", settings);
        match ends {
            true => shop.sync(),
            false => assert_eq!(shop.failing_sync().sqlstate, "22023"),
        }
        shop.assert_equal();
    }
}

#[test]
fn declared_pages_end_a_read_and_are_shown_while_it_runs() {
    let settings = r#"{"records": "$.data", "page_size": 100, "commit_every": {"pages": 1}, "params": {"total": "1"},
        "pagination": {"type": "page", "size_param": "per_page", "total_pages": "$.meta.total_pages"}}"#;
    let mut shop = Shop::open(730);
    shop.create_job("products", "/page/products", settings);
    shop.start_and_hold_at(5);
    assert_eq!(shop.status("pages_total"), "8");
    assert_eq!(
        shop.db
            .number("SELECT pages_total FROM sluice.sync_progress WHERE data_type = 'products'"),
        8
    );
    // What was declared before is known to whoever goes on.
    shop.app.exec("SELECT sluice.stop_sync('products')");
    shop.wait_for_run("stopped");
    shop.api.release();
    shop.api.clear_log();
    shop.sync();
    shop.assert_equal();
    assert_eq!(
        shop.api.pages_asked().into_iter().max(),
        Some(8),
        "nothing past the end is asked for"
    );
    shop.api.remove_ids(&[5]);
    shop.sync();
    assert_eq!(
        shop.status("unconfirmed"),
        "1",
        "a number of pages proves nothing about rows"
    );
}

/// The remote says how much there is, and may say anything.
#[test]
fn a_total_beyond_all_bounds_breaks_no_view() {
    let settings = r#"{"records": "$.data", "page_size": 2, "commit_every": {"pages": 1}, "concurrency": 1,
        "pagination": {"type": "page", "size_param": "per_page", "total_pages": "$.meta.total_pages"}}"#;
    let mut shop = Shop::open(10);
    shop.create_job("products", "/page/products", settings);
    let page = r#"{"data": [{"id": 1}, {"id": 2}], "meta": {"total_pages": 9007199254740991}}"#;
    shop.api.misbehave(Rule::new(Fault::body(page)).page(1));
    shop.start_and_hold_at(2);
    assert_eq!(
        shop.status("concat_ws(' ', status, pages_total)"),
        "running 9007199254740991"
    );
    assert_eq!(shop.status("eta"), "NULL");
    shop.app.exec("SELECT sluice.stop_sync('products')");
    shop.wait_for_run("stopped");
    shop.api.release();
}

#[test]
fn empty_and_short_pages_in_the_middle_end_no_read_that_knows_how_much_there_is() {
    for total in [r#""total": "$.meta.total""#, r#""total_pages": "$.meta.total_pages""#] {
        let settings = PAGES.replace(r#""total": "$.meta.total""#, &format!(r#"{total}, "stop": "total""#));
        let mut shop = Shop::loaded(500, &settings);
        shop.api.misbehave(Rule::new(Fault::HalfPage).page(2).times(1));
        let empty = r#"{"data": [], "meta": {"total": 500, "total_pages": 5}}"#;
        shop.api.misbehave(Rule::new(Fault::body(empty)).page(4).times(1));
        shop.api.change_ids(&[499]);
        shop.sync();
        // The rows of the pages that came short are still there, and what came after them is new.
        shop.assert_equal();
    }
}

#[test]
fn a_link_read_goes_on_at_its_next_link_after_a_crash() {
    let mut shop = Shop::open(1_000);
    shop.create_job("products", LINK.0, LINK.1);
    let committed = shop.start_and_hold_at(5);
    shop.api.clear_log();
    let worker = shop.worker();
    sluice_e2e::kill9(worker);
    shop.recover();
    shop.api.release();
    shop.wait_for_run("succeeded");
    shop.assert_none_asked_again(&committed);
    assert_eq!(shop.api.pages_asked()[0], 5);
    shop.assert_equal();
}

#[test]
fn an_offset_read_goes_on_at_its_next_offset_after_a_crash() {
    let mut shop = Shop::open(1_000);
    shop.create_job("products", OFFSET.0, OFFSET.1);
    let committed = shop.start_and_hold_at(5);
    shop.api.clear_log();
    let worker = shop.worker();
    sluice_e2e::kill9(worker);
    shop.recover();
    shop.api.release();
    shop.wait_for_run("succeeded");
    shop.assert_none_asked_again(&committed);
    shop.assert_equal();
}

/// F-R14.
#[test]
fn a_link_back_to_a_page_that_came_before_the_read_was_resumed_is_a_loop() {
    let mut shop = Shop::open(1_000);
    shop.create_job("products", LINK.0, LINK.1);
    shop.start_and_hold_at(5);
    shop.app.exec("SELECT sluice.stop_sync('products')");
    shop.wait_for_run("stopped");
    shop.api.release();
    let second = shop.db.text("SELECT token_out FROM sluice._page WHERE number = 1");
    let back = Fault::Headers(vec![("Link".to_string(), format!("<{second}>; rel=\"next\""))]);
    shop.api.misbehave(Rule::new(back).page(6));
    let error = shop.failing_sync();
    assert_eq!(shop.run("error_class"), "pagination_loop", "{error}");
    // The sixth page names the second one: neither it nor what follows is taken.
    assert_eq!(shop.db.number("SELECT max(number) FROM sluice._page"), 5);
}

/// F-R16.
#[test]
fn a_link_to_another_server_is_not_followed() {
    let mut shop = Shop::open(300);
    let other = sample_api::SampleApi::start(sample_api::Options {
        products: 300,
        ..Default::default()
    });
    shop.create_job("products", LINK.0, LINK.1);
    let link = format!("<{}/link/products?page=2>; rel=\"next\"", other.url());
    let headers = Fault::Headers(vec![("Link".to_string(), link)]);
    shop.api.misbehave(Rule::new(headers).page(1));
    let error = shop.failing_sync();
    assert_eq!(other.requests().len(), 0, "{error}");
    assert_eq!(shop.run("error_class"), "config", "{error}");
}
