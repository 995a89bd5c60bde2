//! Workers that live and make no progress: another goes on at the checkpoint. Time is moved, never waited for.

use crate::shop::{PAGES, SOON, Shop};
use sluice_e2e::wait_until;

/// A point that is never due, and counts how often the launcher has looked at its workers.
const COUNTED: &str = "SELECT sluice._failpoint('launcher.watched', 'error', 1000000)";
const LOOKS: &str = "SELECT sluice._failpoint_hits('launcher.watched')";

/// Lets a minute pass for the launcher; it has looked at its workers after it. One look counts as a minute at most.
fn pass_a_minute(shop: &mut Shop, worker: u32, minute: i64) {
    shop.db.exec(COUNTED);
    shop.move_clock(minute);
    // The first look may have begun before the clock was moved.
    wait_until(&mut shop.db, "the launcher has looked", SOON, |db| {
        db.number(LOOKS) >= 1
    });
    let silent = format!(
        "SELECT NOT EXISTS (SELECT FROM sluice.sync_progress WHERE pid = {worker} AND silent_for < {} * interval '59 s')",
        minute - 1
    );
    wait_until(&mut shop.db, &format!("silent at minute {minute}"), SOON, |db| {
        db.is_true(&silent)
    });
}

/// Fills the job's table by a trigger of its owner with this body, which looks at the table `gate`.
fn trigger(shop: &mut Shop, body: &str) {
    shop.app.exec(&format!(
        "CREATE TABLE gate (); INSERT INTO gate DEFAULT VALUES;
         CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NEW; END $$;
         CREATE TRIGGER slow BEFORE INSERT ON products FOR EACH ROW EXECUTE FUNCTION slow()"
    ));
}

#[test]
fn a_worker_without_progress_for_five_minutes_is_replaced_at_its_checkpoint() {
    let mut shop = Shop::with_job(1_000, PAGES);
    let committed = shop.start_and_hold_at(4);
    let worker = shop.worker();
    shop.api.clear_log();
    for minute in 1..=6 {
        pass_a_minute(&mut shop, worker, minute);
    }
    wait_until(&mut shop.db, "another worker is there", SOON, |db| {
        let now = db.pids("sluice worker");
        now.len() == 1 && now[0] != worker
    });
    shop.api.release();
    shop.wait_for_run("succeeded");
    assert_eq!(shop.runs(), ["manual interrupted", "resume succeeded"]);
    shop.assert_none_asked_again(&committed);
    shop.assert_equal();
    assert_eq!(shop.db.text("SELECT enabled FROM sluice.sync_jobs"), "t");
    let told = shop.cluster.log().matches("which has made no progress").count();
    assert_eq!(told, 1, "{}", shop.cluster.log_tail(40));
}

#[test]
fn a_silent_worker_that_no_cancellation_ends_is_terminated() {
    let mut shop = Shop::with_job(300, PAGES);
    trigger(
        &mut shop,
        "IF EXISTS (SELECT FROM gate) THEN
             BEGIN PERFORM pg_sleep(600); EXCEPTION WHEN query_canceled THEN PERFORM pg_sleep(600); END;
         END IF;",
    );
    shop.start();
    wait_until(&mut shop.db, "the trigger sleeps", SOON, |db| {
        db.is_true("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'sluice worker' AND wait_event = 'PgSleep')")
    });
    shop.app.exec("DELETE FROM gate");
    let worker = shop.worker();
    for minute in 1..=8 {
        pass_a_minute(&mut shop, worker, minute);
    }
    shop.wait_for_run("succeeded");
    assert_eq!(shop.runs(), ["manual interrupted", "resume succeeded"]);
    shop.assert_equal();
}

#[test]
fn a_statement_that_runs_is_left_to_run() {
    let mut shop = Shop::with_job(300, PAGES);
    trigger(&mut shop, "WHILE EXISTS (SELECT FROM gate) LOOP END LOOP;");
    shop.start();
    let worker = shop.worker();
    wait_until(&mut shop.db, "the trigger runs", SOON, |db| {
        db.is_true("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'sluice worker' AND xact_start IS NOT NULL AND wait_event IS NULL)")
    });
    for minute in 1..=12 {
        shop.db.exec(COUNTED);
        shop.move_clock(minute);
        wait_until(&mut shop.db, "the launcher has looked", SOON, |db| {
            db.number(LOOKS) >= 1
        });
    }
    assert_eq!(shop.db.pids("sluice worker"), [worker]);
    shop.app.exec("DELETE FROM gate");
    shop.wait_for_run("succeeded");
    assert_eq!(shop.runs(), ["manual succeeded"]);
    shop.assert_equal();
}

#[test]
fn a_run_that_the_system_leaves_waiting_for_half_an_hour_is_failed_and_queued() {
    let mut shop = Shop::with(300, &[("sluice.enabled", "off")]);
    shop.create_job("products", "/page/products", PAGES);
    shop.start();
    shop.db.failpoint("scheduler.start", "error");
    shop.move_clock(31);
    shop.cluster.configure("sluice.enabled", "on");
    shop.db.exec("SELECT pg_reload_conf()");
    shop.wait_for_run("retryable");
    assert_eq!(
        shop.run("error_class || ': ' || error_message"),
        "resource: the run of job \"products\" was left waiting"
    );
    let queue = "SELECT status || ' ' || retry_count FROM sluice.sync_retry_queue";
    wait_until(&mut shop.db, "it is queued", SOON, |db| {
        db.value(queue).as_deref() == Some("pending 0")
    });
    shop.move_clock(37);
    assert_eq!(shop.wait_for_successes(1), ["retry"]);
    shop.assert_equal();
}

#[test]
fn a_run_that_waited_for_half_an_hour_because_nothing_was_to_start_just_starts() {
    let mut shop = Shop::with(300, &[("sluice.enabled", "off")]);
    shop.create_job("products", "/page/products", PAGES);
    shop.start();
    shop.move_clock(45);
    shop.cluster.configure("sluice.enabled", "on");
    shop.db.exec("SELECT pg_reload_conf()");
    assert_eq!(shop.wait_for_successes(1), ["manual"]);
}
