//! Rows that are gone: by tombstones, by a periodic read of everything; removed, marked or kept.

use crate::incremental::{create, follower, following, watermark};
use crate::shop::{PAGES, PAGES_WITHOUT_TOTAL, Shop};
use sample_api::{Fault, Total};

const ROWS: &str = "SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM products p";
const BURIED: &str = r#""params": {"tombstones": 1}, "deleted_when": "@.deleted == true", "#;

/// Makes the last read of everything an hour older.
fn age(shop: &mut Shop) {
    shop.db
        .exec("UPDATE sluice._job_state SET whole_at = whole_at - interval '1 hour'");
}

fn with(settings: &str, more: &str) -> String {
    settings.replacen('{', &format!("{{{more}"), 1)
}

#[test]
fn a_tombstone_removes_its_row_and_a_rollback_brings_it_back() {
    let mut shop = follower(500, &following(BURIED));
    shop.db
        .exec("INSERT INTO products (id, name) VALUES (100001, 'of others')");
    let old = shop.db.text(ROWS);
    shop.api.remove_ids(&[3, 250, 500]);
    shop.api.change(10.0, 1);
    shop.sync();
    assert_eq!(shop.run("concat_ws(' ', deleted, error_message)"), "3");
    shop.db.exec("DELETE FROM products WHERE id = 100001");
    shop.assert_equal();
    shop.db
        .exec("INSERT INTO products (id, name) VALUES (100001, 'of others')");
    shop.sync();
    assert_eq!(
        shop.run("deleted"),
        "0",
        "a tombstone that comes again has nothing to remove"
    );
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    assert_eq!(shop.db.text(ROWS), old);
    shop.sync();
    shop.db.exec("DELETE FROM products WHERE id = 100001");
    shop.assert_equal();
}

#[test]
fn a_read_of_tombstones_alone_is_no_empty_read() {
    let mut shop = follower(300, &following(BURIED));
    shop.api.remove_ids(&[7]);
    shop.sync();
    assert_eq!(shop.run("concat_ws(' ', status, deleted)"), "succeeded 1");
    shop.assert_equal();
    // The first read of another job sees tombstones of rows that it never had.
    shop.app.exec("SELECT sluice.drop_job('products', drop_target => true)");
    create(&mut shop, &following(BURIED));
    shop.sync();
    assert_eq!(shop.run("concat_ws(' ', inserted, deleted)"), "299 0");
    assert_eq!(shop.health("item_count"), "300");
    shop.assert_equal();
}

#[test]
fn too_many_tombstones_wait_for_approval() {
    let mut shop = follower(300, &following(BURIED));
    let before = watermark(&mut shop);
    shop.api.remove_ids(&(1..=200).collect::<Vec<_>>());
    shop.api.add(5);
    shop.failing_sync();
    assert_eq!(shop.run("status"), "held");
    assert_eq!(shop.db.number("SELECT count(*) FROM products"), 305);
    assert_eq!(watermark(&mut shop), before);
    let held = shop.run("id");
    shop.app.exec(&format!("CALL sluice.approve({held})"));
    assert_eq!(shop.run("concat_ws(' ', status, deleted)"), "succeeded 200");
    shop.sync();
    shop.assert_equal();
    assert_ne!(watermark(&mut shop), before);
}

#[test]
fn a_crash_at_the_tombstones_removes_them_once() {
    let mut shop = follower(300, &following(BURIED));
    let old = shop.db.text(ROWS);
    shop.api.remove_ids(&[1, 2, 3]);
    shop.db.exec("SELECT sluice._failpoint('settle.swept', 'kill9')");
    shop.start();
    shop.recover();
    shop.wait_for_run("succeeded");
    shop.assert_equal();
    assert_eq!(shop.db.number("SELECT sum(deleted) FROM sluice.sync_runs"), 3);
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.text(ROWS), old);
}

