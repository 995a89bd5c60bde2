//! Processes that die in mid-run: what was committed is never asked for again, and the run goes on by itself.

use crate::shop::{PAGES, SOON, Shop};
use sluice_e2e::{eventually, kill9, wait_until};

const GOES_ON: [&str; 2] = ["manual interrupted", "resume succeeded"];

/// What every crash in a first load of 1,000 products comes to.
fn assert_goes_on(shop: &mut Shop, committed: &std::collections::BTreeSet<u64>) {
    shop.wait_for_run("succeeded");
    shop.assert_none_asked_again(committed);
    shop.assert_equal();
    assert_eq!(shop.runs(), GOES_ON);
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice._page"), 10);
    assert_eq!(shop.health("status"), "healthy");
}

#[test]
fn a_killed_worker_goes_on_at_the_next_page() {
    let mut shop = Shop::with_job(1_000, PAGES);
    let committed = shop.start_and_hold_at(6);
    shop.api.clear_log();
    kill9(shop.worker());
    shop.recover();
    assert!(
        shop.committed_pages().is_superset(&committed),
        "a crash took committed pages away"
    );
    shop.api.release();
    assert_goes_on(&mut shop, &committed);
    assert_eq!(shop.api.pages_asked()[0], 6);
}

#[test]
fn a_killed_session_of_somebody_else_does_not_cost_a_committed_page() {
    let mut shop = Shop::with_job(1_000, PAGES);
    let committed = shop.start_and_hold_at(6);
    shop.api.clear_log();
    let victim = shop.app.number("SELECT pg_backend_pid()");
    kill9(u32::try_from(victim).expect("a pid is positive"));
    shop.recover();
    shop.api.release();
    assert_goes_on(&mut shop, &committed);
}

#[test]
fn a_killed_postmaster_does_not_cost_a_committed_page() {
    let mut shop = Shop::with_job(1_000, PAGES);
    let committed = shop.start_and_hold_at(6);
    shop.api.clear_log();
    shop.cluster.crash();
    shop.cluster.start_again();
    shop.reconnect();
    shop.api.release();
    assert_goes_on(&mut shop, &committed);
}

#[test]
fn a_crash_between_rows_and_checkpoint_loses_neither_in_a_first_load() {
    for point in ["batch.applied", "batch.before_commit"] {
        crash_at(point, 4, PAGES);
    }
}

#[test]
fn a_crash_while_a_first_load_is_settled_asks_no_page_again() {
    crash_at("publish.before_commit", 0, PAGES);
}

#[test]
fn a_crash_while_the_remote_is_waited_for_goes_on() {
    let mut shop = Shop::with_job(1_000, PAGES);
    let committed = shop.start_and_hold_at(6);
    shop.api.clear_log();
    shop.db.failpoint("pages.waiting", "kill9");
    shop.recover();
    shop.api.release();
    assert_goes_on(&mut shop, &committed);
}

/// Loads 1,000 products with a crash at a point after some hits.
fn crash_at(point: &str, skip: u32, settings: &str) {
    let mut shop = Shop::with_job(1_000, settings);
    shop.db
        .exec(&format!("SELECT sluice._failpoint('{point}', 'kill9', {skip})"));
    shop.start();
    shop.recover();
    let committed = shop.committed_before_the_crash();
    shop.wait_for_run("succeeded");
    shop.assert_equal();
    assert_eq!(shop.runs(), GOES_ON, "{point}");
    shop.assert_asked_at_most_once_after(&committed);
}

#[test]
fn a_crash_during_a_refresh_publishes_it_whole_and_asks_no_page_again() {
    for point in ["batch.before_commit", "publish.applied", "publish.before_commit"] {
        let mut shop = Shop::loaded(1_000, PAGES);
        let old = shop
            .db
            .text("SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM app.products p");
        shop.api.change(5.0, 1);
        shop.api.remove(1.0, 2);
        shop.api.add(20);
        shop.api.clear_log();
        shop.db.exec(&format!("SELECT sluice._failpoint('{point}', 'kill9')"));
        // The second run of the job waits until its state was seen.
        shop.start();
        shop.recover();
        let now = shop
            .db
            .text("SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM app.products p");
        let run = shop.run("status");
        assert!(
            now == old || run == "succeeded",
            "{point}: a half-done refresh is visible"
        );
        let committed = shop.committed_before_the_crash();
        shop.wait_for_run("succeeded");
        shop.assert_equal();
        shop.assert_asked_at_most_once_after(&committed);
        assert_eq!(shop.runs()[1..], GOES_ON, "{point}");
    }
}

#[test]
fn a_crash_of_the_scheduler_while_it_closes_a_run_closes_it_once() {
    let mut shop = Shop::with_job(1_000, PAGES);
    let committed = shop.start_and_hold_at(6);
    shop.db.failpoint("scheduler.interrupted", "error");
    shop.api.clear_log();
    let worker = shop.worker();
    assert!(
        shop.db
            .is_true(&format!("SELECT pg_terminate_backend({worker}, 60000)"))
    );
    shop.api.release();
    assert_goes_on(&mut shop, &committed);
}

#[test]
fn a_scheduler_that_is_killed_while_it_closes_a_run_loses_nothing() {
    let mut shop = Shop::with_job(1_000, PAGES);
    let committed = shop.start_and_hold_at(6);
    shop.db.failpoint("scheduler.interrupted", "kill9");
    shop.api.clear_log();
    let worker = shop.worker();
    shop.db.exec(&format!("SELECT pg_terminate_backend({worker})"));
    shop.recover();
    shop.api.release();
    assert_goes_on(&mut shop, &committed);
}

