//! The other mode and the other ways to page, and targets that were there before.

use crate::shop::{PAGES, Shop};
use sample_api::{Fault, LastPage, Options, PastEnd, Rule, SampleApi};

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
        "pagination": {"type": "cursor", "next": "$.meta.next", "total": "$.meta.total"}}"#,
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

/// An upsert job of 500 products after its first load.
fn upsert() -> Shop {
    let mut shop = Shop::open(500);
    shop.app.exec(&format!(
        "SELECT sluice.create_job('products', 'shop', '/page/products', mode => 'upsert', key => '{{id}}',
                                  schedule => 'manual', settings => '{PAGES}')"
    ));
    shop.sync();
    shop.assert_equal();
    shop
}

#[test]
fn upsert_writes_what_differs_and_removes_nothing() {
    let mut shop = upsert();
    shop.db
        .exec("CREATE TABLE app.before AS SELECT id, xmin::text AS version FROM app.products");
    shop.api.remove_ids(&[1, 2, 3]);
    let changed = shop.api.change(10.0, 4).len();
    shop.api.add(7);
    shop.sync();
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 507);
    assert_eq!(
        shop.run("concat_ws(' ', inserted, updated, deleted)"),
        format!("7 {changed} 0")
    );
    let rewritten = "SELECT count(*) FROM app.products p JOIN app.before b USING (id) WHERE p.xmin::text <> b.version";
    assert_eq!(shop.db.number(rewritten), changed as i64);
    shop.db.exec("DELETE FROM app.products WHERE id <= 3");
    shop.assert_equal();
    shop.sync();
    assert_eq!(shop.run("concat_ws(' ', status, inserted, updated)"), "succeeded 0 0");
}

#[test]
fn an_upsert_that_was_interrupted_goes_on_and_can_be_undone_as_a_whole() {
    let mut shop = upsert();
    let old = shop
        .db
        .text("SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM app.products p");
    shop.api.change(50.0, 4);
    shop.api.clear_log();
    let committed = shop.start_and_hold_at(4);
    shop.api.clear_log();
    let worker = shop.worker();
    sluice_e2e::kill9(worker);
    shop.recover();
    shop.api.release();
    shop.wait_for_run("succeeded");
    shop.assert_none_asked_again(&committed);
    shop.assert_equal();
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(
        shop.db
            .text("SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM app.products p"),
        old
    );
}

#[test]
fn an_upsert_is_undone_and_redone() {
    let mut shop = upsert();
    let old = shop
        .db
        .text("SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM app.products p");
    shop.api.change(10.0, 4);
    shop.api.add(5);
    shop.sync();
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    assert_eq!(
        shop.db
            .text("SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM app.products p"),
        old
    );
    shop.sync();
    shop.assert_equal();
}

#[test]
fn an_empty_answer_to_an_upsert_changes_nothing() {
    let mut shop = upsert();
    shop.api.misbehave(Fault::body(r#"{"data": [], "meta": {"total": 0}}"#));
    let outcome = shop.app.try_rows("CALL sluice.sync('products')");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 500, "{outcome:?}");
    shop.api.clear_faults();
    shop.sync();
    shop.assert_equal();
}

#[test]
fn a_key_of_two_columns_matches_rows_by_both() {
    let mut shop = Shop::open(400);
    shop.app.exec(
        "CREATE TABLE products (category text, id bigint, price numeric, extra text DEFAULT 'x', PRIMARY KEY (category, id))",
    );
    let settings = PAGES.replacen(
        '{',
        r#"{"columns": {"id": "$.id", "category": "$.category", "price": "$.price"}, "#,
        1,
    );
    shop.app.exec(&format!(
        "SELECT sluice.create_job('products', 'shop', '/page/products', schedule => 'manual', settings => '{settings}')"
    ));
    assert_eq!(shop.db.text("SELECT key FROM sluice.sync_jobs"), "{category,id}");
    shop.sync();
    shop.db.exec("UPDATE app.products SET extra = 'kept'");
    let changed = shop.api.change(10.0, 1).len();
    shop.api.remove_ids(&[9, 10]);
    shop.sync();
    let sums =
        "SELECT concat_ws(' ', count(*), sum(id), (sum(price) * 100)::bigint, count(*) FILTER (WHERE extra = 'kept'))
                FROM app.products";
    let truth = shop.api.checksum();
    let expected = format!("{} {} {} 398", truth.count, truth.sum_id, truth.sum_price_cents);
    assert_eq!(shop.db.text(sums), expected, "{changed} changed");
    assert_eq!(shop.run("deleted"), "2");
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 400);
}

