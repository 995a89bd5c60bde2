//! The retry queue: what waits, when it is tried again, and what becomes of it. Time is moved, never waited for.

use crate::shop::{PAGES, SOON, Shop};
use sample_api::{Fault, Rule};
use sluice_e2e::wait_until;

/// A shop of ten pages, loaded, whose requests are sent once only.
fn shop() -> Shop {
    let mut shop = Shop::with_job(1000, PAGES);
    shop.sync();
    shop.app.exec(
        "SELECT sluice.alter_job('products', schedule => '1 hour', settings => '{\"retry\": {\"request_attempts\": 1}}')",
    );
    shop
}

/// Fails the next runs at page 3 with a 503.
fn fail(shop: &Shop) {
    shop.api.misbehave(Rule::new(Fault::status(503, &[])).page(1));
}

fn queue(shop: &mut Shop, column: &str) -> String {
    let sql = format!("SELECT {column} FROM sluice.sync_retry_queue ORDER BY id DESC LIMIT 1");
    shop.db.value(&sql).unwrap_or_else(|| "NULL".into())
}

fn wait_for_queue(shop: &mut Shop, column: &str, value: &str) {
    let sql = format!("SELECT {column} FROM sluice.sync_retry_queue ORDER BY id DESC LIMIT 1");
    wait_until(&mut shop.db, &format!("{column} of the retry is {value}"), SOON, |db| {
        db.value(&sql).as_deref() == Some(value)
    });
}

/// Moves pg_sluice's clock; the launcher looks at once.
fn clock(shop: &mut Shop, minutes: u32) {
    let value = format!("{minutes} min");
    let shown = format!("current_setting('sluice.debug_clock_offset')::interval = '{value}'");
    set(shop, "sluice.debug_clock_offset", &value, &shown);
}

/// Changes a setting of the server, for its processes and this session, which shows it as `shown`.
fn set(shop: &mut Shop, name: &str, value: &str, shown: &str) {
    shop.cluster.configure(name, value);
    shop.db.exec("SELECT pg_reload_conf()");
    wait_until(&mut shop.db, shown, SOON, |db| db.is_true(&format!("SELECT {shown}")));
}

/// Whether anything new starts.
fn enable(shop: &mut Shop, value: &str) {
    set(
        shop,
        "sluice.enabled",
        value,
        &format!("current_setting('sluice.enabled') = '{value}'"),
    );
}

const DELAY: &str = "round(extract(epoch FROM next_retry_at - updated_at - make_interval(mins => OFFSET)))::int";

/// Whether the waiting retry is due within a tenth of so many minutes after the failure at the present clock.
fn waits(shop: &mut Shop, minutes: i64, offset: i64) -> bool {
    let delay: i64 = queue(shop, &DELAY.replace("OFFSET", &offset.to_string()))
        .parse()
        .expect("seconds");
    (minutes * 54 - 5..=minutes * 66 + 5).contains(&delay)
}

#[test]
fn a_run_that_failed_for_a_passing_reason_is_tried_again_after_five_minutes_and_holds_no_worker_meanwhile() {
    let mut shop = shop();
    fail(&shop);
    shop.failing_sync();
    assert_eq!(
        queue(&mut shop, "status || ' ' || retry_count || '/' || max_retries"),
        "pending 0/3"
    );
    assert_eq!(
        queue(&mut shop, "operation || ' ' || error_class || ' ' || priority"),
        "sync server normal"
    );
    assert!(waits(&mut shop, 5, 0));
    assert_eq!(shop.status("status || ', ' || action"), "waiting_for_retry, wait");
    assert_eq!(shop.status("next_run_at > now() + interval '4 min'"), "t");
    assert!(shop.db.pids("sluice worker").is_empty());
    // The schedule waits with it, although its own time has passed.
    assert_eq!(shop.db.value("SELECT next_run_at FROM sluice.sync_jobs"), None);
    assert_eq!(shop.health("status"), "healthy");

    shop.api.clear_faults();
    clock(&mut shop, 6);
    wait_for_queue(&mut shop, "status", "completed");
    assert_eq!(shop.run("source || ' ' || status"), "retry succeeded");
    assert_eq!(queue(&mut shop, "retry_count"), "1");
    shop.assert_equal();
    // The schedule goes on.
    assert_eq!(shop.db.text("SELECT next_run_at > now() FROM sluice.sync_jobs"), "t");
}

