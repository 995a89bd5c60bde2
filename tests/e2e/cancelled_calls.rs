//! Calls that wait, and whose caller is cancelled, ended or killed on the way: the work goes with the caller, and the job
//! is as it was.

use crate::shop::{PAGES, SOON, Shop};
use sluice_e2e::{Call, Db, eventually, kill9, wait_until};

const STATE: &str = "SELECT count(*) || ' ' || md5(string_agg(p::text, ',' ORDER BY id)) FROM app.products p";

/// A job with a first load and a refresh, and the table's state after each.
fn refreshed() -> (Shop, [String; 2]) {
    let mut shop = Shop::loaded(500, PAGES);
    let first = shop.db.text(STATE);
    shop.api.change(10.0, 1);
    shop.api.remove(5.0, 2);
    shop.sync();
    let second = shop.db.text(STATE);
    (shop, [first, second])
}

/// How a waiting caller is ended.
#[derive(Clone, Copy, Debug)]
enum End {
    Cancel,
    Terminate,
    Timeout,
}

const EVERY_END: [End; 3] = [End::Cancel, End::Terminate, End::Timeout];

/// Starts a call in a session of its own.
fn call(shop: &Shop, end: End, sql: &str) -> Call {
    let mut session = shop.cluster.db_as("app", "postgres");
    if let End::Timeout = end {
        session.exec("SET statement_timeout = '5s'");
    }
    session.call(sql)
}

/// The session in which a call runs.
fn caller(db: &mut Db) -> u32 {
    let sql = "SELECT max(pid) FROM pg_stat_activity WHERE query LIKE 'CALL sluice.%' AND state = 'active'";
    wait_until(db, "the call is running", SOON, |db| db.value(sql).is_some());
    u32::try_from(db.number(sql)).expect("a pid")
}

fn send(shop: &mut Shop, end: End) {
    let pid = caller(&mut shop.db);
    match end {
        End::Cancel => shop.db.exec(&format!("SELECT pg_cancel_backend({pid})")),
        End::Terminate => shop.db.exec(&format!("SELECT pg_terminate_backend({pid})")),
        End::Timeout => {}
    }
}

/// Waits until somebody waits at a failpoint that was set to pause.
fn wait_at(shop: &mut Shop, point: &str) {
    let sql = format!("SELECT sluice._failpoint_hits('{point}') > 0");
    wait_until(&mut shop.db, &format!("{point} is reached"), SOON, |db| {
        db.is_true(&sql)
    });
}

/// Panics unless the job is neither paused nor occupied, and its table is as it was.
fn assert_free(shop: &mut Shop, state: &str, what: &str) {
    let free = "SELECT count(*) FROM sluice._run WHERE status IN ('scheduled', 'running', 'publishing')";
    assert!(eventually(SOON, || shop.db.number(free) == 0), "{what}");
    assert_eq!(shop.status("status"), "idle", "{what}");
    assert_eq!(shop.db.text(STATE), state, "{what}");
}

#[test]
fn a_rollback_whose_caller_ends_before_it_was_asked_for_leaves_the_job_as_it_was() {
    for end in EVERY_END {
        let (mut shop, [_, second]) = refreshed();
        shop.db.failpoint("call.free", "pause");
        let waiting = call(&shop, end, "CALL sluice.rollback_to('products')");
        wait_at(&mut shop, "call.free");
        send(&mut shop, end);
        assert!(waiting.finish().0.is_err(), "{end:?}");
        shop.db.failpoint("call.free", "off");
        assert_free(&mut shop, &second, &format!("{end:?}"));
        shop.sync();
    }
}

#[test]
fn a_rollback_whose_caller_ends_while_it_is_done_is_given_up_with_it() {
    for end in EVERY_END {
        let (mut shop, [first, second]) = refreshed();
        shop.db.failpoint("rollback.applied", "pause");
        let waiting = call(&shop, end, "CALL sluice.rollback_to('products')");
        wait_at(&mut shop, "rollback.applied");
        send(&mut shop, end);
        assert!(waiting.finish().0.is_err(), "{end:?}");
        assert_free(&mut shop, &second, &format!("{end:?}"));
        assert_eq!(
            shop.run("concat_ws(' ', source, status)"),
            "rollback stopped",
            "{end:?}"
        );
        shop.db.failpoint("rollback.applied", "off");
        shop.app.exec("CALL sluice.rollback_to('products')");
        assert_eq!(shop.db.text(STATE), first);
    }
}

