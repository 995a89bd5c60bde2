//! Rejected records that come again as they were: nothing of them is written, and everything else stays true of them.

use crate::rejects::{GOODS, bad, count, rejects, shop};
use crate::shop::{PAGES, Shop};
use sample_api::{Fault, Rule};

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

/// The rows of the table, as they lie in it: what is written of one shows.
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
        shop.sync();
        shop.wait_until_tidied();
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
        shop.wait_until_tidied();
        let rows = rows_of_rejects(&mut shop);
        shop.db.failpoint(point, "kill9");
        shop.start();
        shop.recover();
        shop.wait_for_run("succeeded");
        shop.wait_until_tidied();
        assert_eq!((rejects(&mut shop).len(), count(&mut shop)), (101, 300), "{point}");
        assert_eq!(rows_of_rejects(&mut shop), rows, "{point}");
        shop.sync();
        shop.wait_until_tidied();
        assert_eq!(rejects(&mut shop).len(), 101, "{point}");
        assert_eq!(rows_of_rejects(&mut shop), rows, "{point}");
    }
}

#[test]
fn a_restoration_to_before_the_first_of_them_has_them_rejected_once_more() {
    let mut shop = shop(300, GOODS, PAGES);
    shop.sync();
    shop.app.exec("CALL sluice.create_snapshot('products', 'before')");
    for id in 101..=110 {
        bad(&shop, id, "stock", Some("\"many\""));
    }
    shop.api.change_ids(&[105, 205]);
    shop.sync();
    shop.sync();
    shop.app.exec("CALL sluice.restore_snapshot(1)");
    shop.app.exec("SELECT sluice.resume_job('products')");
    shop.sync();
    assert_eq!(shop.run("concat_ws(' ', updated, rejected)"), "1 10");
    assert_eq!((rejects(&mut shop).len(), count(&mut shop)), (10, 300));
    shop.wait_until_tidied();
    let rows = rows_of_rejects(&mut shop);
    shop.sync();
    shop.wait_until_tidied();
    assert_eq!(rows_of_rejects(&mut shop), rows);
    shop.api.clear_faults();
    shop.sync();
    shop.assert_equal();
    assert_eq!(rejects(&mut shop), [""; 0]);
}

/// The read begins again in its generation: what its first pass rejected is no part of it.
#[test]
fn a_read_that_begins_again_has_its_rejects_once() {
    let mut shop = Shop::open(300);
    shop.app
        .exec(&format!("CREATE TABLE products (id bigint PRIMARY KEY, {GOODS})"));
    let settings = r#"{"records": "$.data", "params": {"limit": "100"}, "commit_every": {"pages": 1}, "concurrency": 1,
        "pagination": {"type": "cursor", "next": "$.meta.next", "total": "$.meta.total"}}"#;
    shop.create_job("products", "/cursor/products", settings);
    for id in 101..=110 {
        bad(&shop, id, "stock", Some("\"many\""));
    }
    shop.sync();
    // Other rejects on another page, and then those of before: some are written, and some are not.
    bad(&shop, 3, "stock", Some("true"));
    shop.api.misbehave(Rule::new(Fault::status(410, &[])).page(3).times(1));
    shop.sync();
    assert_eq!((rejects(&mut shop).len(), shop.run("rejected")), (11, "11".to_string()));
    shop.sync();
    assert_eq!((rejects(&mut shop).len(), shop.run("rejected")), (11, "11".to_string()));
    shop.api.clear_faults();
    shop.sync();
    shop.assert_equal();
    assert_eq!(rejects(&mut shop), [""; 0]);
}
