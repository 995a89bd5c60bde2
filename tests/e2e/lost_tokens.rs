//! Tokens that expire in mid-read: the read begins again at its first page, and nothing is lost or done twice.

use crate::rejects::{bad, rejects};
use crate::shop::{SOON, Shop};
use sample_api::{Fault, Rule};

const CURSOR: &str = r#"{"records": "$.data", "params": {"limit": "100"}, "commit_every": {"pages": 1}, "concurrency": 1,
    "pagination": {"type": "cursor", "next": "$.meta.next", "total": "$.meta.total"}}"#;

fn with_job(products: u64, settings: &str) -> Shop {
    let mut shop = Shop::open(products);
    shop.create_job("products", "/cursor/products", settings);
    shop
}

/// The ledger of the published read: numbers of its pages, and their records.
fn ledger(shop: &mut Shop) -> String {
    shop.db.text(
        "SELECT string_agg(p.number || ':' || p.records, ' ' ORDER BY p.number)
         FROM sluice._page p JOIN sluice._job_state t ON t.job_id = p.job_id AND t.published_generation = p.generation",
    )
}

#[test]
fn a_refresh_begins_again_in_its_generation_and_removes_only_what_the_whole_second_pass_lacks() {
    for status in [400, 404, 410, 422] {
        let mut shop = with_job(500, CURSOR);
        shop.sync();
        shop.api.clear_log();
        shop.api.change_ids(&[1, 499]);
        shop.api.remove_ids(&[2]);
        shop.api
            .misbehave(Rule::new(Fault::status(status, &[])).page(4).times(1));
        shop.sync();
        shop.assert_equal();
        assert_eq!(shop.api.pages_asked(), [1, 2, 3, 4, 1, 2, 3, 4, 5], "{status}");
        assert_eq!(ledger(&mut shop), "1:100 2:100 3:100 4:100 5:99");
        assert_eq!((shop.run("updated"), shop.run("deleted")), ("2".into(), "1".into()));
        assert_eq!(shop.run("generation"), "2");
        // What the pass that was given up had stored is pruned with it.
        shop.sync();
        let orphans = "SELECT count(*) FROM sluice._page_body b WHERE NOT EXISTS
                       (SELECT FROM sluice._page p WHERE p.hash = b.hash)";
        assert_eq!(shop.db.number(orphans), 0);
        assert_eq!(
            shop.db.number("SELECT count(*) FROM sluice._page WHERE generation < 0"),
            0
        );
    }
}

#[test]
fn a_first_load_begins_again_without_losing_a_row_and_can_be_undone_as_a_whole() {
    let mut shop = with_job(500, CURSOR);
    shop.api.hold_page(4);
    shop.api.misbehave(Rule::new(Fault::status(410, &[])).page(4).times(1));
    shop.start();
    shop.wait_for_page(4);
    // Between the two passes a row that was copied goes, and another changes.
    shop.api.remove_ids(&[7]);
    shop.api.change_ids(&[8]);
    shop.api.release();
    shop.wait_for_run("succeeded");
    shop.assert_equal();
    assert_eq!(ledger(&mut shop), "1:100 2:100 3:100 4:100 5:99");
    shop.sync();
    shop.assert_equal();
    let first = shop.db.number("SELECT min(id) FROM sluice.sync_runs");
    assert!(first > 0);
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 0);
    shop.sync();
    shop.assert_equal();
}

#[test]
fn an_upsert_begins_again_and_writes_no_row_twice() {
    let mut shop = Shop::open(500);
    shop.app.exec(&format!(
        "SELECT sluice.create_job('products', 'shop', '/cursor/products', key => '{{id}}', schedule => 'manual',
         mode => 'upsert', settings => '{CURSOR}')"
    ));
    shop.api.misbehave(Rule::new(Fault::status(404, &[])).page(3).times(1));
    shop.sync();
    shop.assert_equal();
    assert_eq!((shop.run("inserted"), shop.run("updated")), ("500".into(), "0".into()));
}

