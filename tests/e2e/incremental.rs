//! Incremental reads: what is asked for, when the watermark moves, and that nothing slips past it.

use crate::shop::{PAGES, Shop};
use sample_api::{Fault, Rule};

/// Settings of a job that follows updated_at, besides those given.
pub fn following(more: &str) -> String {
    PAGES.replacen(
        '{',
        &format!(r#"{{"cursor": {{"column": "updated_at", "param": "updated_since"}}, {more}"#),
        1,
    )
}

/// A job that follows updated_at, after its first run.
pub fn follower(products: u64, settings: &str) -> Shop {
    let mut shop = Shop::open(products);
    create(&mut shop, settings);
    shop.sync();
    shop
}

pub fn create(shop: &mut Shop, settings: &str) {
    shop.app.exec(&format!(
        "SELECT sluice.create_job('products', 'shop', '/page/products', mode => 'upsert', key => '{{id}}',
                                  schedule => 'manual', settings => '{settings}')"
    ));
    shop.api.clear_log();
}

pub fn watermark(shop: &mut Shop) -> String {
    shop.db
        .value("SELECT cursor FROM sluice.sync_metadata")
        .unwrap_or_else(|| "NULL".to_string())
}

/// The bounds of the requests in the log, each once, in their order.
pub fn bounds(shop: &Shop) -> Vec<String> {
    let of = |line: &sample_api::RequestLine| {
        let pairs = line.target.split(['?', '&']).filter_map(|pair| pair.split_once('='));
        let bound = pairs.into_iter().find(|(name, _)| *name == "updated_since");
        bound.map_or_else(|| "all".to_string(), |(_, value)| value.replace("%3A", ":"))
    };
    let mut found: Vec<String> = shop.api.requests().iter().map(of).collect();
    found.dedup();
    found
}

/// The highest updated_at of the source, as the source writes it.
fn highest(shop: &Shop) -> String {
    let of = |record: &String| {
        let record: serde_json::Value = serde_json::from_str(record).expect("records are JSON");
        record["updated_at"].as_str().expect("a text").to_string()
    };
    shop.api.truth().values().map(of).max().unwrap_or_default()
}

#[test]
fn the_first_read_is_of_everything_and_the_next_of_what_changed() {
    let mut shop = follower(500, &following(""));
    shop.assert_equal();
    assert_eq!(bounds(&shop), ["all"]);
    assert_eq!(watermark(&mut shop), highest(&shop));
    let first = watermark(&mut shop);
    let changed = shop.api.change(4.0, 1).len();
    shop.api.add(3);
    shop.api.clear_log();
    shop.sync();
    shop.assert_equal();
    assert_eq!(bounds(&shop), [first]);
    assert_eq!(watermark(&mut shop), highest(&shop));
    // The bound includes: what has it already comes again, and is not written again.
    assert_eq!(shop.run("concat_ws(' ', inserted, updated)"), format!("3 {changed}"));
    assert_eq!(shop.status("status"), "idle");
}