#[test]
fn after_three_retries_the_entry_is_a_dead_letter_and_the_job_goes_on_slowly() {
    let mut shop = shop();
    fail(&shop);
    shop.failing_sync();
    let mut now = 0;
    for (retry, minutes) in [(1, 10), (2, 20)] {
        now += minutes;
        clock(&mut shop, now);
        wait_for_queue(&mut shop, "status || ' ' || retry_count", &format!("pending {retry}"));
        assert!(waits(&mut shop, minutes.into(), now.into()), "after retry {retry}");
    }
    clock(&mut shop, now + 30);
    wait_for_queue(&mut shop, "status", "dead");
    assert_eq!(
        shop.runs()[1..],
        [
            "manual retryable",
            "retry retryable",
            "retry retryable",
            "retry retryable"
        ]
    );
    assert_eq!(
        shop.health("status || ': ' || reason"),
        "unhealthy: its retries are used up (server)"
    );
    assert_eq!(shop.status("status"), "idle");
    // Six hours at most while it fails, counted from the moved clock.
    let slow = "SELECT next_run_at - now() BETWEEN '6 hours 40 min' AND '7 hours 10 min' FROM sluice.sync_jobs";
    assert!(
        shop.db.is_true(slow),
        "{:?}",
        shop.db.value("SELECT next_run_at - now() FROM sluice.sync_jobs")
    );

    shop.api.clear_faults();
    assert_eq!(shop.app.number("SELECT sluice.redrive('products')"), 1);
    wait_for_queue(&mut shop, "status || ' ' || retry_count", "completed 1");
    assert_eq!(shop.health("status"), "healthy");
    shop.assert_equal();
}

#[test]
fn a_run_that_somebody_asks_for_takes_the_place_of_the_retry_that_waits() {
    let mut shop = shop();
    fail(&shop);
    shop.failing_sync();
    // Fails again: it was no retry, and counts as none.
    shop.failing_sync();
    assert_eq!(queue(&mut shop, "status || ' ' || retry_count"), "pending 0");
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice.sync_retry_queue"), 1);
    shop.api.clear_faults();
    shop.sync();
    assert_eq!(queue(&mut shop, "status"), "completed");
    shop.assert_equal();
}

#[test]
fn retry_now_runs_what_waits_and_says_so_where_nothing_does() {
    let mut shop = shop();
    let error = shop.app.error("SELECT sluice.retry_now('products')");
    assert_eq!(
        (error.sqlstate.as_str(), error.message.as_str()),
        ("55000", "job \"products\" has no retry that waits")
    );
    fail(&shop);
    shop.failing_sync();
    shop.api.clear_faults();
    shop.app.exec("SELECT sluice.retry_now('products')");
    wait_for_queue(&mut shop, "status || ' ' || retry_count", "completed 1");
}

#[test]
fn due_retries_are_processed_once_however_often_it_is_asked_for() {
    let mut shop = shop();
    fail(&shop);
    shop.failing_sync();
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice.process_sync_retries()"), 0);
    shop.api.clear_faults();
    shop.api.hold_page(1);
    // Nothing of ours runs, so that only this call can process them.
    enable(&mut shop, "off");
    clock(&mut shop, 6);
    let taken = "SELECT data_type || ' ' || operation || ' ' || retry_count FROM sluice.process_sync_retries(5)";
    assert_eq!(shop.db.value(taken).as_deref(), Some("products sync 1"));
    assert_eq!(shop.db.value(taken), None);
    assert_eq!(queue(&mut shop, "status"), "processing");
    enable(&mut shop, "on");
    assert!(shop.api.wait_until_held(1, SOON));
    assert_eq!(shop.db.value(taken), None);
    shop.api.release();
    wait_for_queue(&mut shop, "status", "completed");
}

