//! Mode append: rows are added, each page once, and nothing is changed or removed.

use crate::incremental::{bounds, following, watermark};
use crate::shop::{PAGES, Shop};
use sluice_e2e::kill9;

/// A shop whose job appends to app.products, a table that is made from the data.
fn log(products: u64, key: &str, settings: &str) -> Shop {
    let mut shop = Shop::open(products);
    shop.app.exec(&format!(
        "SELECT sluice.create_job('products', 'shop', '/page/products', mode => 'append', key => {key},
                                  schedule => 'manual', settings => '{settings}')"
    ));
    shop.api.clear_log();
    shop
}

fn rows(shop: &mut Shop) -> String {
    shop.db
        .text("SELECT concat_ws(' ', count(*), count(DISTINCT id)) FROM app.products")
}

#[test]
fn without_key_and_cursor_each_run_appends_everything_again() {
    let mut shop = log(500, "NULL", PAGES);
    let keys = "SELECT count(*) FROM pg_index WHERE indrelid = 'app.products'::regclass";
    assert_eq!(shop.db.number(keys), 0);
    shop.sync();
    shop.assert_equal();
    shop.sync();
    assert_eq!(rows(&mut shop), "1000 500");
    assert_eq!(
        shop.run("concat_ws(' ', status, inserted, updated, deleted)"),
        "succeeded 500 0 0"
    );
    assert_eq!(shop.db.number("SELECT item_count FROM sluice.sync_metadata"), 1_000);
    assert_eq!(shop.health("concat_ws(' ', status, item_count)"), "healthy 500");
    let error = shop.app.error("CALL sluice.rollback_to('products')");
    assert_eq!(error.sqlstate, "55000");
    assert_eq!(
        error.detail.as_deref(),
        Some("It appends without a key, so that its rows cannot be told from others.")
    );
    assert_eq!(rows(&mut shop), "1000 500");
}

/// RELIABILITY R-2: no page is appended twice, whatever dies.
#[test]
fn a_killed_worker_goes_on_at_the_next_page_and_appends_none_again() {
    let mut shop = log(1_000, "NULL", PAGES);
    let committed = shop.start_and_hold_at(6);
    shop.api.clear_log();
    kill9(shop.worker());
    shop.recover();
    shop.api.release();
    shop.wait_for_run("succeeded");
    shop.assert_none_asked_again(&committed);
    assert_eq!(rows(&mut shop), "1000 1000");
    shop.assert_equal();
}

#[test]
fn a_crash_between_rows_and_checkpoint_keeps_both_or_neither() {
    for (point, skip) in [
        ("batch.applied", 3),
        ("batch.before_commit", 3),
        ("publish.before_commit", 0),
    ] {
        let mut shop = log(600, "NULL", PAGES);
        shop.db
            .exec(&format!("SELECT sluice._failpoint('{point}', 'kill9', {skip})"));
        shop.start();
        shop.recover();
        shop.wait_for_run("succeeded");
        assert_eq!(rows(&mut shop), "600 600", "{point}");
        shop.assert_equal();
    }
}

#[test]
fn with_key_and_cursor_the_table_is_the_sources_log() {
    let mut shop = log(300, "'{id}'", &following(""));
    shop.sync();
    shop.assert_equal();
    for added in [7, 120, 1] {
        shop.api.add(added);
        let former = watermark(&mut shop);
        shop.api.clear_log();
        shop.sync();
        assert_eq!(bounds(&shop), [former]);
        assert_eq!(shop.run("inserted"), added.to_string());
        shop.assert_equal();
    }
    assert_eq!(shop.db.number("SELECT item_count FROM sluice.sync_metadata"), 428);
    // Somebody works off what came: it is not asked for again.
    shop.app.exec("TRUNCATE app.products");
    shop.api.add(4);
    shop.api.clear_log();
    shop.sync();
    assert_ne!(bounds(&shop), ["all"]);
    let left = shop.db.number("SELECT count(*) FROM app.products");
    assert!((4..20).contains(&left), "{left}");
}

#[test]
fn with_a_key_rows_that_are_there_stay_as_they_are() {
    let mut shop = log(200, "'{id}'", PAGES);
    shop.sync();
    shop.app
        .exec("UPDATE app.products SET name = 'mine' WHERE id = 5; DELETE FROM app.products WHERE id > 190");
    shop.api.change(100.0, 3);
    shop.sync();
    assert_eq!(
        shop.run("concat_ws(' ', status, inserted, updated, unchanged)"),
        "succeeded 10 0 190"
    );
    assert_eq!(shop.db.text("SELECT name FROM app.products WHERE id = 5"), "mine");
    // An answer without records takes nothing away.
    shop.api.remove_ids(&(1..=200).collect::<Vec<u64>>());
    shop.sync();
    assert_eq!(
        (shop.run("status"), rows(&mut shop)),
        ("succeeded".into(), "200 200".into())
    );
}

#[test]
fn with_a_key_a_rollback_removes_what_a_run_added() {
    let mut shop = log(200, "'{id}'", &following(""));
    shop.sync();
    let former = watermark(&mut shop);
    shop.api.add(30);
    shop.sync();
    shop.app.exec("UPDATE app.products SET name = 'mine' WHERE id = 205");
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    assert_eq!(rows(&mut shop), "201 201");
    assert_eq!(watermark(&mut shop), former);
    assert_eq!(shop.db.number("SELECT item_count FROM sluice.sync_metadata"), 200);
    shop.app.exec("DELETE FROM app.products WHERE id = 205");
    shop.sync();
    shop.assert_equal();
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    assert_eq!(rows(&mut shop), "0 0");
}

#[test]
fn a_record_that_is_refused_is_kept_aside_and_can_be_appended_later() {
    for key in ["NULL", "'{id}'"] {
        let mut shop = log(300, key, PAGES);
        shop.app
            .exec("ALTER TABLE app.products ADD CONSTRAINT odd CHECK (id NOT IN (7, 150, 151))");
        shop.sync();
        assert_eq!(rows(&mut shop), "297 297", "{key}");
        assert_eq!(
            shop.run("concat_ws(' ', status, inserted, rejected)"),
            "succeeded 297 3"
        );
        assert_eq!(shop.db.number("SELECT item_count FROM sluice.sync_metadata"), 297);
        shop.app.exec("ALTER TABLE app.products DROP CONSTRAINT odd");
        shop.app.exec("CALL sluice.replay_rejects('products')");
        assert_eq!(rows(&mut shop), "300 300", "{key}");
        shop.assert_equal();
    }
}

#[test]
fn a_payload_is_appended() {
    for (key, again) in [("NULL", "102"), ("'{id}'", "101")] {
        let mut shop = log(100, key, PAGES);
        shop.sync();
        for _ in 0..2 {
            shop.app
                .exec(r#"SELECT sluice.ingest('products', '{"id": 1000, "name": "sent"}')"#);
            shop.wait_for_run("succeeded");
            sluice_e2e::wait_until(&mut shop.db, "the queue is empty", crate::shop::SOON, |db| {
                db.is_true("SELECT NOT EXISTS (SELECT FROM sluice.sync_ingest)")
            });
        }
        assert_eq!(rows(&mut shop), format!("{again} 101"));
    }
}
