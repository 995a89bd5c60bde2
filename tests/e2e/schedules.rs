//! Who runs when, for how long, and after whom. Time is moved, never waited for.

use crate::shop::{PAGES, SOON, Shop};
use sample_api::{Fault, Rule};
use sluice_e2e::{Stop, wait_until};

/// A shop with one worker in which nothing starts yet.
fn closed_shop(products: u64) -> Shop {
    Shop::with(products, &[("sluice.max_workers", "1"), ("sluice.enabled", "off")])
}

/// Makes a job into a table of its own, which is due at once.
fn job(shop: &mut Shop, name: &str, priority: &str, settings: &str) {
    shop.app.exec(&format!(
        "CREATE TABLE IF NOT EXISTS {name} (id bigint PRIMARY KEY, name text);
         SELECT sluice.create_job('{name}', 'shop', '/page/products', target => 'app.{name}', schedule => '1 hour',
                                  priority => '{priority}', settings => '{PAGES}'::jsonb || '{settings}')"
    ));
}

fn open(shop: &mut Shop) {
    shop.cluster.configure("sluice.enabled", "on");
    shop.db.exec("SELECT pg_reload_conf()");
}

/// The jobs of all runs in the order in which they began, once so many have succeeded.
fn order(shop: &mut Shop, runs: usize) -> Vec<String> {
    shop.wait_for_successes(runs);
    let rows = shop
        .db
        .rows("SELECT data_type FROM sluice.sync_runs ORDER BY started_at, id");
    rows.rows.into_iter().flatten().flatten().collect()
}

fn status(shop: &mut Shop, job: &str, column: &str) -> String {
    shop.db
        .value(&format!(
            "SELECT {column} FROM sluice.sync_status WHERE data_type = '{job}'"
        ))
        .unwrap_or_default()
}

fn wait_for_status(shop: &mut Shop, job: &str, column: &str, value: &str) {
    let sql = format!("SELECT {column} FROM sluice.sync_status WHERE data_type = '{job}'");
    wait_until(&mut shop.db, &format!("{column} of {job} is {value}"), SOON, |db| {
        db.value(&sql).as_deref() == Some(value)
    });
}

#[test]
fn what_is_due_together_starts_by_priority_and_then_by_its_time() {
    let mut shop = closed_shop(100);
    for (name, priority, ago) in [
        ("low", "low", 9),
        ("late", "normal", 1),
        ("early", "normal", 5),
        ("high", "high", 0),
    ] {
        job(&mut shop, name, priority, "{}");
        shop.db.exec(&format!(
            "UPDATE sluice._job_state SET next_run_at = now() - {ago} * interval '1 s'
             WHERE job_id = (SELECT id FROM sluice._job WHERE name = '{name}')"
        ));
    }
    open(&mut shop);
    assert_eq!(order(&mut shop, 4), ["high", "early", "late", "low"]);
    assert_eq!(shop.api.most_at_once(), 1);
}

#[test]
fn a_low_job_is_not_starved() {
    let mut shop = closed_shop(100);
    job(&mut shop, "first", "high", "{}");
    shop.api.hold_page(1);
    open(&mut shop);
    assert!(shop.api.wait_until_held(1, SOON));
    for (name, priority) in [("aged", "low"), ("low", "low"), ("high", "high")] {
        job(&mut shop, name, priority, "{}");
    }
    wait_until(&mut shop.db, "three runs wait", SOON, |db| {
        db.number("SELECT count(*) FROM sluice._run WHERE status = 'scheduled'") == 3
    });
    // It has waited for longer than what a high one is preferred by.
    shop.db.exec(
        "UPDATE sluice._run SET created_at = created_at - interval '21 min'
         WHERE job_id = (SELECT id FROM sluice._job WHERE name = 'aged')",
    );
    assert_eq!(
        status(&mut shop, "low", "status || ', ' || reason"),
        "waiting_for_worker, waits until a worker is free"
    );
    shop.api.release();
    assert_eq!(order(&mut shop, 4), ["first", "aged", "high", "low"]);
}

#[test]
fn jobs_of_one_host_leave_workers_to_others() {
    let mut shop = Shop::with(
        100,
        &[
            ("sluice.max_workers", "3"),
            ("sluice.max_workers_per_host", "1"),
            ("sluice.enabled", "off"),
        ],
    );
    for name in ["a", "b", "c"] {
        job(&mut shop, name, "normal", "{}");
    }
    open(&mut shop);
    assert_eq!(order(&mut shop, 3).len(), 3);
    assert_eq!(shop.api.most_at_once(), 1);
}

