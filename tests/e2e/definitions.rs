//! Reads under a definition, a table or a moment that is not the usual one.

use crate::shop::{PAGES, PAGES_WITHOUT_TOTAL, SOON, Shop};
use sample_api::{Fault, Rule};
use sluice_e2e::eventually;

#[test]
fn a_first_load_into_a_table_with_rows_keeps_those_and_can_be_undone() {
    let mut shop = Shop::open(500);
    shop.app.exec(
        "CREATE TABLE products (id bigint PRIMARY KEY, name text, price numeric);
         INSERT INTO products VALUES (3, 'old name', 1), (77777, 'ours', 2)",
    );
    let before = shop
        .db
        .text("SELECT string_agg(p::text, ',' ORDER BY id) FROM app.products p");
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    assert_eq!(shop.run("concat_ws(' ', inserted, updated, deleted)"), "499 1 0");
    shop.api.remove_ids(&[5]);
    shop.sync();
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products WHERE id = 77777"), 1);
    shop.db
        .exec("CREATE VIEW app.fetched AS SELECT * FROM app.products WHERE id <> 77777");
    sluice_e2e::assert_table_equals_source(&mut shop.db, "app.fetched", &shop.api);
    shop.app.exec("CALL sluice.rollback_to('products')");
    shop.app.exec("CALL sluice.rollback_to('products')");
    let after = shop
        .db
        .text("SELECT string_agg(p::text, ',' ORDER BY id) FROM app.products p");
    assert_eq!(after, before);
}

#[test]
fn a_key_that_comes_twice_in_a_first_load_counts_once() {
    let mut shop = Shop::with_job(500, PAGES_WITHOUT_TOTAL);
    let twice = Fault::AlterRecord {
        id: 250,
        member: "id".to_string(),
        value: Some("50".to_string()),
    };
    shop.api.misbehave(Rule::new(twice));
    shop.sync();
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 499);
    shop.api.clear_faults();
    shop.sync();
    shop.assert_equal();
    shop.api.remove_ids(&[499, 500]);
    shop.sync();
    shop.sync();
    shop.assert_equal();
}

#[test]
fn another_page_size_after_a_load_moves_every_page_and_no_row() {
    let mut shop = Shop::loaded(1_000, PAGES);
    shop.app
        .exec(r#"SELECT sluice.alter_job('products', settings => '{"page_size": 70}')"#);
    shop.api.remove_ids(&[4, 500]);
    shop.sync();
    shop.assert_equal();
    assert_eq!(shop.run("concat_ws(' ', inserted, updated, deleted)"), "0 0 2");
}

#[test]
fn a_changed_mapping_rewrites_the_rows_and_still_finds_what_is_gone() {
    let mut shop = Shop::open(500);
    shop.app
        .exec("CREATE TABLE products (id bigint PRIMARY KEY, name text)");
    let settings = PAGES.replacen('{', r#"{"columns": {"id": "$.id", "name": "$.name"}, "#, 1);
    shop.create_job("products", "/page/products", &settings);
    shop.sync();
    let old = shop
        .db
        .text("SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM app.products p");
    shop.app
        .exec(r#"SELECT sluice.alter_job('products', settings => '{"columns": {"id": "$.id", "name": "$.sku"}}')"#);
    shop.api.remove_ids(&[4, 500]);
    shop.sync();
    let mapped = "SELECT count(*) FROM app.products WHERE name = 'SKU-' || lpad(id::text, 8, '0')";
    assert_eq!(shop.db.number(mapped), 498);
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 498);
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(
        shop.db
            .text("SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM app.products p"),
        old
    );
}

#[test]
fn a_column_that_is_added_to_the_table_is_filled_by_the_next_run() {
    let mut shop = Shop::open(500);
    shop.app
        .exec("CREATE TABLE products (id bigint PRIMARY KEY, name text)");
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    shop.app.exec("ALTER TABLE products ADD COLUMN price numeric");
    shop.sync();
    shop.assert_equal();
    shop.app.exec("ALTER TABLE products DROP COLUMN name");
    shop.api.change(10.0, 1);
    shop.sync();
    shop.assert_equal();
}

#[test]
fn a_first_load_that_is_given_up_for_another_definition_leaves_no_stale_row() {
    let mut shop = Shop::with_job(1_000, PAGES);
    shop.start_and_hold_at(6);
    shop.app.exec("SELECT sluice.stop_sync('products')");
    shop.wait_for_run("stopped");
    shop.api.release();
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 500);
    shop.api.remove_ids(&(1..=50).collect::<Vec<_>>());
    shop.app
        .exec(r#"SELECT sluice.alter_job('products', settings => '{"page_size": 70}')"#);
    shop.api.clear_log();
    shop.sync();
    shop.assert_equal();
    assert_eq!(shop.api.pages_asked()[0], 1);
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 0);
}

#[test]
fn a_read_that_paused_too_long_begins_again_at_the_first_page() {
    let mut shop = Shop::loaded(1_000, PAGES);
    shop.api.change(5.0, 1);
    shop.start_and_hold_at(6);
    shop.app.exec("SELECT sluice.stop_sync('products')");
    shop.wait_for_run("stopped");
    shop.api.release();
    shop.api.clear_log();
    shop.db
        .exec("UPDATE sluice._job_state SET last_page_at = last_page_at - interval '61 minutes'");
    shop.sync();
    assert_eq!(shop.api.pages_asked()[0], 1);
    shop.assert_equal();
}

#[test]
fn an_error_in_the_middle_of_a_batch_leaves_the_checkpoint_behind_the_last_good_one() {
    for point in ["batch.applied", "batch.before_commit"] {
        let mut shop = Shop::with_job(1_000, PAGES);
        shop.db
            .exec(&format!("SELECT sluice._failpoint('{point}', 'error', 4)"));
        let error = shop.failing_sync();
        assert_eq!(
            shop.committed_pages().into_iter().collect::<Vec<_>>(),
            [1, 2, 3, 4],
            "{error}"
        );
        assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 400);
        let committed = shop.committed_pages();
        shop.api.clear_log();
        shop.sync();
        shop.assert_none_asked_again(&committed);
        shop.assert_equal();
    }
}