#[test]
fn a_rollback_whose_caller_is_killed_before_it_was_asked_for_does_not_pause_the_job() {
    let (mut shop, [_, second]) = refreshed();
    shop.db.failpoint("call.free", "pause");
    let waiting = call(&shop, End::Cancel, "CALL sluice.rollback_to('products')");
    wait_at(&mut shop, "call.free");
    let pid = caller(&mut shop.db);
    kill9(pid);
    assert!(waiting.finish().0.is_err());
    shop.recover();
    assert_free(&mut shop, &second, "killed");
    shop.sync();
}

#[test]
fn a_call_that_is_cancelled_while_it_looks_takes_its_waiting_run_with_it() {
    let mut shop = Shop::with(200, &[("sluice.max_workers", "1")]);
    shop.create_job("busy", "/page/products", PAGES);
    shop.create_job("products", "/page/products", PAGES);
    shop.api.hold_page(1);
    shop.db.exec("SELECT sluice.start_sync('busy')");
    assert!(shop.api.wait_until_held(1, SOON));
    shop.db.failpoint("call.looked", "pause");
    let waiting = call(&shop, End::Cancel, "CALL sluice.sync('products')");
    wait_at(&mut shop, "call.looked");
    send(&mut shop, End::Cancel);
    shop.db.failpoint("call.looked", "off");
    let error = waiting.finish().0.expect_err("the call was cancelled");
    assert_eq!(error.sqlstate, "57014", "{error}");
    let run = "SELECT status FROM sluice.sync_runs WHERE data_type = 'products'";
    assert_eq!(shop.db.text(run), "stopped");
    shop.api.release();
}

#[test]
fn an_approval_that_is_cancelled_while_another_run_is_under_way_leaves_both_as_they_were() {
    let mut shop = Shop::loaded(500, PAGES);
    shop.api.misbehave(sample_api::Fault::HalfRows {
        total: sample_api::Total::Matching,
    });
    shop.failing_sync();
    let held = shop.db.text("SELECT run_id FROM sluice.sync_held");
    shop.start_and_hold_at(2);
    let waiting = call(&shop, End::Cancel, &format!("CALL sluice.approve({held})"));
    let pid = caller(&mut shop.db);
    let idle = format!("SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = {pid}");
    wait_until(&mut shop.db, "the approval waits", SOON, |db| db.is_true(&idle));
    send(&mut shop, End::Cancel);
    assert!(waiting.finish().0.is_err());
    assert_eq!(shop.db.text("SELECT run_id FROM sluice.sync_held"), held);
    assert_eq!(shop.run("status"), "running");
    shop.api.release();
    shop.wait_for_run("held");
}

#[test]
fn a_call_that_waits_can_be_ended_while_the_extension_is_being_dropped() {
    for end in EVERY_END {
        let mut shop = Shop::loaded(500, PAGES);
        shop.api.hold_page(2);
        let waiting = call(&shop, end, "CALL sluice.sync('products')");
        assert!(shop.api.wait_until_held(2, SOON));
        let mut other = shop.cluster.db();
        other.exec("BEGIN; DROP EXTENSION pg_sluice CASCADE");
        send(&mut shop, end);
        assert!(eventually(SOON, || waiting.is_over()), "{end:?}");
        assert!(waiting.finish().0.is_err(), "{end:?}");
        other.exec("ROLLBACK");
        shop.api.release();
    }
}

#[test]
fn a_call_that_waits_can_be_ended_while_somebody_has_not_committed_that_its_run_stops() {
    for end in EVERY_END {
        let mut shop = Shop::loaded(500, PAGES);
        shop.api.hold_page(2);
        let waiting = call(&shop, end, "CALL sluice.sync('products')");
        assert!(shop.api.wait_until_held(2, SOON));
        let mut other = shop.cluster.db();
        other.exec("BEGIN; UPDATE sluice._run SET bytes = bytes");
        send(&mut shop, end);
        assert!(eventually(SOON, || waiting.is_over()), "{end:?}");
        assert!(waiting.finish().0.is_err(), "{end:?}");
        other.exec("ROLLBACK");
        shop.api.release();
    }
}