/// every job is due at the server's start.
#[test]
fn a_hundred_jobs_that_are_due_at_start_up_run_once_each_a_few_at_a_time_the_urgent_first() {
    let mut shop = Shop::with(20, &[("sluice.enabled", "off")]);
    for n in 1..=100 {
        let priority = if n % 10 == 0 { "high" } else { "normal" };
        job(&mut shop, &format!("j{n}"), priority, "{}");
    }
    // Due when the server is up again, and not so late that they make up for missed times, each after a moment of its own.
    shop.db
        .exec("UPDATE sluice._job_state SET next_run_at = now() + interval '60 min'");
    shop.cluster.stop(Stop::Fast);
    shop.cluster.configure("sluice.debug_clock_offset", "60 min");
    shop.cluster.configure("sluice.enabled", "on");
    shop.api.clear_log();
    shop.cluster.start_again();
    shop.reconnect();
    let begun = order(&mut shop, 100);
    assert!(
        shop.api.most_at_once() <= 3,
        "{} requests at once",
        shop.api.most_at_once()
    );
    let once: std::collections::BTreeSet<&String> = begun.iter().collect();
    assert_eq!(once.len(), 100);
    let urgent = begun.iter().take(12).filter(|name| name.ends_with('0')).count();
    assert_eq!(urgent, 10, "{begun:?}");
    assert_eq!(shop.api.requests().len(), 100);
}

#[test]
fn a_job_waits_for_those_that_it_depends_on() {
    let mut shop = Shop::open(100);
    job(
        &mut shop,
        "prices",
        "normal",
        "{\"retry\": {\"attempts\": 0, \"request_attempts\": 1}}",
    );
    shop.wait_for_successes(1);
    job(&mut shop, "totals", "high", "{\"depends_on\": [\"prices\"]}");
    // It has succeeded, and this one has never run.
    assert_eq!(order(&mut shop, 2), ["prices", "totals"]);
    let due = "UPDATE sluice._job_state SET next_run_at = now() WHERE job_id = (SELECT id FROM sluice._job WHERE name = 'totals')";
    shop.db.exec(due);
    assert_eq!(
        status(&mut shop, "totals", "concat_ws(', ', status, action, reason)"),
        "scheduled, wait, waits for job \"prices\", which has not succeeded since the last run of this one"
    );
    // A run of another job brings the scheduler.
    shop.api.misbehave(Rule::new(Fault::status(503, &[])).page(1));
    shop.app.error("CALL sluice.sync('prices')");
    wait_for_status(
        &mut shop,
        "totals",
        "reason",
        "waits for job \"prices\", which failed (server)",
    );
    assert_eq!(status(&mut shop, "totals", "action"), "you: see job \"prices\"");
    shop.api.clear_faults();
    shop.app.exec("CALL sluice.sync('prices')");
    assert_eq!(
        shop.wait_for_successes(4),
        ["schedule", "schedule", "manual", "schedule"]
    );

    // A person is not kept waiting, and what is dropped is waited for no longer.
    shop.app.exec("CALL sluice.sync('totals')");
    shop.db.exec(due);
    shop.app.take_notices();
    shop.app.exec("SELECT sluice.drop_job('prices')");
    assert_eq!(
        shop.app.take_notices(),
        ["jobs that waited for job \"prices\" do so no longer: totals"]
    );
    wait_until(&mut shop.db, "it runs", SOON, |db| {
        db.number("SELECT count(*) FROM sluice.sync_runs WHERE data_type = 'totals' AND status = 'succeeded'") == 3
    });
    assert_eq!(
        shop.db.text("SELECT settings -> 'depends_on' FROM sluice.sync_jobs"),
        "[]"
    );
}

#[test]
fn of_two_jobs_that_are_due_together_the_dependent_one_runs_second() {
    let mut shop = closed_shop(100);
    job(&mut shop, "z_first", "low", "{}");
    job(&mut shop, "a_second", "high", "{\"depends_on\": \"z_first\"}");
    job(
        &mut shop,
        "a_third",
        "high",
        "{\"depends_on\": [\"a_second\", \"z_first\"]}",
    );
    open(&mut shop);
    assert_eq!(order(&mut shop, 3), ["z_first", "a_second", "a_third"]);
    // The next time round it is the same, although each has succeeded before.
    shop.move_clock(62);
    assert_eq!(
        order(&mut shop, 6),
        ["z_first", "a_second", "a_third", "z_first", "a_second", "a_third"]
    );
}