#[test]
fn an_error_in_the_middle_of_a_publish_asks_no_page_again() {
    for point in ["publish.applied", "publish.before_commit"] {
        let mut shop = Shop::loaded(1_000, PAGES);
        shop.api.change(5.0, 1);
        shop.db.failpoint(point, "error");
        shop.failing_sync();
        shop.api.clear_log();
        shop.sync();
        assert_eq!(shop.api.requests().len(), 0, "{point}");
        shop.assert_equal();
    }
}

#[test]
fn asking_for_a_run_that_is_running_gives_its_id() {
    let mut shop = Shop::with_job(500, PAGES);
    shop.api.hold_page(2);
    let run = shop.start();
    assert!(shop.api.wait_until_held(2, SOON));
    assert_eq!(shop.start(), run);
    shop.api.release();
    shop.wait_for_run("succeeded");
    assert_eq!(shop.runs().len(), 1);
}

#[test]
fn an_approved_run_that_crashes_is_published_all_the_same() {
    let mut shop = Shop::loaded(500, PAGES);
    shop.api.misbehave(Fault::HalfRows {
        total: sample_api::Total::Matching,
    });
    shop.failing_sync();
    let run = shop.db.text("SELECT run_id FROM sluice.sync_held");
    shop.db.failpoint("publish.applied", "kill9");
    let call = shop
        .cluster
        .db_as("app", "postgres")
        .call(&format!("CALL sluice.approve({run})"));
    shop.recover();
    assert!(call.finish().0.is_err());
    let published = eventually(SOON, || shop.db.number("SELECT count(*) FROM app.products") == 250);
    assert!(published, "{:?}", shop.runs());
    assert_eq!(shop.runs(), ["manual succeeded", "manual succeeded"]);
}

#[test]
fn the_columns_that_could_be_a_key_are_proposed_by_their_own_names() {
    let mut shop = Shop::open(1);
    let member = "x".repeat(80);
    shop.api
        .misbehave(Fault::body(format!(r#"[{{"{member}": 1, "a \" b": 2}}]"#)));
    let error = shop
        .app
        .error("SELECT sluice.create_job('odd', 'shop', '/page/products', schedule => 'manual')");
    assert_eq!(error.sqlstate, "22023", "{error}");
    let hint = error.hint.clone().unwrap_or_default();
    assert!(hint.contains(&format!("'{}_", "x".repeat(54))), "{error}");
}

#[test]
fn a_table_that_is_to_be_made_gets_no_key_but_one_that_its_first_page_has() {
    let mut shop = Shop::open(30);
    let create = |key: &str| {
        format!("SELECT sluice.create_job('products', 'shop', '/page/products', settings => '{PAGES}'{key})")
    };
    let error = shop.app.error(&create(""));
    assert_eq!(
        (error.sqlstate.as_str(), error.message.as_str()),
        ("22023", "job \"products\" needs a key")
    );
    let hint = error.hint.unwrap_or_default();
    assert!(hint.contains("key => ARRAY['id']"), "{hint}");
    let error = shop.app.error(&create(", key => '{idd}'"));
    assert_eq!(
        (error.sqlstate.as_str(), error.message.as_str()),
        ("42703", "the records have no member \"idd\" for the key")
    );
    assert!(error.detail.unwrap_or_default().contains("id, "));
}

#[test]
fn a_collection_that_is_larger_than_the_job_allows_ends_its_run() {
    let limited = PAGES.replacen('{', r#"{"limits": {"rows": 150}, "#, 1);
    let mut shop = Shop::with_job(300, &limited);
    let error = shop.failing_sync();
    let told = shop.run("error_message");
    assert_eq!(told, "the collection has more rows than the limit of 150", "{error}");
}