#[test]
fn an_empty_answer_in_a_retry_keeps_the_last_good_data() {
    let mut shop = shop();
    fail(&shop);
    shop.failing_sync();
    shop.api.clear_faults();
    shop.api
        .misbehave(Rule::new(Fault::body("{\"data\": [], \"meta\": {\"total\": 0}}")));
    shop.app.exec("SELECT sluice.retry_now('products')");
    shop.wait_for_run("rolled_back");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 1000);
    assert_eq!(queue(&mut shop, "status"), "completed");
}

#[test]
fn a_retry_that_brought_a_page_starts_the_count_anew() {
    let mut shop = shop();
    shop.api.change(100.0, 7);
    fail(&shop);
    shop.failing_sync();
    shop.api.clear_faults();
    shop.api.misbehave(Rule::new(Fault::status(503, &[])).page(4));
    shop.app.exec("SELECT sluice.retry_now('products')");
    wait_for_queue(
        &mut shop,
        "status || ' ' || (context->>'page') || ' ' || retry_count",
        "pending 4 0",
    );
    shop.api.clear_faults();
    shop.api.clear_log();
    shop.app.exec("SELECT sluice.retry_now('products')");
    wait_for_queue(&mut shop, "status", "completed");
    assert!(!shop.api.pages_asked().contains(&3), "{:?}", shop.api.pages_asked());
    shop.assert_equal();
}

#[test]
fn without_attempts_a_failed_run_waits_for_its_schedule() {
    let mut shop = shop();
    shop.app.exec(
        "SELECT sluice.alter_job('products', settings => '{\"retry\": {\"request_attempts\": 1, \"attempts\": 0}}')",
    );
    fail(&shop);
    shop.failing_sync();
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice.sync_retry_queue"), 0);
    assert_eq!(shop.db.text("SELECT next_run_at > now() FROM sluice.sync_jobs"), "t");
}

#[test]
fn an_error_that_does_not_pass_is_not_queued_and_ends_a_retry() {
    let mut shop = shop();
    shop.api.misbehave(Rule::new(Fault::status(403, &[])).page(1));
    shop.failing_sync();
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice.sync_retry_queue"), 0);
    shop.api.clear_faults();
    fail(&shop);
    shop.failing_sync();
    shop.api.clear_faults();
    shop.api.misbehave(Rule::new(Fault::status(403, &[])).page(1));
    shop.app.exec("SELECT sluice.retry_now('products')");
    wait_for_queue(&mut shop, "status || ' ' || error_class", "dead auth");
}

#[test]
fn a_retry_whose_worker_is_killed_goes_on_and_is_still_one_entry() {
    let mut shop = shop();
    fail(&shop);
    shop.failing_sync();
    shop.api.clear_faults();
    shop.api.change(100.0, 3);
    shop.api.hold_page(3);
    shop.app.exec("SELECT sluice.retry_now('products')");
    assert!(shop.api.wait_until_held(3, SOON));
    let worker = shop.worker();
    assert!(
        shop.db
            .is_true(&format!("SELECT pg_terminate_backend({worker}, 60000)"))
    );
    shop.api.release();
    wait_for_queue(&mut shop, "status || ' ' || retry_count", "completed 1");
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice.sync_retry_queue"), 1);
    shop.assert_equal();
}