#[test]
fn a_token_that_expired_between_two_runs_begins_the_read_again() {
    let mut shop = with_job(500, CURSOR);
    shop.sync();
    shop.start_and_hold_at(4);
    shop.app.exec("SELECT sluice.stop_sync('products')");
    shop.wait_for_run("stopped");
    shop.api.release();
    // The request that was held must not meet the fault.
    let answered = || shop.api.requests().iter().all(|line| line.status.is_some());
    assert!(sluice_e2e::eventually(SOON, answered));
    shop.api.clear_log();
    shop.api.change_ids(&[1]);
    shop.api.misbehave(Rule::new(Fault::status(410, &[])).page(4).times(1));
    shop.sync();
    assert_eq!(shop.api.pages_asked(), [4, 1, 2, 3, 4, 5]);
    shop.assert_equal();
}

#[test]
fn a_remote_that_forgets_every_token_ends_the_run_and_the_next_one_begins_anew() {
    let mut shop = with_job(500, CURSOR);
    shop.sync();
    shop.api.clear_log();
    shop.api.misbehave(Rule::new(Fault::status(410, &[])).page(3));
    let error = shop.failing_sync();
    assert_eq!(shop.run("error_class"), "config", "{error}");
    assert!(
        shop.run("error_message")
            .ends_with("no longer knows the token of page 3")
    );
    assert_eq!(
        shop.run("error_detail"),
        "It answered with status 410, after the read had begun again 3 times."
    );
    assert_eq!(shop.api.pages_asked(), [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]);
    shop.assert_equal();
    shop.api.clear_faults();
    shop.api.clear_log();
    shop.api.remove_ids(&[450]);
    shop.sync();
    assert_eq!(shop.api.pages_asked()[0], 1);
    shop.assert_equal();
}

#[test]
fn a_crash_after_the_restart_goes_on_in_the_second_pass() {
    let mut shop = with_job(500, CURSOR);
    shop.sync();
    shop.api.change_ids(&[3]);
    shop.api.misbehave(Rule::new(Fault::status(410, &[])).page(4).times(1));
    shop.db.failpoint("read.restarted", "kill9");
    shop.start();
    shop.recover();
    shop.wait_for_run("succeeded");
    shop.assert_equal();
    assert_eq!(ledger(&mut shop), "1:100 2:100 3:100 4:100 5:100");
    assert_eq!(shop.db.number("SELECT restarts FROM sluice._job_state"), 1);
}

/// What the pass that is given up has rejected is judged anew: a record that was mended between the two waits for nothing.
#[test]
fn a_record_that_is_mended_between_two_passes_is_no_reject() {
    let mut shop = Shop::open(500);
    shop.app
        .exec("CREATE TABLE products (id bigint PRIMARY KEY, name text, price numeric, stock integer)");
    shop.create_job("products", "/cursor/products", CURSOR);
    shop.sync();
    bad(&shop, 7, "stock", Some("\"many\""));
    bad(&shop, 108, "stock", Some("true"));
    shop.api.hold_page(4);
    shop.start();
    shop.wait_for_page(4);
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice._reject"), 2);
    shop.api.clear_faults();
    bad(&shop, 108, "stock", Some("true"));
    shop.api.change_ids(&[7]);
    shop.api.misbehave(Rule::new(Fault::status(410, &[])).page(4).times(1));
    shop.api.release();
    shop.wait_for_run("succeeded");
    assert_eq!(rejects(&mut shop), [r#"2.8 {"id": 108} stock 22P02"#]);
    assert_eq!(shop.run("concat_ws(' ', updated, rejected)"), "1 1");
    let row = "SELECT p::text FROM app.products AS p WHERE id = 7";
    let now = shop.db.text(row);
    shop.app.exec("CALL sluice.replay_rejects('products')");
    assert_eq!(shop.db.text(row), now);
}

#[test]
fn a_first_page_that_is_not_there_is_no_lost_token() {
    let mut shop = with_job(300, CURSOR);
    shop.api.misbehave(Fault::status(404, &[]));
    shop.failing_sync();
    assert!(shop.run("error_message").ends_with("answered with status 404"));
    assert_eq!(shop.api.requests().len(), 1);
}