#[test]
fn names_that_need_quotes_work_everywhere() {
    let mut shop = Shop::open(300);
    shop.db.exec("GRANT CREATE ON DATABASE postgres TO app");
    shop.app.exec(
        r#"CREATE SCHEMA "My ""schema"" – ü"; CREATE TABLE "My ""schema"" – ü"."select from; --" (
               "Id%" bigint PRIMARY KEY, "user" text, "price in ""€""" numeric, "a'b\c" text)"#,
    );
    let settings = PAGES.replacen(
        '{',
        r#"{"columns": {"Id%": "$.id", "user": "$.name", "price in \"€\"": "$.price", "a''b\\c": "$.sku"}, "#,
        1,
    );
    shop.app.exec(&format!(
        r#"SELECT sluice.create_job('products', 'shop', '/page/products', target => '"My ""schema"" – ü"."select from; --"',
                                    schedule => 'manual', settings => '{settings}')"#
    ));
    shop.sync();
    shop.api.change(10.0, 2);
    shop.api.remove_ids(&[1, 2]);
    shop.sync();
    let truth = shop.api.checksum();
    let sums = r#"SELECT concat_ws(' ', count(*), sum("Id%"), (sum("price in ""€""") * 100)::bigint, count("user"), count("a'b\c"))
                  FROM "My ""schema"" – ü"."select from; --""#;
    let expected = format!("298 {} {} 298 298", truth.sum_id, truth.sum_price_cents);
    assert_eq!(shop.db.text(sums), expected);
    shop.app.exec("CALL sluice.rollback_to('products')");
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(
        shop.db
            .number(r#"SELECT count(*) FROM "My ""schema"" – ü"."select from; --""#),
        0
    );
}

#[test]
fn two_jobs_that_replace_parts_of_one_table_leave_each_others_rows() {
    let mut shop = Shop::open(300);
    let other = SampleApi::start(Options {
        products: 300,
        ..Options::default()
    });
    shop.api.remove_ids(&(151..=300).collect::<Vec<_>>());
    other.remove_ids(&(1..=150).collect::<Vec<_>>());
    shop.db.exec(&format!(
        "CREATE SERVER second FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url '{}');
         GRANT USAGE ON FOREIGN SERVER second TO app",
        other.url()
    ));
    shop.create_job("products", "/page/products", PAGES);
    shop.app.take_notices();
    shop.app.exec(&format!(
        "SELECT sluice.create_job('rest', 'second', '/page/products', target => 'products', schedule => 'manual',
                                  settings => '{PAGES}')"
    ));
    let told = shop.app.take_notices().join("\n");
    assert!(told.contains("is the target of job \"products\" too"), "{told}");
    let count = "SELECT count(*) || ' ' || sum(id) FROM app.products";
    for _ in 0..2 {
        shop.sync();
        shop.app.exec("CALL sluice.sync('rest')");
        assert_eq!(shop.db.text(count), "300 45150");
    }
    shop.api.remove_ids(&[1]);
    other.remove_ids(&[300]);
    shop.sync();
    assert_eq!(shop.db.text(count), "299 45149");
    shop.app.exec("CALL sluice.sync('rest')");
    assert_eq!(shop.db.text(count), "298 44849");
}

#[test]
fn an_upsert_that_was_given_up_half_way_leaves_nothing_stale() {
    let mut shop = Shop::with_job(500, PAGES);
    shop.app.exec("SELECT sluice.alter_job('products', mode => 'upsert')");
    shop.sync();
    // A change that is taken back before the read is begun anew: its page is the published one again.
    shop.api.misbehave(Fault::AlterRecord {
        id: 5,
        member: "name".to_string(),
        value: Some("\"for a moment\"".to_string()),
    });
    shop.api.misbehave(Rule::new(Fault::RepeatPage(2)).page(3).times(1));
    shop.failing_sync();
    assert_eq!(
        shop.db.text("SELECT name FROM app.products WHERE id = 5"),
        "for a moment"
    );
    shop.api.clear_faults();
    shop.sync();
    shop.assert_equal();
}