#[test]
fn clear_queue_drops_what_waits_and_the_schedule_goes_on() {
    let mut shop = shop();
    fail(&shop);
    shop.failing_sync();
    assert_eq!(shop.app.number("SELECT sluice.clear_queue()"), 1);
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice.sync_retry_queue"), 0);
    assert_eq!(shop.db.text("SELECT next_run_at > now() FROM sluice.sync_jobs"), "t");
    assert_eq!(shop.status("status"), "idle");
}

#[test]
fn the_settings_say_how_often_and_how_soon_a_run_is_tried_again() {
    let mut shop = shop();
    shop.app.exec(
        "SELECT sluice.alter_job('products', settings => '{\"retry\": {\"request_attempts\": 2, \"request_cap\": \"5 ms\", \
         \"attempts\": 1, \"delays\": [\"2 min\"]}}')",
    );
    fail(&shop);
    shop.api.clear_log();
    shop.failing_sync();
    assert_eq!(shop.api.requests().len(), 2);
    assert_eq!(
        queue(&mut shop, "status || ' ' || retry_count || '/' || max_retries"),
        "pending 0/1"
    );
    assert!(waits(&mut shop, 2, 0));
    clock(&mut shop, 3);
    wait_for_queue(&mut shop, "status || ' ' || retry_count", "dead 1");
}

#[test]
fn force_sync_all_takes_the_place_of_what_waits_and_the_failure_log_tells_both() {
    let mut shop = shop();
    fail(&shop);
    shop.failing_sync();
    shop.api.clear_faults();
    assert_eq!(shop.app.number("SELECT sluice.force_sync_all()"), 1);
    wait_for_queue(&mut shop, "status || ' ' || retry_count", "completed 0");
    assert_eq!(shop.runs()[1..], ["manual retryable", "manual succeeded"]);
    let log = "SELECT string_agg(next_step, ', ') FROM sluice.sync_failure_logs";
    assert_eq!(shop.db.text(log), "queued");
}

/// The entry stands for the run: with the run it ends, and nothing runs by itself afterwards.
#[test]
fn a_retry_that_is_stopped_before_a_worker_takes_its_run_is_over() {
    let mut shop = shop();
    fail(&shop);
    shop.failing_sync();
    shop.api.clear_faults();
    enable(&mut shop, "off");
    clock(&mut shop, 6);
    shop.db.exec("SELECT sluice.process_sync_retries()");
    assert_eq!(queue(&mut shop, "status"), "processing");
    assert_eq!(shop.run("source || ' ' || status"), "retry scheduled");
    shop.app.exec("SELECT sluice.stop_sync('products')");
    assert_eq!(queue(&mut shop, "status"), "completed");
    enable(&mut shop, "on");
    // The schedule goes on instead.
    wait_until(&mut shop.db, "the next run is planned", SOON, |db| {
        db.is_true("SELECT next_run_at > now() FROM sluice.sync_jobs")
    });
    assert_eq!(shop.run("source || ' ' || status"), "retry stopped");
}

/// What is no read of the remote neither takes a waiting retry's place nor ends it, and says nothing of how the remote is.
#[test]
fn work_that_asks_for_nothing_leaves_the_retry_that_waits_and_the_health_of_the_job_alone() {
    let mut shop = shop();
    let loaded = shop.run("id");
    fail(&shop);
    shop.failing_sync();
    let state = "SELECT concat_ws(' ', last_success_at, consecutive_failures, next_run_at) FROM sluice._job_state";
    let before = (
        shop.db.text(state),
        queue(&mut shop, "concat_ws(' ', status, next_retry_at)"),
    );
    assert!(before.1.starts_with("pending"), "{before:?}");
    let now = |shop: &mut Shop| {
        (
            shop.db.text(state),
            queue(shop, "concat_ws(' ', status, next_retry_at)"),
        )
    };

    shop.app.exec(&format!("CALL sluice.replay({loaded})"));
    assert_eq!(now(&mut shop), before, "a replay");
    shop.db.failpoint("rollback.applied", "error");
    shop.app.error("CALL sluice.rollback_to('products')");
    assert_eq!(shop.run("source || ' ' || status"), "rollback failed");
    assert_eq!(now(&mut shop), before, "a rollback that failed");
    shop.db.failpoint("snapshot.copied", "pause");
    let copying = shop
        .cluster
        .db_as("app", "postgres")
        .call("CALL sluice.create_snapshot('products', 'copy')");
    let reached = "SELECT sluice._failpoint_hits('snapshot.copied') > 0";
    wait_until(&mut shop.db, "the copy is made", SOON, |db| db.is_true(reached));
    shop.app.exec("SELECT sluice.stop_sync('products')");
    assert!(copying.finish().0.is_err());
    shop.db.failpoint("snapshot.copied", "off");
    assert_eq!(now(&mut shop), before, "a snapshot that was stopped");
}