#[test]
fn a_job_waits_for_the_health_of_another_connection() {
    let mut shop = Shop::open(100);
    let url = shop.api.url();
    shop.db.exec(&format!(
        "CREATE SERVER erp FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url '{url}'); GRANT USAGE ON FOREIGN SERVER erp TO app"
    ));
    job(
        &mut shop,
        "mirror",
        "normal",
        "{\"run_when\": {\"connection\": \"erp\"}}",
    );
    wait_for_status(
        &mut shop,
        "mirror",
        "reason",
        "waits for connection \"erp\", which is unknown",
    );
    shop.app.exec(&format!(
        "CREATE TABLE source (id bigint PRIMARY KEY, name text);
         SELECT sluice.create_job('source', 'erp', '/page/products', target => 'app.source', schedule => 'manual', settings => '{PAGES}')"
    ));
    shop.app.exec("CALL sluice.sync('source')");
    assert_eq!(shop.wait_for_successes(2), ["manual", "schedule"]);
    assert_eq!(status(&mut shop, "mirror", "coalesce(reason, 'free')"), "free");
}

#[test]
fn a_long_run_gives_its_worker_to_a_job_that_waits_and_goes_on_behind_it() {
    let mut shop = Shop::with(600, &[("sluice.max_workers", "1")]);
    job(
        &mut shop,
        "long",
        "normal",
        "{\"turn\": {\"pages\": 2}, \"concurrency\": 1}",
    );
    shop.api.hold_page(2);
    assert!(shop.api.wait_until_held(2, SOON));
    job(&mut shop, "short", "normal", "{\"limits\": {\"pages\": 9}}");
    wait_for_status(&mut shop, "short", "status", "waiting_for_worker");
    shop.api.release();
    shop.wait_for_successes(2);
    // One run, no failure, no attempt beyond the first of this turn; each page of it was asked for once.
    let long = "SELECT concat_ws(' ', count(*), min(status), min(pages), max(attempt)) FROM sluice.sync_runs WHERE data_type = 'long'";
    assert_eq!(shop.db.text(long), "1 succeeded 6 1");
    let between = "SELECT (SELECT finished_at FROM sluice.sync_runs WHERE data_type = 'short')
                        < (SELECT finished_at FROM sluice.sync_runs WHERE data_type = 'long')";
    assert!(shop.db.is_true(between), "the short one was served in between");
    assert_eq!(shop.db.number("SELECT count(*) FROM long"), 600);
    assert_eq!(
        shop.db
            .number("SELECT consecutive_failures FROM sluice.sync_connection_health WHERE data_type = 'long'"),
        0
    );
    // Each of the two jobs has asked for the first page once.
    assert_eq!(shop.api.pages_asked().iter().filter(|page| **page == 1).count(), 2);
}

#[test]
fn a_run_keeps_its_worker_while_nobody_waits() {
    let mut shop = Shop::with(600, &[("sluice.max_workers", "1")]);
    job(
        &mut shop,
        "long",
        "normal",
        "{\"turn\": {\"pages\": 1}, \"concurrency\": 1}",
    );
    shop.api.hold_page(3);
    assert!(shop.api.wait_until_held(3, SOON));
    let worker = shop.worker();
    // Three turns later.
    shop.api.hold_only(6);
    assert!(shop.api.wait_until_held(6, SOON));
    assert_eq!(shop.worker(), worker);
    shop.api.release();
    shop.wait_for_successes(1);
    let log = shop.cluster.log();
    assert!(!log.contains("ERROR"), "{log}");
}

#[test]
fn an_adaptive_schedule_follows_change_and_use_and_says_why() {
    let mut shop = Shop::with_job(200, PAGES);
    shop.app
        .exec("SELECT sluice.alter_job('products', schedule => 'adaptive')");
    shop.sync();
    let reason = |shop: &mut Shop| shop.db.text("SELECT schedule_reason FROM sluice.sync_jobs");
    assert_eq!(reason(&mut shop), "30 minutes: it was read for the first time");
    assert_eq!(shop.status("reason"), "30 minutes: it was read for the first time");
    // Nobody reads it, and nothing changes.
    shop.sync();
    assert_eq!(
        reason(&mut shop),
        "6 hours: nothing changed, and nobody has read the table since the run before"
    );
    let next = "SELECT next_run_at - now() BETWEEN '5:59' AND '6:01' FROM sluice.sync_jobs";
    assert!(shop.db.is_true(next));
    // Much changes, and somebody reads: the counters of a session are told when it is idle.
    shop.api.change(50.0, 3);
    shop.db
        .exec("SELECT count(*) FROM app.products; SELECT pg_stat_force_next_flush()");
    shop.db
        .exec("SELECT count(*) FROM app.products; SELECT pg_stat_force_next_flush()");
    shop.sync();
    let told = reason(&mut shop);
    assert!(
        told.starts_with("5 minutes: 50.0 % of the rows changed, and the table was read "),
        "{told}"
    );
    shop.app
        .exec("SELECT sluice.alter_job('products', settings => '{\"adaptive\": {\"fastest\": \"1 min\"}}')");
    shop.api.change(50.0, 4);
    shop.db
        .exec("SELECT count(*) FROM app.products; SELECT pg_stat_force_next_flush()");
    shop.sync();
    assert!(reason(&mut shop).starts_with("1 minute: "));
    assert!(
        shop.db
            .is_true("SELECT next_run_at - now() < '2 min' FROM sluice.sync_jobs")
    );
}

