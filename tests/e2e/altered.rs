//! A job that is changed while a run of it is under way: what the run has read of the former definition is not published
//! as that of the new one, and the same run begins again.

use crate::incremental::{bounds, follower, following, watermark};
use crate::shop::{PAGES, SOON, Shop};
use sample_api::{Fault, Total};
use sluice_e2e::{eventually, wait_until};

/// A change of what is read, as far as a job is concerned: the API gives the same records.
const OTHER_PARAMS: &str = r#"SELECT sluice.alter_job('products', settings => '{"params": {"total": 1}}')"#;

/// The watermark of the former definition would hide every older record of the new one.
#[test]
fn an_incremental_job_that_is_altered_in_mid_run_reads_everything_of_its_new_definition() {
    let mut shop = follower(500, &following(""));
    let first = watermark(&mut shop);
    shop.api.change(30.0, 1);
    shop.api.clear_log();
    shop.start_and_hold_at(2);
    shop.app.exec(OTHER_PARAMS);
    assert_eq!(watermark(&mut shop), "NULL");
    shop.api.release();
    shop.wait_for_run("succeeded");
    assert_eq!(bounds(&shop), [first, "all".into()]);
    assert_eq!(shop.runs(), ["manual succeeded", "manual succeeded"]);
    shop.assert_equal();
    assert_ne!(watermark(&mut shop), "NULL");
}

/// No page comes after the change: it is seen when the read would be settled.
#[test]
fn a_change_while_the_last_page_is_read_begins_the_read_again() {
    let mut shop = follower(500, &following(""));
    let first = watermark(&mut shop);
    shop.api.change_ids(&[1, 2, 3]);
    shop.api.clear_log();
    shop.start_and_hold_at(1);
    shop.app.exec(OTHER_PARAMS);
    shop.api.release();
    shop.wait_for_run("succeeded");
    assert_eq!(bounds(&shop), [first, "all".into()]);
    shop.assert_equal();
}

#[test]
fn a_call_that_waits_for_a_run_gets_what_its_job_reads_by_then() {
    let mut shop = Shop::loaded(500, PAGES);
    shop.api.change(10.0, 1);
    shop.api.hold_page(5);
    let waiting = shop
        .cluster
        .db_as("app", "postgres")
        .call("CALL sluice.sync('products')");
    assert!(shop.api.wait_until_held(5, SOON));
    shop.app
        .exec(r#"SELECT sluice.alter_job('products', settings => '{"columns": {"id": "$.id", "name": "$.sku"}}')"#);
    shop.api.release();
    waiting.finish().0.expect("the run goes on under the new definition");
    let mapped = "SELECT count(*) FROM app.products WHERE name = 'SKU-' || lpad(id::text, 8, '0')";
    assert_eq!(shop.db.number(mapped), 500);
    assert_eq!(shop.runs(), ["manual succeeded", "manual succeeded"]);
}

/// The pages of a read that stands under the new definition, too, are not asked for again.
#[test]
fn a_guard_that_is_altered_in_mid_run_judges_the_run_that_is_under_way() {
    let mut shop = Shop::loaded(500, PAGES);
    shop.api.misbehave(Fault::HalfRows { total: Total::Matching });
    shop.api.clear_log();
    shop.start_and_hold_at(3);
    shop.app
        .exec(r#"SELECT sluice.alter_job('products', settings => '{"max_shrink": 0.9}')"#);
    shop.api.release();
    shop.wait_for_run("succeeded");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 250);
    let mut asked = shop.api.pages_asked();
    asked.sort_unstable();
    assert_eq!(asked, [1, 2, 3]);
}

/// A held run of 500 products, of which half were missing, and an approval of it that waits for a worker.
fn approved() -> (Shop, String, sluice_e2e::Call) {
    let mut shop = Shop::loaded(500, PAGES);
    shop.api.misbehave(Fault::HalfRows { total: Total::Matching });
    shop.failing_sync();
    let run = shop.db.text("SELECT run_id FROM sluice.sync_held");
    shop.api.clear_faults();
    enable(&mut shop, "off");
    let waiting = shop
        .cluster
        .db_as("app", "postgres")
        .call(&format!("CALL sluice.approve({run})"));
    let approved = format!("SELECT status = 'scheduled' FROM sluice.sync_runs WHERE id = {run}");
    wait_until(&mut shop.db, "the run is approved", SOON, |db| db.is_true(&approved));
    (shop, run, waiting)
}

/// Whether anything new starts.
fn enable(shop: &mut Shop, value: &str) {
    shop.cluster.configure("sluice.enabled", value);
    shop.db.exec("SELECT pg_reload_conf()");
    let shown = format!("SELECT current_setting('sluice.enabled') = '{value}'");
    wait_until(&mut shop.db, "the setting is read", SOON, |db| db.is_true(&shown));
}

#[test]
fn an_approved_run_that_waits_for_a_worker_is_superseded_by_a_change_of_its_job() {
    let (mut shop, run, waiting) = approved();
    shop.app.exec(OTHER_PARAMS);
    let error = waiting.finish().0.expect_err("it was superseded");
    assert!(error.message.contains("superseded"), "{error}");
    enable(&mut shop, "on");
    assert_eq!(
        shop.db
            .text(&format!("SELECT status FROM sluice.sync_runs WHERE id = {run}")),
        "superseded"
    );
    shop.sync();
    shop.assert_equal();
}

#[test]
fn an_approved_run_that_somebody_stops_before_a_worker_takes_it_waits_for_a_decision_again() {
    for stop in [
        "SELECT sluice.stop_sync('products')",
        "SELECT sluice.pause_job('products')",
    ] {
        let (mut shop, run, waiting) = approved();
        shop.app.exec(stop);
        let error = waiting.finish().0.expect_err("it was stopped");
        assert!(error.message.contains("held"), "{stop}: {error}");
        assert_eq!(shop.db.text("SELECT run_id FROM sluice.sync_held"), run, "{stop}");
        shop.app.exec("SELECT sluice.resume_job('products')");
        enable(&mut shop, "on");
        shop.app.exec(&format!("CALL sluice.approve({run})"));
        assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 250, "{stop}");
    }
}

