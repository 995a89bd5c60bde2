//! Rejected records that come again as they were: nothing of them is written, and everything else stays true of them.

use crate::rejects::{GOODS, bad, count, rejects, shop};
use crate::shop::{PAGES, Shop};

/// A shop of 300 with a CHECK, loaded once, of which the last read rejected 100 by their type and one by the CHECK.
fn with_rejects() -> Shop {
    let mut shop = shop(300, GOODS, PAGES);
    shop.app.exec("ALTER TABLE products ADD CHECK (stock >= 0)");
    shop.sync();
    for id in 101..=200 {
        bad(&shop, id, "stock", Some("\"many\""));
    }
    bad(&shop, 250, "stock", Some("-1"));
    shop.sync();
    assert_eq!(rejects(&mut shop).len(), 101);
    shop
}

fn written(shop: &mut Shop) -> i64 {
    let at = shop.db.text("SELECT pg_current_wal_insert_lsn()::text");
    shop.sync();
    shop.wait_until_tidied();
    let since = format!("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '{at}')::bigint");
    shop.db.number(&since)
}

/// The rows of the table, as they lie in it.
fn rows_of_rejects(shop: &mut Shop) -> String {
    let sql = "SELECT md5(string_agg(concat_ws(' ', id, xmin, generation, status, until), ',' ORDER BY id)) FROM sluice._reject";
    shop.db.text(sql)
}

#[test]
fn what_is_rejected_again_as_it_was_is_not_written_again() {
    let mut shop = with_rejects();
    shop.sync();
    shop.wait_until_tidied();
    let rows = rows_of_rejects(&mut shop);
    for _ in 0..3 {
        let written = written(&mut shop);
        println!("{written} bytes of WAL");
        assert_eq!(
            shop.run("concat_ws(' ', status, records, inserted, updated, deleted, unchanged, rejected)"),
            "succeeded 300 0 0 0 199 101"
        );
        assert_eq!((rejects(&mut shop).len(), count(&mut shop)), (101, 300));
    }
    assert_eq!(rows_of_rejects(&mut shop), rows);
    assert!(shop.health("reason").starts_with("101 of the records"));
    // One of them is mended, one is wrong in another way, and their page is another one.
    shop.api.clear_faults();
    for id in 101..=200 {
        bad(&shop, id, "stock", Some(if id == 150 { "-1" } else { "\"many\"" }));
    }
    shop.sync();
    assert_eq!(rejects(&mut shop).len(), 100);
    assert_eq!(
        shop.app
            .text("SELECT sqlstate FROM sluice.sync_rejects WHERE status = 'rejected' AND position = 50"),
        "23514"
    );
    shop.api.clear_faults();
    shop.sync();
    shop.assert_equal();
    assert_eq!(rejects(&mut shop), [""; 0]);
}

/// F-R10.
#[test]
fn a_reject_without_a_key_that_came_again_goes_on_protecting_every_row() {
    let mut shop = shop(300, GOODS, PAGES);
    shop.sync();
    bad(&shop, 118, "id", Some("null"));
    for _ in 0..3 {
        shop.sync();
        assert_eq!(shop.run("concat_ws(' ', deleted, removals)"), "0 rejects_without_key");
    }
    shop.api.remove_ids(&[3]);
    shop.sync();
    assert_eq!(shop.run("concat_ws(' ', deleted, removals)"), "0 rejects_without_key");
    assert_eq!((count(&mut shop), rejects(&mut shop).len()), (300, 1));
    shop.api.clear_faults();
    shop.sync();
    shop.assert_equal();
}

#[test]
fn rejects_that_came_again_are_replayed_and_taken_back_as_any_other() {
    let mut shop = with_rejects();
    shop.sync();
    shop.sync();
    let before = shop.run("id");
    shop.app
        .exec("ALTER TABLE products DROP CONSTRAINT products_stock_check");
    shop.app.exec("CALL sluice.replay_rejects('products')");
    assert_eq!(rejects(&mut shop).len(), 100);
    assert_eq!(
        shop.db.text("SELECT stock::text FROM app.products WHERE id = 250"),
        "-1"
    );
    // What was replayed is no reject of the reads that follow.
    shop.sync();
    assert_eq!(shop.run("concat_ws(' ', updated, rejected)"), "0 100");
    shop.api.change_ids(&[10]);
    shop.sync();
    assert_eq!(shop.run("concat_ws(' ', updated, rejected)"), "1 100");
    shop.app.exec(&format!(
        "CALL sluice.rollback_to('products', {before}, resume => true)"
    ));
    assert_eq!(rejects(&mut shop).len(), 101);
    shop.app.exec("ALTER TABLE products ADD CHECK (stock >= 0)");
    shop.sync();
    shop.sync();
    assert_eq!((rejects(&mut shop).len(), count(&mut shop)), (101, 300));
    shop.api.clear_faults();
    shop.sync();
    shop.assert_equal();
    // Before all that was mended, and on from there.
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    assert_eq!(rejects(&mut shop).len(), 101);
    shop.sync();
    shop.assert_equal();
    assert_eq!(rejects(&mut shop), [""; 0]);
}

#[test]
fn rejects_that_came_again_outlive_the_read_that_they_came_with() {
    let settings = PAGES.replacen('{', r#"{"undo": {"keep_runs": 1}, "#, 1);
    let mut shop = shop(300, GOODS, &settings);
    bad(&shop, 117, "stock", Some("\"many\""));
    for round in 0..4 {
        shop.api.change_ids(&[1 + round]);
        shop.sync();
        shop.wait_until_tidied();
        assert_eq!(rejects(&mut shop), [r#"2.17 {"id": 117} stock 22P02"#]);
    }
    let kept = "SELECT string_agg(concat_ws(' ', generation, status, until, settled_by), ', ' ORDER BY id) FROM sluice._reject";
    assert_eq!(shop.db.text(kept), "1 rejected");
    shop.api.clear_faults();
    shop.sync();
    shop.sync();
    shop.wait_until_tidied();
    shop.assert_equal();
}

#[test]
fn a_crash_while_rejects_come_again_loses_none_of_them() {
    for point in ["batch.before_commit", "publish.before_commit"] {
        let mut shop = with_rejects();
        let rows = rows_of_rejects(&mut shop);
        shop.db.failpoint(point, "kill9");
        shop.start();
        shop.recover();
        shop.wait_for_run("succeeded");
        shop.wait_until_tidied();
        assert_eq!((rejects(&mut shop).len(), count(&mut shop)), (101, 300), "{point}");
        assert_ne!(rows, "", "{point}");
        shop.sync();
        assert_eq!(rejects(&mut shop).len(), 101, "{point}");
    }
}