#[test]
fn a_paused_job_stays_so_however_much_time_passes() {
    let mut shop = Shop::with_job(100, PAGES);
    shop.app.exec(
        "SELECT sluice.alter_job('products', schedule => '5 minutes'); SELECT sluice.pause_job('products', 'for good')",
    );
    job(&mut shop, "other", "normal", "{}");
    shop.wait_for_successes(1);
    shop.move_clock(20 * 24 * 60);
    // The other one is served in the same look.
    shop.wait_for_successes(2);
    assert_eq!(
        shop.db
            .number("SELECT count(*) FROM sluice.sync_runs WHERE data_type = 'products'"),
        0
    );
    assert_eq!(shop.status("status || ': ' || error_message"), "paused: for good");
    shop.app.exec("SELECT sluice.resume_job('products')");
    shop.wait_for_successes(3);
}

#[test]
fn a_quiet_database_has_no_scheduler_and_no_transaction_of_ours() {
    let mut shop = Shop::with_job(100, PAGES);
    shop.app
        .exec("SELECT sluice.alter_job('products', schedule => '1 hour')");
    shop.sync();
    wait_until(&mut shop.db, "the scheduler has left", SOON, |db| {
        db.pids("sluice scheduler").is_empty()
    });
    // Each look of the scheduler would be a process of its own, whose transactions are counted when it ends.
    let ours = "SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('sluice scheduler', 'sluice worker')";
    assert_eq!(shop.db.number(ours), 0);
    assert_eq!(shop.status("status"), "idle");
    // The launcher knows when to come back.
    shop.move_clock(62);
    shop.wait_for_successes(2);
}

/// R-11, and more than one look can start: the urgent first, then by their times, each once and a few at a time.
#[test]
fn of_a_thousand_jobs_that_are_due_at_once_the_first_to_start_are_those_that_matter_most() {
    let mut shop = Shop::with(10, &[("sluice.enabled", "off")]);
    shop.app.exec(&format!(
        "SET client_min_messages = warning;
         DO $$ BEGIN FOR n IN 1..1000 LOOP
             EXECUTE format('CREATE TABLE app.t%s (id bigint PRIMARY KEY, name text)', n);
             PERFORM sluice.create_job('t' || n, 'shop', '/page/products', target => 'app.t' || n, schedule => '1 hour',
                 priority => CASE WHEN n % 50 = 0 THEN 'high' WHEN n % 3 = 0 THEN 'normal' ELSE 'low' END, settings => '{PAGES}');
         END LOOP; END $$;
         RESET client_min_messages"
    ));
    // Late by some seconds each, in an order of their own.
    shop.db
        .exec("UPDATE sluice._job_state SET next_run_at = now() - (job_id * 7919 % 1009) * interval '10 ms'");
    shop.api.clear_log();
    open(&mut shop);
    let some = "SELECT count(*) FROM sluice.sync_runs WHERE status = 'succeeded'";
    wait_until(&mut shop.db, "a hundred runs have succeeded", SOON * 3, |db| {
        db.number(some) >= 100
    });
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice._run"), 1000);
    let begun = "SELECT data_type FROM sluice.sync_runs WHERE started_at IS NOT NULL ORDER BY started_at, id LIMIT 100";
    let wanted = "SELECT j.name FROM sluice._job AS j JOIN sluice._run AS r ON r.job_id = j.id
                  ORDER BY array_position(ARRAY['high', 'normal', 'low'], j.priority), r.id LIMIT 106";
    let names = |shop: &mut Shop, sql: &str| -> Vec<String> {
        shop.db.rows(sql).rows.into_iter().flatten().flatten().collect()
    };
    let (begun, wanted) = (names(&mut shop, begun), names(&mut shop, wanted));
    // Those that start in one look are a few processes that race for their first statement.
    for (at, name) in begun.iter().enumerate() {
        let near = wanted
            .iter()
            .position(|other| other == name)
            .unwrap_or_else(|| panic!("{name} is {at}, and none of the first to be wanted: {begun:?}"));
        assert!(near.abs_diff(at) <= 6, "{name} is {at}, not {near}: {begun:?}");
    }
    assert!(
        shop.api.most_at_once() <= 3,
        "{} requests at once",
        shop.api.most_at_once()
    );
    let runs = "SELECT count(*) FROM sluice._run WHERE started_at IS NOT NULL";
    let requests = shop.api.requests().len();
    assert!(
        i64::try_from(requests).unwrap() <= shop.db.number(runs),
        "{requests} requests"
    );
}