#[test]
fn an_approval_leaves_the_retry_of_a_later_read_where_it_is() {
    let mut shop = shop();
    shop.api.misbehave(Fault::HalfRows {
        total: sample_api::Total::Matching,
    });
    shop.failing_sync();
    let held = shop.db.text("SELECT run_id FROM sluice.sync_held");
    shop.api.clear_faults();
    fail(&shop);
    shop.failing_sync();
    let waits = queue(&mut shop, "concat_ws(' ', status, next_retry_at)");
    assert!(waits.starts_with("pending"), "{waits}");
    shop.db.failpoint("publish.applied", "error");
    shop.app.error(&format!("CALL sluice.approve({held})"));
    assert_eq!(queue(&mut shop, "concat_ws(' ', status, next_retry_at)"), waits);
    shop.app.exec(&format!("CALL sluice.approve({held})"));
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 500);
    assert_eq!(queue(&mut shop, "concat_ws(' ', status, next_retry_at)"), waits);
}

const ROWS: &str = "SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM app.products p";

/// Each run has an undo set of its own. A rollback goes back to a published state: of the retry alone where the run that
/// failed has written nothing, else of both halves of the read, each of which is told by itself.
#[test]
fn a_rollback_of_a_retry_takes_back_what_it_did_and_what_it_went_on_with() {
    for mode in ["replace", "upsert"] {
        let mut shop = shop();
        shop.app
            .exec(&format!("SELECT sluice.alter_job('products', mode => '{mode}')"));
        shop.sync();
        let (loaded, as_loaded) = (shop.run("id"), shop.db.text(ROWS));
        shop.api.change(30.0, 5);
        shop.api.misbehave(Rule::new(Fault::status(503, &[])).page(4));
        shop.failing_sync();
        // In an upsert the pages before the one that failed are merged.
        assert_eq!(shop.db.text(ROWS) == as_loaded, mode == "replace");
        let failed = shop.run("id || ' ' || updated");
        // What changes now is the retry's.
        shop.api.change_ids(&[990, 995]);

        shop.api.clear_faults();
        shop.app.exec("SELECT sluice.retry_now('products')");
        wait_for_queue(&mut shop, "status", "completed");
        assert_eq!(shop.run("source || ' ' || status"), "retry succeeded");
        shop.assert_equal();
        let retry = shop.run("id || ' ' || updated");
        let expected = match mode {
            "replace" => retry,
            _ => format!("{failed}, {retry}"),
        };
        let sets = format!(
            "SELECT string_agg(run_id || ' ' || rows, ', ' ORDER BY run_id) FROM sluice.sync_undo WHERE run_id > {loaded}"
        );
        assert_eq!(shop.db.text(&sets), expected, "{mode}");
        let told = "SELECT string_agg(run_id || ' ' || updated, ', ' ORDER BY run_id) FROM sluice.preview_rollback('products') WHERE run_id IS NOT NULL";
        assert_eq!(shop.app.text(told), expected, "{mode}");

        shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
        assert_eq!(shop.db.text(ROWS), as_loaded, "{mode}");
        shop.sync();
        shop.assert_equal();
    }
}
