//! Keys that are equal to PostgreSQL and written in several ways: one row, whatever the spelling.
//!
//! F-R10 (keys in another case, normal form or notation).

use crate::shop::Shop;
use sample_api::{Fault, Rule};

const PAGED: &str = r#"{"records": "$.data", "page_size": 5, "commit_every": {"pages": 1}, "confirm_deletes": false, "max_shrink": 1,
    "on_empty": "accept", "pagination": {"type": "page", "size_param": "per_page"}"#;

/// Serves these records as one page from now on.
fn serve(shop: &Shop, records: &str) {
    shop.api.clear_faults();
    let page = |number, records: &str| Rule::new(Fault::body(format!(r#"{{"data": [{records}]}}"#))).page(number);
    shop.api.misbehave(page(1, records));
    shop.api.misbehave(page(2, ""));
}

/// A shop with the table app.products, whose key `id` is of this type, and a job on it that has loaded these records.
fn loaded(ty: &str, mode: &str, more: &str, records: &str) -> Shop {
    let mut shop = Shop::open(1);
    shop.db.exec("CREATE EXTENSION citext SCHEMA public");
    shop.app.exec(
        "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE COLLATION normal (provider = icu, locale = 'und', deterministic = false)",
    );
    shop.app.exec(&format!(
        "CREATE TABLE products (id {ty} PRIMARY KEY, v integer, note text);
         SELECT sluice.create_job('products', 'shop', '/page/products', mode => '{mode}', schedule => 'manual',
             settings => '{PAGED}, \"columns\": {{\"id\": \"$.id\", \"v\": \"$.v\"}}{more}}}')"
    ));
    serve(&shop, records);
    shop.sync();
    shop.app.exec("UPDATE products SET note = 'ours'");
    shop
}

/// All rows, and what the last run did.
fn state(shop: &mut Shop) -> String {
    let rows = shop
        .db
        .text("SELECT string_agg(concat_ws(' ', id, v, note), ', ' ORDER BY v) FROM app.products");
    let run = shop.run("concat_ws(' ', inserted, updated, deleted, rejected)");
    format!("{rows} ({run})")
}

/// F-R10: the type, a key, the same key in another spelling, and another key.
const TYPES: [(&str, &str, &str, &str); 7] = [
    ("public.citext", "Abc", "ABC", "abd"),
    ("text COLLATE loose", "Straße", "STRAßE", "Strase"),
    ("text COLLATE normal", "Am\\u00e9lie", "Ame\\u0301lie", "Amelie"),
    ("char(8) COLLATE loose", "Abc", "ABC  ", "Abd"),
    ("bytea", "A", "\\\\x41", "B"),
    ("interval", "1 day", "24:00:00", "2 days"),
    ("inet", "10.0.0.1", "10.0.0.1/32", "10.0.0.2"),
];

#[test]
fn a_key_in_another_spelling_keeps_its_row_whatever_its_type() {
    for (ty, one, same, other) in TYPES {
        let first = format!(r#"{{"id": "{one}", "v": 1}}, {{"id": "{other}", "v": 5}}"#);
        let mut shop = loaded(ty, "replace", "", &first);
        let before = shop.db.text("SELECT id FROM app.products WHERE v = 1");
        let beside = shop.db.text("SELECT id FROM app.products WHERE v = 5");
        let rows = |v: u32| format!("{before} {v} ours, {beside} 5 ours");
        serve(
            &shop,
            &format!(r#"{{"id": "{other}", "v": 5}}, {{"id": "{same}", "v": 2}}"#),
        );
        shop.sync();
        assert_eq!(state(&mut shop), format!("{} (0 1 0 0)", rows(2)), "{ty}");
        // A record that is no row protects the row of its key.
        serve(
            &shop,
            &format!(r#"{{"id": "{other}", "v": 5}}, {{"id": "{one}", "v": "bad"}}"#),
        );
        shop.sync();
        assert_eq!(state(&mut shop), format!("{} (0 0 0 1)", rows(2)), "{ty}");
        serve(&shop, &format!(r#"{{"id": "{other}", "v": 5}}"#));
        shop.sync();
        assert_eq!(shop.run("concat_ws(' ', inserted, updated, deleted)"), "0 0 1", "{ty}");
        shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
        assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 2, "{ty}");
    }
}

/// A key that comes in two spellings came twice: the read proves no removal.
#[test]
fn two_spellings_in_one_read_are_one_key_that_came_twice() {
    let mut shop = loaded(
        "public.citext",
        "replace",
        "",
        r#"{"id": "a", "v": 1}, {"id": "b", "v": 2}"#,
    );
    serve(&shop, r#"{"id": "b", "v": 3}, {"id": "B", "v": 4}"#);
    shop.sync();
    assert_eq!(state(&mut shop), "a 1 ours, b 4 ours (0 1 0 0)");
    assert_eq!(shop.run("removals"), "duplicate_keys");
}

/// F-R22: what says that a row is gone finds it in any spelling, and a row that came again afterwards stays.
#[test]
fn a_tombstone_in_another_spelling_removes_its_row() {
    let more = r#", "deleted_when": "@.deleted == true""#;
    let records = r#"{"id": "a", "v": 1}, {"id": "b", "v": 2}, {"id": "c", "v": 3}"#;
    let mut shop = loaded("public.citext", "upsert", more, records);
    serve(
        &shop,
        r#"{"id": "A", "deleted": true}, {"id": "B", "deleted": true}, {"id": "b", "v": 4}"#,
    );
    shop.sync();
    assert_eq!(state(&mut shop), "c 3 ours, b 4 ours (0 1 1 0)");
}

/// The later version of a record settles the one that was kept aside, also where it spells the key otherwise.
#[test]
fn a_replay_never_puts_an_older_spelling_over_a_newer() {
    let mut shop = loaded(
        "public.citext",
        "upsert",
        "",
        r#"{"id": "a", "v": 1}, {"id": "b", "v": "7.0.1"}"#,
    );
    serve(&shop, r#"{"id": "B", "v": 8}"#);
    shop.sync();
    assert_eq!(
        shop.db
            .text("SELECT status FROM sluice.sync_rejects WHERE data_type = 'products'"),
        "superseded"
    );
    shop.app.exec("ALTER TABLE products ALTER v TYPE text");
    shop.app.exec("CALL sluice.replay_rejects('products')");
    assert_eq!(shop.db.text("SELECT v FROM app.products WHERE id = 'b'"), "8");
}

/// A read of the whole collection counts rows that a webhook or an upsert brought in another spelling as its own.
#[test]
fn a_reconciliation_removes_what_is_gone_in_any_spelling() {
    let more = r#", "cursor": {"column": "v", "param": "since", "format": "epoch_s"}, "reconcile_every": "30 minutes""#;
    let mut shop = loaded(
        "public.citext",
        "upsert",
        more,
        r#"{"id": "a", "v": 1}, {"id": "b", "v": 2}"#,
    );
    serve(&shop, r#"{"id": "A", "v": 3}"#);
    shop.sync();
    shop.db
        .exec("UPDATE sluice._job_state SET whole_at = whole_at - interval '2 days'");
    serve(&shop, r#"{"id": "a", "v": 4}"#);
    shop.sync();
    assert_eq!(state(&mut shop), "a 4 ours (0 1 1 0)");
}