#[test]
fn in_replace_a_tombstone_is_proof_at_once() {
    let settings = with(PAGES_WITHOUT_TOTAL, BURIED);
    let mut shop = Shop::loaded(300, &settings);
    shop.api.remove_ids(&[5, 299]);
    shop.sync();
    assert_eq!(
        shop.run("concat_ws(' ', inserted, updated, deleted, unchanged)"),
        "0 0 2 298"
    );
    shop.assert_equal();
    shop.sync();
    assert_eq!(
        shop.run("concat_ws(' ', inserted, updated, deleted, unchanged)"),
        "0 0 0 298"
    );
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    assert_eq!(shop.db.number("SELECT count(*) FROM products"), 300);
}

#[test]
fn a_marked_row_says_since_when_it_is_gone_and_comes_back() {
    let settings = with(PAGES, r#""on_missing": "mark", "max_shrink": 1, "#);
    let mut shop = Shop::loaded(300, &settings);
    let marked = "SELECT count(*) FROM products WHERE _deleted_at IS NOT NULL";
    assert_eq!(shop.db.number(marked), 0);
    shop.api.misbehave(Fault::HalfRows { total: Total::Matching });
    shop.sync();
    assert_eq!(shop.run("deleted"), "150");
    assert_eq!(shop.db.number(marked), 150);
    assert_eq!(shop.db.number("SELECT count(*) FROM products"), 300);
    let since = shop.db.text("SELECT min(_deleted_at)::text FROM products");
    shop.sync();
    assert_eq!(shop.run("deleted"), "0");
    assert_eq!(shop.db.text("SELECT min(_deleted_at)::text FROM products"), since);
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    assert_eq!(shop.db.number(marked), 0, "the mark is taken back");
    shop.sync();
    assert_eq!(shop.db.number(marked), 150);
    shop.api.clear_faults();
    shop.sync();
    assert_eq!(shop.db.number(marked), 0, "what comes back is not marked");
    assert_eq!(shop.run("updated"), "150");
    shop.db.exec("ALTER TABLE products DROP COLUMN _deleted_at");
    shop.assert_equal();
    let error = shop.failing_sync();
    assert_eq!(error.sqlstate, "42703");
}

#[test]
fn tombstones_of_an_upsert_mark_and_keep_as_it_is_set() {
    let mut shop = follower(300, &following(&format!(r#"{BURIED}"on_missing": "mark", "#)));
    shop.api.remove_ids(&[10, 11]);
    shop.sync();
    let marked = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM products WHERE _deleted_at IS NOT NULL";
    assert_eq!(shop.db.text(marked), "10 11");
    shop.app
        .exec("SELECT sluice.alter_job('products', settings => '{\"on_missing\": \"keep\"}')");
    shop.api.remove_ids(&[12]);
    shop.sync();
    assert_eq!(shop.db.text(marked), "10 11");
    assert_eq!(shop.db.number("SELECT count(*) FROM products"), 300);
}

#[test]
fn a_read_of_everything_now_and_then_removes_what_upserts_brought() {
    let mut shop = follower(400, &following(r#""reconcile_every": "30 minutes", "#));
    shop.api.add(20);
    shop.sync();
    shop.db
        .exec("INSERT INTO products (id, name) VALUES (100001, 'of others')");
    let (before, old) = (watermark(&mut shop), shop.db.text(ROWS));
    // From the first read, and from an incremental one.
    shop.api.remove_ids(&[1, 2, 410, 420]);
    shop.sync();
    assert_eq!(
        shop.db.number("SELECT count(*) FROM products"),
        421,
        "a request for changes does not show it"
    );
    age(&mut shop);
    shop.api.change(5.0, 3);
    shop.sync();
    assert_eq!(shop.run("deleted"), "4");
    assert_eq!(
        shop.db.number("SELECT count(*) FROM products WHERE name = 'of others'"),
        1
    );
    assert_eq!(
        watermark(&mut shop),
        before,
        "the watermark is moved by incremental reads"
    );
    shop.sync();
    assert_ne!(watermark(&mut shop), before);
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    assert_eq!(shop.db.number("SELECT count(*) FROM products"), 421);
    age(&mut shop);
    shop.sync();
    assert_eq!(shop.run("deleted"), "4", "after a rollback it is found again");
    assert_ne!(shop.db.text(ROWS), old);
    shop.db.exec("DELETE FROM products WHERE id = 100001");
    shop.assert_equal();
}

#[test]
fn a_reconciliation_that_would_remove_too_much_is_held() {
    let mut shop = follower(300, &following(r#""reconcile_every": "30 minutes", "#));
    age(&mut shop);
    shop.api.misbehave(Fault::HalfRows { total: Total::Matching });
    shop.failing_sync();
    assert_eq!(shop.run("status"), "held");
    assert_eq!(shop.db.number("SELECT count(*) FROM products"), 300);
    shop.api.clear_faults();
    shop.sync();
    assert_eq!(shop.run("status"), "succeeded");
    shop.assert_equal();
    // Applied tombstones are no rows that could vanish.
    shop.app.exec(&format!(
        "SELECT sluice.alter_job('products', settings => '{{{}\"max_shrink\": 0.2}}')",
        BURIED
    ));
    for first in [1, 31, 61] {
        shop.api.remove_ids(&(first..first + 30).collect::<Vec<_>>());
        shop.sync();
        assert_eq!(shop.run("concat_ws(' ', status, deleted)"), "succeeded 30");
    }
    age(&mut shop);
    shop.sync();
    assert_eq!(shop.run("concat_ws(' ', status, deleted)"), "succeeded 0");
    shop.assert_equal();
}

#[test]
fn a_job_that_is_altered_to_replace_removes_what_upserts_brought() {
    let mut shop = follower(300, PAGES);
    shop.api.remove_ids(&[1, 2]);
    shop.app.exec("SELECT sluice.alter_job('products', mode => 'replace')");
    shop.sync();
    assert_eq!(shop.run("deleted"), "2");
    shop.assert_equal();
}

/// Whatever comes, changes and goes between and during the runs, a read of everything ends equal to the source.
#[test]
fn random_histories_with_deletions_end_equal_to_the_source() {
    for seed in 1..=2u64 {
        let more = format!(r#"{BURIED}"reconcile_every": "30 minutes", "max_shrink": 1, "#);
        let mut shop = follower(300, &following(&more));
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut next = |below: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for step in 0..8u64 {
            shop.api.change(next(20) as f64, seed * 100 + step);
            shop.api.add(next(4));
            shop.api.remove(next(4) as f64, seed * 10 + step);
            match next(4) {
                0 => age(&mut shop),
                1 => shop.app.exec("CALL sluice.rollback_to('products', resume => true)"),
                _ => {}
            }
            shop.sync();
        }
        shop.sync();
        shop.assert_equal();
    }
}

/// Keys are kept for as long as they are needed, and not more than that.
#[test]
fn many_incremental_reads_leave_each_key_once() {
    let settings = following(r#""undo": {"keep_runs": 1}, "reconcile_every": "30 minutes", "#)
        .replace("\"page_size\": 100", "\"page_size\": 1000")
        .replace("{\"pages\": 1}", "{\"pages\": 10}");
    let mut shop = follower(21_000, &settings);
    for seed in 0..7 {
        shop.api.change(100.0, seed);
        shop.sync();
    }
    let records = shop.db.number("SELECT sum(records) FROM sluice._brought");
    assert!(records <= 6 * 21_000, "{records} keys are kept");
    assert_eq!(
        shop.db.number("SELECT sum(records) FROM sluice._brought WHERE merged"),
        21_000
    );
    shop.api.remove_ids(&[1, 20_999]);
    age(&mut shop);
    shop.sync();
    assert_eq!(shop.run("deleted"), "2");
    shop.assert_equal();
    shop.sync();
    shop.wait_until_tidied();
    // What the whole read made needless is gone; the last read brought the latest records once more.
    let left = "SELECT concat_ws(' ', count(*) FILTER (WHERE merged), sum(records) <= 21000) FROM sluice._brought";
    assert_eq!(shop.db.text(left), "0 t");
}
