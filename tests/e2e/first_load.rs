//! The first load by page numbers, and what people see of it.

use crate::shop::{PAGES, PAGES_WITHOUT_TOTAL, SOON, Shop};
use sluice_e2e::wait_until;

#[test]
fn a_first_load_makes_the_table_equal_to_the_source() {
    let mut shop = Shop::with_job(1_050, PAGES);
    shop.sync();
    shop.assert_equal();
    assert_eq!(
        shop.run("concat_ws(' ', status, pages, records, inserted)"),
        "succeeded 11 1050 1050"
    );
    assert_eq!(
        shop.status("concat_ws(' ', status, percent, action)"),
        "idle 100 nobody"
    );
    assert_eq!(shop.health("concat_ws(' ', status, item_count)"), "healthy 1050");
}

#[test]
fn each_page_is_asked_for_once_and_none_past_a_declared_total() {
    let mut shop = Shop::with_job(1_000, PAGES);
    for _ in 0..2 {
        shop.api.clear_log();
        shop.sync();
        let mut asked = shop.api.pages_asked();
        asked.sort_unstable();
        assert_eq!(asked, (1..=10).collect::<Vec<_>>());
    }
}

/// F-R23: pages of one record each are committed by time and bytes, not page by page.
#[test]
fn a_thousand_tiny_pages_are_committed_in_a_few_transactions() {
    let settings = r#"{"records": "$.data", "page_size": 1, "concurrency": 32,
        "pagination": {"type": "page", "size_param": "per_page", "total": "$.meta.total"}}"#;
    let mut shop = Shop::with_job(1_000, settings);
    shop.sync();
    shop.assert_equal();
    assert_eq!(shop.run("pages"), "1000");
    // Rows of the ledger that came in one commit have one transaction id.
    let commits = shop.db.number("SELECT count(DISTINCT xmin::text) FROM sluice._page");
    assert!(commits <= 50, "{commits} commits");
}

#[test]
fn one_request_is_sent_until_the_first_answer_and_many_after_it() {
    let mut shop = Shop::with_job(3_000, PAGES_WITHOUT_TOTAL);
    shop.api.hold_page(1);
    shop.start();
    assert!(shop.api.wait_until_held(1, SOON));
    // Two look-outs of the worker later there is still this one request alone.
    wait_until(&mut shop.db, "the worker waits", SOON, |db| {
        db.is_true(
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'sluice worker' AND query ~ 'waiting'",
        )
    });
    assert_eq!(shop.api.requests().len(), 1);
    shop.api.hold_only(20);
    shop.api.hold_page(23);
    assert!(shop.api.wait_until_held(20, SOON) && shop.api.wait_until_held(23, SOON));
    shop.api.release();
    shop.wait_for_run("succeeded");
    shop.assert_equal();
    assert!(shop.api.most_at_once() <= 8, "{} at once", shop.api.most_at_once());
}

#[test]
fn progress_and_status_move_while_a_run_is_running() {
    let mut shop = Shop::with_job(2_000, PAGES);
    for (page, percent) in [(4, "15.0"), (18, "85.0")] {
        shop.api.hold_page(page);
        if page == 4 {
            shop.start();
        } else {
            shop.api.hold_only(page);
        }
        shop.wait_for_page(page);
        let seen = shop.status("concat_ws(' ', status, percent, current_page, pages_total, action)");
        assert_eq!(seen, format!("running {percent} {} 20 wait", page - 1));
        let live = "SELECT concat_ws(' ', pages_done, records_done) FROM sluice.sync_progress";
        assert_eq!(shop.db.text(live), format!("{} {}", page - 1, (page - 1) * 100));
    }
    shop.api.release();
    shop.wait_for_run("succeeded");
    wait_until(&mut shop.db, "the worker is gone from the view", SOON, |db| {
        db.number("SELECT count(*) FROM sluice.sync_progress") == 0
    });
    shop.assert_equal();
}

#[test]
fn no_transaction_is_open_while_the_remote_is_waited_for() {
    let mut shop = Shop::with_job(1_000, PAGES);
    shop.start_and_hold_at(5);
    wait_until(&mut shop.db, "no transaction and no snapshot", SOON, |db| {
        db.is_true(
            "SELECT count(*) = 1 AND bool_and(xact_start IS NULL AND backend_xmin IS NULL AND backend_xid IS NULL)
             FROM pg_stat_activity WHERE backend_type = 'sluice worker'",
        )
    });
    let locks = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                 WHERE a.backend_type = 'sluice worker' AND l.locktype IN ('relation', 'tuple', 'transactionid')";
    assert_eq!(shop.db.number(locks), 0);
    shop.api.release();
    shop.wait_for_run("succeeded");
}

#[test]
fn a_call_that_waits_tells_how_far_its_run_is() {
    let mut shop = Shop::with_job(500, PAGES);
    shop.api.hold_page(3);
    let call = shop
        .cluster
        .db_as("app", "postgres")
        .call("CALL sluice.sync('products')");
    wait_until(
        &mut shop.db,
        "the run is held for longer than a notice takes",
        SOON,
        |db| {
            let held = "SELECT bool_or(pages_done = 2 AND now() - started_at > interval '5 seconds') FROM sluice.sync_progress";
            db.is_true(held)
        },
    );
    shop.api.release();
    let (result, mut session) = call.finish();
    assert!(result.is_ok(), "{result:?}");
    let told = session.take_notices().join("\n");
    assert!(told.contains("fetching: page 2 of 5, 200 records"), "{told}");
    assert!(told.contains("500 inserted"), "{told}");
}