#[test]
fn a_run_that_ends_while_the_scheduler_looks_is_not_taken_for_interrupted() {
    let mut shop = Shop::with_job(1_000, PAGES);
    shop.start_and_hold_at(6);
    shop.db.failpoint("scheduler.looked", "pause");
    shop.app.exec(
        r#"SELECT sluice.create_job('other', 'shop', '/page/products', key => '{id}', schedule => '1 hour',
           settings => '{"records": "$.data"}')"#,
    );
    let looked = "SELECT sluice._failpoint_hits('scheduler.looked') > 0";
    assert!(eventually(SOON, || shop.db.is_true(looked)));
    shop.api.release();
    let products = "SELECT string_agg(status, ',') FROM sluice.sync_runs WHERE data_type = 'products'";
    assert!(eventually(SOON, || shop.db.text(products) == "succeeded"));
    let gone = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'sluice worker')";
    assert!(eventually(SOON, || shop.db.is_true(gone)));
    shop.db.failpoint("scheduler.looked", "off");
    let other = "SELECT count(*) = 1 FROM sluice.sync_runs WHERE data_type = 'other' AND status = 'succeeded'";
    assert!(eventually(SOON, || shop.db.is_true(other)));
    assert_eq!(shop.db.text(products), "succeeded");
}

#[test]
fn a_terminated_worker_goes_on_at_the_next_page() {
    let mut shop = Shop::with_job(1_000, PAGES);
    let committed = shop.start_and_hold_at(6);
    shop.api.clear_log();
    let worker = shop.worker();
    assert!(
        shop.db.is_true(&format!("SELECT pg_terminate_backend({worker}, 5000)")),
        "not gone in 5 s"
    );
    shop.api.release();
    assert_goes_on(&mut shop, &committed);
}

#[test]
fn a_cancelled_worker_ends_its_run_as_stopped_and_the_job_stays_enabled() {
    let mut shop = Shop::with_job(1_000, PAGES);
    let committed = shop.start_and_hold_at(6);
    let worker = shop.worker();
    shop.db.exec(&format!("SELECT pg_cancel_backend({worker})"));
    shop.wait_for_run("stopped");
    assert_eq!(shop.run("error_class"), "cancelled");
    assert_eq!(shop.db.text("SELECT enabled FROM sluice.sync_jobs"), "t");
    wait_until(&mut shop.db, "the worker is gone", SOON, |db| {
        db.pids("sluice worker").is_empty()
    });
    shop.api.release();
    shop.api.clear_log();
    shop.sync();
    shop.assert_none_asked_again(&committed);
    shop.assert_equal();
}

#[test]
fn a_stopped_run_goes_on_at_its_checkpoint_when_it_is_asked_for() {
    let mut shop = Shop::with_job(1_000, PAGES);
    let committed = shop.start_and_hold_at(6);
    assert_eq!(shop.app.number("SELECT sluice.stop_sync('products')"), 1);
    shop.wait_for_run("stopped");
    shop.api.release();
    shop.api.clear_log();
    shop.sync();
    shop.assert_none_asked_again(&committed);
    shop.assert_equal();
    assert_eq!(shop.runs(), ["manual stopped", "manual succeeded"]);
}

#[test]
fn the_third_crash_in_a_row_without_a_committed_page_disables_the_job_until_it_is_resumed() {
    let mut shop = Shop::with_job(1_000, PAGES);
    // Held all the time: the run that goes on by itself must not get the page that would count the crashes from anew.
    shop.api.hold_page(1);
    for crash in 1..=3 {
        // The second and the third are asked for by hand: the schedule would wait a minute.
        shop.start();
        assert!(shop.api.wait_until_held(1, SOON));
        kill9(shop.worker());
        shop.recover();
        wait_until(&mut shop.db, "the crash is counted", SOON, |db| {
            db.number("SELECT crashes FROM sluice._job_state") == crash
        });
        if crash == 2 {
            let delay =
                "SELECT extract(epoch FROM not_before - created_at)::int FROM sluice._run WHERE status = 'scheduled'";
            assert!((55..=65).contains(&shop.db.number(delay)));
        }
        shop.api.release_waiting();
    }
    shop.api.release();
    wait_until(&mut shop.db, "the job is disabled", SOON, |db| {
        db.text("SELECT status FROM sluice.sync_status") == "disabled"
    });
    let why = "its runs were interrupted 3 times in a row without a committed page";
    assert_eq!(shop.status("error_message"), why);
    assert_eq!(shop.status("action"), "you: resume_job()");
    assert_eq!(
        shop.health("concat_ws(' ', status, reason)"),
        format!("unhealthy {why}")
    );
    let refused = shop.app.error("SELECT sluice.start_sync('products')");
    assert_eq!(refused.sqlstate, "55000", "{refused}");

    shop.app.exec("SELECT sluice.resume_job('products')");
    shop.sync();
    shop.assert_equal();
    assert_eq!(shop.health("status"), "healthy");
}

#[test]
fn a_committed_page_resets_the_crash_breaker() {
    let mut shop = Shop::with_job(1_000, PAGES);
    for page in [3, 5, 7, 9] {
        // The last one that is held is never asked for: there are ten pages and the empty one.
        shop.api.hold_only(page);
        shop.start();
        shop.wait_for_page(page);
        kill9(shop.worker());
        shop.recover();
    }
    shop.api.release();
    shop.wait_for_run("succeeded");
    shop.assert_equal();
    assert_eq!(shop.db.text("SELECT enabled FROM sluice.sync_jobs"), "t");
}
