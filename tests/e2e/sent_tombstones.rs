//! Tombstones in payloads: what others say is gone goes at once, in order and once, within the same guards as in a read.

use crate::incremental::{follower, following};
use crate::shop::{PAGES, SOON, Shop};
use sluice_e2e::wait_until;

const BURIED: &str = r#""params": {"tombstones": 1}, "deleted_when": "@.deleted == true", "#;

fn with(settings: &str, more: &str) -> String {
    settings.replacen('{', &format!("{{{more}"), 1)
}

/// Waits until no payload waits, and none is being written.
fn written(shop: &mut Shop) {
    wait_until(&mut shop.db, "every payload is written", SOON, |db| {
        db.is_true(
            "SELECT NOT EXISTS (SELECT FROM sluice.sync_ingest WHERE status = 'queued')
                AND NOT EXISTS (SELECT FROM sluice.sync_runs WHERE status IN ('scheduled', 'running', 'publishing'))",
        )
    });
}

fn send(shop: &mut Shop, payload: &str) {
    shop.app.exec(&format!("SELECT sluice.ingest('products', '{payload}')"));
}

fn bury(shop: &mut Shop, ids: &[u64]) {
    let each = ids.iter().map(|id| format!(r#"{{"id": {id}, "deleted": true}}"#));
    send(shop, &format!("[{}]", each.collect::<Vec<_>>().join(", ")));
}

/// A job in mode upsert on a table of two columns, which has never read anything.
fn never_read(settings: &str) -> Shop {
    let mut shop = Shop::open(300);
    shop.app
        .exec("CREATE TABLE products (id bigint PRIMARY KEY, name text NOT NULL, _deleted_at timestamptz)");
    shop.app.exec(&format!(
        "SELECT sluice.create_job('products', 'shop', '/page/products', mode => 'upsert', schedule => 'manual',
                                  settings => '{settings}')"
    ));
    shop
}

fn rows(shop: &mut Shop) -> String {
    shop.db
        .text("SELECT coalesce(string_agg(concat_ws(' ', id, name), ', ' ORDER BY id), '') FROM app.products")
}

const ROWS: &str = "SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM products p";

#[test]
fn a_payload_that_says_deleted_removes_the_row_and_a_rollback_brings_it_back() {
    for is_upsert in [true, false] {
        let mut shop = match is_upsert {
            true => follower(300, &following(BURIED)),
            false => Shop::loaded(300, &with(PAGES, BURIED)),
        };
        let old = shop.db.text(ROWS);
        shop.api.remove_ids(&[5, 200]);
        bury(&mut shop, &[5, 200]);
        written(&mut shop);
        assert_eq!(
            shop.run("concat_ws(' ', source, status, deleted)"),
            "ingest succeeded 2"
        );
        shop.assert_equal();
        // The same again has nothing to remove, and neither has the next read.
        bury(&mut shop, &[5]);
        written(&mut shop);
        assert_eq!(shop.run("concat_ws(' ', source, deleted)"), "ingest 0");
        shop.sync();
        assert_eq!(
            shop.run("concat_ws(' ', source, status, deleted)"),
            "manual succeeded 0"
        );
        shop.assert_equal();
        for _ in 0..3 {
            shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
        }
        assert_eq!(shop.db.text(ROWS), old, "upsert: {is_upsert}");
        shop.sync();
        shop.assert_equal();
    }
}

#[test]
fn the_last_word_on_a_key_counts_within_a_payload_and_among_many() {
    let mut shop = never_read(&with(PAGES, BURIED));
    send(
        &mut shop,
        r#"[{"id": 1, "name": "one"}, {"id": 1, "deleted": true}, {"id": 2, "deleted": true}, {"id": 2, "name": "two"}]"#,
    );
    written(&mut shop);
    assert_eq!(rows(&mut shop), "2 two");
    shop.app.exec("BEGIN");
    for payload in [
        r#"{"id": 2, "deleted": true}"#,
        r#"{"id": 3, "name": "three"}"#,
        r#"{"id": 2, "name": "again"}"#,
        r#"{"id": 3, "deleted": true}"#,
        r#"{"id": 4, "name": "four", "deleted": false}"#,
    ] {
        send(&mut shop, payload);
    }
    shop.app.exec("COMMIT");
    written(&mut shop);
    assert_eq!(rows(&mut shop), "2 again, 4 four");
    // What goes and comes in runs of its own.
    send(&mut shop, r#"{"id": 4, "deleted": true}"#);
    written(&mut shop);
    send(&mut shop, r#"{"id": 4, "name": "back"}"#);
    written(&mut shop);
    assert_eq!(rows(&mut shop), "2 again, 4 back");
    send(&mut shop, r#"{"id": 4, "deleted": true}"#);
    written(&mut shop);
    assert_eq!(rows(&mut shop), "2 again");
}

#[test]
fn rows_that_the_job_has_not_brought_stay() {
    let mut shop = never_read(&with(PAGES, BURIED));
    send(&mut shop, r#"{"id": 1, "name": "one"}"#);
    written(&mut shop);
    shop.app.exec("INSERT INTO products VALUES (2, 'of others')");
    bury(&mut shop, &[1, 2]);
    written(&mut shop);
    assert_eq!(rows(&mut shop), "2 of others");
    // Neither does one count as the job's own because a row of that key once was.
    shop.app.exec("INSERT INTO products VALUES (1, 'of others')");
    bury(&mut shop, &[1]);
    written(&mut shop);
    assert_eq!(rows(&mut shop), "1 of others, 2 of others");
}

#[test]
fn a_payload_that_would_remove_too_much_is_set_aside_until_that_is_allowed() {
    let mut shop = Shop::loaded(20, &with(PAGES, BURIED));
    shop.api.remove_ids(&(1..=12).collect::<Vec<_>>());
    bury(&mut shop, &(1..=12).collect::<Vec<_>>());
    written(&mut shop);
    assert_eq!(shop.db.number("SELECT count(*) FROM products"), 20);
    let aside = "SELECT concat_ws(' ', status, sqlstate, error_class, error_message) FROM sluice.sync_ingest";
    assert_eq!(shop.app.text(aside), "failed SY003 empty too many rows would vanish");
    // One record each is no way around it: they are counted over the run.
    shop.app.exec("SELECT sluice.drop_ingest('products')");
    shop.app.exec("BEGIN");
    (1..=12).for_each(|id| bury(&mut shop, &[id]));
    shop.app.exec("COMMIT");
    written(&mut shop);
    assert_eq!(shop.db.number("SELECT count(*) FROM products"), 11);
    let aside = "SELECT count(*) FROM sluice.sync_ingest WHERE status = 'failed'";
    assert_eq!(shop.db.number(aside), 3);
    shop.app
        .exec(r#"SELECT sluice.alter_job('products', settings => '{"max_shrink": 1}')"#);
    shop.app.exec("SELECT sluice.retry_ingest('products')");
    written(&mut shop);
    assert_eq!(shop.db.number("SELECT count(*) FROM products"), 8);
    shop.sync();
    shop.assert_equal();
}

/// What payloads have removed does not count as missing once more.
#[test]
fn a_read_after_many_tombstones_is_not_held_for_them() {
    for is_upsert in [true, false] {
        let more = format!(r#"{BURIED}"reconcile_every": "1 day", "#);
        let mut shop = match is_upsert {
            true => follower(20, &following(&more)),
            false => Shop::loaded(20, &with(PAGES, BURIED)),
        };
        for ids in [(1..=8).collect::<Vec<u64>>(), (9..=13).collect(), vec![14]] {
            shop.api.remove_ids(&ids);
            bury(&mut shop, &ids);
            written(&mut shop);
        }
        assert_eq!(shop.db.number("SELECT count(*) FROM products"), 6);
        if is_upsert {
            shop.move_clock(60 * 25);
        }
        for _ in 0..2 {
            shop.sync();
            assert_eq!(
                shop.run("concat_ws(' ', status, inserted, deleted)"),
                "succeeded 0 0",
                "upsert: {is_upsert}"
            );
        }
        shop.assert_equal();
    }
}

/// The remote is right: a row that a payload has buried and the remote still has comes back.
#[test]
fn a_row_that_the_remote_still_has_comes_back_with_the_next_read() {
    let mut shop = Shop::loaded(300, &with(PAGES, BURIED));
    bury(&mut shop, &[7]);
    written(&mut shop);
    assert_eq!(shop.db.number("SELECT count(*) FROM products"), 299);
    shop.sync();
    assert_eq!(shop.run("concat_ws(' ', inserted, deleted)"), "1 0");
    shop.assert_equal();
    shop.api.remove_ids(&[7]);
    bury(&mut shop, &[7]);
    written(&mut shop);
    shop.assert_equal();
}

#[test]
fn they_mark_or_keep_as_on_missing_says_and_are_records_without_deleted_when() {
    let marked =
        "SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), '') FROM products WHERE _deleted_at IS NOT NULL";
    let mut shop = never_read(&with(PAGES, &format!(r#"{BURIED}"on_missing": "mark", "#)));
    send(&mut shop, r#"[{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]"#);
    bury(&mut shop, &[1]);
    written(&mut shop);
    assert_eq!(
        (shop.db.text(marked), rows(&mut shop)),
        ("1".into(), "1 one, 2 two".into())
    );
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    send(&mut shop, r#"{"id": 1, "name": "back"}"#);
    written(&mut shop);
    assert_eq!(shop.db.text(marked), "", "what comes back is not marked");

    let mut shop = never_read(&with(PAGES, &format!(r#"{BURIED}"on_missing": "keep", "#)));
    send(&mut shop, r#"{"id": 1, "name": "one"}"#);
    bury(&mut shop, &[1]);
    written(&mut shop);
    assert_eq!(rows(&mut shop), "1 one");

    let mut shop = never_read(PAGES);
    send(&mut shop, r#"{"id": 1, "name": "one", "deleted": true}"#);
    written(&mut shop);
    assert_eq!(rows(&mut shop), "1 one");
}

/// P1: a crash at any point of the transaction writes the payload once.
#[test]
fn a_killed_worker_removes_a_row_once() {
    for point in ["ingest.applied", "ingest.before_commit"] {
        let mut shop = follower(300, &following(BURIED));
        let old = shop.db.text(ROWS);
        shop.db.failpoint(point, "kill9");
        // The server may be down before the answer comes.
        let _ = shop.app.try_rows(
            r#"SELECT sluice.ingest('products', '[{"id": 3, "deleted": true}, {"id": 9, "deleted": true}]')"#,
        );
        shop.recover();
        written(&mut shop);
        assert_eq!(shop.db.number("SELECT count(*) FROM products"), 298, "{point}");
        assert_eq!(
            shop.db.number("SELECT sum(deleted) FROM sluice.sync_runs"),
            2,
            "{point}"
        );
        shop.app.exec("CALL sluice.rollback_to('products')");
        assert_eq!(shop.db.text(ROWS), old, "{point}");
    }
}

/// A reject that waits is an older version of what is gone.
#[test]
fn a_record_that_was_rejected_is_not_replayed_after_its_tombstone() {
    let mut shop = never_read(&with(PAGES, BURIED));
    shop.app
        .exec("ALTER TABLE products ADD CONSTRAINT not_five CHECK (id <> 5)");
    shop.sync();
    let waiting = "SELECT count(*) FROM sluice.sync_rejects WHERE status = 'rejected'";
    assert_eq!(shop.db.number(waiting), 1);
    bury(&mut shop, &[5]);
    written(&mut shop);
    assert_eq!(shop.db.number(waiting), 0);
}