/// An empty answer to an incremental request is normal.
#[test]
fn an_empty_answer_to_a_request_for_changes_is_normal() {
    let mut shop = follower(300, &following(""));
    let before = watermark(&mut shop);
    shop.api.misbehave(Fault::body(r#"{"data": [], "meta": {"total": 0}}"#));
    shop.sync();
    assert_eq!(shop.run("concat_ws(' ', status, records)"), "succeeded 0");
    assert_eq!(watermark(&mut shop), before);
    assert_eq!(shop.health("concat_ws(' ', status, item_count)"), "healthy 300");
    shop.api.clear_faults();
    shop.api.change(5.0, 1);
    shop.sync();
    shop.assert_equal();
}

/// RELIABILITY 1.3: the watermark moves with the commit that ends the read, and a read that fails moves it nowhere.
#[test]
fn a_read_that_breaks_off_leaves_the_watermark_and_goes_on_with_the_same_bound() {
    let mut shop = follower(500, &following(""));
    let before = watermark(&mut shop);
    shop.api.change(80.0, 1);
    shop.api.clear_log();
    let committed = shop.start_and_hold_at(3);
    assert_eq!(watermark(&mut shop), before);
    let worker = shop.worker();
    sluice_e2e::kill9(worker);
    shop.recover();
    assert_eq!(watermark(&mut shop), before);
    shop.api.clear_log();
    shop.api.release();
    shop.wait_for_run("succeeded");
    shop.assert_none_asked_again(&committed);
    assert_eq!(bounds(&shop), [before]);
    shop.assert_equal();
    // The first pages' part of the maximum is as durable as their rows.
    assert_eq!(watermark(&mut shop), highest(&shop));
}

#[test]
fn a_crash_before_the_last_commit_moves_nothing() {
    let mut shop = follower(300, &following(""));
    let before = watermark(&mut shop);
    shop.api.change(50.0, 1);
    shop.db
        .exec("SELECT sluice._failpoint('publish.before_commit', 'kill9')");
    shop.start();
    shop.recover();
    shop.wait_for_run("succeeded");
    assert_ne!(watermark(&mut shop), before);
    assert_eq!(watermark(&mut shop), highest(&shop));
    shop.assert_equal();
}

/// RELIABILITY F-R18.
#[test]
fn the_year_9999_is_written_and_not_followed() {
    let mut shop = Shop::open(300);
    create(&mut shop, &following(""));
    let alter = |value: &str| Fault::AlterRecord {
        id: 7,
        member: "updated_at".to_string(),
        value: Some(value.to_string()),
    };
    shop.api.misbehave(alter("\"9999-12-31T23:59:59Z\""));
    shop.sync();
    assert_eq!(
        shop.db.text("SELECT updated_at::date FROM products WHERE id = 7"),
        "9999-12-31"
    );
    let told = shop.run("error_message");
    assert!(
        told.starts_with("1 record has one at $.updated_at that lies more than a day ahead"),
        "{told}"
    );
    assert_eq!(shop.run("status"), "succeeded");
    assert!(watermark(&mut shop).starts_with("2024-"), "{}", watermark(&mut shop));
    shop.api.clear_faults();
    shop.api.misbehave(alter("null"));
    shop.api.change_ids(&[7, 8]);
    shop.sync();
    let told = shop.run("error_message");
    assert!(told.starts_with("1 record has no value at $.updated_at"), "{told}");
    shop.api.clear_faults();
    shop.api.change_ids(&[7]);
    shop.sync();
    shop.assert_equal();
    assert_eq!(shop.run("coalesce(error_message, 'nothing')"), "nothing");
}

/// RELIABILITY F-R15, and 1.3: offset pagination while records change.
#[test]
fn a_record_that_slips_past_the_pages_is_read_by_the_next_run() {
    let mut shop = Shop::open(400);
    let settings = following("").replacen('{', r#"{"params": {"order": "updated_at"}, "#, 1);
    create(&mut shop, &settings);
    shop.sync();
    let before = watermark(&mut shop);
    shop.api.change_ids(&(1..=350).collect::<Vec<_>>());
    shop.start_and_hold_at(3);
    // What was first in the order is now last, and all the others move up by one page.
    shop.api.change_ids(&(1..=100).collect::<Vec<_>>());
    shop.api.release();
    shop.wait_for_run("succeeded");
    assert_eq!(watermark(&mut shop), before, "{}", shop.run("error_message"));
    let told = shop.run("error_message");
    assert!(
        told.contains("came twice in the read: the next run reads the same again"),
        "{told}"
    );
    shop.sync();
    shop.assert_equal();
    assert_eq!(watermark(&mut shop), highest(&shop));
}

/// RELIABILITY F-R18 and 1.3: rows that are committed late, with an older time.
#[test]
fn a_lookback_finds_what_was_committed_late() {
    let settings = following("").replacen("\"updated_since\"", "\"updated_since\", \"lookback\": \"1 hour\"", 1);
    let mut shop = follower(300, &settings);
    shop.api.change(10.0, 1);
    shop.sync();
    assert_eq!(watermark(&mut shop), highest(&shop));
    shop.api.clear_log();
    shop.sync();
    let (to, from) = (watermark(&mut shop), bounds(&shop)[0].clone());
    let apart = format!("SELECT extract(epoch FROM '{to}'::timestamptz - '{from}'::timestamptz)::bigint");
    assert_eq!(shop.db.number(&apart), 3600);
}

#[test]
fn a_rollback_puts_the_cursor_back() {
    let mut shop = follower(300, &following(""));
    let (first, rows) = (
        watermark(&mut shop),
        "SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM products p",
    );
    let old = shop.db.text(rows);
    shop.api.change(20.0, 1);
    shop.sync();
    assert_ne!(watermark(&mut shop), first);
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    assert_eq!(watermark(&mut shop), first);
    assert_eq!(shop.db.text(rows), old);
    shop.sync();
    shop.assert_equal();
    assert_eq!(watermark(&mut shop), highest(&shop));
}

#[test]
fn an_emptied_table_and_another_definition_are_read_from_the_beginning() {
    let mut shop = follower(300, &following(""));
    shop.db.exec("TRUNCATE products");
    shop.api.clear_log();
    shop.sync();
    assert_eq!(bounds(&shop), ["all"]);
    shop.assert_equal();
    shop.app
        .exec("SELECT sluice.alter_job('products', settings => '{\"page_size\": 50}')");
    assert_ne!(watermark(&mut shop), "NULL");
    shop.app
        .exec("SELECT sluice.alter_job('products', settings => '{\"params\": {\"total\": 1}}')");
    assert_eq!(watermark(&mut shop), "NULL");
    shop.api.clear_log();
    shop.sync();
    assert_eq!(bounds(&shop), ["all"]);
}

/// RELIABILITY 1.3: a final state is not written by a read that failed.
#[test]
fn a_failed_read_is_no_position() {
    let mut shop = follower(500, &following(r#""retry": {"request_attempts": 1}, "#));
    let before = watermark(&mut shop);
    shop.api.change(80.0, 1);
    shop.api.misbehave(Rule::new(Fault::status(404, &[])).page(3));
    shop.failing_sync();
    assert_eq!(watermark(&mut shop), before);
    shop.api.clear_faults();
    shop.sync();
    shop.assert_equal();
}

/// Whatever happens between and during the runs, the table ends up as the source is.
#[test]
fn random_histories_end_equal_to_the_source() {
    for seed in 1..=3u64 {
        let mut shop = follower(300, &following(""));
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut next = |below: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for step in 0..8u64 {
            shop.api.change(next(30) as f64, seed * 100 + step);
            shop.api.add(next(4));
            if next(3) == 0 {
                shop.api.misbehave(Rule::new(Fault::status(404, &[])).page(2).times(1));
                let _ = shop.app.try_rows("CALL sluice.sync('products')");
                shop.api.clear_faults();
            } else if next(3) == 0 {
                shop.api.hold_page(1);
                shop.start();
                assert!(shop.api.wait_until_held(1, crate::shop::SOON));
                shop.api.change(next(20) as f64, seed * 1000 + step);
                shop.api.release();
                shop.wait_for_run("succeeded");
            } else {
                shop.sync();
            }
        }
        shop.sync();
        shop.assert_equal();
        assert_eq!(watermark(&mut shop), highest(&shop), "seed {seed}");
    }
}