#[test]
fn an_approval_whose_caller_is_cancelled_while_it_waits_for_a_worker_leaves_the_run_held() {
    let (mut shop, run, waiting) = approved();
    waiting.cancel();
    let error = waiting.finish().0.expect_err("the call was cancelled");
    assert_eq!(error.sqlstate, "57014", "{error}");
    assert_eq!(shop.db.text("SELECT run_id FROM sluice.sync_held"), run);
    enable(&mut shop, "on");
    shop.app.exec(&format!("CALL sluice.approve({run})"));
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 250);
}

#[test]
fn an_approved_run_that_is_stopped_while_it_is_published_waits_for_a_decision_again() {
    let mut shop = Shop::loaded(500, PAGES);
    shop.api.misbehave(Fault::HalfRows { total: Total::Matching });
    shop.failing_sync();
    let run = shop.db.text("SELECT run_id FROM sluice.sync_held");
    shop.db.failpoint("publish.applied", "pause");
    let waiting = shop
        .cluster
        .db_as("app", "postgres")
        .call(&format!("CALL sluice.approve({run})"));
    let reached = "SELECT sluice._failpoint_hits('publish.applied') > 0";
    wait_until(&mut shop.db, "it is published", SOON, |db| db.is_true(reached));
    shop.app.exec("SELECT sluice.stop_sync('products')");
    waiting.finish().0.expect_err("it was stopped");
    shop.db.failpoint("publish.applied", "off");
    assert_eq!(shop.db.text("SELECT run_id FROM sluice.sync_held"), run);
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 500);
    shop.app.exec(&format!("CALL sluice.approve({run})"));
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 250);
}

#[test]
fn two_who_change_a_job_at_the_same_time_both_have_their_way() {
    let mut shop = Shop::with_job(100, PAGES);
    shop.app.exec("BEGIN");
    shop.app.exec("SELECT sluice.alter_job('products', priority => 'high')");
    let mut other = shop.cluster.db_as("app", "postgres");
    let pid = other.number("SELECT pg_backend_pid()");
    let waiting = other.call(r#"SELECT sluice.alter_job('products', settings => '{"max_shrink": 0.25}')"#);
    let waits = format!("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = {pid}");
    assert!(
        eventually(SOON, || shop.db.is_true(&waits)),
        "the second one does not wait"
    );
    shop.app.exec("COMMIT");
    waiting.finish().0.expect("it waited for the first");
    let job = "SELECT priority || ' ' || (settings ->> 'max_shrink') FROM sluice._job";
    assert_eq!(shop.db.text(job), "high 0.25");
}
